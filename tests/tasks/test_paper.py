"""Paper trading on a folder that grows: killed, late, twice or at once, the ledger is the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from schemas.errors import ArtifactError, DataError
from schemas.manifest import Ref
from schemas.paper import LateRows, PaperLine, PaperRun
from schemas.trading import PRESETS, MarketRules
from tasks.backtest import backtest
from tasks.features import features
from tasks.ingest import ingest
from tasks.paper import paper_trade
from tasks.paper_check import paper_check
from tasks.paper_files import PaperFiles
from tasks.registry import Registry
from tests.tasks.conftest import KILL_AT_EVERY_MOMENT, PROJECT
from tests.tasks.paper_made import GrowingFolder, kept_version, trader

HOURS = 30
FIRST = 50  # of the sample's hours: its gap lies in the hours that follow
LABELS = timedelta(minutes=2)  # a history row stamped this much after an hour is of that hour
BOOK = "b"
LEVELS = (
    "nlv",
    "drawdown",
    "balance",
    "free_cash",
    "unrealised",
    "closing_costs",
    "positions",
    "gross_notional",
)

# Runs paper trading in forked processes over a growing folder, and kills some at a random change of the disk.
# The parent itself computes nothing, so that its children begin without threads.
DRIVER = """
import random, textwrap
from datetime import datetime, timedelta
from pathlib import Path
sys.path.insert(0, {project!r})
import rl.paper, rl.checkpoint, rl.backtest, rl.market.assemble, rl.market.build, rl.market.days, pandas
import schemas.ingest.build, schemas.ingest.clean, schemas.ingest.quarantine, schemas.ingest.quality
from tasks.ingest import ingest
from tasks.paper import paper_trade
from tasks.paper_files import paper_turn
from tests.tasks.paper_made import GrowingFolder

root, source, live = map(Path, sys.argv[1:4])
seed, kills, book = int(sys.argv[4]), int(sys.argv[5]), sys.argv[6]
os.environ["CARRYFLOW_ARTIFACTS"] = str(root)
hours = [datetime.fromisoformat(text) for text in sys.argv[7:]]
folder, chance = GrowingFolder(source, live), random.Random(seed)

def trade(now):
    with paper_turn(root, book):
        paper_trade(ingest(live).ref, book=book, now=now)

def begin(now, moment):
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        if moment:
            kill_at(moment)
        trade(now)
        code = 0
    finally:
        sys.setprofile(None)
        os._exit(code)

def killed(number):
    status = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    assert status in (0, -9), status
    return status == -9

doomed = set(chance.sample(range(1, len(hours)), kills))
struck = 0
for number, hour in enumerate(hours):
    hour += timedelta(minutes=2)
    folder.reach(hour)
    if number in doomed:
        struck += killed(begin(hour, chance.randint(1, 900)))
    # It begins at the newest hour, so the first one is not missed; any other is caught up later.
    if chance.random() < 0.5 or number in (0, len(hours) - 1):
        at_once = [begin(hour, 0) for _ in range(2 if number % 10 == 5 else 1)]
        assert not any([killed(one) for one in at_once])
