"""Evidence that stands, to take one thing from at a time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from schemas.evidence import Comparison, Evidence, Interval


def between(low: float, high: float) -> Interval:
    """An interval, percent a year."""
    return Interval(mean=(low + high) / 2 / 365, low=low / 365, high=high / 365)


def against(low: float = 1.0, high: float = 9.0, blocks: int = 40, block_days: int = 1) -> Comparison:
    return Comparison(
        excess=between(low, high), days=blocks * block_days, block_days=block_days, blocks=blocks
    )


def proof(**changes: Any) -> Evidence:
    facts: dict[str, Any] = {
        "source": "test window",
        "start": datetime(2025, 3, 1, tzinfo=UTC),
        "end": datetime(2025, 4, 10, tzinfo=UTC),
        "days": 40,
        "block_days": 1,
        "blocks": 40,
        "persistence": 0.0,
        "effective_days": 40.0,
        "seeds": 1,
        "confidence": 0.95,
        "cash_apr": 0.0,
        "over_cash": between(3.0, 9.0),
        "over_greedy": against(),
        "over_champion": against(),
        "sharpe": 5.0,
        "trials": 7,
        "trial_variance": 0.02,
        "variance_source": "trials",
        "sharpe_of_luck": 1.0,
        "deflated_sharpe": 0.99,
        "minimum_days": 20.0,
    }
    return Evidence.model_validate(facts | changes)
