"""The ledger of a book: what was tried and which sealed windows were opened, a JSON line each, only appended.

How many were tried decides how much a good result is worth, so nothing is dropped in silence: only the end
of a line that a killed writer left is, and it says so.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any, Final, Literal

from schemas.errors import ArtifactError
from tasks.files import canonical_json, current_user, plain, sync, utc_now
from tasks.locks import hold
from tasks.store import book_dir

LOG = logging.getLogger("carryflow")
Kind = Literal["trial", "opening"]
_RESERVED: Final = ("kind", "time", "user", "book")


class Ledger:
    """The ledger of one book."""

    def __init__(self, root: Path, book: str) -> None:
        """Raises `ConfigError` where the book's name is not a valid one."""
        self.book = book
        self.folder = book_dir(root, book)
        self.path = self.folder / "ledger.jsonl"

    def append(self, kind: Kind, **fields: Any) -> dict[str, Any]:
        """Write one line down, on the disk when this returns; with its kind, time, user and book.

        Args:
            kind: A trial (a recipe was trained with a seed) or an opening (a sealed window was seen).
            **fields: What else is to be known; numbers that are not finite become null.

        Returns:
            The line as `read` gives it.

        Raises:
            ValueError: A field has the name of one that is filled in here.
            OSError: The disk would not take it; the ledger is as before.
        """
        if taken := [name for name in _RESERVED if name in fields]:
            raise ValueError(f"{taken[0]!r} is filled in by the ledger")
        stamps = {"kind": kind, "time": utc_now(), "user": current_user(), "book": self.book}
        line: dict[str, Any] = stamps | plain(fields)
        data = f"{canonical_json(line)}\n".encode()
        with hold(self.folder / "locks" / "ledger.lock", purpose=f"append {kind}"):
            fresh = not self.path.exists()
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                whole = self._repair(handle)
                if os.write(handle, data) != len(data):
                    os.ftruncate(handle, whole)
                    raise OSError(f"{self.path}: only part of a line could be written")
                os.fsync(handle)
            finally:
                os.close(handle)
            if fresh:
                sync(self.folder)
        return line

    def read(self, kind: Kind | None = None) -> list[dict[str, Any]]:
        """Return the lines of a kind, or all, oldest first; a line still being written is not among them.

        Raises:
            ArtifactError: A line in it is no JSON object: somebody edited it.
        """
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return []
        lines = []
        for number, raw in enumerate(text.split(b"\n")[:-1], start=1):
            try:
                line = json.loads(raw)
            except ValueError:
                line = None
            if not isinstance(line, dict):
                where = f"{self.path}, line {number}"
                raise ArtifactError("is not a ledger's line.", where, "Restore it from a copy.")
            if kind in (None, line.get("kind")):
                lines.append(line)
        return lines

    def _repair(self, handle: int) -> int:
        """Cut off the line that a killed writer did not finish, and return the length of what is left."""
        size = os.fstat(handle).st_size
        if size == 0 or os.pread(handle, 1, size - 1) == b"\n":
            return size
        whole = os.pread(handle, size, 0).rfind(b"\n") + 1
        LOG.warning("%s: cut off the end of a line that was never finished", self.path)
        os.ftruncate(handle, whole)
        return whole
