"""Finding the checkpoint that an alias, a version, a training artifact or a path means."""

from __future__ import annotations

import logging
from pathlib import Path

from schemas.checkpoint import BEST_MODEL
from schemas.errors import ArtifactError
from schemas.manifest import Ref
from schemas.registry import VersionRecord
from tasks.bundles import BundleDamaged, BundleMissing, Bundles
from tasks.registry import Registry
from tasks.store import Store

LOG = logging.getLogger("carryflow")
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
    return find_version(store, Registry(store.root, book).resolve(model), book)


def find_version(store: Store, record: VersionRecord, book: str) -> Path:
    """Return a registered version's checkpoint, verified: the book's own, else that of the store.

    Raises:
        ArtifactError: Neither is there and whole.
    """
    try:
        return Bundles(store.root, book).local(record.version)
    except BundleMissing as missing:
        kept: ArtifactError = missing
    except BundleDamaged as damaged:
        kept = damaged
    try:
        found = store.local(record.ref) / record.file
    except ArtifactError as gone:
        if isinstance(kept, BundleMissing):
            raise  # registered before books kept their versions
        what = f"{kept.what.rstrip('.')}, and {record.ref}, which it came from, {gone.what}"
        raise BundleDamaged(what, kept.where, kept.remedy) from gone
    if isinstance(kept, BundleDamaged):
        LOG.warning("%s: %s Its training artifact is whole and used instead.", kept.where, kept.what)
    return found
