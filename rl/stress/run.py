"""All stress tests of one policy on one window, and what else a sceptic asks of its profit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pandas as pd

from rl.judge.metrics import return_pct
from rl.stress.capacity import capacity
from rl.stress.concentration import concentration
from rl.stress.placebo_run import placebo
from rl.stress.subject import Subject, positions, summed_up
from rl.stress.transfers import transfers
from rl.stress.tries import stressed
from schemas.errors import DataError
from schemas.stress import STRESSES, StressReport, StressSettings

Progress = Callable[[str], None]


def run_stress(
    subject: Subject,
    opportunities: pd.DataFrame,
    history: pd.DataFrame | None,
    settings: StressSettings,
    *,
    version: str | None = None,
    data_hash: str = "",
    on_progress: Progress | None = None,
) -> StressReport:
    """Replay a policy under every stress, and take its plain run apart.

    Args:
        subject: The policy, its market, window, rules and risk profile.
        opportunities: The clean rows that the market was built of, in data-set order.
        history: The clean history rows; None where there is no history.
        settings: What cannot be read off the data.
        version: Name of the version.
        data_hash: Hash of the data.
        on_progress: Told what is being tried.

    Raises:
        DataError: The window is not inside the market.
    """
    market, (first, last), rules = subject.market, subject.window, subject.rules
    if not 0 <= first < last < market.n_hours:
        raise DataError(f"rows {first} to {last} are not a window of {market.n_hours} hours.", "window")
    say = on_progress or (lambda _: None)
    say("the plain run")
    told = subject.play()
    capital = rules.initial_capital
    plain = summed_up("plain", "Nothing is made worse.", told, capital, None)
    held = positions(told, market)
    impact_k = rules.impact_k or settings.impact_k
    outcomes = []
    for name in STRESSES:
        say(name)
        outcomes.append(stressed(name, subject, held, plain, impact_k))

    def return_at(other: float) -> float:
        """Return what the policy returns at another capital, percent."""
        say(f"a capital of {other:,.0f}")
        richer = rules.model_copy(update={"initial_capital": other, "impact_k": impact_k})
        return return_pct(subject.play(rules=richer).curves.nlv[:, 0], other)

    return StressReport(
        version=version,
        data_hash=data_hash,
        preset=subject.preset,
        start=datetime.fromtimestamp(market.hour_ms(first) / 1000, UTC),
        end=datetime.fromtimestamp(market.hour_ms(last) / 1000, UTC),
        initial_capital=capital,
        settings=settings,
        plain=plain,
        outcomes=tuple(outcomes),
        concentration=concentration(told, capital),
        transfers=transfers(
            told, held, market, window=subject.window, capital=capital, leverage=subject.config.leverage
        ),
        capacity=capacity(held, market, capital=capital, impact_k=impact_k, return_at=return_at),
        placebo=placebo(subject, told, opportunities, history, settings, say),
    )
