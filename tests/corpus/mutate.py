"""Valid files, and what may become of their bytes: flipped, lost, doubled, moved, cut."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from functools import cache

import pyarrow as pa

from tests.corpus.rows import opportunity, settlement, to_csv

_TOKENS = (
    b'"', b'""', b",", b",,", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b";",
    b"\t", b" ", b"-", b"nan", b"null", b"inf", b"1e400", b"-1", b"0", b"9" * 40, b"=1+1", b"2099-01-01",
    b"1970-01-01T00:00:00Z", b"+99:99", "\u00e9\U0001f680\u202e".encode(), b"\x1a", b"\x1b[31m",
    b"entry_time", b"x" * 3000,
)  # fmt: skip


@cache
def _valid_texts() -> tuple[tuple[str, bytes], ...]:
    rows = [opportunity(h, symbol=symbol) for h in range(12) for symbol in ("ABCUSDT", "1000PEPE")]
    noted = [opportunity(h, note=f'n{h}, "quoted"', subType="perp") for h in range(20)]
    past = [settlement(h) for h in range(24)]
    plain = to_csv(rows).encode()
    return (
        ("opportunities.csv", plain),
        ("opportunities.csv", to_csv(noted).encode()),
        ("opportunities.csv", b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n")),
        ("history.csv", to_csv(past).encode()),
    )


def broken_file(chance: random.Random) -> tuple[str, bytes]:
    """Return a file that was valid once: its name and its bytes.

    One in five is packed; of these, half are broken as text and half as packed bytes.
    """
    name, data = chance.choice(_valid_texts())
    if chance.random() < 0.8:
        return name, mutate(data, chance)
    inside = chance.random() < 0.5
    data = mutate(data, chance) if inside else data
    if chance.random() < 0.5:
        name, data = name + ".gz", gzip.compress(data, mtime=0)
    else:
        name, data = name + ".zst", pa.compress(data, codec="zstd", asbytes=True)
    return name, data if inside else mutate(data, chance)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return the bytes after one to six changes."""
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 4, 6))):
        data = chance.choice(_CHANGES)(data, chance)
    return data


def _span(data: bytes, chance: random.Random, longest: int = 400) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.randint(1, longest))


def _flip(data: bytes, chance: random.Random) -> bytes:
    if not data:
        return data
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _replace(data: bytes, chance: random.Random) -> bytes:
    start, _ = _span(data, chance)
    return data[:start] + chance.choice(_TOKENS) + data[start + chance.randint(0, 8) :]


def _insert(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.choice((chance.choice(_TOKENS), chance.randbytes(3))) + data[at:]


def _delete(data: bytes, chance: random.Random) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + data[end:]


def _double(data: bytes, chance: random.Random) -> bytes:
    start, end = _span(data, chance)
    return data[:end] + data[start:end] + data[end:]


def _truncate(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def _lines(data: bytes, chance: random.Random) -> bytes:
    """Drop, double, swap, join or cut lines."""
    lines = data.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    kind = chance.randrange(5)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(other, lines[one])
    elif kind == 2:
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == 3:
        lines[one : one + 2] = [b"".join(lines[one : one + 2])]
    else:
        lines[one] = lines[one][: chance.randrange(len(lines[one]) + 1)]
    return b"\n".join(lines)


def _cells(data: bytes, chance: random.Random) -> bytes:
    """Put something else into a cell, or the same cell of every line."""
    lines = data.split(b"\n")
    token, column = chance.choice(_TOKENS), chance.randrange(27)
    some = range(len(lines)) if chance.random() < 0.2 else [chance.randrange(len(lines))]
    for at in some:
        cells = lines[at].split(b",")
        if column < len(cells):
            cells[column] = token
            lines[at] = b",".join(cells)
    return b"\n".join(lines)


_CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _replace, _insert, _delete, _double, _truncate, _lines, _lines, _cells, _cells,
)  # fmt: skip
