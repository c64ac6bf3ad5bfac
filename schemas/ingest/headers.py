"""What a CSV file is before its rows are read: text or not, how it is packed, what its columns are called.

Light on purpose: finding the files of a data set needs this and no table library.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

from schemas.columns import COLUMNS, Header, TableName, classify, count_known, match_header
from schemas.errors import DataError

CSV_SUFFIXES: Final = (".csv", ".csv.gz", ".csv.zst")
_CODECS: Final = {".gz": "gzip", ".zst": "zstd"}
_HEAD_BYTES: Final = 1 << 16
# Scanners write some thirty columns. Each costs time whatever the rows; a broken header asks for too many.
MAX_COLUMNS: Final = 1_000
_BOM: Final = b"\xef\xbb\xbf"
_LIKELY_DELIMITERS: Final = 10  # the most frequent signs of a header that is tried with other delimiters
_CALLED: Final = {";": "semicolons (;)", "\t": "tabs", "|": "bars (|)", ":": "colons (:)", " ": "spaces"}
_MAGIC: Final = {
    b"\x1f\x8b": ("compressed with gzip", "Name it .csv.gz."),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", "Name it .csv.zst."),
    b"PAR1": ("a Parquet file", "Export it as CSV."),
    b"PK\x03\x04": ("a zip archive or an Excel workbook", "Export it as CSV."),
    b"\xff\xfe\0\0": ("UTF-32 text", "Save it as UTF-8."),  # before UTF-16, whose mark it begins with
    b"\0\0\xfe\xff": ("UTF-32 text", "Save it as UTF-8."),
    b"\xff\xfe": ("UTF-16 text", "Save it as UTF-8."),
    b"\xfe\xff": ("UTF-16 text", "Save it as UTF-8."),
}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what the system says about a file into a sentence for its owner."""
    try:
        yield
    except FileNotFoundError as error:
        gone = path.is_symlink()
        what = "is a link to something that does not exist." if gone else "does not exist."
        raise DataError(what, str(path), "Check the path.") from error
    except OSError as error:
        text = str(error)
        if "Truncated compressed stream" in text:
            what, remedy = "is cut short: its compressed data ends too early.", "Copy or download it again."
        elif path.suffix.lower() in _CODECS and not getattr(error, "errno", None):
            codec = _CODECS[path.suffix.lower()]
            what = f"is not valid {codec} data, as its name says."
            remedy = "Copy it again, or give it the ending it should have."
        else:
            what, remedy = f"cannot be read: {getattr(error, 'strerror', None) or text}.", "Check the file."
        raise DataError(what, str(path), remedy) from error


def unpacked(stream: IO[bytes], path: Path) -> IO[bytes]:
    """Return the text of a file as a stream, unpacked if its name says it is packed."""
    codec = _CODECS.get(path.suffix.lower())
    if codec is None:
        return stream
    import pyarrow as pa  # only here: listing a folder of plain files does not need it

    unpacked: Any = pa.CompressedInputStream(stream, codec)
    return cast("IO[bytes]", unpacked)


def require_text(path: Path, content: bytes, *, whole: bool, lines_before: int = 0) -> None:
    """Raise unless the bytes are UTF-8 text.

    Args:
        path: The file.
        content: Bytes of it.
        whole: They do not end inside a character.
        lines_before: Lines of the file before them.
    """
    for magic, (what, remedy) in _MAGIC.items():
        if not lines_before and content.startswith(magic):
            raise DataError(f"is {what}, not plain CSV text.", str(path), remedy)
    nul = content.find(b"\0")
    if nul >= 0:
        if not lines_before and _is_utf16(content):
            raise DataError("is UTF-16 text, not plain CSV text.", str(path), "Save it as UTF-8.")
        line = lines_before + content.count(b"\n", 0, nul) + 1
        raise DataError(
            "is not a text file: it holds zero bytes.",
            f"{path}, row {line}",
            "Remove them, or export the table again as UTF-8 CSV.",
        )
    try:
        if not content.isascii():
            str(content, "utf-8")
    except UnicodeDecodeError as error:
        if not whole and error.start >= len(content) - 4:
            return
        line = lines_before + content.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"is not UTF-8 text: it holds the byte 0x{content[error.start]:02x}.",
            f"{path}, row {line}",
            "Save it as UTF-8 CSV; it may be Latin-1 (Windows-1252).",
        ) from error


def _is_utf16(content: bytes) -> bool:
    """Say whether text without a mark has a zero in every other byte, as Latin letters have in UTF-16."""
    high, low = sorted((content[0:1024:2].count(0), content[1:1024:2].count(0)), reverse=True)
    return low == 0 and high > min(len(content), 1024) // 4


