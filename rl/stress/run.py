"""All stress tests of one policy on one window, and what else a sceptic asks of its profit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from rl.judge.gates import counted, percent
from rl.judge.metrics import return_pct
from rl.market.arrays import HOUR_MS, MarketArrays
from rl.stress.capacity import capacity
from rl.stress.concentration import concentration
from rl.stress.placebo import deal_rates, placebo_market
from rl.stress.subject import Subject, positions, summed_up
from rl.stress.transfers import transfers
from rl.stress.tries import stressed
from schemas.errors import DataError
from schemas.stress import (
    STRESSES,
    Placebo,
    PlaceboRun,
    StressReport,
    StressSettings,
)

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
        placebo=placebo(subject, opportunities, history, settings, say),
    )


def placebo(
    subject: Subject,
    opportunities: pd.DataFrame,
    history: pd.DataFrame | None,
    settings: StressSettings,
    say: Progress = lambda _: None,
) -> Placebo:
    """Replay a policy on markets whose settled rates were dealt anew.

    Args:
        subject: The policy and its run; its window is kept by time.
        opportunities: Clean opportunity rows, in data-set order.
        history: Clean history rows.
        settings: How many runs, and their seed.
        say: Told what is being tried.
    """
    if history is None or history.empty:
        text = "There is no market history, so no settled rate is known and there is no placebo."
        return Placebo(sentence=text)
    dealt = deal_rates(history, np.random.default_rng([settings.seed, 0]))
    if not dealt.moved:
        text = "No two instruments of one interval ever settled in one hour, so there is no placebo."
        return Placebo(dealt=0, settled=dealt.settled, sentence=text)
    runs = []
    for number in range(settings.placebo_runs):
        say(f"placebo {number + 1} of {settings.placebo_runs}")
        rng = np.random.default_rng([settings.seed, number])
        try:
            market = placebo_market(opportunities, history, subject.rules, rng)
        except DataError:  # every row has a leg that the history does not know
            text = "The market history knows none of the pairs on offer, so there is no placebo."
            return Placebo(dealt=dealt.moved, settled=dealt.settled, sentence=text)
        window = _same_hours(subject, market)
        if window is None:
            text = (
                "The market history knows none of the pairs on offer in the window, so there is no placebo."
            )
            return Placebo(dealt=dealt.moved, settled=dealt.settled, sentence=text)
        told = subject.play(market=market, window=window)
        run = summed_up("placebo", "", told, subject.rules.initial_capital, None)
        runs.append(PlaceboRun(return_pct=run.return_pct, carry_pct=run.carry_pct, trades=run.trades))
    returns = [run.return_pct for run in runs]
    span = f"{percent(min(returns))} to {percent(max(returns))}"
    text = (
        f"On {counted(len(runs), 'market')} whose settled rates were dealt anew each hour the policy "
        f"returned {percent(float(np.mean(returns)))} on average ({span})."
    )
    return Placebo(runs=tuple(runs), dealt=dealt.moved, settled=dealt.settled, sentence=text)


def _same_hours(subject: Subject, market: MarketArrays) -> tuple[int, int] | None:
    """Return the window's rows in a market of the same hours or fewer; None where it has none of them."""
    first, last = ((subject.market.hour_ms(row) - market.start_ms) // HOUR_MS for row in subject.window)
    first, last = max(first, 0), min(last, market.n_hours - 1)
    return (first, last) if first < last else None
