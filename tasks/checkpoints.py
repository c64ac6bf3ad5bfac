"""Leaving a run's checkpoints where a person asked for them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from schemas.checkpoint import BEST_MODEL, FINAL_MODEL
from schemas.errors import ConfigError
from schemas.manifest import Ref
from tasks.store import Store, resolve_root

SUFFIX = ".safetensors"


def copy_checkpoints(model: str, folder: Path) -> list[Path]:
    """Copy every checkpoint of a training artifact into a folder, each atomically.

    The names are those of the artifact: best_model, final_model and checkpoint_ep<N>, with the
    suffix .safetensors. Checkpoints of other runs that are in the folder stay, unless of the same name.

    Args:
        model: Ref of the training artifact.
        folder: Made if it is not there.

    Returns:
        What was written: best, final, then periodic by episode.

    Raises:
        ArtifactError: The artifact was altered.
        ConfigError: The folder cannot be made.
    """
    source = Store(resolve_root()).local(Ref.parse(model))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"is no folder to write to ({error.strerror}).", str(folder)) from error
    copied = []
    for path in sorted(source.glob(f"*{SUFFIX}"), key=_order):
        target = folder / path.name
        temporary = folder / f".{path.name}.{os.getpid()}.tmp"
        shutil.copyfile(path, temporary)
        temporary.replace(target)
        copied.append(target)
    return copied


def _order(path: Path) -> tuple[int, int]:
    named = {BEST_MODEL: 0, FINAL_MODEL: 1}
    episode = path.stem.removeprefix("checkpoint_ep")
    return named.get(path.name, 2), int(episode) if episode.isdigit() else 0
