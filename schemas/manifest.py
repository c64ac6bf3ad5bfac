"""What is written beside every artifact, and how an artifact is named."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from schemas.formats import MANIFEST_FORMAT, SCHEMA_VERSION

_STEP = re.compile(r"[a-z][a-z0-9-]{0,40}")
_KEY = re.compile(r"[0-9a-f]{16,64}")


class Ref(BaseModel):
    """A small reference to an artifact: `step/key`, relative to the store's root."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    key: str

    @field_validator("step")
    @classmethod
    def _step_is_a_name(cls, value: str) -> str:
        if not _STEP.fullmatch(value):
            raise ValueError(f"{value!r} is not a step name")
        return value

    @field_validator("key")
    @classmethod
    def _key_is_a_hash(cls, value: str) -> str:
        if not _KEY.fullmatch(value):
            raise ValueError(f"{value!r} is not an artifact key")
        return value

    @classmethod
    def parse(cls, text: str) -> Ref:
        """Read `step/key`.

        Raises:
            ValueError: The text is not of that form.
        """
        step, _, key = text.partition("/")
        return cls(step=step, key=key)

    def __str__(self) -> str:
        return f"{self.step}/{self.key}"


class FileEntry(BaseModel):
    """One file of an artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(description="Relative to the artifact's folder, with forward slashes.")
    sha256: str
    bytes: int


class Manifest(BaseModel):
    """Everything that made an artifact, and a hash of everything in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = MANIFEST_FORMAT
    schema_version: int = Field(
        SCHEMA_VERSION, description="Of the tables and JSON files in the artifact; see schemas/formats.py."
    )
    step: str
    key: str
    inputs: dict[str, str] = Field(description="Name -> sha256 or ref of each input.")
    params: dict[str, Any] = Field(description="Everything else the key depends on.")
    versions: dict[str, str] = Field(description="Library versions that the key depends on.")
    code: str = Field(description="Fingerprint of the code reached by the step.")
    created: str = Field(description="UTC, ISO 8601; not part of the key.")
    summary: dict[str, Any] = Field(default={}, description="Small facts worth showing; not part of the key.")
    files: tuple[FileEntry, ...] = ()
    seal: str = Field(
        default="", description="sha256 of all the rest, so that any edit shows; the store fills it in."
    )

    @model_validator(mode="before")
    @classmethod
    def _of_the_first_format(cls, content: Any) -> Any:
        """Format 1 did not say which schema, because there was one."""
        if isinstance(content, dict) and content.get("format") == 1:
            return {"schema_version": 1, **content}
        return content
