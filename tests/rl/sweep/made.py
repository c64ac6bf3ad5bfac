"""Trials that nobody trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from schemas.sweep import SeedRun, SweepConfig, SweepSummary, TrialResult
from schemas.training import TrainingConfig

CONFIG = SweepConfig.model_validate(
    {
        "space": {
            "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
            "n_epochs": {"low": 1, "high": 8},
            "batch_size": {"choices": [512, 1024, 2048]},
            "gae_lambda": {"low": 0.5, "high": 0.99},
        },
        "random_trials": 4,
        "bar_after": 1,
    }
)
EPISODES = 100


def made_run(looks: Sequence[tuple[int, float]], state: str = "complete", seed: int = 0) -> SeedRun:
    """Return a training with these looks."""
    facts: dict[str, Any] = {"seed": seed, "state": state, "looks": tuple(looks), "trial": "t" * 16}
    if state == "complete":
        facts |= {"version": "v" * 12, "model": f"train/{'0' * 64}", "greedy_pct": 0.05}
    return SeedRun(**facts)


def made_trial(
    number: int,
    params: Mapping[str, float],
    *values: float,
    state: str = "complete",
    looks: Sequence[tuple[int, float]] | None = None,
) -> TrialResult:
    """Return a trial whose seeds end with these values, or a pruned or diverged one with these looks."""
    runs = [
        made_run(
            looks if looks is not None else [(25, value - 1), (50, value - 0.5), (100, value)], state, seed
        )
        for seed, value in enumerate(values or (0.0,))
    ]
    return TrialResult(number=number, params=dict(params), runs=tuple(runs))


def made_summary(trials: Sequence[TrialResult], seeds: int = 1, **more: Any) -> SweepSummary:
    """Return a sweep of these trials."""
    day = datetime(2025, 9, 1, tzinfo=UTC)
    return SweepSummary.model_validate(
        {
            "data_hash": "d" * 64,
            "preset": "moderate",
            "config": CONFIG,
            "seed": 0,
            "seeds": tuple(range(seeds)),
            "base": TrainingConfig(num_episodes=EPISODES),
            "validation": (day, day.replace(day=9)),
            "trials": tuple(trials),
            "importance": {},
            "optuna": "5.0.0",
            **more,
        }
    )
