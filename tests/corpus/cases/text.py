"""What a file is before it is a table: encoding, packing, line ends, quotes, delimiters."""

from __future__ import annotations

import gzip

import pyarrow as pa

from tests.corpus.case import (
    FILE,
    REQUIRED,
    Case,
    Kept,
    Refused,
    as_plain,
    content,
    edited,
    good,
    good_text,
    packed,
    table,
)
from tests.corpus.rows import opportunity, to_csv

TEXT = good_text()
BYTES = TEXT.encode()
MANY = BYTES * 50  # packed, still long enough to be cut
GZ, ZST = FILE + ".gz", FILE + ".zst"

PLAIN = Kept(check=as_plain, says="read like a plain file")
UTF16 = Refused("scan.csv: is UTF-16 text, not plain CSV text. Save it as UTF-8.")
CUT_GZ = Refused("scan.csv.gz: is cut short: its compressed data ends too early. Copy or download it again.")
BAD_GZ = Refused(
    "scan.csv.gz: is not valid gzip data, as its name says. Copy it again, or give it the ending it should have."
)
FIELDS = ("wrong_field_count",)
QUOTE = ("quote_not_closed",)


def not_utf8(row: int, byte: str) -> Refused:
    return Refused(
        f"scan.csv, row {row}: is not UTF-8 text: it holds the byte {byte}. "
        "Save it as UTF-8 CSV; it may be Latin-1 (Windows-1252)."
    )


def zero_bytes(row: int) -> Refused:
    return Refused(
        f"scan.csv, row {row}: is not a text file: it holds zero bytes. "
        "Remove them, or export the table again as UTF-8 CSV."
    )


def delimiter(called: str) -> Refused:
    return Refused(
        f"scan.csv, row 1: separates its columns with {called}, not with commas. "
        "Save it as comma-separated CSV, with decimal points."
    )


def no_header(shown: str) -> Refused:
    return Refused(
        f"scan.csv, row 1: does not begin with a header of opportunities columns but with {shown!r}. "
        f"The first line must name the columns: {REQUIRED}."
    )


def no_row_left(shown: str) -> Refused:
    return Refused(
        "scan.csv, row 2: 40 of 40 rows of opportunities break a rule (100.0%), none is left; the most frequent rule: "
        f"a row must have as many fields as the header (40 rows, the first here with {shown!r}). "
        "Mend or remove these rows."
    )


def line_9(change):
    """Change the line of one row."""
    return edited(lambda lines: [*lines[:8], *change(lines[8], lines[9]), *lines[9:]])


def quoted(lines: list[str]) -> list[str]:
    return [",".join(f'"{cell}"' for cell in line.split(",")) for line in lines]


def misread(data: bytes) -> bytes:
    """Flip the checksum that ends packed data."""
    return data[:-8] + bytes(byte ^ 255 for byte in data[-8:-4]) + data[-4:]


APPENDED = to_csv([opportunity(50), opportunity(51)]).split("\n", 1)[1].encode()

