"""One window of the market, replayed once per preset by a policy and by what it has to beat."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rl.baselines import HOLD, cash, greedy, random_valid
from rl.decide import decide, encode_hour
from rl.judge.metrics import daily_returns, overlap_hours, profit_split, return_pct, sharpe
from rl.market.arrays import HOUR_MS, Bool, MarketArrays
from rl.market.scaler import Scaler
from rl.policy import MarketCode, Policy
from rl.replay import Actor, Group, Replay, replay
from rl.sim.state import BUFFER_EXITS, INVALID, KINDS, LIQUIDATIONS, STALE_EXITS, STOP_EXITS, VOIDS
from schemas.backtest import BacktestSummary, PolicyName, PolicyResult, TrainedWindow
from schemas.errors import DataError
from schemas.trading import FUNDING_BOUNDARIES, FundingBoundary, MarketRules, TradingConfig

LIBRARIES = ("numpy", "pandas", "pyarrow", "torch")


def agent_actor(policy: Policy, scaler: Scaler, market: MarketArrays) -> Actor:
    """Let a trained policy decide, one state at a time, exactly as it would outside a backtest.

    Args:
        policy: The policy.
        scaler: The scaler it was trained with.
        market: The market it looks at.
    """
    slots = scaler.scale(market.slot_raw)
    encoded: dict[int, MarketCode] = {}  # the newest hour only; every preset asks for it

    def act(t: int, private: NDArray[np.float32], mask: Bool) -> NDArray[np.integer]:
        actions = np.full(len(mask), HOLD, np.int64)
        hour = slots[t : t + 1]
        for i in np.nonzero(mask.sum(axis=1) > 1)[0]:  # where only hold is valid there is nothing to decide
            if t not in encoded:
                encoded.clear()
                encoded[t] = encode_hour(policy, hour)
            actions[i] = decide(policy, hour, private[i : i + 1], mask[i : i + 1], encoded[t]).action
        return actions

    return act


def cash_actor() -> Actor:
    """Let nobody decide."""
    return lambda t, private, mask: cash(mask)


def greedy_actor(market: MarketArrays) -> Actor:
    """Let the greedy baseline decide from what is on offer at t."""
    return lambda t, private, mask: greedy(market.slot_raw[t], private, mask)


def random_actor(first: int, hours: int, runs: int, seed: int) -> Actor:
    """Let chance decide; a run's draws depend on the seed and its own number alone.

    Args:
        first: First row of the window.
        hours: Decisions in it.
        runs: Independent runs.
        seed: Seed; the same draws serve every preset.
    """
    draws = np.stack([np.random.default_rng([seed, run]).random(hours) for run in range(runs)])
    return lambda t, private, mask: random_valid(mask, draws[:, t - first])


def window_rows(
    market: MarketArrays, start: datetime | int | None = None, end: datetime | int | None = None
) -> tuple[int, int]:
    """Return the first and last row, both included, of the hours in [start, end).

    Args:
        market: The market.
        start: First hour, UTC (a naive time is UTC) or epoch milliseconds; the data's first if left out.
        end: First hour no longer in the window; after the data's last if left out.

    Raises:
        DataError: The window is empty, too short, or not inside the data.
    """
    first, last = market.start_ms, market.hour_ms(market.n_hours - 1)
    covered = f"The data covers {_text(first)} to {_text(last)}."
    a_ms = first if start is None else _ms(start)
    b_ms = last + HOUR_MS if end is None else _ms(end)
    remedy = "Choose a window inside it."
    if a_ms >= b_ms:
        what = f"the window ends ({_text(b_ms)}) before it starts ({_text(a_ms)})."
        raise DataError(what, "window", "Swap start and end.")
    if a_ms < first:
        raise DataError(f"the window starts at {_text(a_ms)}, before the data. {covered}", "window", remedy)
    if b_ms > last + HOUR_MS:
        raise DataError(f"the window ends at {_text(b_ms)}, after the data. {covered}", "window", remedy)
    a = -((first - a_ms) // HOUR_MS)  # the first full hour at or after the start
    b = (b_ms - 1 - first) // HOUR_MS  # the last one before the end
    if b - a < 1:
        what = f"the window from {_text(a_ms)} to {_text(b_ms)} holds no hour to trade in."
        raise DataError(what, "window", "A backtest needs at least two full hours.")
    return a, b


def run_backtest(
    market: MarketArrays,
    window: tuple[int, int],
    candidate: Actor | None,
    rules: MarketRules,
    presets: Mapping[str, TradingConfig],
    *,
    out_dir: Path,
    random_runs: int = 100,
    seed: int = 0,
    trained_on: Sequence[TrainedWindow] | None = None,
    version: str | None = None,
    data_hash: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> BacktestSummary:
    """Replay a window under every preset with the candidate, cash, random and greedy.

    Writes equity.parquet, trades.parquet, trades.csv, cash_flows.parquet and backtest.json.

    Args:
        market: The market, assembled under the same rules.
        window: First and last row, both included: decisions at a..b-1, the last mark at b.
        candidate: Who is judged, from `agent_actor`; None replays the baselines alone.
        rules: What venues charge and how orders fill.
        presets: Risk profiles by name.
        out_dir: An existing folder.
        random_runs: Independent runs of the random baseline.
        seed: Seed of the random baseline.
        trained_on: The candidate's train and validation hours; None where they are not known.
        version: Name of the version judged.
        data_hash: Hash of the data.
        on_progress: Told (hours done, hours in all).

    Returns:
        The content of backtest.json.

    Raises:
        DataError: The window is not inside the market.
    """
    a, b = window
    if not 0 <= a < b < market.n_hours:
        raise DataError(f"rows {a} to {b} are not a window of {market.n_hours} hours.", "window")
    chance = random_actor(a, b - a, random_runs, seed) if random_runs else None
    rule = greedy_actor(market)
    groups: list[Group] = []
    for name, config in presets.items():
        if candidate is not None:
            groups.append(Group(name, "agent", config, 1, candidate))
        groups.append(Group(name, "greedy", config, 1, rule))
        if chance is not None:
            groups.append(Group(name, "random", config, random_runs, chance))
        groups.append(Group(name, "cash", config, 1, cash_actor()))
    told = replay(market, window, rules, groups, on_progress=on_progress)
    by_boundary = _by_boundary(market, window, rules, told)
    overlap: int | None = 0
    if candidate is not None:
        spans = None if trained_on is None else [(_ms(w.start), _ms(w.end)) for w in trained_on]
        overlap = None if spans is None else overlap_hours(told.curves.time_ms, spans)
    summary = BacktestSummary(
        version=version,
        data_hash=data_hash,
        start=_when(market.hour_ms(a)),
        end=_when(market.hour_ms(b)),
        hours=b - a,
        initial_capital=rules.initial_capital,
        in_sample=None if overlap is None else overlap > 0,
        overlap_hours=overlap,
        trained_on=tuple(trained_on or ()),
        seed=seed,
        random_runs=random_runs,
        presets=dict(presets),
        rules=rules,
        results=tuple(
            _result(told, group, rules.initial_capital, by_boundary.get((group.preset, group.policy), {}))
            for group in groups
        ),
        versions={"python": platform.python_version()} | {name: installed(name) for name in LIBRARIES},
    )
    _write(out_dir, "equity.parquet", lambda path: _parquet(told.equity(), path))
    _write(out_dir, "trades.parquet", lambda path: _parquet(told.trades, path))
    _write(out_dir, "cash_flows.parquet", lambda path: _parquet(told.flows, path))
    _write(
        out_dir,
        "trades.csv",
        lambda path: told.trades.to_csv(path, index=False, date_format="%Y-%m-%dT%H:%M:%SZ"),
    )
    _write(
        out_dir,
        "backtest.json",
        lambda path: path.write_text(summary.model_dump_json(indent=2) + "\n", "utf-8"),
    )
    return summary


def _by_boundary(
    market: MarketArrays, window: tuple[int, int], rules: MarketRules, told: Replay
) -> dict[tuple[str, PolicyName], dict[FundingBoundary, float]]:
    """Return what the judged policies return under either boundary of funding, percent.

    The rule not chosen needs a second replay, of these policies alone: what they see of their funding
    differs, so they may decide otherwise.
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


def _result(
    told: Replay, group: Group, initial: float, by_boundary: dict[FundingBoundary, float]
) -> PolicyResult:
    """Sum up one policy under one preset; means over its runs."""
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
    return PolicyResult(
        preset=group.preset,
        policy=group.policy,
        runs=group.runs,
        return_pct=float(returns.mean()),
        return_p5_pct=float(np.percentile(returns, 5)) if several else None,
        return_p95_pct=float(np.percentile(returns, 95)) if several else None,
        return_pct_by_boundary=by_boundary,
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
        split=profit_split(
            booked, float(curves.unrealised[-1, own].mean()), float(curves.closing_costs[-1, own].mean())
        ),
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


def _parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False, compression="zstd")


def _write(folder: Path, name: str, write: Callable[[Path], object]) -> None:
    """Write a file so that it is either there whole or not at all."""
    temporary = folder / f".{name}.tmp"
    write(temporary)
    temporary.replace(folder / name)


def _ms(time: datetime | int) -> int:
    if isinstance(time, int):
        return time
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return round(aware.timestamp() * 1000)


def _when(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _text(ms: int) -> str:
    return f"{_when(ms):%Y-%m-%d %H:%M} UTC"
