"""One case: its files are made, found and read, and every row is accounted for."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd
import pytest

from schemas.errors import DataError
from schemas.ingest import Sources, build_dataset, discover
from schemas.ingest.sources import fingerprints
from schemas.tables import RULES
from tests.corpus.case import Case
from tests.corpus.failure import require_clean_failure
from tests.corpus.oracle import count_rows, unpacked

_NOBODY: Final = 65534


@dataclass(frozen=True)
class Outcome:
    """What became of the files.

    Attributes:
        sentence: Why they were refused, without the folder they lie in; None if they were not.
        quality: quality.json.
        quarantine: quarantine.parquet.
        folder: The data set.
    """

    sentence: str | None
    quality: dict[str, Any]
    quarantine: pd.DataFrame
    folder: Path

    def table(self, name: str = "opportunities") -> pd.DataFrame:
        """Return the clean rows of all days."""
        return pd.concat(
            [pd.read_parquet(path) for path in sorted((self.folder / name).iterdir())], ignore_index=True
        )


@contextmanager
def _as_nobody() -> Iterator[None]:
    """Give up what lets the superuser read everything."""
    if os.geteuid():
        yield  # no superuser to begin with
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def build(case: Case, root: Path) -> Outcome:
    """Make the files of a case, find and read them.

    Args:
        case: The case.
        root: An empty folder.
    """
    files, out = root / "files", root / "out"
    files.mkdir()
    path = case.make(files)
    if case.unprivileged:
        _require_a_way(root)
    with _as_nobody() if case.unprivileged else nullcontext():
        try:
            sources = discover(path)
            known = fingerprints(sources)
            if case.meanwhile is not None:
                case.meanwhile(path)
            build_dataset(sources, out, known=known, **case.options)
        except DataError as error:
            require_clean_failure(error, out)
            sentence = str(error).replace(f"{files}/", "").replace(str(files), "the folder")
            return Outcome(sentence, {}, pd.DataFrame(), out)
    quality = json.loads((out / "quality.json").read_text(encoding="utf-8"))
    outcome = Outcome(None, quality, pd.read_parquet(out / "quarantine.parquet"), out)
    if case.meanwhile is None:
        require_all_rows(outcome, sources)
    return outcome


def _require_a_way(root: Path) -> None:
    """Open the folders above a case, so that it is the file itself that may not be read."""
    for folder in (root, root / "files"):
        folder.chmod(0o755)
    for folder in root.parents:
        if not folder.stat().st_mode & 0o001:
            pytest.skip(f"{folder} is closed to others, so a refusal would not be the file's")


def require_all_rows(outcome: Outcome, sources: Sources) -> None:
    """Hold a data set against its files: no row is missing, and each one set aside is where it says."""
    for table, files in (("opportunities", sources.opportunities), ("history", sources.history)):
        quality = outcome.quality[table]
        if not files:
            assert quality is None
            continue
        texts = {file.name: unpacked(file.path) for file in files}
        assert quality["rows_in"] == sum(count_rows(text) for text in texts.values())
        parts = [quality[name] for name in ("clean", "quarantined", "duplicates")]
        assert quality["rows_in"] == sum(parts)
        assert len(outcome.table(table)) == quality["clean"]
        listed = outcome.quarantine[outcome.quarantine["table"] == table]
        assert len(listed[["file", "row"]].drop_duplicates()) == quality["quarantined"]
        for name, text in texts.items():
            _require_values(listed[listed["file"] == name], text)


def _require_values(listed: pd.DataFrame, text: bytes) -> None:
    """Look each value up on the line it is said to stand on."""
    lines = re.split(r"\r\n|\n|\r", text.decode("utf-8-sig"))
    for row, rule, value in zip(listed["row"], listed["rule"], listed["value"], strict=True):
        assert rule in RULES
        line = lines[row - 1]
        told = value.removesuffix("…")
        told = told.split()[-1] if rule in BETWEEN else told
        assert told in line or told.replace('"', '""') in line, (row, rule, value)


BETWEEN: Final = {
    "legs_apart", "contract_multiplier", "same_exchange", "settlement_too_far", "apr_disagrees",
    "interval_missing", "low_above_high",
}  # fmt: skip
