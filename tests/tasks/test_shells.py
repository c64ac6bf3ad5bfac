"""The shells, run one after another without Prefect: what each leaves, and what a day costs again."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rl.judge.trials import count_trials
from rl.market.build import build_days
from rl.market.days import write_day
from schemas.backtest import BacktestSummary, Ladder
from schemas.checkpoint import TrainingResult
from schemas.errors import ConfigError, DataError
from schemas.params import Advanced
from schemas.trading import PRESETS
from tasks.backtest import backtest
from tasks.cache import Cached
from tasks.features import features
from tasks.ingest import ingest
from tasks.judgement import judge
from tasks.ledger import Ledger
from tasks.predict import predict
from tasks.promotion import register
from tasks.readiness import measure
from tasks.registry import Registry
from tasks.store import Store
from tasks.training import train
from tests.tasks.test_promotion import trained

TINY = {
    "n_envs": 4, "n_cohorts": 2, "rollout_steps": 24, "batch_size": 96, "n_epochs": 1, "episode_hours": 24,
    "burn_in_share": 0.0, "threads": 1,
}  # fmt: skip
ADVANCED = Advanced.model_validate({"training": TINY})


def build(data: Path, **more: object) -> Cached:
    dataset = ingest(data)
    return features(dataset.ref, rules=ADVANCED.rules, episode_hours=24, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def finished(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cached, Cached]:
    """A root with a trained policy: root, features, model."""
    root = tmp_path_factory.mktemp("shells") / "artifacts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARRYFLOW_ARTIFACTS", str(root))
        built = build(sample)
        model = train(
            built.ref,
            training=ADVANCED.training_config(seed=0, num_episodes=8),
            preset="moderate",
            rules=ADVANCED.rules,
            book="b",
        )
    return root, built, model


@pytest.fixture
def root(finished: tuple[Path, Cached, Cached], artifacts: Path) -> Path:
    shutil.copytree(finished[0], artifacts)
    return artifacts


def test_a_data_set_has_the_same_key_wherever_its_files_lie(
    artifacts: Path, sample: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(sample, elsewhere)
    first, again = ingest(sample), ingest(elsewhere)
    assert first.ref == again.ref
    assert (first.hit, again.hit) == (False, True)
    other = ingest(sample / "opportunities.csv")
    assert other.ref != first.ref  # a file alone brings no history


def test_a_day_that_did_not_change_is_not_built_again(artifacts: Path, sample: Path, tmp_path: Path) -> None:
    build(sample)
    days = len(Store(artifacts).refs("features-day"))
    longer = tmp_path / "longer"
    shutil.copytree(sample, longer)
    lines = (sample / "opportunities.csv").read_text(encoding="utf-8").splitlines()
    last = [line for line in lines if "2025-09-07T22" in line][-1]
    later = last.replace("2025-09-07T22", "2025-09-08T03")
    (longer / "opportunities.csv").write_text("\n".join([*lines, later]) + "\n", encoding="utf-8")
    built = build(longer)
    assert built.manifest.summary["days_reused"] >= days - 2
    assert built.manifest.summary["days"] == days


def test_a_day_that_fails_ends_the_step_and_days_before_it_stay(
    artifacts: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rl.market import build as build_module

    real, built = build_module.build_hours, []

    def fail_at_the_fourth(*args: object) -> object:
        built.append(args)
        if len(built) == 4:
            raise RuntimeError("the fourth day")
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(build_module, "build_hours", fail_at_the_fourth)
    with pytest.raises(RuntimeError, match="the fourth day"):
        build(sample)
    assert len(built) == 4  # nobody goes on without a closing state
    store = Store(artifacts)
    assert (len(store.refs("features-day")), len(store.refs("features"))) == (3, 0)
    assert not list(store.folder.glob(".tmp-*"))
    monkeypatch.undo()
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", str(artifacts))
    assert build(sample).manifest.summary["days_reused"] == 3


def test_days_found_and_days_built_make_the_same_features(artifacts: Path, sample: Path) -> None:
    once = build(sample)
    store = Store(artifacts)
    for number, ref in enumerate(store.refs("features-day")):
        if number % 2:  # every other day, in no order: its closing state is read, or built anew
            store.set_aside(ref)
    store.set_aside(once.ref)
    again = build(sample)
    assert 0 < again.manifest.summary["days_reused"] < again.manifest.summary["days"]
    assert again.manifest.files == once.manifest.files
    days = {path.name: path for path in sorted((again.path / "days").iterdir())}
    assert [path.stat().st_nlink for path in days.values()] == [2] * len(days)  # linked, not copied
    assert_as_one_build(again, ingest(sample).path)


def assert_as_one_build(built: Cached, dataset: Path) -> None:
    """Hold the days of features against those that a data set gives in one go, in memory."""
    frames = [
        pd.concat([pd.read_parquet(path) for path in sorted((dataset / table).iterdir())], ignore_index=True)
        for table in ("opportunities", "history")
    ]
    days = sorted((built.path / "days").iterdir())
    for path, day in zip(days, build_days(*frames), strict=True):
        write_day(day, path.parents[3] / "expected.zip")
        assert path.read_bytes() == (path.parents[3] / "expected.zip").read_bytes(), path.name


def test_a_row_that_changed_changes_what_the_next_days_know_of_it(
    artifacts: Path, sample: Path, tmp_path: Path
) -> None:
    before = build(sample)
    changed = tmp_path / "changed"
    shutil.copytree(sample, changed)
    history = (sample / "market_history.csv").read_text(encoding="utf-8").splitlines()
    number = max(i for i, line in enumerate(history) if line.startswith("2025-09-02T23:00"))
    cells = history[number].split(",")
    price = history[0].split(",").index("price")
    cells[price] = str(float(cells[price]) * 1.001)
    history[number] = ",".join(cells)
    (changed / "market_history.csv").write_text("\n".join(history) + "\n", encoding="utf-8")
    dataset = ingest(changed)
    after = build(changed)
    one, other = ({file.path: file.sha256 for file in made.manifest.files} for made in (before, after))
    differ = {path for path in one if path.startswith("days/") and one[path] != other[path]}
    assert differ >= {"days/2025-09-02.zip", "days/2025-09-03.zip"}
    assert after.manifest.summary["days_reused"] == after.manifest.summary["days"] - len(differ)
    assert_as_one_build(after, dataset.path)


def test_other_episodes_split_anew_without_building_a_day(artifacts: Path, sample: Path) -> None:
    first = build(sample)
    days = set(Store(artifacts).refs("features-day"))
    other = features(ingest(sample).ref, rules=ADVANCED.rules, episode_hours=12)
    assert other.ref != first.ref
    assert set(Store(artifacts).refs("features-day")) == days
    assert other.manifest.summary["days_reused"] == len(days)


def test_a_policy_is_replayed_under_a_profile_of_ones_own(
    root: Path, finished: tuple[Path, Cached, Cached]
) -> None:
    _, built, model = finished
    own = PRESETS["moderate"].model_copy(update={"leverage": 7.0})
    found = backtest(
        built.ref, model.ref, rules=ADVANCED.rules, book="b", purpose="ad hoc", presets="custom", custom=own,
        window="validation", random_runs=2,
    )  # fmt: skip
    summary = json.loads((found.path / "backtest.json").read_text(encoding="utf-8"))
    assert summary["presets"] == {"custom": own.model_dump()}
    assert summary["in_sample"] is True
    judged = judge(found.ref, preset="custom", policy=ADVANCED.gates, book="b")
    assert not judged.manifest.summary["holds"]
    assert (judged.path / "report.html").is_file()


def test_an_opening_tells_the_daily_sharpe_ratio_that_the_count_of_trials_wants(
    root: Path, finished: tuple[Path, Cached, Cached], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, built, model = finished

    def eager(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Trade, which a policy of eight episodes does not."""
        return mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)

    monkeypatch.setattr("rl.backtest.agent_actor", lambda policy, scaler, market: eager)
    found = backtest(
        built.ref, model.ref, rules=ADVANCED.rules, book="b", purpose="ad hoc", window="all", random_runs=0
    )
    equity = pd.read_parquet(found.path / "equity.parquet")
    mine = equity[(equity["policy"] == "agent") & (equity["time"].dt.hour == 0)]
    [opening] = Ledger(root, "b").read("opening")
    assert set(opening["daily_sharpe"]) == set(PRESETS)
    for preset, told in opening["daily_sharpe"].items():
        daily = mine.loc[mine["preset"] == preset, "nlv"].pct_change().dropna()
        assert told == {"sharpe": pytest.approx(daily.mean() / daily.std()), "days": len(daily)}
    window = [datetime.fromisoformat(text) for text in opening["window"]]
    trials = count_trials([opening], *window, preset="moderate")  # type: ignore[arg-type]
    assert (trials.count, len(trials.scores)) == (1, 1)


