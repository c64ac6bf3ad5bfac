"""The data-quality step: what it keeps, what it is held against, and what it does not do twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from rl.judge.drift import drift_gates
from schemas.backtest import BacktestSummary, TrainedWindow
from schemas.columns import match_header
from schemas.drift import DRIFT, REFERENCE, DriftLimits, DriftReport, Reference
from schemas.manifest import Ref
from schemas.trading import MarketRules
from schemas.version import Windows
from tasks.cache import Cached
from tasks.data_quality import quality, read_drift
from tasks.drift import keep_quality
from tasks.features import features
from tasks.ingest import ingest
from tasks.promotion import register
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import OTHER, backtested, gates, publish, trained

EPISODE = 24
LIMITS = DriftLimits(days=2)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own tests draw."""
    monkeypatch.setattr("tasks.report.quality.quality_pictures", lambda *_: {})


@pytest.fixture(scope="module")
def rows(sample: Path) -> pd.DataFrame:
    written = pd.read_csv(sample / "opportunities.csv", dtype=str)
    found = match_header(list(written.columns), "opportunities").found
    rows = pd.DataFrame({name: written.iloc[:, place] for name, place in found.items()})
    seen = pd.to_datetime(rows["entry_time"], errors="coerce", utc=True, format="ISO8601")
    return rows[seen.notna()].assign(entry_time=seen.astype(str)).sort_values("entry_time", ignore_index=True)


def write(rows: pd.DataFrame, path: Path) -> Path:
    rows.to_csv(path, index=False)
    return path


def described(data: Path, limits: DriftLimits = LIMITS, **more: object) -> Cached:
    found = ingest(data, max_bad_fraction=0.5)
    return quality(found.ref, book="b", limits=limits, episode_hours=EPISODE)


def unit_changed(rows: pd.DataFrame) -> pd.DataFrame:
    """The same scanner, one venue of which tells its rates in percent for the last two and a half days."""
    late = rows.index >= len(rows) * 2 // 3
    changed = rows.copy()
    for side in ("long", "short"):
        mine = late & (rows[f"{side}_exchange"].str.lower() == "bybit")
        rates = pd.to_numeric(rows.loc[mine, f"{side}_funding_rate"], errors="coerce") * 100
        changed.loc[mine, f"{side}_funding_rate"] = rates.astype(str)
    return changed


def reference_of(found: Cached) -> Reference:
    return Reference.model_validate_json((found.path / REFERENCE).read_text())


def crown(root: Path, of: Cached, *, keeps: bool = True) -> None:
    """Let a version reign that was trained on what a data set was described as."""
    known = reference_of(of)
    start, end = known.start.isoformat(), known.end.isoformat()
    later = [known.end + pd.Timedelta(days=n) for n in (1, 2, 3, 4)]
    windows = Windows(
        train=(start, end),
        validation=(later[0].isoformat(), later[1].isoformat()),
        test=(later[2].isoformat(), later[3].isoformat()),
    )
    model = trained(root, OTHER, data=known.data, windows=windows)
    told = json.dumps([one.model_dump(mode="json") for one in gates("pass")])
    files = {"gates.json": told, "report.html": "a report"}
    files |= {REFERENCE: (of.path / REFERENCE).read_text()} if keeps else {}
    verdict = publish(root, "judgement", files, params={"preset": "moderate"}, inputs={"audit": "a"})
    register(Registry(root, "b"), Store(root), model, backtested(root, OTHER, data=known.data), verdict)
    Registry(root, "b").move("champion", OTHER, reason="it reigns")


@pytest.mark.parametrize("without", [0, 1, 2])
def test_without_a_champion_it_is_the_train_window_that_features_cut(
    artifacts: Path, rows: pd.DataFrame, tmp_path: Path, without: int
) -> None:
    seen = pd.to_datetime(rows["entry_time"], format="ISO8601")
    kept = rows[seen <= seen.max() - pd.Timedelta(hours=without)]  # an hour less need not move the window
    dataset = ingest(write(kept, tmp_path / "opportunities.csv"), max_bad_fraction=0.5)
    found = quality(dataset.ref, book="b", limits=LIMITS, episode_hours=EPISODE)
    cut = features(dataset.ref, rules=MarketRules(), episode_hours=EPISODE)
    train = json.loads((cut.path / "splits.json").read_text())["train"]
    known, drift = reference_of(found), read_drift(found.path)
    assert [known.start, known.end] == [pd.Timestamp(train[edge]) for edge in ("start", "end")]
    assert (known.data, drift.data) == (dataset.content, dataset.content)
    assert (drift.champion, drift.against, drift.unknown) == ("", known, "")
    assert (drift.end - drift.start) == pd.Timedelta(days=2)
    assert drift.end == pd.Timestamp(found.manifest.summary["newest"]).ceil("h") + pd.Timedelta(hours=1)


