"""A training run in memory: what the learner does to rewards, its optimizer, and what it logs."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rl.train
import rl.trainer
from rl.assignment import Assignment
from rl.checkpoint import load_checkpoint, save_checkpoint
from rl.potential import MIN_EXPOSURE
from rl.resume import ResumeState
from rl.trainer import Trainer
from schemas.trading import TradingConfig
from schemas.training import Recipe, TrainingConfig
from tests.rl.test_train import MARKET, RECIPE, RULES, SCALER, SPLITS, run, stop_after


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl.policy.INITIAL_KIND", (0.3, 0.5, 0.2))  # rewards must not all be 0


def trainer_of(**recipe: Any) -> Trainer:
    training = RECIPE.model_copy(update=recipe)
    device = torch.device("cpu")
    trainer = Trainer(Assignment(MARKET, SPLITS, SCALER, training, "moderate", RULES, "d", device))
    trainer.begin()
    return trainer


def learnt_from(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Make one update; return the rewards advantages were made of."""
    seen, gae = [], rl.trainer.gae

    def look(reward: np.ndarray, *rest: Any) -> tuple[np.ndarray, np.ndarray]:
        seen.append(reward.copy())
        return gae(reward, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(rl.trainer, "gae", look)
        trainer.step()
    return seen[0]


def test_defaults_are_those_the_algorithm_was_published_with_or_this_market_asks_for() -> None:
    recipe = Recipe()
    assert (recipe.gamma, recipe.gae_lambda) == (0.999, 0.9)
    assert (recipe.clip, recipe.max_grad_norm, recipe.value_coef, recipe.anneal) == (0.2, 0.5, 0.5, True)
    adam = trainer_of().optimizer
    assert isinstance(adam, torch.optim.Adam)
    assert adam.defaults["eps"] == 1e-5
    assert (adam.defaults["betas"], adam.defaults["weight_decay"]) == ((0.9, 0.999), 0)


@pytest.mark.parametrize("drawn", [True, False])
def test_the_learner_and_not_the_environment_scales_rewards(
    monkeypatch: pytest.MonkeyPatch, drawn: bool
) -> None:
    trainer = trainer_of(sample_random_config=drawn, trading=TradingConfig(leverage=4.0))
    given: list[np.ndarray] = []
    step = trainer.stage.step

    def look(action: np.ndarray) -> Any:
        given.append(
            np.stack((trainer.stage.runner.sim.state.leverage, trainer.stage.runner.sim.state.utilization))
        )
        return step(action)

    monkeypatch.setattr(trainer.stage, "step", look)
    seen = learnt_from(trainer, monkeypatch)
    leverage, utilization = np.stack(given, 1)  # (T, N), of the profile that was acted under
    exposure = np.maximum(leverage * utilization, MIN_EXPOSURE)
    percent = trainer.rollout.reward
    assert (percent != 0).any()
    assert np.unique(exposure).size >= (4 if drawn else 1)
    np.testing.assert_allclose(seen, percent / exposure / trainer.reward_scaler.deviation, rtol=1e-5)


def test_logged_rewards_stay_in_percent() -> None:
    trainer = trainer_of()
    earned = np.zeros(trainer.shape.n_envs)
    episodes: list[float] = []
    while not episodes:
        row = trainer.step()
        rollout = trainer.rollout
        assert row["hourly_reward"] == rollout.reward.mean()
        for t in range(rollout.shape[0]):
            earned += rollout.reward[t]
            over = rollout.terminated[t] | rollout.truncated[t]
            episodes += earned[over].tolist()
            earned[over] = 0.0
    assert row["reward_mean"] == pytest.approx(np.mean(episodes), rel=1e-9)
    assert row["mean_100"] == pytest.approx(np.mean(episodes), rel=1e-9)
    assert row["reward_scale"] == trainer.reward_scaler.deviation != 1.0


def test_a_checkpoint_holds_the_scale_of_rewards(tmp_path: Path) -> None:
    trainer = trainer_of()
    trainer.step()
    save_checkpoint(tmp_path / "model.safetensors", trainer.checkpoint())
    kept = load_checkpoint(tmp_path / "model.safetensors").info
    scale = kept.reward_scale
    assert np.sqrt(scale.spread / scale.count) == trainer.reward_scaler.deviation
    assert kept.training.trading == trainer.assignment.training.trading, "leverage and utilization"
    again = Trainer(dataclasses.replace(trainer.assignment, start_from=None))
    again.restore(*trainer.state())
    assert again.reward_scaler.deviation == trainer.reward_scaler.deviation
    assert (again.reward_scaler.running == trainer.reward_scaler.running).all()


def test_the_learning_rate_is_annealed_to_nearly_zero() -> None:
    trainer = trainer_of(learning_rate=1e-3)
    rates = []
    for i in range(trainer.shape.updates):
        assert trainer.step()["lr"] == trainer.optimizer.param_groups[0]["lr"]
        rates.append(trainer.optimizer.param_groups[0]["lr"])
        assert rates[-1] == pytest.approx(1e-3 * (1 - i / trainer.shape.updates))
    assert rates[-1] <= 1e-3 / trainer.shape.updates * 1.001


def test_what_an_update_found_is_what_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, update = [], rl.trainer.update
    monkeypatch.setattr(rl.trainer, "update", lambda *args: kept.append(update(*args)) or kept[-1])
    row = trainer_of().step()
    for name, value in dataclasses.asdict(kept[0]).items():
        assert row[name] == value
    assert {"kl", "clip_fraction", "explained_variance", "grad_norm"} <= row.keys()


def test_training_runs_on_the_threads_it_records_and_on_deterministic_algorithms(tmp_path: Path) -> None:
    seen = []

    def look(row: dict[str, Any]) -> None:
        seen.append((torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()))

    training = TrainingConfig(**dict(RECIPE) | {"threads": 2})
    result = run(tmp_path, training, on_progress=look, time_budget=0.0)
    assert seen == [(2, True)]
    assert result.threads == 2
    checkpoint = load_checkpoint(tmp_path / "out" / "final_model.safetensors")
    assert checkpoint.info.training.threads == 2


def test_where_a_run_stands_is_kept_at_least_every_ten_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    clock, step, save = Clock(), Trainer.step, ResumeState.save
    kept: list[tuple[float, int]] = []

    def slow(self: Trainer) -> dict[str, float]:
        clock.now += 3.0
        return step(self)

    def note(self: ResumeState, tensors: Any, document: Any) -> None:
        kept.append((clock.now, document["info"]["progress"]["update"]))
        save(self, tensors, document)

    monkeypatch.setattr(rl.train, "time", clock)
    monkeypatch.setattr(Trainer, "step", slow)
    monkeypatch.setattr(ResumeState, "save", note)
    longer = RECIPE.model_copy(update={"n_epochs": 1, "num_episodes": 64})
    run(tmp_path, longer, should_stop=stop_after(8))
    assert max(np.diff([0.0, *(at for at, _ in kept)])) <= 10.0
    assert kept[-1] == (24.0, 8), "and when it is told to stop"
    assert [update for _, update in kept] == [int(at / 3) for at, _ in kept]