def test_the_report_of_a_trained_policy_tells_the_signs_of_its_training(
    root: Path, finished: tuple[Path, Cached, Cached]
) -> None:
    _, built, model = finished
    tested = backtest(
        built.ref, model.ref, rules=ADVANCED.rules, book="b", purpose="ad hoc", presets="moderate",
        random_runs=0,
    )  # fmt: skip
    known = judge(tested.ref, preset="moderate", policy=ADVANCED.gates, book="b", trained=model.ref)
    trained = TrainingResult.model_validate_json((model.path / "training.json").read_text(encoding="utf-8"))
    assert trained.health is not None
    page = (known.path / "report.html").read_text(encoding="utf-8")
    assert [
        sign.name for sign in trained.health.signs if f'<td class="name">{sign.name}</td>' not in page
    ] == []
    assert str(model.ref) in page
    without = judge(tested.ref, preset="moderate", policy=ADVANCED.gates, book="b")
    assert without.ref != known.ref
    assert "How the training went" not in (without.path / "report.html").read_text(encoding="utf-8")


def test_the_versions_a_book_points_at_are_replayed_beside_the_candidate(
    root: Path, finished: tuple[Path, Cached, Cached]
) -> None:
    _, built, model = finished

    def tested() -> Cached:
        return backtest(
            built.ref, model.ref, rules=ADVANCED.rules, book="b", purpose="promotion", presets="moderate",
            random_runs=0,
        )  # fmt: skip

    alone = tested()
    store, registry = Store(root), Registry(root, "b")
    verdict = judge(alone.ref, preset="moderate", policy=ADVANCED.gates, book="b")
    mine = register(registry, store, model.ref, alone.ref, verdict.ref)
    registry.move("challenger", mine.version, reason="the candidate itself")
    assert tested().hit  # nobody is its own rival

    other = train(
        built.ref,
        training=ADVANCED.training_config(seed=1, num_episodes=8),
        preset="moderate",
        rules=ADVANCED.rules,
        book="b",
    )
    champion = register(registry, store, other.ref, alone.ref, verdict.ref)
    registry.move("champion", champion.version, reason="another one")
    beside = tested()
    assert beside.ref != alone.ref
    summary = BacktestSummary.model_validate_json((beside.path / "backtest.json").read_text("utf-8"))
    assert [(rival.policy, rival.version) for rival in summary.rivals] == [("champion", champion.version)]
    assert summary.rivals[0].overlap_hours == 0 == len(summary.rivals[0].missing)
    assert summary.result("moderate", "champion") is not None
    assert summary.result("moderate", "challenger") is None
    registry.move("challenger", champion.version, reason="under both aliases it is the champion")
    assert tested().ref == beside.ref

    (other.path / "best_model.safetensors").write_bytes(b"altered")
    gone = tested()
    assert gone.ref not in (alone.ref, beside.ref)
    summary = BacktestSummary.model_validate_json((gone.path / "backtest.json").read_text("utf-8"))
    assert summary.rivals[0].version == champion.version and summary.rivals[0].missing
    assert summary.result("moderate", "champion") is None

    foreign = register(
        registry, store, trained(root), alone.ref, verdict.ref
    )  # whole, but no checkpoint that this program can read
    registry.move("champion", foreign.version, reason="of another time")
    summary = BacktestSummary.model_validate_json((tested().path / "backtest.json").read_text("utf-8"))
    assert summary.rivals[0].version == foreign.version and summary.rivals[0].missing


