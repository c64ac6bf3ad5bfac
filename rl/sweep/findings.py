"""What may be said of a sweep: the best trial, how far others are from it, and how much of that is luck."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from rl.judge.sharpe import expected_maximum
from schemas.sweep import SweepSummary, TrialResult


@dataclass(frozen=True)
class Luck:
    """What the best of some equally good recipes would show.

    Attributes:
        by_seeds: The noise is measured between seeds of the same trial; else the spread over trials stands
            for it, which also holds what recipes have to do with it.
        deviation: Of a trial's validation return, percent.
        mean: Of all complete trials.
        expected: Return that the best of them would be expected to show by chance alone.
    """

    by_seeds: bool
    deviation: float
    mean: float
    expected: float


@dataclass(frozen=True)
class Findings:
    """The result in words: one sentence for the top of a page, and what has to be said with it."""

    headline: str
    details: tuple[str, ...]


def luck(summary: SweepSummary) -> Luck | None:
    """Return what chance alone would show; None with fewer than two complete trials."""
    complete = [trial for trial in summary.complete if trial.value is not None]
    if len(complete) < 2:
        return None
    values = [trial.value for trial in complete if trial.value is not None]
    seeds = len(summary.seeds)
    if seeds > 1:
        within = statistics.fmean(statistics.variance(trial.values) for trial in complete)
        deviation = math.sqrt(within / seeds)
    else:
        deviation = statistics.stdev(values)
    mean = statistics.fmean(values)
    return Luck(seeds > 1, deviation, mean, mean + deviation * expected_maximum(len(values)))


def alike(summary: SweepSummary) -> tuple[TrialResult, ...]:
    """Return the complete trials that the best one is not ahead of beyond doubt, by validation.

    With several seeds: those within two deviations of the difference between two trials. With one seed
    nothing tells how much of a difference is chance; then nothing is returned.
    """
    best, chance = summary.best, luck(summary)
    if best is None or best.value is None or chance is None or not chance.by_seeds:
        return ()
    reach = 2.0 * math.sqrt(2.0) * chance.deviation
    near = [
        t for t in summary.complete if t.value is not None and best.value - t.value <= reach and t != best
    ]
    return tuple(sorted(near, key=lambda trial: -(trial.value or 0.0)))


def findings(summary: SweepSummary) -> Findings:
    """Return the result in words."""
    best = summary.best
    pruned, diverged = summary.count("pruned"), summary.count("diverged")
    counted = f"{len(summary.trials)} trials, {pruned} pruned"
    counted += f", {diverged} diverged" if diverged else ""
    if best is None or best.value is None:
        return Findings(f"No trial was trained to its end: {counted}.", ())
    if best.value <= 0:
        headline = (
            f"No recipe is better than holding: the best of {counted}, returns {best.value:+.2f} % on "
            "validation."
        )
    elif best.number == 0:
        headline = f"The recipe as it stands is the best of {counted}: {best.value:+.2f} % on validation."
    else:
        headline = f"Trial {best.number} is the best of {counted}: {best.value:+.2f} % on validation."
    return Findings(headline, tuple(_details(summary, best)))


def _details(summary: SweepSummary, best: TrialResult) -> list[str]:
    said = []
    values = sorted(trial.value for trial in summary.complete if trial.value is not None)
    first = summary.trials[0]
    if best.number != 0 and first.value is not None:
        said.append(f"The recipe as it stands (trial 0) returned {first.value:+.2f} %.")
    if len(best.values) > 1:
        low, high = min(best.values), max(best.values)
        said.append(f"The best trial's {len(best.values)} seeds returned {low:+.2f} to {high:+.2f} %.")
    if len(values) > 1:
        top = values[-5:]
        rest = f", all {len(values)} between {values[0]:+.2f} and {values[-1]:+.2f} %"
        said.append(
            f"The {len(top)} best complete trials lie between {top[0]:+.2f} and {top[-1]:+.2f} %"
            f"{rest if len(values) > len(top) else ''}."
        )
    chance = luck(summary)
    if chance is not None and chance.deviation == 0:
        said.append("All of them are equal, so that there is nothing to choose between.")
    elif chance is not None:
        source = "seeds of one recipe differ" if chance.by_seeds else "these trials differ"
        said.append(
            f"The best of {len(values)} is an optimistic figure: were all recipes equally good and results "
            f"spread as {source} (deviation {chance.deviation:.2f} %), the best would be expected at "
            f"{chance.expected:+.2f} %."
        )
        if chance.by_seeds:
            near = len(alike(summary))
            said.append(
                f"So many seeds do not tell {near} other trial{'s' if near > 1 else ''} apart from it."
                if near
                else "No other trial is within two deviations of it."
            )
        else:
            said.append("One seed each does not tell how much of a difference is luck; --seeds 3 would.")
    said.append("The sealed test window was not opened.")
    return said
