"""One safetensors file: tensors and a JSON document, written whole or not at all, and checked when read.

Nothing in it can run code, and a flipped byte is noticed: the document holds a hash of everything else.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from schemas.errors import ArtifactError

# A single metadata entry: the order of several is not fixed, and the same content has to give the same bytes.
_ENTRY = "carryflow"


def content_hash(tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> str:
    """Return the sha256 of names, types, shapes, values and document."""
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def write_tensors(
    path: Path,
    kind: str,
    tensors: Mapping[str, Tensor],
    document: Mapping[str, Any],
    *,
    keep: Path | None = None,
) -> None:
    """Write a file atomically and durably.

    Args:
        path: Where it goes; its folder exists.
        kind: What it is, e.g. "checkpoint"; a reader asks for it by this name.
        tensors: On any device.
        document: JSON-able.
        keep: Where the file that stood at `path` is moved, if there was one.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    envelope = {"kind": kind, "sha256": content_hash(plain, document), "document": document}
    data = save(plain, metadata={_ENTRY: json.dumps(envelope, sort_keys=True)})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if keep is not None and path.exists():
            path.replace(keep)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def read_tensors(path: Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file that `write_tensors` wrote.

    Raises:
        ArtifactError: It is missing, of another origin or kind, or damaged.
    """
    where = str(path)
    if not path.is_file():
        raise ArtifactError(f"there is no such {kind}.", where, "Check the path.")
    foreign = ArtifactError(f"the file is not a carryflow {kind}, or it is damaged.", where)
    try:
        with safe_open(path, "pt") as file:
            envelope = json.loads((file.metadata() or {})[_ENTRY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        found, expected, document = envelope["kind"], envelope["sha256"], envelope["document"]
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise foreign from error
    if found != kind:
        raise ArtifactError(f"the file is a carryflow {found}, not a {kind}.", where)
    if content_hash(tensors, document) != expected:
        raise ArtifactError(f"the {kind} is damaged: its content does not match its hash.", where)
    return tensors, document


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut; some file systems and Windows do not let a folder be opened."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
