"""Small habits of everything under the artifact root: canonical JSON, hashes, atomic files, stamps."""

from __future__ import annotations

import getpass
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

_SYNCS_AT_ONCE: Final = 8


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII.

    Raises:
        TypeError: Something in it has no JSON form.
        ValueError: A number in it is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it, losing form rather than failing.

    Numbers that are not finite become null, numpy scalars become Python's, anything unknown its text. For
    facts worth showing, such as a summary written after hours of work; never for what a key is made of.
    """
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    scalar = getattr(value, "item", None)  # numpy's scalars, without importing numpy
    return plain(scalar()) if callable(scalar) else str(value)


def sha256_text(text: str) -> str:
    """Return the sha256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_all(paths: Iterable[Path]) -> None:
    """Wait until files and folders are on the disk, several at once: a disk takes many in the time of one."""
    waiting = list(paths)
    if len(waiting) <= _SYNCS_AT_ONCE:  # threads pay from some dozens of files on
        for path in waiting:
            sync(path)
        return
    with ThreadPoolExecutor(_SYNCS_AT_ONCE, thread_name_prefix="sync") as pool:
        for done in pool.map(sync, waiting):
            assert done is None  # asked for, so that an error is raised


def plain_files(folder: Path, *, but: str = "") -> dict[str, Path]:
    """Return the files below a folder by their path with forward slashes.

    What the Finder leaves in every folder somebody looked into is not counted: looking is not altering.

    Args:
        folder: Where to look.
        but: A file that is left out.

    Raises:
        ValueError: There is a symbolic link or another thing that has no bytes of its own.
    """
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ValueError(f"{name} is not a plain file")
            if name in names and name != ".DS_Store":
                found[path.relative_to(folder).as_posix()] = path
    found.pop(but, None)
    return found


def remove(path: Path) -> None:
    """Remove a file or a folder with all in it, as far as that can be done; no link is followed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def write_atomic(path: Path, text: str) -> None:
    """Replace a file in one step: a reader, or a process killed here, leaves the old text or the new, whole.

    The temporary name is fixed, so that killed writers leave at most one behind: call this under a lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def current_user() -> str:
    """Return the name of who runs this process, or `unknown` where the system has none (a bare container)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
