"""Where artifacts and books lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from schemas.errors import ConfigError
from schemas.names import BOOK


def resolve_root(explicit: str | Path | None = None) -> Path:
    """Return the artifact root: the one asked for, else `CARRYFLOW_ARTIFACTS`, else `./artifacts`.

    The path is absolute, so that a later change of the current folder moves nothing.

    Raises:
        ConfigError: Something that is not a folder is in its place.
    """
    chosen = Path(explicit or os.environ.get("CARRYFLOW_ARTIFACTS") or "artifacts").expanduser().absolute()
    if chosen.exists() and not chosen.is_dir():
        raise ConfigError(
            "is not a folder.", str(chosen), "Name a folder for the artifacts with --artifacts."
        )
    return chosen


def book_dir(root: Path, book: str) -> Path:
    """Return the folder of a book; it may not exist yet.

    Raises:
        ConfigError: The name could not be a folder's, or could leave the root.
    """
    if not BOOK.fullmatch(book):
        raise ConfigError(
            f"{book!r} cannot be the name of a book.",
            "--book",
            "Use 1 to 64 of a-z, 0-9, - and _, the first a letter or a digit.",
        )
    return root / "books" / book
