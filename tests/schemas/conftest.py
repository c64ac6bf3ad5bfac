"""Small input files, written by the tests themselves."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from schemas.ingest import DatasetSummary, build_dataset, discover
from tests.corpus.rows import opportunity, settlement, to_csv


@dataclass(frozen=True)
class Built:
    """A data set on disk."""

    folder: Path
    summary: DatasetSummary
    quality: dict[str, Any]
    quarantine: pd.DataFrame

    def table(self, name: str) -> pd.DataFrame:
        """Return the clean rows of all days."""
        return pd.concat(
            [pd.read_parquet(path) for path in sorted((self.folder / name).iterdir())], ignore_index=True
        )


class Workshop:
    """Writes input files and builds data sets from them."""

    opportunity = staticmethod(opportunity)
    settlement = staticmethod(settlement)
    to_csv = staticmethod(to_csv)

    def __init__(self, root: Path) -> None:
        self.root = root
        self._built = 0

    def write(self, name: str, content: list[dict[str, str]] | str | bytes) -> Path:
        """Write a file; one that is named .gz or .zst is packed, unless it is given as bytes."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = to_csv(content)
        if isinstance(content, str):
            raw = content.encode()
            if name.endswith(".gz"):
                raw = gzip.compress(raw, mtime=0)
            elif name.endswith(".zst"):
                raw = pa.compress(raw, codec="zstd", asbytes=True)
            content = raw
        path.write_bytes(content)
        return path

    def build(self, data: Path, history: Path | None = None, **options: Any) -> Built:
        """Build a data set in a new folder."""
        self._built += 1
        out = self.root / f"built-{self._built}"
        summary = build_dataset(discover(data, history), out, **options)
        return Built(
            out,
            summary,
            json.loads((out / "quality.json").read_text()),
            pd.read_parquet(out / "quarantine.parquet"),
        )

    def build_rows(
        self, rows: list[dict[str, str]], history: list[dict[str, str]] | None = None, **options: Any
    ) -> Built:
        """Build a data set from rows; 1 % of bad rows would be too many of a few, so all are allowed."""
        data = self.write(f"rows-{self._built}/opportunities.csv", rows)
        past = self.write(f"rows-{self._built}/history.csv", history) if history else None
        return self.build(data, past, **{"max_bad_fraction": 0.99, **options})


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """Return a place to write files and build data sets."""
    return Workshop(tmp_path)


@pytest.fixture(scope="module")
def shared_workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Return a place for what several tests of a module look at."""
    return Workshop(tmp_path_factory.mktemp("shared"))