def test_the_ladder_asked_for_is_the_one_replayed(root: Path, finished: tuple[Path, Cached, Cached]) -> None:
    _, built, model = finished
    for ladder in (Ladder(cash_apr=5.0), Ladder(cash_apr=5.0, bound=False)):
        found = backtest(
            built.ref, model.ref, rules=ADVANCED.rules, book="b", purpose="ad hoc", presets="moderate",
            random_runs=0, ladder=ladder,
        )  # fmt: skip
        summary = BacktestSummary.model_validate_json((found.path / "backtest.json").read_text("utf-8"))
        cash = summary.result("moderate", "cash")
        assert cash is not None and cash.return_pct == pytest.approx(5.0 * summary.hours / 8760)
        assert (summary.bound("moderate") is not None) == ladder.bound


def test_a_window_given_by_its_hours_is_the_one_replayed(
    root: Path, finished: tuple[Path, Cached, Cached]
) -> None:
    _, built, model = finished
    found = backtest(
        built.ref, model.ref, rules=ADVANCED.rules, book="b", purpose="ad hoc", presets="moderate",
        start="2025-09-06T20:00", end="2025-09-07T04:00+00:00", random_runs=0,
    )  # fmt: skip
    assert found.manifest.summary["start"] == "2025-09-06T20:00:00+00:00"
    assert found.manifest.summary["end"] == "2025-09-07T03:00:00+00:00"
    assert found.manifest.summary["in_sample"] is False
    [opening] = Ledger(root, "b").read("opening")
    assert opening["window"] == ["2025-09-06T20:00:00+00:00", "2025-09-07T03:00:00+00:00"]


