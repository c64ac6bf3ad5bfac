"""Finding the checkpoint that an alias, a version, a training artifact or a path means."""

from __future__ import annotations

from pathlib import Path

from schemas.checkpoint import BEST_MODEL
from schemas.errors import ArtifactError
from schemas.manifest import Ref
from tasks.registry import Registry
from tasks.store import Store

SUFFIX = ".safetensors"


def find_model(store: Store, model: Ref | str, book: str) -> Path:
    """Return the checkpoint file a name means; a file of the store is verified.

    Args:
        store: Where artifacts are.
        model: A training artifact (its best checkpoint), a file, an alias or a version.
        book: Whose registry knows aliases and versions.

    Raises:
        ArtifactError: There is no such model, or it was altered.
    """
    if isinstance(model, Ref):
        return store.local(model) / BEST_MODEL
    path = Path(model).expanduser()
    for candidate in (path, path.with_name(path.name + SUFFIX)):
        if candidate.is_file() and (candidate.suffix == SUFFIX or path.parent != Path()):
            return candidate
    if path.suffix == SUFFIX or len(path.parts) > 1:
        raise ArtifactError("does not exist.", str(path), "Give a checkpoint file, an alias or a version.")
    record = Registry(store.root, book).resolve(model)
    return store.local(record.ref) / record.file
