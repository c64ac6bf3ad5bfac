"""What a book keeps of a version, so that it can be used and explained without the artifact store."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.formats import BUNDLE_FORMAT
from schemas.manifest import FileEntry, Manifest
from schemas.version import VERSION_DIGITS

BUNDLE: Final = "version.json"


class Origin(BaseModel):
    """One artifact that a version comes from, or that says something of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: str = Field(description="sha256 over the names and hashes of its files.")
    manifest: Manifest | None = Field(
        description="Its manifest without the list of files; null where it was gone when this was written."
    )


class Bundle(BaseModel):
    """The content of `version.json`: what lies beside it, and where all of it comes from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = BUNDLE_FORMAT
    version: str = Field(pattern=rf"^[0-9a-f]{{{VERSION_DIGITS}}}$")
    checkpoint: str = Field(description="The file with weights, scaler and configs.")
    evidence: str = Field(description="The folder with backtest, gates and report of the last judgement.")
    files: tuple[FileEntry, ...] = Field(description="Every file, its sha256 and its bytes.")
    origins: dict[str, Origin] = Field(
        description="By step, from the data to the judgement: inputs, parameters, code, library versions."
    )
    seal: str = Field("", description="sha256 of all the rest, so that any edit shows.")

    def path_of(self, name: str) -> str:
        """Return the relative path of a file of the last judgement."""
        return f"{self.evidence}/{name}"
