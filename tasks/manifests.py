"""A manifest as a text on the disk: sealed, so that any edit shows, and read whichever version wrote it."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import ValidationError

from schemas.errors import ArtifactError
from schemas.formats import READABLE_MANIFESTS, READABLE_SCHEMAS, foreign
from schemas.manifest import Manifest, Ref
from tasks.files import canonical_json, sha256_text

REBUILD: Final = "Run the step that makes it again: it is rebuilt from its inputs."
OTHER_VERSION: Final = "Use that version of carryflow, or run the step that makes it again."


class ArtifactMissing(ArtifactError):
    """No artifact of that name was ever published here."""


class ArtifactDamaged(ArtifactError):
    """An artifact was altered or deleted after it was published."""


class ArtifactForeign(ArtifactDamaged):
    """Another version of the program wrote an artifact in a way that cannot be read here."""


def render_manifest(manifest: Manifest) -> str:
    """Return the text of a manifest, sealed: a hash of all the rest of it makes any edit show."""
    content = manifest.model_dump(mode="json", exclude={"seal"})
    content["seal"] = seal_of(content)
    return _layout(content)


def parse_manifest(text: str, ref: Ref) -> Manifest:
    """Return what a manifest says.

    The seal is held against the text and not against the model, so that one written before the model learnt
    a new field is still whole.

    Args:
        text: The content of manifest.json.
        ref: The artifact it lies in.

    Raises:
        ArtifactForeign: It is of a format or a schema that is not known here.
        ArtifactDamaged: It was altered, or belongs to another artifact.
    """
    damaged = ArtifactDamaged("has an altered manifest.", str(ref), REBUILD)
    try:
        content = json.loads(text)
    except ValueError:
        raise damaged from None
    refused = foreign(content, READABLE_MANIFESTS) or foreign(
        content, READABLE_SCHEMAS, field="schema_version"
    )
    if refused is not None:
        raise ArtifactForeign(refused, str(ref), OTHER_VERSION)
    if not isinstance(content, dict) or content.get("seal") != seal_of(content) or _layout(content) != text:
        raise damaged
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError:
        raise damaged from None
    if (manifest.step, manifest.key) != (ref.step, ref.key):
        raise damaged
    return manifest


def content_hash(manifest: Manifest) -> str:
    """Return one sha256 over the names and hashes of an artifact's files: what it holds, whatever made it."""
    return sha256_text(canonical_json(sorted((entry.path, entry.sha256) for entry in manifest.files)))


def seal_of(content: dict[str, Any]) -> str:
    """Return the sha256 of a JSON object without its seal; an empty text where it has none to be made of."""
    try:
        return sha256_text(canonical_json({name: one for name, one in content.items() if name != "seal"}))
    except ValueError:  # a number that is not finite: Python's json reads what it would not write here
        return ""


def _layout(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"
