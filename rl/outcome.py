"""What one policy came to in a replay: a row of every table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rl.judge.metrics import daily_returns, profit_split, return_pct, sharpe
from rl.market.arrays import MarketArrays
from rl.replay import Group, Replay, replay
from rl.sim.state import BUFFER_EXITS, INVALID, KINDS, LIQUIDATIONS, STALE_EXITS, STOP_EXITS, VOIDS
from schemas.backtest import PolicyName, PolicyResult
from schemas.trading import FUNDING_BOUNDARIES, FundingBoundary, MarketRules


def by_boundary(
    market: MarketArrays, window: tuple[int, int], rules: MarketRules, told: Replay
) -> dict[tuple[str, PolicyName], dict[FundingBoundary, float]]:
    """Return what the judged policy and greedy return under either boundary of funding, percent.

    The rule not chosen needs a second replay, of these policies alone: what they see of their funding
    differs, so they may decide otherwise.

    Args:
        market: The market.
        window: First and last row, both included.
        rules: The rules of the replay.
        told: The replay.
    """
    judged = [group for group in told.groups if group.policy in ("agent", "greedy")]
    returns: dict[tuple[str, PolicyName], dict[FundingBoundary, float]] = {}
    for boundary in FUNDING_BOUNDARIES:
        other = rules.model_copy(update={"funding_boundary": boundary})
        run = told if boundary == rules.funding_boundary else replay(market, window, other, judged)
        for group in judged:
            nlv = run.curves.nlv[:, run.rows(group).start]
            own = returns.setdefault((group.preset, group.policy), {})
            own[boundary] = return_pct(nlv, rules.initial_capital)
    return returns


def outcome(
    told: Replay,
    group: Group,
    initial: float,
    boundaries: Mapping[FundingBoundary, float],
    interest: float = 0.0,
) -> PolicyResult:
    """Sum up one policy under one preset; means over its runs.

    Args:
        told: The replay.
        group: The policy's runs.
        initial: Capital at the start, quote currency.
        boundaries: Its return under either boundary of funding, where it is judged.
        interest: What its cash has earned, quote currency; it is in the curves already.
    """
    own, state, curves = told.rows(group), told.state, told.curves
    returns = np.array([return_pct(curves.nlv[:, i], initial) for i in range(own.start, own.stop)])
    booked = dict(zip(KINDS, state.booked[own].mean(axis=0).tolist(), strict=True))
    counts = state.counts[own].mean(axis=0)
    hours = curves.hours[own]
    exposure, market_time = [], []
    for i in range(own.start, own.stop):
        k = slice(1, int(curves.hours[i]) + 1)
        exposure.append(float(np.mean(curves.gross_notional[k, i] / curves.nlv[k, i])))
        market_time.append(float(np.mean(curves.positions[k, i] > 0)))
    lived = int(hours[0]) + 1
    figure = sharpe(daily_returns(curves.time_ms[:lived], curves.nlv[:lived, own.start]))
    several = group.policy == "random"
    beaten = None
    if group.policy == "agent":
        rivals = [g for g in told.groups if g.preset == group.preset and g.policy == "random"]
        if rivals:
            beaten = int((told.curves.nlv[-1, told.rows(rivals[0])] < curves.nlv[-1, own.start]).sum())
    split = profit_split(
        booked, float(curves.unrealised[-1, own].mean()), float(curves.closing_costs[-1, own].mean())
    )
    return PolicyResult(
        preset=group.preset,
        policy=group.policy,
        runs=group.runs,
        return_pct=float(returns.mean()),
        return_p5_pct=float(np.percentile(returns, 5)) if several else None,
        return_p95_pct=float(np.percentile(returns, 95)) if several else None,
        return_pct_by_boundary=dict(boundaries),
        max_drawdown_pct=float(100.0 * state.max_drawdown[own].mean()),
        final_nlv=float(curves.nlv[-1, own].mean()),
        trades=float(state.serials[own].mean()),
        open_at_end=float(state.active[own].sum(axis=1).mean()),
        liquidations=float(counts[LIQUIDATIONS]),
        stale_exits=float(counts[STALE_EXITS]),
        stop_losses=float(counts[STOP_EXITS]),
        buffer_exits=float(counts[BUFFER_EXITS]),
        voids=float(counts[VOIDS]),
        invalid=float(counts[INVALID]),
        estimated_settlements=float(told.estimated[own].mean()),
        off_boundary_settlements=float(told.off_boundary[own].mean()),
        split=split.model_copy(update={"interest": interest}),
        turnover=float(told.traded[own].mean() / initial),
        exposure=float(np.mean(exposure)),
        time_in_market=float(np.mean(market_time)),
        hours=int(hours.max()),
        ended_early=float((hours < len(curves.time_ms) - 1).mean()),
        random_runs_beaten=beaten,
        days=figure.days,
        sharpe=None if several else figure.annual,
        sharpe_note="not claimed for a mean over runs" if several else figure.note,
    )
