"""The walk-forward as a flow, every step real but without Prefect: what it leaves and what it costs again."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rl.checkpoint import load_checkpoint
from rl.market.assemble import assemble
from rl.market.scaler import Scaler
from rl.market.splits import Splits
from rl.walk_forward import joined_daily
from schemas.errors import ConfigError
from schemas.manifest import Ref
from schemas.params import Advanced
from schemas.trading import PRESETS
from schemas.walk_forward import WalkForwardSummary
from tasks.ledger import Ledger
from tasks.store import Store, content_hash
from tests.flows.steps import Steps, without_prefect

TINY = {
    "n_envs": 4, "n_cohorts": 2, "rollout_steps": 24, "batch_size": 96, "n_epochs": 1, "episode_hours": 24,
    "burn_in_share": 0.0, "threads": 1, "entropy_coef": 0.004,
}  # fmt: skip
ADVANCED = Advanced.model_validate({"training": TINY})
# A week is short: two folds fit if less than half of it is held out.
ASKED: dict[str, Any] = {
    "book": "b", "folds": 2, "held_out": 0.35, "validation": 0.3, "seeds": 2, "seed": 3, "num_episodes": 8,
    "advanced": ADVANCED,
}  # fmt: skip


def walk(patch: pytest.MonkeyPatch, data: Path, **more: Any) -> tuple[dict[str, Any], Steps]:
    import flows.walk_forward as module

    steps = without_prefect(patch, module)
    return module.walk_forward.fn(str(data), **{**ASKED, **more}), steps


@pytest.fixture(scope="module")
def finished(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Steps]:
    """A root after one walk-forward, what the flow returned, and its steps. Copy it before you change it."""
    root = tmp_path_factory.mktemp("walk") / "artifacts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARRYFLOW_ARTIFACTS", str(root))
        result, steps = walk(patch, sample)
    return root, result, steps


@pytest.fixture
def root(finished: tuple[Path, dict[str, Any], Steps], artifacts: Path) -> Path:
    shutil.copytree(finished[0], artifacts)
    return artifacts


def summary_of(root: Path, result: dict[str, Any]) -> WalkForwardSummary:
    folder = Store(root).local(Ref.parse(result["walk_forward"]))
    return WalkForwardSummary.model_validate_json((folder / "walk_forward.json").read_text())


def splits_of(root: Path, fold: str) -> Splits:
    return Splits.model_validate_json((Store(root).path(Ref.parse(fold)) / "splits.json").read_text())


def test_every_fold_and_seed_is_a_named_step_of_its_own(finished) -> None:
    _, result, steps = finished
    runs = [f"fold {number}, seed {seed}" for number in (1, 2) for seed in (3, 4)]
    assert [name for name, _ in steps.seen] == [
        "ingest", "features", "fold 1", "fold 2",
        *(f"{step} {run}" for run in runs for step in ("train", "backtest")),
        "join folds",
    ]  # fmt: skip
    assert not any(hit for _, hit in steps.seen)
    assert [len(set(models)) for models in result["models"]] == [2, 2]


def test_each_fold_has_a_scaler_of_its_own_train_hours_and_no_other(finished) -> None:
    root, result, _ = finished
    medians = []
    for ref in result["folds"]:
        folder = Store(root).path(Ref.parse(ref))
        market = assemble(sorted((folder / "days").iterdir()), ADVANCED.rules)
        a, b = splits_of(root, ref).train.rows(market.start_ms)
        scaler = Scaler.from_json((folder / "scaler.json").read_text())
        np.testing.assert_array_equal(scaler.median, Scaler.fit(market.slot_raw[a:b]).median)
        medians.append(scaler.median)
    assert (medians[0] != medians[1]).any()
    for models, median in zip(result["models"], medians, strict=True):
        for model in models:
            best = load_checkpoint(Store(root).path(Ref.parse(model)) / "best_model.safetensors")
            np.testing.assert_array_equal(best.scaler().median, median)


def test_a_model_is_judged_on_hours_after_those_it_was_trained_and_chosen_on(finished) -> None:
    root, result, _ = finished
    for fold, models, tested in zip(result["folds"], result["models"], result["backtests"], strict=True):
        test = splits_of(root, fold).test
        for model, backtest in zip(models, tested, strict=True):
            windows = load_checkpoint(
                Store(root).path(Ref.parse(model)) / "best_model.safetensors"
            ).info.windows
            facts = Store(root).manifest(Ref.parse(backtest)).summary
            assert facts["in_sample"] is False
            assert facts["start"] == test.start.isoformat() == windows.test[0]
            assert windows.train[1] < windows.validation[0] < windows.validation[1] < facts["start"]
    first, second = (splits_of(root, fold).test for fold in result["folds"])
    assert first.end == second.start


def test_trials_and_openings_of_every_fold_and_seed_are_in_the_ledger(finished) -> None:
    root, result, _ = finished
    ledger = Ledger(root, "b")
    trials, openings = ledger.read("trial"), ledger.read("opening")
    assert len({line["trial"] for line in trials}) == len(trials) == 4
    assert sorted(line["seed"] for line in trials) == [3, 3, 4, 4]
    assert {line["artifact"] for line in trials} == {m for models in result["models"] for m in models}
    assert [line["trial"] for line in openings] == [line["trial"] for line in trials]
    assert {line["purpose"] for line in openings} == {"walk-forward"}
    assert len({tuple(line["window"]) for line in openings}) == 2


def test_the_joined_curve_is_the_backtests_chained(finished) -> None:
    root, result, _ = finished
    store, found = Store(root), summary_of(root, result)
    curve = pd.read_parquet(store.path(Ref.parse(result["walk_forward"])) / "curve.parquet")
    assert set(curve["preset"]) == set(PRESETS)
    for preset in PRESETS:
        for who, seed in [("agent", 3), ("agent", 4), ("greedy", -1), ("cash", -1)]:
            own = curve[(curve["preset"] == preset) & (curve["who"] == who) & (curve["seed"] == seed)]
            level = 10_000.0
            for tested in result["backtests"]:
                equity = pd.read_parquet(store.path(Ref.parse(tested[max(seed - 3, 0)])) / "equity.parquet")
                mine = equity[(equity["preset"] == preset) & (equity["policy"] == who)]
                level *= mine["nlv"].iloc[-1] / 10_000.0
            assert own["nlv"].iloc[-1] == pytest.approx(level, rel=1e-12)
            assert len(own) == found.hours
            hours = own["time"].diff().dropna().unique()
            assert list(hours) == [pd.Timedelta(hours=1)]
    greedy = found.curve("moderate", "greedy")
    assert greedy is not None and greedy.return_pct != 0.0
    daily = joined_daily(curve, "moderate")
    assert daily.agent.shape == (2, found.curves[0].days)


def test_the_summary_tells_every_fold_seed_and_preset(finished) -> None:
    root, result, _ = finished
    found = summary_of(root, result)
    assert found.seeds == (3, 4)
    assert (found.training.seed, found.training.num_episodes, found.training.entropy_coef) == (3, 8, 0.004)
    assert [fold.number for fold in found.folds] == [1, 2]
    for fold in found.folds:
        assert [run.seed for run in fold.runs] == [3, 4]
        assert fold.candidate.validation_pct == max(run.validation_pct for run in fold.runs)
        for run in fold.runs:
            assert [one.preset for one in run.results] == list(PRESETS)
        assert {one.policy for one in fold.baselines} == {"greedy", "flip", "cash"}
    [note] = found.notes
    assert note == "Insufficient evidence: 2 whole days held out, 30 are needed."


def test_the_report_is_one_page_that_asks_nobody_and_tells_all(finished) -> None:
    root, result, _ = finished
    folder = Store(root).path(Ref.parse(result["walk_forward"]))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "<script" not in page
    links = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert links and all(link.startswith("data:") for link in links)
    words = " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S).split())
    for text in ("Fold 1", "Fold 2", "seed 3", "seed 4", "candidate", "greedy", "cash", "2 expanding folds",
                 "Insufficient evidence", "hours that no part uses"):  # fmt: skip
        assert text in words
    for ref in [result["dataset"], *result["folds"], *(ref for runs in result["models"] for ref in runs)]:
        assert ref in page
    for name in ("joined.png", "folds.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_the_command_in_the_report_asks_for_the_same_again(finished, monkeypatch, sample, root) -> None:
    """Typed as it stands, with the data's folder, it finds every artifact."""
    import shlex

    from flows.cli import main as cli

    _, result, _ = finished
    found = re.search(r"<pre><code>(.*?)</code>", _page(root, result))
    assert found is not None
    words = shlex.split(found[1].replace("&#34;", '"').replace("&#39;", "'"))
    assert words[:4] == ["carryflow", "walk-forward", "--data", "DATA"]
    asked: dict[str, Any] = {}
    monkeypatch.setattr("flows.launch.run_walk_forward", lambda **given: asked.update(given))
    cli.app(words[1:], standalone_mode=False)
    given = asked["asked"] | {"advanced": asked["advanced"], "book": asked["book"]}
    del given["time_budget"]
    again, steps = walk(monkeypatch, sample, **given)
    assert all(hit for _, hit in steps.seen)
    assert again == result


