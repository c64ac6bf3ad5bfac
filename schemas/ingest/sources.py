"""Which files make up a data set, found and fingerprinted without reading their rows."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.columns import TableName, classify
from schemas.errors import DataError
from schemas.ingest.headers import CSV_SUFFIXES, read_header, reading
from schemas.ingest.instruments import INSTRUMENTS_FILE

_ENDINGS = ", ".join(CSV_SUFFIXES)


@dataclass(frozen=True)
class SourceFile:
    """One input file.

    Attributes:
        path: Where it is.
        table: The table it is read as.
    """

    path: Path
    table: TableName

    @property
    def name(self) -> str:
        """Its name in reports and in the quarantine: no folder, so that moving data changes nothing."""
        return self.path.name


@dataclass(frozen=True)
class Sources:
    """The files of a data set, each table's in the order of its rows: by name.

    Attributes:
        opportunities: At least one file.
        history: May be empty.
        unused: Names of CSV files in the folder that a `--history` of its own made superfluous.
    """

    opportunities: tuple[SourceFile, ...]
    history: tuple[SourceFile, ...]
    unused: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """Every file that is read."""
        return self.opportunities + self.history


def discover(data: Path, history: Path | None = None) -> Sources:
    """Find the files of a data set.

    A folder stands for the CSV files directly in it; those with the columns of a market history
    serve as the history, unless `history` says otherwise. A single file brings no history.

    Args:
        data: A CSV file, or a folder of them.
        history: A market history, as a file or a folder of files.

    Raises:
        DataError: A path does not exist, holds no CSV file, or the files are of the wrong table.
    """
    found = _read_headers(data)
    if data.is_dir():
        opportunities = tuple(path for path, table in found if table != "history")
        beside = tuple(path for path, table in found if table == "history")
        if not opportunities:
            raise DataError(
                "holds a market history and no opportunities.", str(data), "Add a CSV file of opportunities."
            )
    else:
        opportunities, beside = (data,), ()
    if history is None:
        return Sources(_as("opportunities", opportunities), _as("history", beside))
    chosen = tuple(path for path, table in _read_headers(history) if table == "history" or history.is_file())
    if not chosen:
        raise DataError(
            "holds no file with the columns of a market history.",
            str(history),
            "It needs timestamp, exchange, symbol, price, funding_rate, funding_interval_hours.",
        )
    taken = {path.resolve() for path in chosen}
    return Sources(
        _as("opportunities", opportunities),
        _as("history", chosen),
        tuple(path.name for path in beside if path.resolve() not in taken),
    )


@dataclass(frozen=True)
class Fingerprint:
    """What a file held when it was looked at.

    Attributes:
        sha256: Of its bytes as they are on disk.
        size: How many.
    """

    sha256: str
    size: int


def fingerprints(sources: Sources) -> dict[SourceFile, Fingerprint]:
    """Return the fingerprint of each file.

    Raises:
        DataError: A file cannot be read.
    """
    found: dict[SourceFile, Fingerprint] = {}
    for file in sources.files:
        hasher, size = hashlib.sha256(), 0
        with reading(file.path), file.path.open("rb") as stream:
            while piece := stream.read(1 << 20):
                hasher.update(piece)
                size += len(piece)
        found[file] = Fingerprint(hasher.hexdigest(), size)
    return found


def named_hashes(found: Mapping[SourceFile, Fingerprint]) -> dict[str, str]:
    """Return the sha256 of each file by table and name: what a data set is made of."""
    return {f"{file.table}/{file.name}": known.sha256 for file, known in found.items()}


def _as(table: TableName, paths: tuple[Path, ...]) -> tuple[SourceFile, ...]:
    return tuple(SourceFile(path, table) for path in paths)


def _read_headers(where: Path) -> list[tuple[Path, TableName | None]]:
    """Return the CSV files at a path, by name, and the table each seems to be of."""
    if "\0" in str(where):
        raise DataError("is no path: it holds a zero byte.", repr(str(where)), "Check the path.")
    with reading(where):
        mode = where.stat().st_mode
    if stat.S_ISDIR(mode):
        with reading(where):
            paths = sorted((p for p in where.iterdir() if _is_csv(p)), key=lambda p: p.name)
        if not paths:
            raise DataError(
                "holds no CSV file.",
                str(where),
                f"Put files that end in {_ENDINGS} directly into it; subfolders are not read.",
            )
    elif stat.S_ISREG(mode):
        paths = [where]
    else:
        raise DataError("is neither a file nor a folder.", str(where), "Give a CSV file or a folder of them.")
    for path in paths:
        _require_plain_name(path)
    return [(path, classify(read_header(path))) for path in paths]


def _is_csv(path: Path) -> bool:
    """Say whether something in a folder is a CSV file; what only looks like one is not passed over."""
    name = path.name.lower()
    if not name.endswith(CSV_SUFFIXES) or name.startswith(".") or name == INSTRUMENTS_FILE:
        return False
    with reading(path):
        mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise DataError("is named like a CSV file and is none.", str(path), "Remove or rename it.")
    return stat.S_ISREG(mode)


def _require_plain_name(path: Path) -> None:
    """Raise if a file's name is not text, which reports and the quarantine could not hold."""
    try:
        path.name.encode()
    except UnicodeEncodeError as error:
        shown = str(path).encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise DataError("has a name that is not UTF-8 text.", shown, "Rename it.") from error
