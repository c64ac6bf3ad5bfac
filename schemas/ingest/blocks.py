"""A CSV file as a stream of whole lines, in blocks, whatever its size; the bytes are hashed on the way.

Rows stand on lines of their own, so a file may be cut at any line break.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final, cast

from schemas.columns import Header
from schemas.errors import DataError
from schemas.ingest.headers import match_columns, reading, require_text, split_header, unpacked
from schemas.ingest.sources import Fingerprint, SourceFile

BLOCK_BYTES: Final = 1 << 25
"""Text read at once: a few hundred thousand rows, about ten times as much memory."""
_HEAD_BYTES: Final = 1 << 16
LONGEST_LINE: Final = 1 << 26
"""A line longer than this is no row of a table; without a limit it would have to fit into memory."""


@dataclass(frozen=True)
class Block:
    """Whole lines of a file.

    Attributes:
        body: The lines.
        line: Line number of the first one in the file, from 1.
        lines: How many there are.
        end: Where they end in the unpacked file, bytes.
        read: Bytes of the file on disk that had been read by then; not the same where it is packed.
        prefix: sha256 of the unpacked file up to there.
        closed: The last line has a line break: nothing can be added to it any more.
    """

    body: bytes
    line: int
    lines: int
    end: int
    read: int
    prefix: str
    closed: bool


@dataclass(frozen=True)
class Head:
    """What stands before the rows.

    Attributes:
        text: The header line.
        width: Its fields.
        header: Those, matched with the table.
    """

    text: str
    width: int
    header: Header


@dataclass(frozen=True)
class Place:
    """A place in the unpacked file, and the hash of all before it.

    Attributes:
        end: Bytes before it.
        line: Line number of the line that begins there.
        hasher: sha256 of those bytes.
    """

    end: int
    line: int
    hasher: Any


class _OnDisk(io.RawIOBase):
    """The bytes of a file up to a given size, hashed as they are read where that is asked for."""

    def __init__(self, stream: IO[bytes], size: int, hasher: Any | None) -> None:
        super().__init__()
        self._stream, self.left, self.hasher = stream, size, hasher

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: self.left]
        count = self._stream.readinto(view) if len(view) else 0  # type: ignore[attr-defined]
        if self.hasher is not None:
            self.hasher.update(view[:count])
        self.left -= count
        return int(count)


class TextFile:
    """One input file, read once from front to back."""

    def __init__(self, file: SourceFile, known: Fingerprint) -> None:
        """Name the file and the bytes it is expected to have.

        What is appended after its fingerprint was taken is left for the next time.
        """
        self.file, self.known = file, known
        self._packed = file.path.suffix.lower() in (".gz", ".zst")
        self._disk: _OnDisk | None = None

    def head(self) -> Head:
        """Read the header.

        Raises:
            DataError: The file cannot be read, is empty, is not text, or has other columns.
        """
        with reading(self.file.path), self.file.path.open("rb") as stream:
            text = _read(unpacked(stream, self.file.path), _HEAD_BYTES)
        require_text(self.file.path, text, whole=len(text) < _HEAD_BYTES)
        line = split_header(self.file.path, text)[0]
        return Head(line, *match_columns(self.file.path, line, self.file.table))

    def places(self, ends: dict[int, str]) -> Iterator[tuple[int, Place]]:
        """Yield each of some ends at which the unpacked file has the sha256 given, in order.

        Args:
            ends: Where -> sha256 of all before. The first that differs ends the search, since all
                behind it would differ too.
        """
        hasher, at = hashlib.sha256(), 0
        with reading(self.file.path), self.file.path.open("rb") as stream:
            text = unpacked(stream, self.file.path)
            for end in sorted(ends):
                while at < end and (piece := text.read(min(end - at, 1 << 20))):
                    hasher.update(piece)
                    at += len(piece)
                if at < end or hasher.hexdigest() != ends[end]:
                    return
                yield end, Place(end, 0, hasher.copy())

    def blocks(self, start: Place | None = None) -> Iterator[Block]:
        """Yield the lines after the header, or from a place on, in blocks.

        Raises:
            DataError: The file cannot be read, is not text, or is not what its fingerprint says.
        """
        with reading(self.file.path), self.file.path.open("rb") as stream:
            # A plain file's rows may be found again by their place; a packed one is unpacked from its start.
            skipped = start.end if start is not None and not self._packed else 0
            stream.seek(skipped)
            # The lines of a plain file are its bytes, so that one hash tells of both.
            disk = _OnDisk(stream, self.known.size - skipped, hashlib.sha256() if self._packed else None)
            self._disk = disk
            text = unpacked(cast("IO[bytes]", disk), self.file.path)
            hasher = hashlib.sha256() if start is None else start.hasher.copy()
            if start is None:
                yield from self._from_the_top(text, hasher)
            else:
                self._skip(text, start.end - skipped)
                yield from self._lines(text, b"", start.end, start.line, hasher)
            while disk.read(1 << 20):  # behind the end of a packed text
                pass
        if (disk.hasher or hasher).hexdigest() != self.known.sha256:
            self._changed()

    def _skip(self, text: IO[bytes], count: int) -> None:
        while count and (piece := text.read(min(count, 1 << 20))):
            count -= len(piece)

    def _changed(self) -> None:
        raise DataError(
            "changed while it was read.",
            str(self.file.path),
            "Run again; replace a file by renaming a finished one to its name, or only append to it.",
        )

    def _from_the_top(self, text: IO[bytes], hasher: Any) -> Iterator[Block]:
        path, begun = self.file.path, _read(text, BLOCK_BYTES)
        while len(begun) < LONGEST_LINE and (
            not begun.strip(b" \t\r\n\xef\xbb\xbf") or b"\n" not in begun.lstrip()
        ):
            more = _read(text, BLOCK_BYTES)
            if not more:
                break
            begun += more
        require_text(path, begun, whole=False)
        _, rest, line = split_header(path, begun)
        skipped = len(begun) - len(rest)
        hasher.update(memoryview(begun)[:skipped])
        yield from self._lines(text, rest, skipped, line + 1, hasher)

    def _lines(self, text: IO[bytes], held: bytes, end: int, line: int, hasher: Any) -> Iterator[Block]:
        room = bytearray()
        while True:
            # One room for all blocks, and one copy of each: what is copied twice costs as much as reading it.
            begun, wanted = len(held), max(BLOCK_BYTES - len(held), BLOCK_BYTES // 8)
            if len(room) < begun + wanted:
                room = bytearray(begun + wanted)
            room[:begun] = held
            with memoryview(room) as view:
                end_of_text = begun + _fill(text, view[begun : begun + wanted])
            more = end_of_text > begun
            # A carriage return at the very end may be half of a line break.
            last = end_of_text - 1 if more else end_of_text
            cut = max(room.rfind(b"\n", 0, end_of_text), room.rfind(b"\r", 0, last)) + 1
            if more and not cut and end_of_text > LONGEST_LINE:
                raise DataError(
                    f"has a line of more than {LONGEST_LINE >> 20} MiB.",
                    f"{self.file.path}, row {line}",
                    "Export it again as CSV, a row on a line.",
                )
            if cut:
                with memoryview(room) as view:
                    body = bytes(view[:cut])
                yield (block := self._block(body, line, end, hasher, closed=True))
                line, end = line + block.lines, block.end
            held = bytes(room[cut:end_of_text])
            if not more:
                break
        if held:
            yield self._block(held, line, end, hasher, closed=False)

    def _block(self, body: bytes, line: int, start: int, hasher: Any, *, closed: bool) -> Block:
        hasher.update(body)
        require_text(self.file.path, body, whole=True, lines_before=line - 1)
        end, read = start + len(body), self.known.size - (self._disk.left if self._disk is not None else 0)
        if b"\r" in body:
            body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = body.count(b"\n") + (not closed)
        return Block(body, line, lines, end, read, hasher.hexdigest(), closed)


def _read(stream: IO[bytes], size: int) -> bytes:
    """Read as many bytes as asked for, or all that are left."""
    pieces, left = [], size
    while left and (piece := stream.read(min(left, 1 << 22))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _fill(stream: IO[bytes], view: memoryview) -> int:
    """Read into all of a view, or as much as is left; returns how many bytes."""
    filled = 0
    while filled < len(view) and (count := stream.readinto(view[filled : filled + (1 << 22)])):  # type: ignore[attr-defined]
        filled += count
    return filled
