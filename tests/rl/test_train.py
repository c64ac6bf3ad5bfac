"""A training run: what it leaves behind, when it stops, and that a resumed one is the same run."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import rl.policy
import rl.train
import rl.trainer
from rl.backtest import greedy_actor
from rl.checkpoint import Checkpoint, load_checkpoint
from rl.decide import decide
from rl.finite import TrainingDiverged
from rl.health import judge
from rl.market.arrays import MarketArrays
from rl.market.scaler import Scaler
from rl.market.splits import split_windows
from rl.replay import Group, replay
from rl.sim.env import VectorSim
from rl.sim.state import ConfigArrays
from rl.train import LAST_GOOD, better, resolve_device, train
from rl.trainer import METRIC_COLUMNS, TIMING_COLUMNS
from schemas.checkpoint import TrainingResult
from schemas.errors import ArtifactError, ConfigError
from schemas.trading import PRESETS, MarketRules, TradingConfig
from schemas.training import TrainingConfig
from tests.rl.sim.markets import random_market

HOURS = 170
RECIPE = TrainingConfig(
    num_episodes=16, episode_hours=12, n_envs=8, n_cohorts=2, n_epochs=2, batch_size=24, threads=1,
    eval_every=6, save_every=7, sample_random_config=False, burn_in_hours=12, learning_rate=4e-4,
)  # fmt: skip
RULES = MarketRules()
EAGER = (0.3, 0.5, 0.2)  # a new policy would hold throughout validation, and every policy would look the same


@pytest.fixture(scope="module", autouse=True)
def _eager() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rl.policy, "INITIAL_KIND", EAGER)
        yield


def market_of(seed: int = 0) -> MarketArrays:
    """A random market whose offers have features."""
    market = random_market(seed, hours=HOURS, coins=4)
    raw = np.random.default_rng(seed).normal(size=market.slot_raw.shape)
    raw[..., 2:4] = 1.0
    raw[market.slot_pair < 0] = 0.0
    return dataclasses.replace(market, slot_raw=raw)


MARKET = market_of()
SPLITS = split_windows(HOURS, MARKET.start_ms, 12)
SCALER = Scaler.fit(MARKET.slot_raw[slice(*SPLITS.train.rows(MARKET.start_ms))])


def run(
    folder: Path, training: TrainingConfig = RECIPE, market: MarketArrays = MARKET, **options: Any
) -> Any:
    """Train with the work folder and the results under `folder`."""
    given = {"rules": RULES, "data_hash": "d", "work_dir": folder / "work", "out_dir": folder / "out"}
    return train(market, SPLITS, SCALER, training, **(given | options))


def content(folder: Path) -> dict[str, Any]:
    """Everything a run leaves that must not depend on how often it was interrupted."""
    out = folder / "out"
    models = {
        path.name: (load_checkpoint(path).tensors(), load_checkpoint(path).info)
        for path in out.glob("*.safetensors")
    }
    metrics = pd.read_parquet(out / "metrics.parquet").drop(columns=list(TIMING_COLUMNS))
    return {"models": models, "metrics": metrics}


def assert_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one["models"].keys() == other["models"].keys()
    for name, (tensors, info) in one["models"].items():
        others, other_info = other["models"][name]
        assert info == other_info
        assert tensors.keys() == others.keys()
        for key, tensor in tensors.items():
            assert torch.equal(tensor, others[key]), f"{key} of {name}"
    pd.testing.assert_frame_equal(one["metrics"], other["metrics"], check_exact=True)


def stop_after(updates: int) -> Callable[[], bool]:
    """Say stop at the so-manieth update of this process."""
    seen = []

    def ask() -> bool:
        seen.append(0)
        return len(seen) >= updates

    return ask


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingResult, list[dict[str, Any]]]:
    """A run nobody disturbed."""
    folder, told = tmp_path_factory.mktemp("whole"), []
    result = run(folder, on_progress=told.append)
    return folder, result, told


def test_a_run_leaves_models_metrics_and_a_summary(whole: tuple[Path, TrainingResult, list]) -> None:
    folder, result, told = whole
    files = {path.name for path in (folder / "out").iterdir()}
    periodic = {f"checkpoint_ep{n}.safetensors" for n in (7, 14)}
    assert files == periodic | {
        "best_model.safetensors", "final_model.safetensors", "metrics.parquet", "training.json",
    }  # fmt: skip
    assert result.finished
    assert result.reason == "episodes"
    assert result.episodes >= RECIPE.num_episodes
    assert TrainingResult.model_validate_json((folder / "out" / "training.json").read_text()) == result
    metrics = pd.read_parquet(folder / "out" / "metrics.parquet")
    assert list(metrics.columns) == list(METRIC_COLUMNS)
    assert len(metrics) == result.updates == len(told) >= 5
    assert metrics["update"].tolist() == list(range(1, result.updates + 1))
    assert metrics["steps"].iloc[-1] == result.steps
    assert metrics["ratio_error"].max() < 1e-5
    always = [c for c in METRIC_COLUMNS if c not in ("reward_mean", "mean_100", "liquidations_per_episode")]
    always = [c for c in always if not c.startswith("eval_")]
    assert np.isfinite(metrics[always].drop(columns="explained_variance")).all().all()
    facts = {model.file: model for model in result.models}
    assert facts.keys() == files - {"metrics.parquet", "training.json"}
    for name, model in facts.items():
        checkpoint = load_checkpoint(folder / "out" / name)
        assert checkpoint.weights_hash == model.weights
        assert checkpoint.info.progress.update == model.update


def test_evaluation_and_saving_carry_the_number_asked_for(whole: tuple[Path, TrainingResult, list]) -> None:
    folder, _, _ = whole
    metrics = pd.read_parquet(folder / "out" / "metrics.parquet")
    evaluated = metrics.dropna(subset="eval_return")
    assert evaluated["eval_episode"].tolist() == [6.0, 12.0, 16.0]
    before = metrics["episodes"].shift(fill_value=0)
    for asked, row in zip((6, 12), evaluated.index, strict=False):
        assert before[row] < asked <= metrics["episodes"][row], "the first update at or after the number"
    for asked in (7, 14):
        progress = load_checkpoint(folder / "out" / f"checkpoint_ep{asked}.safetensors").info.progress
        assert progress.asked == asked
        assert before[progress.update - 1] < asked <= progress.episodes


def test_the_best_model_is_the_best_on_validation(whole: tuple[Path, TrainingResult, list]) -> None:
    folder, result, _ = whole
    metrics = pd.read_parquet(folder / "out" / "metrics.parquet").set_index("update")
    assert metrics["eval_return"].nunique() > 1, "the test must see policies that differ"
    assert result.best.validation_pct == metrics["eval_return"].max()
    evaluated = metrics["eval_return"].dropna()
    assert result.best.update == evaluated[evaluated == evaluated.max()].index[-1]


def test_the_later_of_two_equally_good_models_is_kept(whole: tuple[Path, TrainingResult, list]) -> None:
    checkpoint = load_checkpoint(whole[0] / "out" / "final_model.safetensors")

    def scored(value: float) -> Checkpoint:
        progress = checkpoint.info.progress.model_copy(update={"validation_pct": value})
        return dataclasses.replace(checkpoint, info=checkpoint.info.model_copy(update={"progress": progress}))

    worse, good, equal = scored(-1.0), scored(2.0), scored(2.0)
    assert better(None, worse) is worse
    assert better(worse, good) is good
    assert better(good, worse) is good
    assert better(good, equal) is equal


def test_progress_says_how_long_it_will_take(whole: tuple[Path, TrainingResult, list]) -> None:
    _, result, told = whole
    assert told[-1]["eta_seconds"] == 0.0
    assert all(entry["eta_seconds"] > 0 for entry in told[:-1])
    assert told[0]["num_episodes"] == RECIPE.num_episodes
    assert sum(len(entry["finished"]) for entry in told) == result.episodes


def test_validation_is_one_episode_from_flat_by_deterministic_decisions(
    whole: tuple[Path, TrainingResult, list],
) -> None:
    folder, result, _ = whole
    policy = load_checkpoint(folder / "out" / "final_model.safetensors").policy()
    slots = SCALER.scale(MARKET.slot_raw)
    first, stop = SPLITS.validation.rows(MARKET.start_ms)
    sim = VectorSim(MARKET, slots, RULES, 1)
    sim.reset(np.array([0]), np.array([first]), np.array([stop - 1]), ConfigArrays.of([RECIPE.trading]))
    earned = 0.0
    while not sim.state.done[0]:
        t = int(sim.t[0])
        step = sim.step(np.array([decide(policy, slots[t : t + 1], sim.private(), sim.mask()).action]))
        earned += float(step.reward[0])
    final = next(model for model in result.models if model.file == "final_model.safetensors")
    assert earned != 0.0
    assert final.validation_pct == pytest.approx(earned, abs=1e-9)


def test_greedy_is_replayed_over_validation_as_a_backtest_does_it(
    whole: tuple[Path, TrainingResult, list], tmp_path: Path
) -> None:
    def backtested(configs: dict[str, TradingConfig]) -> dict[str, float]:
        first, stop = SPLITS.validation.rows(MARKET.start_ms)
        groups = [Group(name, "greedy", config, 1, greedy_actor(MARKET)) for name, config in configs.items()]
        nlv = replay(MARKET, (first, stop - 1), RULES, groups).curves.nlv
        return dict(zip(configs, 100.0 * (nlv[-1] / nlv[0] - 1.0), strict=True))

    assert whole[1].greedy_validation_pct == pytest.approx(backtested({"own": RECIPE.trading}), abs=1e-9)
    drawn = RECIPE.model_copy(update={"sample_random_config": True})
    result = run(tmp_path, drawn, preset="aggressive", time_budget=0.0)
    assert next(iter(result.greedy_validation_pct)) == "aggressive", "first the one that chooses"
    assert result.greedy_validation_pct == pytest.approx(backtested(PRESETS), abs=1e-9)
    assert len(set(result.greedy_validation_pct.values())) == 3


def test_the_signs_of_the_whole_run_are_told_on_the_way_and_in_the_summary(
    whole: tuple[Path, TrainingResult, list], tmp_path: Path
) -> None:
    folder, result, told = whole
    rows = pd.read_parquet(folder / "out" / "metrics.parquet").to_dict("records")
    greedy = result.greedy_validation_pct["own"]
    assert result.health == judge(rows, greedy)
    assert told[3]["health"] == judge(rows[:4], greedy)
    assert any(sign.verdict != "unknown" for sign in result.health.signs)
    run(tmp_path, should_stop=stop_after(4))
    later: list[dict[str, Any]] = []
    assert run(tmp_path, on_progress=later.append).health == result.health, "earlier processes count"
    assert later[0]["health"] == told[4]["health"]


def test_a_resumed_run_is_the_undisturbed_run(
    whole: tuple[Path, TrainingResult, list], tmp_path: Path
) -> None:
    cut = run(tmp_path, should_stop=stop_after(4))
    assert (cut.finished, cut.reason, cut.updates) == (False, "stopped", 4)
    assert not list((tmp_path / "out").iterdir()), "a run told to stop publishes nothing"
    resumed = run(tmp_path)
    assert resumed.finished
    assert resumed.resumed_at == 4
    assert_same(content(whole[0]), content(tmp_path))


def test_a_damaged_resume_state_gives_way_to_the_one_before(
    whole: tuple[Path, TrainingResult, list],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(rl.train, "SAVE_SECONDS", 0.0)  # keep every update
    run(tmp_path, should_stop=stop_after(3))
    newest = tmp_path / "work" / "resume.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1000])
    shutil.copytree(tmp_path / "work", tmp_path / "again" / "work")
    resumed = run(tmp_path)
    assert resumed.resumed_at == 2
    assert "refused" in caplog.text
    assert_same(content(whole[0]), content(tmp_path))

    # With both gone the run starts over: losing time is better than refusing to train.
    before = tmp_path / "again" / "work" / "resume.prev.safetensors"
    before.write_bytes(b"nothing")
    over = run(tmp_path / "again", should_stop=stop_after(1))
    assert over.resumed_at == 0


def test_the_state_of_another_run_is_refused(tmp_path: Path) -> None:
    run(tmp_path, should_stop=stop_after(1))
    with pytest.raises(ArtifactError, match="belongs to another run"):
        run(tmp_path, RECIPE.model_copy(update={"seed": 9}))


def test_a_time_budget_cuts_cleanly_and_can_be_continued(
    whole: tuple[Path, TrainingResult, list], tmp_path: Path
) -> None:
    cut = run(tmp_path, time_budget=1e-3)
    assert (cut.finished, cut.reason, cut.updates) == (False, "time budget", 1)
    best = load_checkpoint(tmp_path / "out" / "best_model.safetensors")
    assert best.info.progress.validation_pct is not None
    assert len(pd.read_parquet(tmp_path / "out" / "metrics.parquet")) == 1
    further = run(tmp_path, time_budget=1e-3)
    assert further.updates == 2, "repeating it goes on training"
    assert run(tmp_path).finished
    assert_same(content(whole[0]), content(tmp_path))


KILLED = """
import sys
from pathlib import Path
import rl.policy
import rl.train
from tests.rl.test_train import EAGER, run
rl.policy.INITIAL_KIND = EAGER
rl.train.SAVE_SECONDS = 0.0
run(Path(sys.argv[1]))
"""


def test_a_run_killed_at_any_moment_goes_on_bit_for_bit(
    whole: tuple[Path, TrainingResult, list], tmp_path: Path
) -> None:
    command = [sys.executable, "-W", "ignore", "-c", KILLED, str(tmp_path)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.PIPE)
    state = tmp_path / "work" / "resume.prev.safetensors"
    try:
        while process.poll() is None and not state.exists():
            time.sleep(0.01)
        assert process.poll() is None, process.stderr.read().decode()
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    resumed = run(tmp_path)
    assert resumed.resumed_at >= 1
    assert_same(content(whole[0]), content(tmp_path))
    assert not list((tmp_path / "out").glob(".*")), "no half file is published"


def test_nothing_after_validation_is_looked_at(
    whole: tuple[Path, TrainingResult, list], tmp_path: Path
) -> None:
    _, stop = SPLITS.validation.rows(MARKET.start_ms)
    raw, mark, trail = MARKET.slot_raw.copy(), MARKET.mark.copy(), MARKET.trail24.copy()
    raw[stop:], trail[stop:] = 7.0, 7.0
    mark[stop:] *= 1.01
    run(tmp_path, market=dataclasses.replace(MARKET, slot_raw=raw, mark=mark, trail24=trail))
    assert_same(content(whole[0]), content(tmp_path))


def test_validation_chooses_but_does_not_teach(
    whole: tuple[Path, TrainingResult, list], tmp_path: Path
) -> None:
    first, _ = SPLITS.validation.rows(MARKET.start_ms)
    mark = MARKET.mark.copy()
    mark[first:] *= np.exp(np.random.default_rng(0).normal(0, 0.01, mark[first:].shape))
    run(tmp_path / "one", time_budget=0.0)
    run(tmp_path / "other", market=dataclasses.replace(MARKET, mark=mark), time_budget=0.0)
    one, other = (
        load_checkpoint(tmp_path / name / "out" / "final_model.safetensors") for name in ("one", "other")
    )
    assert one.weights_hash == other.weights_hash
    assert one.info.progress.validation_pct != other.info.progress.validation_pct


def test_a_number_that_is_none_stops_training_and_keeps_the_last_good_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, good = [], rl.trainer.gae

    def poisoned(*args: Any) -> tuple[np.ndarray, np.ndarray]:
        calls.append(0)
        advantage, returns = good(*args)
        return (advantage, returns * np.nan) if len(calls) == 3 else (advantage, returns)

    run(tmp_path / "healthy", should_stop=stop_after(2))
    monkeypatch.setattr(rl.trainer, "gae", poisoned)
    with pytest.raises(TrainingDiverged, match=r"^gradient of size_bias: .*value loss") as caught:
        run(tmp_path)
    kept = load_checkpoint(tmp_path / "work" / LAST_GOOD)
    assert str(tmp_path / "work" / LAST_GOOD) in str(caught.value)
    assert kept.info.progress.update == 2
    monkeypatch.setattr(rl.trainer, "gae", good)
    budget = run(tmp_path / "healthy", time_budget=0.0)
    assert budget.updates == 3
    assert all(tensor.isfinite().all() for tensor in kept.weights.values())


def test_where_an_update_spoiled_the_policy_the_state_before_that_update_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, good = [], rl.trainer.update

    def spoiling(policy: Any, *args: Any) -> Any:
        statistics = good(policy, *args)
        calls.append(0)
        if len(calls) == 3:
            with torch.no_grad():
                for parameter in policy.parameters():
                    parameter.mul_(1e30)  # finite, and nothing that can act
        return statistics

    monkeypatch.setattr(rl.trainer, "update", spoiling)
    with pytest.raises(TrainingDiverged, match=r"^log-probability: .*as the policy gave it"):
        run(tmp_path)
    kept = load_checkpoint(tmp_path / "work" / LAST_GOOD)
    assert kept.info.progress.update == 2, "the state after the third update could not act"
    monkeypatch.setattr(rl.trainer, "update", good)
    assert run(tmp_path / "again", start_from=kept).finished


def test_training_can_begin_from_a_checkpoint(
    whole: tuple[Path, TrainingResult, list], tmp_path: Path
) -> None:
    given: Checkpoint = load_checkpoint(whole[0] / "out" / "final_model.safetensors")
    training = RECIPE.model_copy(update={"learning_rate": 1e-12})
    result = run(tmp_path, training, start_from=given, time_budget=0.0)
    assert result.updates == 1
    now = load_checkpoint(tmp_path / "out" / "final_model.safetensors")
    for name, tensor in given.weights.items():
        assert torch.allclose(now.weights[name], tensor, atol=1e-9)
    assert now.optimizer["step"] > given.optimizer["step"], "Adam's moments go on"
    assert now.info.reward_scale.count > given.info.reward_scale.count


def test_one_policy_for_all_profiles_is_validated_under_each_preset(tmp_path: Path) -> None:
    training = RECIPE.model_copy(update={"sample_random_config": True, "num_episodes": 8})
    result = run(tmp_path, training, preset="aggressive", time_budget=0.0)
    row = pd.read_parquet(tmp_path / "out" / "metrics.parquet").iloc[-1]
    assert row["eval_return"] == row["eval_aggressive"] == result.best.validation_pct
    assert row[[f"eval_{name}" for name in PRESETS]].notna().all()


def test_the_first_of_named_profiles_chooses_and_no_preset_is_looked_at(tmp_path: Path) -> None:
    training = RECIPE.model_copy(update={"sample_random_config": True, "num_episodes": 8})
    own = PRESETS["moderate"].model_copy(update={"leverage": 10.0})
    named = {"10x": own, "moderate": PRESETS["moderate"]}
    result = run(tmp_path, training, judged_under=named, time_budget=0.0)
    row = pd.read_parquet(tmp_path / "out" / "metrics.parquet").iloc[-1]
    assert row["eval_return"] == result.best.validation_pct
    assert row[[f"eval_{name}" for name in PRESETS]].notna().tolist() == [
        name == "moderate" for name in PRESETS
    ]


def test_settings_of_the_process_are_restored(whole: tuple[Path, TrainingResult, list]) -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    before = torch.get_num_threads()
    with rl.train.torch_settings(2):
        assert torch.get_num_threads() == 2
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == before
    assert not torch.are_deterministic_algorithms_enabled()


def test_devices() -> None:
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(ConfigError, match="there is no device 'tpu'"):
        resolve_device("tpu")


def test_a_summary_is_plain_json(whole: tuple[Path, TrainingResult, list]) -> None:
    facts = json.loads((whole[0] / "out" / "training.json").read_text())
    assert facts["parameters"] == whole[1].parameters
    assert facts["models"][0]["file"] == "best_model.safetensors"
