"""Errors a user can cause, and can mend."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the input that a person can correct; the command line exits with 2.

    Attributes:
        what: What is wrong, in one sentence.
        where: The file, column, row or parameter it was seen at; may be empty.
        remedy: What to do about it; may be empty.
    """

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text} {self.remedy}".rstrip()


class DataError(UserError):
    """An input file is missing, unreadable, of the wrong shape, or too bad to use."""


class ConfigError(UserError):
    """A parameter is out of range, unknown, or contradicts another."""


class ArtifactError(UserError):
    """An artifact, checkpoint or alias asked for does not exist or cannot be trusted."""