def test_the_same_question_is_answered_from_the_store_and_a_new_day_costs_its_own_rows(
    artifacts: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    def days() -> set[Ref]:
        return set(Store(artifacts).refs("quality-day"))

    head = rows[rows["entry_time"] < rows["entry_time"].max()[:10]]
    described(write(head, tmp_path / "opportunities.csv"))
    before = days()
    assert described(tmp_path / "opportunities.csv").hit and days() == before
    whole = described(write(rows, tmp_path / "opportunities.csv"))
    assert not whole.hit and len(days() - before) == 1
    fresh = tmp_path / "fresh"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARRYFLOW_ARTIFACTS", str(fresh))
        alone = described(tmp_path / "opportunities.csv")
    for name in (DRIFT, REFERENCE, "quality.html"):
        assert (alone.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_changed_unit_is_held_against_the_champion_also_when_the_store_is_gone(
    artifacts: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    before = described(write(rows, tmp_path / "before.csv"))
    known = reference_of(before)
    crown(artifacts, before)
    shutil.rmtree(artifacts / "store")
    after = described(write(unit_changed(rows), tmp_path / "after.csv"))
    drift = read_drift(after.path)
    assert (drift.champion, drift.against) == (OTHER, known)
    [gate] = drift_gates(drift, LIMITS, data=drift.data, reigning=(OTHER, known.data))
    assert gate.verdict == "fail"
    assert "rate_8h@bybit" in gate.reason and f"the champion {OTHER}" in gate.reason
    page = (after.path / "quality.html").read_text()
    assert f"training data of the champion {OTHER}" in page and "beyond the limits: rate_8h@bybit" in page


def test_the_same_feed_goes_on_and_is_not_blocked(
    artifacts: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    crown(artifacts, described(write(rows, tmp_path / "before.csv")))
    half = described(write(rows[len(rows) // 8 :], tmp_path / "after.csv"))
    drift = read_drift(half.path)
    assert drift.champion == OTHER
    [gate] = drift_gates(drift, LIMITS, data=drift.data, reigning=(OTHER, "another"))
    assert gate.verdict == "pass", gate.reason


def test_a_champion_that_keeps_nothing_is_looked_up_in_the_store_and_else_not_known(
    artifacts: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    before = described(write(rows, tmp_path / "before.csv"))
    known = reference_of(before)
    crown(artifacts, before, keeps=False)
    after = write(unit_changed(rows), tmp_path / "after.csv")
    assert read_drift(described(after).path).against == known
    shutil.rmtree(artifacts / "store")
    blind = read_drift(described(after).path)
    assert (blind.against, blind.features, blind.champion) == (None, (), OTHER)
    assert "was registered before a version kept what drift is told by" in blind.unknown
    [gate] = drift_gates(blind, LIMITS, data=blind.data, reigning=(OTHER, known.data))
    assert (gate.verdict, gate.value) == ("fail", None)
    assert "Drift is not known." in gate.reason and "carryflow registry retire champion" in gate.reason
    assert "Drift is not known." in (described(after).path / "quality.html").read_text()


def test_an_altered_distribution_is_not_believed(artifacts: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    crown(artifacts, described(write(rows, tmp_path / "before.csv")))
    shutil.rmtree(artifacts / "store")
    [kept] = (artifacts / "books" / "b" / "versions" / OTHER).rglob(REFERENCE)
    kept.write_text(kept.read_text().replace("0", "1"))
    after = write(unit_changed(rows), tmp_path / "after.csv")
    assert "has a folder that was altered" in read_drift(described(after).path).unknown


def test_who_reigns_makes_no_difference_where_it_was_trained_on_the_same_hours(
    artifacts: Path, sample: Path
) -> None:
    first = described(sample)
    crown(artifacts, first)
    again = described(sample)
    assert (again.ref, again.hit) == (first.ref, True)


def test_data_too_short_to_split_has_a_page_and_no_drift(
    artifacts: Path, rows: pd.DataFrame, tmp_path: Path
) -> None:
    for n in (1, 40):
        found = described(write(rows.head(n), tmp_path / f"{n}.csv"))
        drift = read_drift(found.path)
        assert drift.unknown == "The data is too short to be split, and no champion reigns."
        assert not (found.path / REFERENCE).exists()
        assert drift.unknown in (found.path / "quality.html").read_text()


def test_a_judgement_keeps_the_training_data_only_of_the_hours_the_version_was_trained_on(
    artifacts: Path, sample: Path, tmp_path: Path
) -> None:
    found = described(sample)
    known = reference_of(found)
    tested = Store(artifacts).local(backtested(artifacts, data=known.data)) / "backtest.json"
    summary = BacktestSummary.model_validate_json(tested.read_text())
    for shift, kept in ((0, True), (1, False)):
        train = TrainedWindow(
            name="train", start=known.start, end=known.end + pd.Timedelta(hours=shift).to_pytimedelta()
        )
        folder = tmp_path / str(shift)
        folder.mkdir()
        drift = keep_quality(found.path, folder, summary.model_copy(update={"trained_on": (train,)}))
        assert isinstance(drift, DriftReport)
        assert (folder / REFERENCE).exists() is kept
        assert (folder / "quality.html").is_file()