def split_header(path: Path, content: bytes) -> tuple[str, bytes, int]:
    """Return the header line, what follows it, and the header's line number."""
    content = content.removeprefix(_BOM)
    body = content.lstrip(b" \t\r\n")
    if not body:
        raise DataError("is empty.", str(path), "Give a CSV file with a header and rows.")
    line = content.count(b"\n", 0, len(content) - len(body)) + 1
    first, _, rest = body.partition(b"\n")
    if b"\r" in first.rstrip(b"\r"):  # lines ended by a lone carriage return
        first, _, rest = body.partition(b"\r")
    return first.decode("utf-8", errors="replace").strip(), rest, line


def read_header(path: Path) -> list[str]:
    """Return the names in the first line of a file, read as comma-separated.

    Raises:
        DataError: The file is empty, not text, begins with a line that is no header, or cannot be read.
    """
    with reading(path), path.open("rb") as stream:
        head = unpacked(stream, path).read(_HEAD_BYTES)
    require_text(path, head, whole=False)
    return _names(path, split_header(path, head)[0])


def _fields(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _names(path: Path, line: str) -> list[str]:
    """Return the fields of a header line, unless they are too many to be one."""
    # The head of a file may end inside its first line; csv refuses a field of 131,072 characters.
    if len(line.encode()) >= _HEAD_BYTES - len(_BOM):
        raise DataError(
            f"begins with a line of more than {(_HEAD_BYTES >> 10):,} kB, which is no header.",
            f"{path}, row 1",
            "The first line must name the columns, and nothing else.",
        )
    names = _fields(line, ",")
    if len(names) > MAX_COLUMNS:
        raise DataError(
            f"has {len(names):,} columns, more than the {MAX_COLUMNS:,} that are read.",
            f"{path}, row 1",
            "Export the columns of the table alone.",
        )
    return names


def match_columns(path: Path, line: str, table: TableName) -> tuple[int, Header]:
    """Return the number of fields in a header line and its match, complete and without doubt."""
    fields = _names(path, line)
    header = match_header(fields, table)
    if header.missing:
        _refuse_header(path, line, fields, header, table)
    for name, (first, second) in header.repeated.items():
        raise DataError(
            f"has two columns for {name!r}: {first!r} and {second!r}.",
            f"{path}, column {name!r}",
            "Remove one of them.",
        )
    return len(fields), header


def _other_delimiter(line: str, found: int, table: TableName) -> str | None:
    """Return the sign that parts a header into more columns of the table than commas do."""
    signs = Counter(re.sub(r'[A-Za-z0-9_",]', "", line)).most_common(_LIKELY_DELIMITERS)
    matched = [(count_known(_fields(line, sign), table), sign) for sign, _ in signs]
    most, best = max(matched, key=lambda one: one[0], default=(0, ""))
    return best if most > max(1, found) else None


def _refuse_header(path: Path, line: str, fields: list[str], header: Header, table: TableName) -> None:
    where = f"{path}, row 1"
    for start, called in (("{", "JSON"), ("[", "JSON"), ("<", "a web page or XML")):
        if line.startswith(start):
            raise DataError(f"is {called}, not CSV.", where, "Export the table as CSV.")
    if line.count('"') % 2:
        raise DataError(
            "has a quote in its header that is not closed on the line.",
            where,
            "Names of columns go on one line, with quotes in pairs.",
        )
    delimiter = _other_delimiter(line, len(header.found), table)
    if delimiter is not None:
        raise DataError(
            f"separates its columns with {_CALLED.get(delimiter, repr(delimiter))}, not with commas.",
            where,
            "Save it as comma-separated CSV, with decimal points.",
        )
    kind = classify(fields)
    if kind not in (None, table):
        called = "a market history" if kind == "history" else "a table of opportunities"
        flag = "--history" if kind == "history" else "--data"
        raise DataError(f"is {called}.", str(path), f"Give it with {flag}.")
    expected = ", ".join(c.name for c in COLUMNS[table] if c.required)
    if not header.found:
        shown = line if len(line) <= 60 else line[:57] + "..."
        raise DataError(
            f"does not begin with a header of {table} columns but with {shown!r}.",
            where,
            f"The first line must name the columns: {expected}.",
        )
    hints = [f"{m!r} (did you mean {header.lookalike[m]!r}?)" if m in header.lookalike else repr(m)
             for m in header.missing]  # fmt: skip
    noun = "the column" if len(hints) == 1 else f"{len(hints)} columns:"
    raise DataError(
        f"lacks {noun} {', '.join(hints)}.",
        f"{path}, column {header.missing[0]!r}, row 1",
        "Add it, or rename the column that holds it."
        if len(hints) == 1
        else "Add them, or rename the columns that hold them.",
    )