def _page(root: Path, result: dict[str, Any]) -> str:
    return (Store(root).path(Ref.parse(result["walk_forward"])) / "report.html").read_text(encoding="utf-8")


def test_the_terminal_tells_the_tables_the_verdict_and_the_report(root, finished, capsys) -> None:
    from flows.cli.walk_forward import print_walk_forward

    print_walk_forward(finished[1], book="b", seconds=61.0)
    said = capsys.readouterr().out
    rows = [line.split() for line in said.splitlines()]
    assert [row[:2] for row in rows if row and row[0] in "12"] == [["1", "2025-09-05"], ["2", "2025-09-06"]]
    for who in ("candidate", "seed 3", "seed 4", "greedy", "cash"):
        assert f"\n{who}  " in said
    assert "\nNo better than cash: " in said
    assert "Took 1:01 min." in said
    [report] = [line.removeprefix("Report: ") for line in said.splitlines() if line.startswith("Report: ")]
    assert Path(report).is_relative_to(root / "reports" / "b")
    assert {path.name for path in Path(report).parent.iterdir()} == {
        "report.html", "joined.png", "folds.png", "curve.parquet", "walk_forward.json", "SOURCE.txt",
    }  # fmt: skip


def test_the_terminal_tells_how_many_trainings_are_done_when_the_budget_cut_it(capsys) -> None:
    from flows.cli.walk_forward import print_walk_forward

    cut = {"walk_forward": "", "backtests": [["backtest/a", "backtest/b"], []], "trainings": 6}
    print_walk_forward(cut, book="b", seconds=5.0)
    said = capsys.readouterr().out
    assert said.startswith("Cut short by the time budget: 2 of 6 trainings are done and replayed. The same")


