"""Late rows: what came of a decided hour after it was decided is counted, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from schemas.columns import HISTORY_COLUMNS, OPPORTUNITY_COLUMNS
from schemas.manifest import Manifest, Ref
from schemas.paper import LateRows
from tasks.files import sha256_text
from tasks.paper_rows import DatasetRows
from tasks.store import Store

MS = int(pd.Timestamp("2025-09-02T12:00Z").timestamp() * 1000)


def opportunities(*times: str, price: float = 100.0) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"entry_time": pd.to_datetime(list(times), utc=True, format="ISO8601").as_unit("us")}
    )
    for column in OPPORTUNITY_COLUMNS[1:]:
        if column.kind == "time":
            frame[column.name] = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]")
        else:
            frame[column.name] = "X" if column.kind in ("symbol", "venue") else price
    return frame


def history(*times: str) -> pd.DataFrame:
    frame = pd.DataFrame({"timestamp": pd.to_datetime(list(times), utc=True, format="ISO8601").as_unit("us")})
    for column in HISTORY_COLUMNS[1:]:
        frame[column.name] = "X" if column.kind in ("symbol", "venue") else 1.0
    return frame


def write_days(frame: pd.DataFrame, time: str, folder: Path) -> None:
    """Write rows as ingest leaves them, a file for each UTC day."""
    folder.mkdir(parents=True)
    for day, rows in frame.groupby(frame[time].dt.strftime("%Y-%m-%d")):
        rows.to_parquet(folder / f"{day}.parquet", index=False)


class Data:
    """Data sets in a store."""

    def __init__(self, root: Path) -> None:
        self.root, self.made = root, 0

    def __call__(self, frame: pd.DataFrame, second: pd.DataFrame | None = None) -> DatasetRows:
        self.made += 1
        folder = self.root / f"made{self.made}"
        write_days(frame, "entry_time", folder / "opportunities")
        if second is not None:
            write_days(second, "timestamp", folder / "history")
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}
        ref = self._publish(files)
        store = Store(self.root / "artifacts")
        return DatasetRows(store.local(ref), store.manifest(ref))

    def _publish(self, files: dict[str, bytes]) -> Ref:
        store = Store(self.root / "artifacts")
        with store.tmp() as folder:
            for name, content in files.items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(content)
            manifest = Manifest(
                step="ingest", key=sha256_text(str(self.made)), inputs={}, versions={}, params={},
                created="2025-01-01T00:00:00+00:00", code="c",
            )  # fmt: skip
            return store.publish(folder, manifest)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path)


EARLY = ("2025-09-01T10:00Z", "2025-09-02T11:30Z", "2025-09-02T12:00Z")


def test_the_same_rows_and_newer_ones_are_not_late(data: Data) -> None:
    then = data(opportunities(*EARLY)).known_by(MS)
    later = data(opportunities(*EARLY, "2025-09-02T12:00:00.000001Z", "2025-09-03T00:00Z"))
    assert not later.late(MS, then)
    assert {day: one.rows for day, one in later.known_by(MS)["opportunities"].items()} == {
        "2025-09-01": 1,
        "2025-09-02": 2,
    }


def test_the_order_of_rows_makes_none_of_them_late(data: Data) -> None:
    mixed = pd.concat([opportunities(EARLY[1], price=float(p)) for p in range(9)], ignore_index=True)
    then = data(mixed).known_by(MS)
    shuffled = mixed.iloc[np.random.default_rng(0).permutation(len(mixed))]
    assert not data(shuffled).late(MS, then)


def test_late_rows_are_counted_by_table_whatever_their_day(data: Data) -> None:
    then = data(opportunities(*EARLY), history("2025-09-02T12:00Z")).known_by(MS)
    late = data(
        opportunities(*EARLY, "2025-08-30T00:00Z", "2025-09-02T11:59Z", "2025-09-02T12:01Z"),
        history("2025-09-02T12:00Z", "2025-09-01T00:00Z"),
    ).late(MS, then)
    assert late == LateRows(opportunities=2, history=1)
    assert str(late) == "2 late rows of opportunities and 1 late row of history"


def test_a_row_with_another_value_alters_its_day(data: Data) -> None:
    then = data(opportunities(*EARLY)).known_by(MS)
    other = pd.concat([opportunities(*EARLY[:2]), opportunities(EARLY[2], price=101.0)], ignore_index=True)
    assert data(other).late(MS, then) == LateRows(altered_days=1)


def test_rows_that_are_gone_alter_their_days(data: Data) -> None:
    then = data(opportunities(*EARLY)).known_by(MS)
    late = data(opportunities(EARLY[2])).late(MS, then)
    assert late == LateRows(altered_days=2)
    assert str(late) == "2 days with altered rows"


def test_a_day_whose_file_is_the_same_is_not_read_again(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    then = data(opportunities(*EARLY)).known_by(MS)
    read: list[str] = []
    real = pd.read_parquet
    monkeypatch.setattr(
        pd, "read_parquet", lambda path, **more: (read.append(path.stem), real(path, **more))[1]
    )
    later = data(opportunities(*EARLY, "2025-09-02T13:00Z"))
    later.late(MS, then)
    later.known_by(MS + 3_600_000, then)
    assert read == ["2025-09-02"]


def test_only_part_of_a_day_is_known_until_its_last_row_is(data: Data) -> None:
    rows = data(opportunities(*EARLY, "2025-09-02T13:00Z"))
    whole = {day: bool(one.file) for day, one in rows.known_by(MS)["opportunities"].items()}
    assert whole == {"2025-09-01": True, "2025-09-02": False}
