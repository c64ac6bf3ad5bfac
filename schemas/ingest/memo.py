"""What earlier builds have read: a file that grew costs its new rows, and a day that stayed costs nothing.

    segments/<id>.json, .arrow, .bad.parquet    a run of lines: counts, clean rows by day, broken rules
    files/<table and sha256>.json               the segments of a file with these bytes
    names/<table and name>.json                 the bytes that files of this name had, newest first
    days/<key>.json, .parquet, .state           a day, made from these segments

Everything is named by what it was made from, and a record is written last, whole, under a hash of its own.
What does not match its hash is as if it were not there. The folder may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.columns import TableName
from schemas.ingest.facts import DayFacts
from schemas.ingest.segments import Segment, file_hash, fragment_path, quarantine_path, whole_file
from schemas.ingest.sources import SourceFile

UNUSED_DAYS: Final = 30
"""What no build has used for so long is removed."""
_NAMES_KEPT: Final = 4
_DAY_SECONDS: Final = 86_400

M = TypeVar("M", bound=BaseModel)


class Damaged(Exception):
    """A file of the memo is not what its record says."""


class Link(BaseModel):
    """A segment in a file.

    Attributes:
        segment: Its id.
        line: Line number of its first line.
        lines: How many lines.
        end: Where it ends in the unpacked file, bytes.
        prefix: sha256 of the unpacked file up to there.
        closed: Its last line has a line break.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    segment: str
    line: int
    lines: int
    end: int
    prefix: str
    closed: bool


class Chain(BaseModel):
    """The segments of a file, in order, below its header line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: str
    links: tuple[Link, ...]


class DayRecord(BaseModel):
    """A day that was made: its facts, and the sha256 of its file and of what it hands on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    facts: DayFacts
    sha256: str
    state: str = ""


class _Names(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: tuple[str, ...]


class Memo:
    """The folder; only one process may use it at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.segments, self.days = folder / "segments", folder / "days"
        self._files, self._names = folder / "files", folder / "names"
        for each in (self.segments, self.days, self._files, self._names):
            each.mkdir(parents=True, exist_ok=True)
        self._sound: set[Path] = set()

    def segment(self, name: str) -> Segment | None:
        """Return what is known of a segment."""
        return _read(self.segments / f"{name}.json", Segment)

    def add_segment(self, segment: Segment) -> None:
        """Record a segment whose files have just been written."""
        self._sound |= {fragment_path(self.segments, segment.id), quarantine_path(self.segments, segment.id)}
        _write(self.segments / f"{segment.id}.json", segment)

    def fragment(self, segment: Segment) -> Path:
        """Return the file of a segment's clean rows.

        Raises:
            Damaged: It is not what was written.
        """
        return self._checked(fragment_path(self.segments, segment.id), segment.fragment)

    def quarantine(self, segment: Segment) -> Path:
        """Return the file of a segment's broken rules.

        Raises:
            Damaged: It is not what was written.
        """
        return self._checked(quarantine_path(self.segments, segment.id), segment.quarantine)

    def _checked(self, path: Path, sha256: str) -> Path:
        if path not in self._sound:
            if not path.is_file() or file_hash(path) != sha256:
                raise Damaged(path)
            self._sound.add(path)
        return path

    def chain(self, table: TableName, sha256: str) -> Chain | None:
        """Return the segments of a file with these bytes."""
        return _read(self._files / f"{table}-{sha256}.json", Chain)

    def earlier(self, file: SourceFile) -> Iterator[Chain]:
        """Yield the segments of files that had this name, newest first."""
        known = _read(self._name(file), _Names)
        for sha256 in known.sha256 if known else ():
            if (chain := self.chain(file.table, sha256)) is not None:
                yield chain

    def add_file(self, file: SourceFile, sha256: str, chain: Chain) -> None:
        """Record the segments of a file."""
        _write(self._files / f"{file.table}-{sha256}.json", chain)
        known = _read(self._name(file), _Names)
        before = [one for one in (known.sha256 if known else ()) if one != sha256]
        if not known or known.sha256[0] != sha256:
            _write(self._name(file), _Names(sha256=(sha256, *before[: _NAMES_KEPT - 1])))

    def _name(self, file: SourceFile) -> Path:
        digest = hashlib.sha256(f"{file.table}/{file.name}".encode("utf-8", "surrogateescape")).hexdigest()
        return self._names / f"{digest}.json"

    def day(self, key: str) -> DayRecord | None:
        """Return a day that was made, if its file is as it was written."""
        record = _read(self.days / f"{key}.json", DayRecord)
        if record is not None:
            try:
                self._checked(self.day_file(key), record.sha256)
            except Damaged:
                return None
        return record

    def add_day(self, key: str, facts: DayFacts, state: bytes) -> DayRecord:
        """Record a day whose file has just been written."""
        if state:
            _replace(self.day_state(key), state)
        record = DayRecord(
            facts=facts,
            sha256=file_hash(self.day_file(key)),
            state=hashlib.sha256(state).hexdigest() if state else "",
        )
        self._sound.add(self.day_file(key))
        _write(self.days / f"{key}.json", record)
        return record

    def day_file(self, key: str) -> Path:
        """Return where a day's rows lie."""
        return self.days / f"{key}.parquet"

    def day_state(self, key: str) -> Path:
        """Return where what a day hands on lies."""
        return self.days / f"{key}.state"

    def clear(self) -> None:
        """Forget everything."""
        for each in (self.segments, self.days, self._files, self._names):
            shutil.rmtree(each, ignore_errors=True)
            each.mkdir(parents=True, exist_ok=True)
        self._sound.clear()

    def keep(
        self, segments: Iterable[str], files: Iterable[tuple[TableName, str]], days: Iterable[str]
    ) -> None:
        """Note what this build used, and remove what none has used for long.

        Args:
            segments: Names of segments.
            files: Tables and sha256 of files.
            days: Keys of days.
        """
        used = {self.segments / f"{name}.json" for name in segments}
        used |= {self._files / f"{table}-{sha256}.json" for table, sha256 in files}
        used |= {self.days / f"{key}.json" for key in days}
        for path in used:
            with suppress(FileNotFoundError):  # somebody emptied the folder: the next build starts anew
                os.utime(path)
        oldest = time.time() - UNUSED_DAYS * _DAY_SECONDS
        for folder in (self.segments, self._files, self.days):
            for left in folder.glob("*.partial"):  # by a process that was killed
                left.unlink(missing_ok=True)
            stems = {path.name.partition(".")[0] for path in folder.iterdir()}
            kept = {path.stem for path in folder.glob("*.json") if path.stat().st_mtime >= oldest}
            for stem in stems - kept:
                for path in folder.glob(f"{stem}.*"):
                    path.unlink(missing_ok=True)


def _read(path: Path, model: type[M]) -> M | None:
    """Return a record, or None where there is none that matches its seal."""
    try:
        sealed: Any = json.loads(path.read_bytes())
        content = sealed["content"]
        if sealed["seal"] != hashlib.sha256(content.encode()).hexdigest():
            return None
        return model.model_validate_json(content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
        return None


def _write(path: Path, record: BaseModel) -> None:
    content = record.model_dump_json()
    seal = hashlib.sha256(content.encode()).hexdigest()
    _replace(path, json.dumps({"seal": seal, "content": content}).encode())


def _replace(path: Path, content: bytes) -> None:
    with whole_file(path) as partial:
        partial.write_bytes(content)
