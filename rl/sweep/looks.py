"""Pruning: the looks at validation that a training has had, held against those of earlier trials.

The median stopping rule of Golovin et al., "Google Vizier" (2017), as Optuna's `MedianPruner` has it: a trial
ends at a rung where its best look so far is below the median of what earlier complete trials had reached.
The bars are known before a trial begins, so that what becomes of it follows from them and its own looks.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from schemas.sweep import Look, SweepConfig, TrialResult

Bar = tuple[int, float]  # episodes of the rung, and the return on validation that has to be reached


def best_by(looks: Sequence[Look], episodes: int) -> float | None:
    """Return the best of the looks up to a rung, the first one at or after it included; None before it.

    Args:
        looks: In the order of training.
        episodes: The rung.
    """
    best = None
    for trained, value in looks:
        best = value if best is None else max(best, value)
        if trained >= episodes:
            return best
    return None


def missed(looks: Sequence[Look], bars: Sequence[Bar]) -> tuple[int, float] | None:
    """Return where a training falls short first: how many looks it had had by then, and the bar.

    Args:
        looks: In the order of training.
        bars: By rung, rising.
    """
    for episodes, bar in bars:
        best = best_by(looks, episodes)
        if best is not None and best < bar:
            had = next(count for count, look in enumerate(looks, start=1) if look[0] >= episodes)
            return had, bar
    return None


def bars(config: SweepConfig, num_episodes: int, earlier: Sequence[TrialResult]) -> tuple[Bar, ...]:
    """Return what the first seed of the next trials has to reach at each rung; empty until enough is known.

    Args:
        config: Of the sweep.
        num_episodes: Of each training.
        earlier: The trials of the batches before.
    """
    complete = [trial for trial in earlier if trial.state == "complete"]
    if len(complete) < config.bar_after:
        return ()
    found = []
    for episodes in config.rung_episodes(num_episodes):
        reached = [best_by(trial.runs[0].looks, episodes) for trial in complete]
        there = [value for value in reached if value is not None]
        if there:
            found.append((episodes, statistics.median(there)))
    return tuple(found)
