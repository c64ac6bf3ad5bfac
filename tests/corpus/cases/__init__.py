"""The corpus: every way in which a file was seen or may be expected to be broken, a line each."""

from __future__ import annotations

from typing import Final

from tests.corpus.case import Case
from tests.corpus.cases import cells, columns, numbers, places, text, times

GROUPS: Final[dict[str, tuple[Case, ...]]] = {
    "Encoding, packing, lines, delimiters": text.CASES,
    "Headers": columns.CASES,
    "Numbers": numbers.CASES,
    "Times": times.CASES,
    "Names, repeated rows, and size": cells.CASES,
    "Where it lies, and what happens to it meanwhile": places.CASES,
}
CASES: Final = tuple(case for cases in GROUPS.values() for case in cases)