@pytest.mark.parametrize(
    ("flags", "error"),
    [({"start": "soon"}, ConfigError), ({"start": "2030-01-01", "end": "2030-01-02"}, DataError)],
)
def test_a_window_that_is_none_is_refused_and_not_recorded(
    root: Path, finished: tuple[Path, Cached, Cached], flags: dict[str, str], error: type[Exception]
) -> None:
    _, built, model = finished
    with pytest.raises(error):
        backtest(built.ref, model.ref, rules=ADVANCED.rules, book="b", purpose="ad hoc", **flags)  # type: ignore[arg-type]
    assert not Ledger(root, "b").read("opening")


def test_training_can_start_from_a_checkpoint_and_is_another_training(
    root: Path, finished: tuple[Path, Cached, Cached]
) -> None:
    _, built, model = finished
    path = model.path / "final_model.safetensors"
    again = train(
        built.ref,
        training=ADVANCED.training_config(seed=0, num_episodes=8),
        preset="moderate",
        rules=ADVANCED.rules,
        book="b",
        resume_from=str(path),
    )
    assert again.ref != model.ref
    assert "start_from" in again.manifest.inputs
    assert again.manifest.summary["version"] != model.manifest.summary["version"]


def held(symbol: str, long: str, short: str, quantity: float, price: float = 100.0) -> dict[str, object]:
    return {
        "symbol": symbol, "long_exchange": long, "short_exchange": short, "quantity": quantity,
        "entry_long_price": price, "entry_short_price": price,
        "entry_time": datetime(2025, 9, 7, 12, tzinfo=UTC).isoformat(),
    }  # fmt: skip