print(struck)
"""


@dataclass
class Stage:
    """A book with versions, a folder that grows, and the hours of its rows."""

    root: Path
    source: Path
    folder: GrowingFolder
    versions: tuple[str, str]

    @property
    def hours(self) -> list[datetime]:
        first = self.folder.hours[FIRST]
        return [first + timedelta(hours=k) for k in range(HOURS + 1)]

    @property
    def registry(self) -> Registry:
        return Registry(self.root, BOOK)

    def files(self, alias: str = "challenger", preset: str = "moderate", book: str = BOOK) -> PaperFiles:
        return PaperFiles(self.root, book, alias, preset)  # type: ignore[arg-type]

    def trade(self, until: datetime, missing: set[str] | None = None, **more: object) -> PaperRun:
        given = {"book": BOOK, "now": until + LABELS} | more
        return paper_trade(ingest(self.folder.reach(until + LABELS, missing)).ref, **given)  # type: ignore[arg-type]

    def lines(self) -> list[PaperLine]:
        return self.files().lines()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from rl.market.synthetic import write_sample

    folder = tmp_path_factory.mktemp("market") / "sample"
    write_sample(folder, days=4, rows_per_hour=12, seed=0)
    return folder


@pytest.fixture
def stage(source: Path, artifacts: Path, tmp_path: Path) -> Iterator[Stage]:
    versions = tuple(kept_version(artifacts, BOOK, trader(seed), tmp_path) for seed in (1, 2))
    yield Stage(artifacts, source, GrowingFolder(source, tmp_path / "live"), versions)  # type: ignore[arg-type]


@pytest.fixture
def followed(stage: Stage) -> Stage:
    stage.registry.move("challenger", stage.versions[0], reason="to follow")
    return stage


def at(monkeypatch: pytest.MonkeyPatch, time: datetime) -> None:
    """Let moves of aliases be made at a time."""
    monkeypatch.setattr("tasks.moves.utc_now", lambda: time.isoformat(timespec="milliseconds"))


def drive(stage: Stage, live: Path, seed: int, kills: int, book: str = BOOK) -> int:
    """Trade every hour in processes of their own, some killed, some two at once; returns the kills."""
    script = textwrap.dedent(KILL_AT_EVERY_MOMENT) + DRIVER.format(project=str(PROJECT))
    words = [stage.root, stage.source, live, seed, kills, book, *(hour.isoformat() for hour in stage.hours)]
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)], cwd=PROJECT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def assert_the_tables_are(lines: list[PaperLine], dataset: Ref, version: str, book: str) -> int:
    """Hold a ledger of one segment against the tables of a backtest; returns how many trades it closed."""
    built = features(dataset, rules=MarketRules(), episode_hours=24, split=False)
    end = lines[-1].hour + timedelta(hours=1)
    tested = backtest(
        built.ref, version, rules=MarketRules(), book=book, purpose="test", presets="moderate", window="all",
        start=lines[0].hour.isoformat(), end=end.isoformat(), random_runs=0,
    )  # fmt: skip
    equity = pd.read_parquet(tested.path / "equity.parquet")
    equity = equity[equity["policy"] == "agent"]
    for name in LEVELS:
        assert equity[name].tolist() == [getattr(line, name) for line in lines], name
    flows = pd.read_parquet(tested.path / "cash_flows.parquet")
    flows = flows[flows["policy"] == "agent"]
    mine = pd.DataFrame([flow.model_dump() for line in lines for flow in line.flows])
    for name in ("time", "leg", "venue", "symbol", "kind", "side", "quantity", "price", "rate", "amount"):
        assert flows[name].tolist() == mine[name].tolist(), name
    trades = pd.read_parquet(tested.path / "trades.parquet")
    trades = trades[(trades["policy"] == "agent") & (trades["reason"] != "end")]
    closed = pd.DataFrame([trade for line in lines for trade in line.closed])
    for name in closed.columns.difference(["position_id", "opened", "closed"]):
        assert trades[name].tolist() == closed[name].tolist(), name
    return len(closed)


@pytest.mark.timeout(
    900
)  # half a minute on a quiet core, and processes that wait for their turn on a busy one
def test_killed_late_and_after_missed_hours_the_ledger_is_that_of_one_run_and_of_a_backtest(
    followed: Stage, tmp_path: Path
) -> None:
    first, last = followed.hours[0], followed.hours[-1]
    followed.trade(first)
    other = followed.root / "books" / "k"
    other.mkdir()
    for name in ("registry.json", "versions"):
        (other / name).symlink_to(followed.root / "books" / BOOK / name)
    assert drive(followed, tmp_path / "killed", seed=3, kills=8, book="k") >= 5
    followed.trade(last)  # all the hours that were missed, in one process
    calm, killed = followed.files(), followed.files(book="k")
    assert (killed.folder / "ledger.jsonl").read_bytes() == (calm.folder / "ledger.jsonl").read_bytes()
    lines = killed.lines()
    assert [line.hour for line in lines] == followed.hours
    assert any((line.held or "").startswith("no fresh data") for line in lines), "the sample has a gap here"
    trades = assert_the_tables_are(lines, ingest(followed.folder.target).ref, followed.versions[0], BOOK)
    assert trades > 5, "a ledger without trades proves nothing"
    (check,) = paper_check(ingest(followed.folder.target).ref, book="k")
    assert check.difference is None and not check.late_rows and check.trades > 5


def test_an_hour_is_decided_once(followed: Stage) -> None:
    hours = followed.hours
    last = hours[18]  # nothing comes after it for hours
    followed.trade(hours[16])
    done = followed.trade(last)
    assert [p.hours for p in done.portfolios] == [2]
    before = (followed.files().folder / "ledger.jsonl").read_bytes()
    again = followed.trade(last, now=last + timedelta(hours=5, minutes=7))
    assert [p.hours for p in again.portfolios] == [0]
    told = f"the newest hour, {last:%Y-%m-%d %H:%M} UTC, 5 full hours ago, was decided before. All is held."
    assert f"No fresh data: {told}" in again.said
    assert (followed.files().folder / "ledger.jsonl").read_bytes() == before


def test_data_that_ends_before_the_last_hour_decided_is_told_and_all_is_held(followed: Stage) -> None:
    hours = followed.hours
    followed.trade(hours[0])
    followed.trade(hours[5])
    before = followed.lines()
    done = followed.trade(hours[3], now=hours[5] + LABELS)
    assert any(
        sentence.startswith("The data ends at") and "all is held" in sentence for sentence in done.said
    )
    assert done.portfolios[0].late_rows.altered_days > 0, "rows it knew are gone"
    assert followed.lines() == before


def test_an_hour_is_not_decided_before_all_that_is_of_it_has_come(followed: Stage) -> None:
    """History rows stamped up to two minutes past an hour are labels of it."""
    hours = followed.hours
    followed.trade(hours[0])
    for minutes, decided in ((-20, 1), (0, 1), (1.99, 1), (2, 2), (40, 2)):
        now = hours[1] + timedelta(minutes=minutes)
        early = followed.trade(hours[1] + timedelta(minutes=40), now=now)
        assert early.newest == hours[decided - 1]
        assert [line.hour for line in followed.lines()] == hours[:decided]


def test_a_late_row_is_counted_and_shown_and_rewrites_nothing(followed: Stage) -> None:
    hours = followed.hours
    late = set(followed.folder.rows("opportunities", hours[1], hours[2])[:3])
    late |= set(followed.folder.rows("history", hours[1], hours[2])[:2])
    followed.trade(hours[0], late)
    followed.trade(hours[3], late)
    ledger = followed.files().folder / "ledger.jsonl"
    before = ledger.read_bytes()
    shown = followed.trade(hours[3])
    (said,) = [sentence for sentence in shown.said if "late" in sentence]
    assert said.startswith("challenger, moderate: 3 late rows of opportunities and 2 late rows of history")
    assert shown.portfolios[0].late_rows == LateRows(opportunities=3, history=2)
    assert ledger.read_bytes() == before
    done = followed.trade(hours[5])
    assert [line.late_rows.rows for line in followed.lines()] == [0, 0, 0, 0, 5, 0]
    assert ledger.read_bytes().startswith(before)
    assert done.portfolios[0].late_rows.rows == 5
    assert not any("late" in sentence for sentence in followed.trade(hours[5]).said), (
        "told once they are written"
    )
    (check,) = paper_check(ingest(followed.folder.target).ref, book=BOOK)
    assert check.late_rows.rows == 5


def test_when_an_alias_moves_positions_are_carried_over_and_each_segment_is_a_backtest(
    followed: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours, (first, second) = followed.hours, followed.versions
    for number, hour in enumerate(hours):
        if number == 10:
            at(monkeypatch, hours[9] + timedelta(minutes=30))
            followed.registry.move("challenger", second, reason="better")
        if number == 20:
            at(monkeypatch, hours[20])
            followed.registry.move("challenger", None, reason="no trust")
        if number == 25:
            at(monkeypatch, hours[24] + timedelta(minutes=1))
            followed.registry.move("challenger", first, reason="trust")
        if number in (0, 9, 10, 19, 20, 24, 25, HOURS):
            followed.trade(hour)
    lines = followed.lines()
    assert [line.version for line in lines] == [first] * 10 + [second] * 10 + [None] * 5 + [first] * 6
    assert [line.segment for line in lines] == [1] * 10 + [2] * 10 + [3] * 5 + [4] * 6
    assert lines[10].begins == f"challenger was moved to {second}: better"
    carried = lines[10].carried
    assert carried is not None and carried.positions and carried.nlv == lines[10].nlv != 1e4
    assert {line.held for line in lines[20:25]} == {"no version is followed"}
    checks = paper_check(ingest(followed.folder.target).ref, book=BOOK)
    assert [(check.segment, check.version, check.difference) for check in checks] == [
        (1, first, None), (2, second, None), (3, None, None), (4, first, None),
    ]  # fmt: skip
    assert sum(check.trades for check in checks) > 5
    # Moved in the past, a run that was late follows each hour the version of that hour.
    ledger = (followed.files().folder / "ledger.jsonl").read_bytes()
    moved = json.loads((followed.root / "books" / BOOK / "registry.json").read_text())
    late = followed.root / "books" / "late"
    late.mkdir()
    (late / "versions").symlink_to(followed.root / "books" / BOOK / "versions")
    begun = {**moved, "history": moved["history"][:1], "aliases": {"challenger": first, "champion": None}}
    (late / "registry.json").write_text(json.dumps(begun))
    followed.trade(hours[0], book="late")
    (late / "registry.json").write_text(json.dumps(moved))
    followed.trade(hours[-1], book="late")
    assert (followed.files(book="late").folder / "ledger.jsonl").read_bytes() == ledger


def test_a_move_after_the_newest_hour_is_told_and_followed_from_the_next(
    followed: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = followed.hours
    followed.trade(hours[0])
    at(monkeypatch, hours[1] + timedelta(minutes=3))
    followed.registry.move("challenger", followed.versions[1], reason="better")
    done = followed.trade(hours[1])
    assert any("it is followed from the first hour after that" in sentence for sentence in done.said)
    followed.trade(hours[2])
    assert [line.version for line in followed.lines()] == [followed.versions[i] for i in (0, 0, 1)]


def test_the_check_names_the_first_number_that_differs(followed: Stage) -> None:
    """A ledger of another history: rows it never saw came before its hours."""
    hours = followed.hours
    hidden = set(followed.folder.rows("opportunities", hours[5], hours[6]))
    followed.trade(hours[0], hidden)
    followed.trade(hours[8], hidden)
    followed.trade(hours[12])
    (check,) = paper_check(ingest(followed.folder.target).ref, book=BOOK)
    assert check.late_rows.opportunities == len(hidden) > 3
    assert check.difference is not None and check.difference.startswith(f"at {hours[6]:%Y-%m-%d %H:%M} UTC")


def test_without_an_alias_there_is_nothing_to_follow_and_no_error(stage: Stage) -> None:
    done = stage.trade(stage.hours[0])
    assert done.portfolios == ()
    assert done.said == (
        "The challenger of book b points at no version: there is nothing to follow.",
        "The champion of book b points at no version: there is nothing to follow.",
    )
    assert not stage.files().folder.exists()


def test_both_aliases_and_every_preset_have_a_portfolio_of_their_own(followed: Stage) -> None:
    hours = followed.hours
    followed.trade(hours[0])
    followed.registry.move("champion", followed.versions[1], reason="proven")
    presets = ("moderate", "aggressive")
    followed.trade(hours[1], presets=presets)
    done = followed.trade(hours[4], presets=presets)
    assert [(p.alias, p.preset, p.decided) for p in done.portfolios] == [
        ("challenger", "moderate", 5), ("challenger", "aggressive", 4),
        ("champion", "moderate", 4), ("champion", "aggressive", 4),
    ]  # fmt: skip
    assert all(
        check.difference is None for check in paper_check(ingest(followed.folder.target).ref, book=BOOK)
    )


def test_a_preset_that_was_left_out_catches_up_as_if_it_had_not_been(followed: Stage) -> None:
    hours = followed.hours
    followed.trade(hours[0], presets=tuple(PRESETS))
    followed.trade(hours[3], presets=("moderate",))
    followed.trade(hours[6], presets=tuple(PRESETS))
    assert [len(followed.files(preset=preset).lines()) for preset in PRESETS] == [7, 7, 7]


def test_a_damaged_version_stops_its_own_portfolio_until_it_is_mended(followed: Stage) -> None:
    hours = followed.hours
    followed.registry.move("champion", followed.versions[1], reason="proven")
    followed.trade(hours[0])
    model = followed.root / "books" / BOOK / "versions" / followed.versions[0] / "best_model.safetensors"
    artifact = followed.root / "store" / followed.registry.resolve("challenger").artifact / model.name
    whole = model.read_bytes()
    for path in (model, artifact):
        path.chmod(0o644)
        path.unlink()
        path.write_bytes(whole[:-1])
    with pytest.raises(ArtifactError, match="was altered"):
        followed.trade(hours[3])
    assert len(followed.files().lines()) == 1
    assert len(followed.files("champion").lines()) == 4
    model.write_bytes(whole)
    followed.trade(hours[3])
    assert len(followed.files().lines()) == 4
    runs = [json.loads(x) for x in (followed.files().folder.parent / "runs.jsonl").read_text().splitlines()]
    assert [len(run["troubles"]) for run in runs] == [0, 1, 0]


def test_data_that_no_longer_reaches_back_is_refused_in_words(followed: Stage) -> None:
    hours = followed.hours
    followed.trade(hours[0])
    old = {
        row
        for table in ("opportunities", "history")
        for row in followed.folder.rows(table, datetime(2020, 1, 1, tzinfo=UTC), hours[3])
    }
    with pytest.raises(DataError, match="the data does not hold"):
        followed.trade(hours[6], old)


def test_a_registry_put_back_to_an_older_copy_is_noticed(followed: Stage) -> None:
    copy = followed.registry.path.read_text()
    followed.registry.move("challenger", followed.versions[1], reason="better")
    followed.trade(followed.hours[0])
    followed.registry.path.write_text(copy)
    with pytest.raises(ArtifactError, match="has a shorter history than when challenger was last followed"):
        followed.trade(followed.hours[1])


def test_a_portfolio_that_was_ended_begins_again_when_its_alias_moves(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frail = kept_version(stage.root, BOOK, trader(1, MarketRules(drawdown_limit=0.001)), tmp_path)
    stage.registry.move("challenger", frail, reason="to follow")
    hours = stage.hours
    stage.trade(hours[0])
    ended = stage.trade(hours[10])
    assert ended.portfolios[0].ended
    at(monkeypatch, hours[10] + timedelta(minutes=5))
    stage.registry.move("challenger", stage.versions[1], reason="stronger")
    done = stage.trade(hours[20])
    assert not done.portfolios[0].ended
    lines = stage.lines()
    assert lines[11].carried is not None
    assert lines[11].carried.initial == lines[11].carried.peak == lines[11].carried.nlv
    assert len({line.nlv for line in lines[11:]}) > 5
    checks = paper_check(ingest(stage.folder.target).ref, book=BOOK)
    assert [check.difference for check in checks] == [None, None]


def test_the_initial_capital_can_be_given(followed: Stage) -> None:
    followed.trade(followed.hours[0], capital=500.0)
    followed.trade(followed.hours[4], capital=500.0)
    lines = followed.lines()
    assert lines[0].nlv == 500.0
    assert np.isfinite([line.nlv for line in lines]).all()
    assert [check.difference for check in paper_check(ingest(followed.folder.target).ref, book=BOOK)] == [
        None
    ]
