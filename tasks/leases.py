"""What running processes have been handed of the store, so that `carryflow gc` leaves it alone.

Each process that finds or publishes an artifact writes its name into a file of its own,
`work/leases/<pid>-<digits>`, and keeps that file locked for as long as it lives. A flow that found its
features in the morning may read them again in the evening: they are in its file. The lock dies with the
process, so what a killed one has written holds nothing.

Writing a name and taking something out of the store exclude each other by the gate, which writers share: a
name written before is seen by whoever removes, and one written after is looked up in vain, as if the artifact
had never been there.
"""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tasks.locks import gate, is_locked, try_lock, unlock

LOG = logging.getLogger("carryflow")


@dataclass
class _Lease:
    path: Path
    handle: int
    names: set[str] = field(default_factory=set)


_leases: dict[Path, _Lease] = {}
_mutex = threading.Lock()


def gate_of(root: Path) -> Path:
    """Return the file that writers of leases share, and a remover holds alone; it is never deleted."""
    return root / "work" / "leases" / ".gate"


def pin(root: Path, name: str) -> None:
    """Say that this process uses an artifact, until it ends or lets go.

    Where nothing can be written, as in a store somebody else owns, nothing is said; only who may write there
    may remove, and does not remove what was used lately.

    Args:
        root: Of the artifacts.
        name: `step/key`.
    """
    with _mutex:
        lease = _leases.get(root)
        if lease is not None and name in lease.names:
            return
        try:
            with gate(gate_of(root)):
                if lease is None:
                    lease = _leases[root] = _open(root)
                os.write(lease.handle, f"{name}\n".encode())
        except OSError as error:
            LOG.debug("cannot say that %s is in use: %s", name, error)
            return
        lease.names.add(name)


def let_go(root: Path) -> None:
    """Say that this process uses nothing of a store any more."""
    with _mutex:
        lease = _leases.pop(root, None)
        if lease is not None:
            _end(lease)


def held(root: Path) -> set[str]:
    """Return the names that living processes have written; whole while the gate is held alone."""
    names: set[str] = set()
    for path in _files(root):
        with suppress(FileNotFoundError):
            if is_locked(path):
                names |= set(path.read_text(encoding="utf-8").split())
    return names


def left(root: Path) -> list[Path]:
    """Return the files of processes that have died; they may go while the gate is held alone."""
    return [path for path in _files(root) if not is_locked(path)]


def _files(root: Path) -> list[Path]:
    return sorted(gate_of(root).parent.glob("[0-9]*-*"))


def _open(root: Path) -> _Lease:
    for path in _files(root):  # a killed process could not remove its own
        if (handle := try_lock(path)) is not None:
            path.unlink(missing_ok=True)
            unlock(handle)
    while True:
        path = gate_of(root).parent / f"{os.getpid()}-{secrets.token_hex(4)}"
        if (handle := try_lock(path)) is not None:
            return _Lease(path, handle)
        path.unlink(missing_ok=True)  # somebody is just asking whether it is locked, and so it is by them


def _end(lease: _Lease) -> None:
    with suppress(OSError):
        lease.path.unlink()
    unlock(lease.handle)


def _end_all() -> None:
    for root in list(_leases):
        let_go(root)


def _forget_inherited() -> None:
    """A forked child has no lease of its own yet; its parent keeps what it needs until then."""
    global _mutex
    _mutex = threading.Lock()
    _leases.clear()


atexit.register(_end_all)
os.register_at_fork(after_in_child=_forget_inherited)