def price_at_noon(sample: Path, symbol: str) -> float:
    with (sample / "opportunities.csv").open(encoding="utf-8") as file:
        rows = [
            r for r in csv.DictReader(file) if r["symbol"] == symbol and r["entry_time"] < "2025-09-07T12"
        ]
    return float(rows[-1]["entry_long_price"])


def test_a_prediction_decides_for_the_newest_hour_and_can_exit_what_is_held(
    root: Path, finished: tuple[Path, Cached, Cached], sample: Path, tmp_path: Path
) -> None:
    model = str(finished[2].path / "best_model.safetensors")
    flat = predict(model, sample, None, book="b", preset="all", portfolio=None, advanced=ADVANCED)
    assert [made.preset for made in flat.presets] == list(PRESETS)
    assert flat.newest_row <= flat.hour
    assert "assumed that nothing is held" in flat.holdings
    entries = [choice for choice in flat.presets[1].choices if choice.kind == "enter"]
    assert entries and not [c for c in flat.presets[1].choices if c.kind == "exit"]
    first = entries[0]
    assert first.symbol and first.long_exchange and first.short_exchange
    path = tmp_path / "positions.json"
    price = price_at_noon(sample, first.symbol)
    mine = held(first.symbol, first.long_exchange, first.short_exchange, 100 / price, price)
    path.write_text(json.dumps({"positions": [mine]}))
    full = predict(model, sample, None, book="b", preset="moderate", portfolio=path, advanced=ADVANCED)
    [made] = full.presets
    exits = [choice for choice in made.choices if choice.kind == "exit"]
    assert [(e.symbol, e.long_exchange, e.short_exchange) for e in exits] == [
        (first.symbol, first.long_exchange, first.short_exchange)
    ]
    # One-way accounts: an instrument that is held cannot be entered again.
    taken = {(first.symbol, first.long_exchange), (first.symbol, first.short_exchange)}
    for choice in made.choices:
        if choice.kind == "enter":
            legs = {(choice.symbol, choice.long_exchange), (choice.symbol, choice.short_exchange)}
            assert not legs & taken
    assert made.equity != flat.presets[1].equity


def test_a_holding_that_the_data_does_not_know_is_refused(
    root: Path, finished: tuple[Path, Cached, Cached], sample: Path, tmp_path: Path
) -> None:
    model = str(finished[2].path / "best_model.safetensors")
    path = tmp_path / "positions.json"
    path.write_text(json.dumps({"positions": [held("NOSUCHUSDT", "binance", "bybit", 1.0)]}))
    with pytest.raises(DataError, match="NOSUCHUSDT"):
        predict(model, sample, None, book="b", preset="all", portfolio=path, advanced=ADVANCED)


def test_the_status_report_measures_and_says_ready(artifacts: Path, sample: Path) -> None:
    report = measure(sample, None, book="default", recipe=ADVANCED.training)
    assert report.ready, report.reasons
    assert report.data is not None and report.data.opportunity_rows > 1000
    assert (report.observation, report.actions) == (275, 36)
    assert report.parameters is not None and abs(report.parameters - 792_000) <= 7_920
    assert report.training is not None and len(report.training.episodes) == 10
    assert report.inference is not None and len(report.inference.episodes) == 5
    assert report.pace is not None and report.pace.episodes_per_minute > 0
    assert abs(report.pace.minutes_for_2000 - 2 * report.pace.minutes_for_1000) < 1e-9
    assert "best_model.safetensors" in report.training.checkpoints
    assert all(command.startswith("carryflow ") for _, command in report.commands)
    assert not Ledger(artifacts, "default").read()  # a test is no trial


def test_the_status_report_says_why_it_is_not_ready(
    artifacts: Path, sample: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty = measure(None, None, book="default")
    assert not empty.ready and "no data" in empty.reasons[0]
    lines = (sample / "opportunities.csv").read_text(encoding="utf-8").splitlines()[:100]
    short = tmp_path / "short.csv"
    short.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report = measure(short, None, book="default")
    assert not report.ready and "hours" in report.reasons[0]
    assert report.data is not None and report.training is None
