"""Short trials of training and inference, to know before a long run that it will go, and how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from rl.checkpoint import load_checkpoint
from rl.decide import HOLD, decide
from rl.market.arrays import MarketArrays
from rl.market.scaler import Scaler
from rl.market.splits import Splits
from rl.policy import Policy, count_parameters
from rl.sim.env import VectorSim
from rl.sim.state import ConfigArrays
from rl.train import train
from schemas.readiness import EpisodeFacts, Pace, TestFacts
from schemas.trading import PRESETS, MarketRules
from schemas.training import Recipe, TrainingConfig

TRAINING_EPISODES: Final = 10
INFERENCE_EPISODES: Final = 5
DAY: Final = 24
PACE_STEPS: Final = 24  # of each environment: enough to time an update, short enough to wait for


@dataclass(frozen=True)
class Bench:
    """What the trials run on; `scratch` is a folder they may fill."""

    market: MarketArrays
    splits: Splits
    scaler: Scaler
    rules: MarketRules
    scratch: Path


def parameters() -> int:
    """Return the parameter count of the policy."""
    return count_parameters(Policy())


def train_briefly(bench: Bench) -> TestFacts:
    """Train ten one-day episodes with drawn risk profiles, and write and read their checkpoints."""
    episodes: list[EpisodeFacts] = []

    def note(row: dict[str, Any]) -> None:
        losses = {name: float(row[name]) for name in ("policy_loss", "value_loss", "entropy")}
        for done in row["finished"]:
            episodes.append(EpisodeFacts(reward_pct=done.reward, length=done.length, **losses))

    started = time.monotonic()
    out = bench.scratch / "out"
    training = TrainingConfig(
        num_episodes=TRAINING_EPISODES,
        episode_hours=DAY,
        n_envs=2,
        n_cohorts=2,
        rollout_steps=DAY,
        batch_size=32,
        eval_every=TRAINING_EPISODES // 2,
        save_every=TRAINING_EPISODES // 2,
    )
    train(
        bench.market,
        bench.splits.model_copy(update={"episode_hours": min(DAY, bench.splits.episode_hours)}),
        bench.scaler,
        training,
        rules=bench.rules,
        data_hash="",
        work_dir=bench.scratch / "work",
        out_dir=out,
        on_progress=note,
    )
    files = sorted(out.glob("*.safetensors"))
    for file in files:
        load_checkpoint(file)
    return _facts(episodes[:TRAINING_EPISODES], started, tuple(file.name for file in files))


def infer(bench: Bench, checkpoint: Path) -> TestFacts:
    """Load a checkpoint and let it decide through five one-day episodes of validation.

    Args:
        bench: The market.
        checkpoint: The file.
    """
    started = time.monotonic()
    loaded = load_checkpoint(checkpoint)
    policy = loaded.policy()
    sim = VectorSim(bench.market, loaded.scaler().scale(bench.market.slot_raw), bench.rules, 1)
    first, stop = bench.splits.validation.rows(bench.market.start_ms)
    length = min(DAY, stop - 1 - first)
    starts = np.linspace(first, stop - 1 - length, INFERENCE_EPISODES).astype(np.int64)
    config = ConfigArrays.of([PRESETS["moderate"]])
    episodes = []
    for start in starts:
        at = np.array([start])
        sim.reset(np.array([0]), at, at + length, config)
        total, steps = 0.0, 0
        while not sim.state.done[0]:
            mask, t = sim.mask(), int(sim.t[0])
            action = HOLD
            if mask.sum() > 1:
                action = decide(policy, sim.slots[t : t + 1], sim.private(), mask).action
            total += float(sim.step(np.array([action])).reward[0])
            steps += 1
        episodes.append(EpisodeFacts(reward_pct=total, length=steps))
    return _facts(episodes, started)


def pace(bench: Bench, recipe: Recipe) -> Pace:
    """Make one update of a recipe and work out how long a training takes.

    Args:
        bench: The market.
        recipe: The recipe whose speed is asked for.
    """
    shorter = {"rollout_steps": min(PACE_STEPS, recipe.rollout_steps)}
    training = TrainingConfig(**(dict(recipe) | shorter), num_episodes=2000)
    result = train(
        bench.market,
        bench.splits,
        bench.scaler,
        training,
        rules=bench.rules,
        data_hash="",
        work_dir=bench.scratch / "pace-work",
        out_dir=bench.scratch / "pace-out",
        time_budget=1e-3,  # at least one update is made
    )
    a_minute = result.steps_per_second * 60.0 / result.episode_hours
    return Pace(
        steps_per_second=result.steps_per_second,
        episode_hours=result.episode_hours,
        episodes_per_minute=a_minute,
        minutes_for_1000=1000.0 / a_minute,
        minutes_for_2000=2000.0 / a_minute,
    )


def _facts(episodes: list[EpisodeFacts], started: float, checkpoints: tuple[str, ...] = ()) -> TestFacts:
    rewards = np.array([episode.reward_pct for episode in episodes])
    return TestFacts(
        episodes=tuple(episodes),
        mean_pct=float(rewards.mean()),
        deviation_pct=float(rewards.std()),
        seconds=time.monotonic() - started,
        checkpoints=checkpoints,
    )
