"""Reading a JSON file that another version of the program may have written: its content, or words."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from schemas.errors import ArtifactError
from tasks.manifests import OTHER_VERSION

M = TypeVar("M", bound=BaseModel)


def read_json(model: type[M], path: Path, where: str) -> M:
    """Return the content of a file whose bytes were verified and whose meaning may be another's.

    Args:
        model: What it should hold.
        path: The file.
        where: Whose it is, for the message.

    Raises:
        ArtifactError: It cannot be read as that here.
    """
    try:
        return model.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise unreadable(path, where, error) from None


def unreadable(path: Path, where: str, error: ValidationError) -> ArtifactError:
    """Return the sentence that refuses a file; it names the first field that is not as it should be."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    said = f"{field}: {first['msg']}" if field else str(first["msg"])
    what = f"has a {path.name} that this version of carryflow cannot read ({said})."
    return ArtifactError(what, where, OTHER_VERSION)
