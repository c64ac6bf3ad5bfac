"""Input files -> segments: read what no earlier build has read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from schemas.ingest.blocks import Block, Head, Place, TextFile
from schemas.ingest.instruments import Instruments
from schemas.ingest.memo import Chain, Link, Memo
from schemas.ingest.parts import FileParts, Part
from schemas.ingest.segments import Segment, make_segment, segment_id
from schemas.ingest.sources import Fingerprint, SourceFile

WORKERS: Final = 2
"""Blocks in memory at once; Arrow's work runs beside Python's."""


def read_parts(
    file: SourceFile,
    known: Fingerprint,
    memo: Memo,
    pool: ThreadPoolExecutor,
    instruments: Instruments | None = None,
    on_block: Callable[[int, int], None] | None = None,
) -> FileParts:
    """Return a file's segments; only lines that the memo does not know are read as rows.

    Args:
        file: The file.
        known: The bytes it has.
        memo: What was read before; what is read now is added.
        pool: Runs the work; `WORKERS` at once.
        instruments: Which symbols count a coin in thousands.
        on_block: Told after each block: its rows, and the bytes of the file read by then.

    Raises:
        DataError: The file cannot be read as its table, or changed meanwhile.
    """
    text = TextFile(file, known)
    head = text.head()
    links: list[Link] = []
    parts: list[Part] = []
    whole = memo.chain(file.table, known.sha256)
    if whole is not None and whole.header == head.text:
        segments = [memo.segment(link.segment) for link in whole.links]
        found = [segment for segment in segments if segment is not None]
        if len(found) == len(segments):
            parts = [Part(s, k.line, k.closed) for s, k in zip(found, whole.links, strict=True)]
            return FileParts(file, known, head, tuple(parts))
    start = None
    for chain in memo.earlier(file):
        if chain.header == head.text and (start := _grown(text, chain, memo, links, parts)) is not None:
            break
    for block, segment in _made(text.blocks(start), text, head, memo, pool, instruments):
        links.append(
            Link(
                segment=segment.id,
                line=block.line,
                lines=block.lines,
                end=block.end,
                prefix=block.prefix,
                closed=block.closed,
            )
        )
        parts.append(Part(segment, block.line, block.closed))
        if on_block is not None:
            on_block(segment.rows, block.read)
    memo.add_file(file, known.sha256, Chain(header=head.text, links=tuple(links)))
    return FileParts(file, known, head, tuple(parts))


def _grown(text: TextFile, chain: Chain, memo: Memo, links: list[Link], parts: list[Part]) -> Place | None:
    """Take over the segments of an earlier file that this one begins with; returns where they end."""
    closed = {link.end: link for link in chain.links if link.closed}
    reached = None
    for end, place in text.places({end: link.prefix for end, link in closed.items()}):
        link = closed[end]
        segment = memo.segment(link.segment)
        if segment is None:
            break
        links.append(link)
        parts.append(Part(segment, link.line, link.closed))
        reached = Place(end, link.line + link.lines, place.hasher)
    return reached


def _made(
    blocks: Iterator[Block],
    text: TextFile,
    head: Head,
    memo: Memo,
    pool: ThreadPoolExecutor,
    instruments: Instruments | None,
) -> Iterator[tuple[Block, Segment]]:
    """Yield each block with its segment, in order, while the next ones are being read."""
    waiting: deque[tuple[Block, Future[Segment]]] = deque()
    for block in blocks:
        waiting.append((block, pool.submit(_segment, block, text, head, memo, instruments)))
        if len(waiting) >= WORKERS:
            first, done = waiting.popleft()
            yield first, done.result()
    for block, done in waiting:
        yield block, done.result()


def _segment(
    block: Block, text: TextFile, head: Head, memo: Memo, instruments: Instruments | None
) -> Segment:
    file = text.file
    name = segment_id(block.body, head, file.table)
    known = memo.segment(name)
    if known is not None:
        return known
    segment = make_segment(block.body, name, head, file.table, str(file.path), memo.segments, instruments)
    memo.add_segment(segment)
    return segment
