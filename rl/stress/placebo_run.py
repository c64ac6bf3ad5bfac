"""Replaying a policy on placebo markets, and what its returns there are made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from rl.judge.gates import counted, percent
from rl.market.arrays import HOUR_MS, MarketArrays
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.replay import Replay
from rl.stress.placebo import common_funding, deal_rates, retold
from rl.stress.subject import Subject, summed_up
from schemas.errors import DataError
from schemas.stress import Placebo, PlaceboRun, StressSettings


def placebo(
    subject: Subject,
    plain: Replay,
    opportunities: pd.DataFrame,
    history: pd.DataFrame | None,
    settings: StressSettings,
    say: Callable[[str], None] = lambda _: None,
) -> Placebo:
    """Replay a policy on markets whose settled rates were dealt anew.

    Args:
        subject: The policy and its run; its window is kept by time.
        plain: The plain run.
        opportunities: Clean opportunity rows, in data-set order.
        history: Clean history rows.
        settings: How many runs, and their seed.
        say: Told what is being tried.
    """
    if history is None or history.empty:
        return Placebo(sentence="There is no market history, so no settled rate is known and no placebo.")
    true = _measured(subject, plain, history)
    runs: list[PlaceboRun] = []
    found = Placebo(plain=true, sentence="")
    for number in range(settings.placebo_runs):
        say(f"placebo {number + 1} of {settings.placebo_runs}")
        dealt = deal_rates(history, np.random.default_rng([settings.seed, number]))
        found = found.model_copy(update={"dealt": dealt.moved, "settled": dealt.settled})
        if not dealt.moved:
            text = "No two instruments of one interval ever settled in one hour, so there is no placebo."
            return found.model_copy(update={"sentence": text})
        rows = retold(opportunities, dealt.history)
        unknown = "The market history knows none of the pairs on offer in the window, so there is no placebo."
        try:
            market = assemble(list(build_days(rows, dealt.history)), subject.rules)
        except DataError:  # no row is left
            return found.model_copy(update={"sentence": unknown})
        window = _same_hours(subject, market)
        if window is None:
            return found.model_copy(update={"sentence": unknown})
        runs.append(_measured(subject, subject.play(market=market, window=window), dealt.history))
    beyond = [run.beyond_pct for run in runs]
    text = (
        f"Beyond what the rates of an hour have in common, the policy made {percent(true.beyond_pct)}; on "
        f"{counted(len(runs), 'market')} whose settled rates were dealt anew each hour it made "
        f"{percent(float(np.mean(beyond)))} ({percent(min(beyond))} to {percent(max(beyond))})."
    )
    return found.model_copy(update={"runs": tuple(runs), "sentence": text})


def _measured(subject: Subject, told: Replay, history: pd.DataFrame) -> PlaceboRun:
    """Split the return of a replay of one run."""
    capital = subject.rules.initial_capital
    run = summed_up("placebo", "", told, capital, None)
    common = 100.0 * common_funding(told.flows, history) / capital
    return PlaceboRun(
        return_pct=run.return_pct,
        common_pct=common,
        beyond_pct=run.return_pct - common,
        trades=run.trades,
    )


def _same_hours(subject: Subject, market: MarketArrays) -> tuple[int, int] | None:
    """Return the window's rows in a market of the same hours or fewer; None where it has none of them."""
    first, last = ((subject.market.hour_ms(row) - market.start_ms) // HOUR_MS for row in subject.window)
    first, last = max(first, 0), min(last, market.n_hours - 1)
    return (first, last) if first < last else None
