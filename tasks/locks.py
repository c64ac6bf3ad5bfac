"""Locks between processes that die with their holder, and say who that is.

A lock is a `flock` on a file: the kernel drops it when the process ends, however it ends, so no lock is ever
stale. The file holds the owner's name for others to read and is removed on release; whoever takes a lock
therefore checks that the file locked is still the one that has the name.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import UserError
from tasks.files import utc_now

_POLL_SECONDS: Final = 0.05
_held: set[int] = set()


class LockBusy(UserError):
    """Another process holds the lock, and waiting longer was not asked for."""


class Owner(BaseModel):
    """Who holds a lock, for people to read; nothing is decided by it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pid: int
    host: str
    since: str
    purpose: str

    def __str__(self) -> str:
        purpose = f" ({self.purpose})" if self.purpose else ""
        return f"process {self.pid} on {self.host}{purpose} since {self.since}"


def _forget_inherited() -> None:
    """Close a forked child's copies, or a child that outlives its parent would keep the parent's locks."""
    for handle in _held:
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_forget_inherited)


def try_lock(path: Path, *, folder: bool = False) -> int | None:
    """Try once to lock a file (made if absent) or an existing folder.

    Returns:
        A handle for `unlock`, or None where another holds it or the folder is gone.
    """
    while True:
        try:
            handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            if folder:
                return None
            raise
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        if _is_named(handle, path):
            _held.add(handle)
            return handle
        os.close(handle)  # removed between opening and locking: that lock guards nothing
        if folder:
            return None


def unlock(handle: int) -> None:
    """Give a lock back; does nothing in a child that was forked under it."""
    if handle in _held:
        _held.discard(handle)
        os.close(handle)


def _is_named(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def hold(
    path: Path,
    *,
    purpose: str = "",
    timeout: float | None = None,
    on_wait: Callable[[Owner | None], None] | None = None,
) -> Iterator[None]:
    """Hold a lock for the length of a `with` block.

    Not reentrant: a second `hold` of the same path in one process waits for the first, in another thread too.

    Args:
        path: The lock's file; its folder is made.
        purpose: A few words for those who wait.
        timeout: Seconds to wait; None waits for ever, 0 tries once.
        on_wait: Called once, with the owner where it is known, when the lock is not free at once.

    Raises:
        LockBusy: The time ran out.
    """
    handle = _wait_for(path, timeout, on_wait)
    try:
        owner = Owner(pid=os.getpid(), host=socket.gethostname(), since=utc_now(), purpose=purpose)
        os.ftruncate(handle, 0)
        os.pwrite(handle, owner.model_dump_json().encode(), 0)
        yield
    finally:
        if handle in _held:
            if _is_named(handle, path):
                path.unlink()
            unlock(handle)


@contextmanager
def gate(path: Path, *, alone: bool = False) -> Iterator[None]:
    """Pass a gate that many share and one may hold alone, for moments; waits, and dies with its process.

    Args:
        path: The gate's file; it is made where absent, and stays.
        alone: Keep all others out.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    _held.add(handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        unlock(handle)


def is_locked(path: Path) -> bool:
    """Say whether a process holds a lock, without taking it; a file that is not there is held by none."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _wait_for(path: Path, timeout: float | None, on_wait: Callable[[Owner | None], None] | None) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    until = None if timeout is None else time.monotonic() + timeout
    told = False
    while (handle := try_lock(path)) is None:
        if until is not None and time.monotonic() >= until:
            holder = owner(path)
            raise LockBusy(
                f"is in use by {holder or 'another process'}.", path.stem, "Wait for it to end, or stop it."
            )
        if on_wait is not None and not told:
            told = True
            on_wait(owner(path))
        time.sleep(_POLL_SECONDS)
    return handle


def owner(path: Path) -> Owner | None:
    """Return who holds a lock, or None where nobody does, or nobody can tell.

    Reads the note inside the file and asks whether that process lives; never touches the lock itself.
    """
    with suppress(FileNotFoundError, UnicodeDecodeError, ValidationError):
        found = Owner.model_validate_json(path.read_text(encoding="utf-8"))
        return found if found.host != socket.gethostname() or _lives(found.pid) else None
    return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's, and alive
    return True
