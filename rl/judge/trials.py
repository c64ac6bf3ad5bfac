"""How many were tried before the one that is judged, and how much their Sharpe ratios differ.

Read from a book's ledger, whose lines are data like any other: what an old line does not tell is not known.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

JOINED: Final = "walk-forward"  # purpose of openings whose windows lie end to end and make one curve


@dataclass(frozen=True)
class Trials:
    """What was tried on a window.

    Attributes:
        count: Distinct trials opened on windows that overlap it, the one judged included; at least 1.
        scores: Of those whose daily returns are known, the daily Sharpe ratio times sqrt(days): their
            variance is 1 for independent trials without skill, however long the window of each was.
    """

    count: int = 1
    scores: tuple[float, ...] = ()

    def variance(self, days: float) -> float | None:
        """Return the variance of the trials' daily Sharpe ratios on so many days; None with too few known."""
        return float(np.var(self.scores, ddof=1)) / days if len(self.scores) > 1 else None


@dataclass
class _Opened:
    """What the ledger tells of one trial on the window that is judged."""

    spans: list[tuple[datetime, datetime]] = field(default_factory=list)
    whole: bool = False  # opened on its own, and not only as a fold
    score: float | None = None


def count_trials(
    lines: Sequence[Mapping[str, Any]], start: datetime, end: datetime, *, preset: str, own: str = ""
) -> Trials:
    """Count the distinct trials that were opened on windows that overlap [start, end).

    The same trial opened again counts once, under whatever profile, config or purpose. The folds of a
    walk-forward lie end to end and are judged as one curve: of them count as many as were opened on the same
    hours.

    Args:
        lines: The openings of one book's ledger; other lines are passed over.
        start: Of the window that is judged, UTC.
        end: Of it.
        preset: The risk profile whose Sharpe ratios are looked at.
        own: The trial that is judged, which counts also if the ledger does not know it.
    """
    found: dict[str, _Opened] = {own: _Opened(whole=True)} if own else {}
    for line in lines:
        name, window = _identity(line), _window(line)
        if name is None or window is None or not (window[0] < end and start < window[1]):
            continue
        trial = found.setdefault(name, _Opened())
        trial.spans.append((max(window[0], start), min(window[1], end)))
        trial.whole = trial.whole or line.get("purpose") != JOINED
        trial.score = _score(line, preset) if trial.score is None else trial.score
    whole = sum(trial.whole for trial in found.values())
    folds = [trial.spans[0] for trial in found.values() if not trial.whole]
    scores = tuple(trial.score for trial in found.values() if trial.score is not None)
    return Trials(max(whole + _deepest(folds), 1), scores)


def _identity(line: Mapping[str, Any]) -> str | None:
    """Return the trial an opening is of, or what stands for it in a line that knows none."""
    if line.get("kind", "opening") != "opening":
        return None
    name = line.get("trial") or line.get("version")
    return str(name) if name else None


def _window(line: Mapping[str, Any]) -> tuple[datetime, datetime] | None:
    try:
        start, end = (datetime.fromisoformat(text) for text in line["window"])
    except (KeyError, TypeError, ValueError):
        return None
    return _utc(start), _utc(end)


def _utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _score(line: Mapping[str, Any], preset: str) -> float | None:
    try:
        told = line["daily_sharpe"][preset]
        score = float(told["sharpe"]) * math.sqrt(float(told["days"]))
    except (KeyError, TypeError, ValueError):
        return None
    return score if math.isfinite(score) else None


def _deepest(spans: Sequence[tuple[datetime, datetime]]) -> int:
    """Return the greatest number of half-open spans that cover one moment."""
    edges = sorted([(a, 1) for a, _ in spans] + [(b, -1) for _, b in spans])
    depth = deepest = 0
    for _, step in edges:
        depth += step
        deepest = max(deepest, depth)
    return deepest