CASES = (
    Case("UTF-8 with a byte order mark", content(b"\xef\xbb\xbf" + BYTES), PLAIN),
    Case("two byte order marks", content(b"\xef\xbb\xbf" * 2 + BYTES), PLAIN),
    Case("UTF-16 with a mark", content(TEXT.encode("utf-16")), UTF16),
    Case("UTF-16 without a mark, little endian", content(TEXT.encode("utf-16-le")), UTF16),
    Case("UTF-16 without a mark, big endian", content(TEXT.encode("utf-16-be")), UTF16),
    Case("UTF-32", content(TEXT.encode("utf-32")), Refused("scan.csv: is UTF-32 text, not plain CSV text. Save it as UTF-8.")),
    Case("Latin-1", content(TEXT.replace("ABC", "CAF\u00c9", 1).encode("latin-1")), not_utf8(2, "0xc9")),
    Case("half a UTF-8 character at the end", content(BYTES.rstrip() + "\u00e9".encode()[:1]), not_utf8(41, "0xc3")),
    Case("surrogates written as UTF-8", content(BYTES.replace(b"ABC", b"\xed\xa0\xbd\xed\xb8\x80", 1)), not_utf8(2, "0xed")),
    Case("a NUL byte in one cell", content(BYTES.replace(b"ABC", b"A\0C", 1)), zero_bytes(2)),
    Case("a page of NUL bytes at the end", content(BYTES + bytes(4096)), zero_bytes(42)),
    Case("line ends of Windows", content(TEXT.replace("\n", "\r\n")), PLAIN),
    Case("line ends of an old Mac", content(TEXT.replace("\n", "\r")), PLAIN),
    Case("line ends mixed", edited(lambda lines: [*lines[:20], *(line + "\r" for line in lines[20:])]), PLAIN),
    Case("no line end after the last row", content(TEXT.rstrip("\n")), Kept(check=as_plain, counts={"last_line_without_an_end": 1})),
    Case("blank lines and lines of commas", edited(lambda lines: [*lines[:5], "", "," * lines[0].count(","), *lines[5:], "", ""]), Kept(check=as_plain, says="blank lines are counted and no rows")),
    Case("a line of spaces", edited(lambda lines: [*lines[:5], "  ", *lines[5:]]), Kept(rows=41, quarantined=1, rules=FIELDS, check=as_plain)),
    Case("semicolons", content(TEXT.replace(",", ";")), delimiter("semicolons (;)")),
    Case("semicolons and decimal commas", content(TEXT.replace(",", ";").replace(".", ",")), delimiter("semicolons (;)")),
    Case("tabs", content(TEXT.replace(",", "\t")), delimiter("tabs")),
    Case("bars", content(TEXT.replace(",", "|")), delimiter("bars (|)")),
    Case("carets", content(TEXT.replace(",", "^")), delimiter("'^'")),
    Case("full-width commas", content(TEXT.replace(",", "\uff0c")), delimiter("'\uff0c'")),
    Case("control characters as delimiters", content(TEXT.replace(",", "\x1f")), delimiter("'\\x1f'")),
    Case("a header with commas over rows with semicolons", edited(lambda lines: [lines[0], *(line.replace(",", ";") for line in lines[1:])]), no_row_left("2025-03-03T00:00:00+00:00;ABCUSDT;Binance;Bybit;100.0;100...")),
    Case("a line sep=, before the header", content("sep=,\n" + TEXT), no_header("sep=,")),
    Case("every cell quoted", edited(quoted), PLAIN),
    Case("quoted commas and quotes in a note", table([opportunity(h, note='a, "b"') for h in range(40)]), Kept(check=lambda o: _notes(o, {'a, "b"'}))),
    Case("a quoted newline in a note", table([*good(38), opportunity(38, note="a\nb"), opportunity(39, note="c")]), Kept(rows=41, quarantined=2, rules=QUOTE, says="a row stands on one line; both halves are set aside")),
    Case("a quote that is never closed", line_9(lambda line, _: [line.replace("ABC", '"ABC')]), Kept(quarantined=1, rules=QUOTE, says="the lines below are untouched")),
    Case("quotes that pair up across cells", line_9(lambda line, _: [line.replace("ABCUSDT,Binance", 'A"BC,"Binance')]), Kept(quarantined=1, rules=QUOTE)),
    Case("the last line cut inside a row", content(TEXT[:-150]), Kept(quarantined=1, rules=FIELDS, counts={"last_line_without_an_end": 1})),
    Case("a line cut in the middle of the file", line_9(lambda line, _: [line[:60]]), Kept(quarantined=1, rules=FIELDS)),
    Case("two lines run into one", edited(lambda lines: [*lines[:8], lines[8] + lines[9], *lines[10:]]), Kept(rows=39, quarantined=1, rules=FIELDS)),
    Case("one comma too many in a line", line_9(lambda line, _: [line + ","]), Kept(quarantined=1, rules=FIELDS)),
    Case("one comma too many in every row", edited(lambda lines: [lines[0], *(line + "," for line in lines[1:])]), no_row_left("2025-03-03T00:00:00+00:00,ABCUSDT,Binance,Bybit,100.0,100...")),
    Case("gzip", packed(BYTES), PLAIN),
    Case("gzip, appended to", content(gzip.compress(BYTES) + gzip.compress(APPENDED), GZ), Kept(rows=42)),
    Case("gzip cut short", content(gzip.compress(MANY, mtime=0)[:-200], GZ), CUT_GZ),
    Case("gzip cut in its header", content(gzip.compress(MANY, mtime=0)[:6], GZ), CUT_GZ),
    Case("gzip followed by other bytes", content(gzip.compress(BYTES) + b"junk" * 20, GZ), BAD_GZ),
    Case("gzip whose checksum is wrong", content(misread(gzip.compress(MANY, mtime=0)), GZ), BAD_GZ),
    Case("zstd", content(pa.compress(BYTES, codec="zstd", asbytes=True), ZST), PLAIN),
    Case("zstd cut short", content(pa.compress(MANY, codec="zstd", asbytes=True)[:-100], ZST), Refused("scan.csv.zst: is cut short: its compressed data ends too early. Copy or download it again.")),
    Case("gzip that is named .csv", content(gzip.compress(BYTES)), Refused("scan.csv: is compressed with gzip, not plain CSV text. Name it .csv.gz.")),
    Case("zstd that is named .csv", content(pa.compress(BYTES, codec="zstd", asbytes=True)), Refused("scan.csv: is compressed with zstd, not plain CSV text. Name it .csv.zst.")),
    Case("plain text that is named .csv.gz", content(BYTES, GZ), BAD_GZ),
    Case("gzip of UTF-16", packed(TEXT.encode("utf-16")), Refused("scan.csv.gz: is UTF-16 text, not plain CSV text. Save it as UTF-8.")),
    Case("an Excel workbook", content(b"PK\x03\x04" + bytes(200)), Refused("scan.csv: is a zip archive or an Excel workbook, not plain CSV text. Export it as CSV.")),
    Case("a Parquet file", content(b"PAR1" + bytes(200)), Refused("scan.csv: is a Parquet file, not plain CSV text. Export it as CSV.")),
    Case("a picture", content(b"\x89PNG\r\n\x1a\n" + bytes(100)), zero_bytes(3)),
    Case("a web page", content("<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>\n"), Refused("scan.csv, row 1: is a web page or XML, not CSV. Export the table as CSV.")),
    Case("JSON", content('[{"entry_time": "2025-03-03T00:00:00Z", "symbol": "ABC"}]\n'), Refused("scan.csv, row 1: is JSON, not CSV. Export the table as CSV.")),
    Case("nothing at all", content(""), Refused("scan.csv: is empty. Give a CSV file with a header and rows.")),
    Case("blank lines alone", content("\n\r\n  \n"), Refused("scan.csv: is empty. Give a CSV file with a header and rows.")),
    Case("gzip of nothing", packed(b""), Refused("scan.csv.gz: is empty. Give a CSV file with a header and rows.")),
)  # fmt: skip


def _notes(outcome, notes: set[str]) -> None:
    assert set(outcome.table()["note"]) == notes
