"""Stress as a step: what it leaves, when it is asked for again, and what the run's page shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.backtest import BacktestSummary
from schemas.errors import ConfigError
from schemas.stress import STRESS, STRESSES, StressSettings
from tasks import show
from tasks.backtest import backtest
from tasks.cache import Cached
from tasks.features import features
from tasks.ingest import ingest
from tasks.ledger import Ledger
from tasks.stress import read_stress, stress
from tasks.training import train
from tests.tasks.test_shells import ADVANCED

SETTINGS = StressSettings(placebo_runs=1)


@pytest.fixture(scope="module")
def finished(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Cached]]:
    """A root with a trained policy, its backtest and its stress tests: root, the steps in order."""
    root = tmp_path_factory.mktemp("stress") / "artifacts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARRYFLOW_ARTIFACTS", str(root))
        dataset = ingest(sample)
        built = features(dataset.ref, rules=ADVANCED.rules, episode_hours=24)
        model = train(
            built.ref,
            training=ADVANCED.training_config(seed=0, num_episodes=8),
            preset="moderate",
            rules=ADVANCED.rules,
            book="b",
        )
        tested = backtest(built.ref, model.ref, rules=ADVANCED.rules, book="b", purpose="t", random_runs=1)
        made = stress(
            dataset.ref, built.ref, model.ref, tested.ref, book="b", preset="moderate", settings=SETTINGS
        )
    return root, [dataset, built, model, tested, made]


@pytest.fixture
def steps(finished: tuple[Path, list[Cached]], monkeypatch: pytest.MonkeyPatch) -> list[Cached]:
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", str(finished[0]))
    return finished[1]


def test_the_plain_run_is_the_backtest_of_the_same_version_window_and_profile(steps: list[Cached]) -> None:
    _, built, model, tested, made = steps
    assert sorted(p.name for p in made.path.iterdir()) == ["manifest.json", STRESS]
    report = read_stress(made)
    summary = BacktestSummary.model_validate_json((tested.path / "backtest.json").read_text("utf-8"))
    agent = summary.result("moderate", "agent")
    assert agent is not None
    assert report.plain.return_pct == pytest.approx(agent.return_pct, abs=1e-9)
    assert report.plain.max_drawdown_pct == pytest.approx(agent.max_drawdown_pct, abs=1e-9)
    assert report.plain.carry_pct == pytest.approx(
        100 * agent.split.carry / summary.initial_capital, abs=1e-9
    )
    assert report.plain.trades == agent.trades
    assert (report.version, report.data_hash) == (summary.version, built.manifest.inputs["dataset"])
    assert (report.version, report.start, report.end) == (
        model.manifest.summary["version"], summary.start, summary.end,
    )  # fmt: skip
    assert [o.name for o in report.outcomes] == list(STRESSES)
    assert len(report.placebo.runs) == 1
    assert made.manifest.summary["worst"] in STRESSES


def test_more_random_runs_of_the_backtest_do_not_stress_again_and_another_profile_does(
    steps: list[Cached],
) -> None:
    dataset, built, model, _, made = steps
    more = backtest(built.ref, model.ref, rules=ADVANCED.rules, book="b", purpose="t", random_runs=2)
    again = stress(
        dataset.ref, built.ref, model.ref, more.ref, book="b", preset="moderate", settings=SETTINGS
    )  # fmt: skip
    assert (again.ref, again.hit) == (made.ref, True)
    other = stress(
        dataset.ref, built.ref, model.ref, more.ref, book="b", preset="conservative", settings=SETTINGS
    )  # fmt: skip
    assert other.ref != made.ref and read_stress(other).preset == "conservative"


def test_stressing_opens_no_window_that_the_backtest_has_not_opened(
    finished: tuple[Path, list[Cached]], steps: list[Cached]
) -> None:
    root = finished[0]
    before = Ledger(root, "b").read("opening")
    dataset, built, model, tested, _ = steps
    stress(
        dataset.ref, built.ref, model.ref, tested.ref, book="b", preset="aggressive", settings=SETTINGS
    )  # fmt: skip
    assert Ledger(root, "b").read("opening") == before


def test_a_profile_that_was_not_replayed_is_refused_in_words(steps: list[Cached]) -> None:
    dataset, built, model, tested, _ = steps
    with pytest.raises(ConfigError, match="the backtest did not replay 'custom'"):
        stress(dataset.ref, built.ref, model.ref, tested.ref, book="b", preset="custom")


def test_the_run_page_shows_every_stress_in_words(
    steps: list[Cached], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {}
    monkeypatch.setattr("tasks.ui.markdown", lambda key, text, description: shown.update({key: text}))
    show.stress(steps[4])
    report = read_stress(steps[4])
    for found in report.outcomes:
        assert f"- **{found.name}**: {found.sentence}" in shown["stress"]
    assert report.placebo.sentence in shown["stress"]
    assert report.capacity.sentence in shown["stress"]
    assert report.transfers.sentence in shown["stress"]
