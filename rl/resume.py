"""Where a run stands, kept so that being killed costs seconds: one file, and the one before it.

This is no artifact. Every way of ending (kill, SIGTERM, cancel, Ctrl-C, a time budget) is one case: the next
start reads the newest file that is whole and goes on from there, bit for bit.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from rl.tensorfile import read_tensors, write_tensors
from schemas.errors import ArtifactError

KIND = "resume state"
LOG = logging.getLogger(__name__)


class ResumeState:
    """The two newest states of a run in its work folder.

    Args:
        folder: Exists.
        identity: Hash of everything that makes the run what it is.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder, self.identity = folder, identity
        self.newest = folder / "resume.safetensors"
        self.before = folder / "resume.prev.safetensors"

    def save(self, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
        """Write a state; a kill at any moment leaves it or the one before."""
        whole = dict(document) | {"identity": self.identity}
        write_tensors(self.newest, KIND, tensors, whole, keep=self.before)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Return the newest state that can be trusted, or None; what is refused is logged.

        Raises:
            ArtifactError: A state belongs to another run.
        """
        for path in (self.newest, self.before):
            if not path.exists():
                continue
            try:
                tensors, document = read_tensors(path, KIND)
            except ArtifactError as error:
                LOG.warning("A resume state is refused: %s", error)
                continue
            if document.get("identity") != self.identity:
                raise ArtifactError(
                    "the resume state belongs to another run.", str(path), "Use another folder, or delete it."
                )
            missing = [name for name in document.get("files", ()) if not (self.folder / name).is_file()]
            if missing:
                LOG.warning("A resume state is refused: %s lacks %s", self.folder, ", ".join(missing))
                continue
            return tensors, document
        return None


def earlier_rows(folder: Path) -> list[dict[str, float]]:
    """Return the rows of metrics in a run's newest state, to be looked at; none where there is no state.

    Args:
        folder: The run's work folder.
    """
    try:
        tensors, document = read_tensors(folder / "resume.safetensors", KIND)
    except (ArtifactError, FileNotFoundError):
        return []
    return [dict(zip(document["columns"], row, strict=True)) for row in tensors["metrics"].tolist()]