def test_the_run_page_shows_the_verdict_both_tables_and_the_pictures(root, finished, monkeypatch) -> None:
    from tasks.cache import Cached
    from tasks.show_walk_forward import joined

    shown: dict[str, str] = {}
    monkeypatch.setattr("tasks.ui.markdown", lambda key, text, description: shown.update({key: text}))
    store, ref = Store(root), Ref.parse(finished[1]["walk_forward"])
    joined(Cached(ref, True, store.manifest(ref), store.path(ref)))
    text = shown["walk-forward"]
    assert text.count("](data:image/png;base64,") == 2
    assert "**No better than cash" in text
    assert len(re.findall(r"^\| [12] \| 2025", text, flags=re.M)) == 2
    assert "| candidate |" in text and "| seed 4 |" in text


def test_a_second_run_finds_everything_and_writes_nothing_twice(finished, root, sample, monkeypatch) -> None:
    again, steps = walk(monkeypatch, sample)
    assert all(hit for _, hit in steps.seen)
    assert again == finished[1]
    assert len(Ledger(root, "b").read()) == 8


def test_another_seed_trains_only_itself(root, sample, monkeypatch) -> None:
    _, steps = walk(monkeypatch, sample, seeds=3)
    made = [name for name, hit in steps.seen if not hit]
    assert made == [
        "train fold 1, seed 5", "backtest fold 1, seed 5",
        "train fold 2, seed 5", "backtest fold 2, seed 5", "join folds",
    ]  # fmt: skip


def test_cut_by_its_budget_it_opens_nothing_half_trained_and_the_same_command_gets_further(
    artifacts, sample, monkeypatch, finished
) -> None:
    before = (0, 0)
    for _ in range(40):
        result, steps = walk(monkeypatch, sample, time_budget=1e-3)
        opened = sum(len(runs) for runs in result["backtests"])
        assert opened == len(Ledger(artifacts, "b").read("opening"))
        now = (opened, _updates(artifacts))
        assert now > before, "it got no further"
        before = now
        if result["walk_forward"]:
            break
        # One training is made or cut in each run, never a second one.
        assert sum(name.startswith("train") and not hit for name, hit in steps.seen) == 1
        assert "join folds" not in [name for name, _ in steps.seen]
    assert result == finished[1]
    whole, cut = Store(finished[0]), Store(artifacts)
    joined = Ref.parse(result["walk_forward"])
    assert content_hash(cut.manifest(joined)) == content_hash(whole.manifest(joined))


def _updates(root: Path) -> int:
    return sum(
        manifest.params.get("provisional", {}).get("reached", 0)
        for manifest in map(Store(root).manifest, Store(root).refs("train"))
    )


def test_weights_to_start_from_are_refused_before_anything_is_read(artifacts, monkeypatch) -> None:
    start = Advanced.model_validate({"resume_from": "champion"})
    with pytest.raises(ConfigError, match="resume_from: has no part in a walk-forward"):
        walk(monkeypatch, Path("nowhere"), advanced=start)
    assert not artifacts.exists()


def test_rolling_folds_train_on_as_many_hours_and_share_nothing_that_differs(
    root, sample, monkeypatch, finished
) -> None:
    result, steps = walk(monkeypatch, sample, scheme="rolling", seeds=1)
    trains = [splits_of(root, fold).train for fold in result["folds"]]
    assert [train.hours for train in trains] == [trains[0].hours] * 2
    assert trains[0].start < trains[1].start
    for before, after in pairwise(trains):
        assert before.start_ms < after.start_ms
    # The first fold is the same hours, so its training is found.
    hits = dict(steps.seen)
    assert hits["train fold 1, seed 3"] and not hits["train fold 2, seed 3"]
    assert json.loads(summary_of(root, result).model_dump_json())["plan"]["scheme"] == "rolling"
