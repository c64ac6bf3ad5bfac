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

from rl.baselines import HOLD, cash, greedy, hold_until_flip, random_valid
from rl.decide import decide, encode_hour
from rl.judge.metrics import overlap_hours
from rl.ladder import RivalVersion, preset_bounds, with_interest
from rl.market.arrays import HOUR_MS, Bool, MarketArrays
from rl.market.scaler import Scaler
from rl.outcome import by_boundary, outcome
from rl.policy import MarketCode, Policy
from rl.replay import Actor, Group, replay
from schemas.backtest import BacktestSummary, Ladder, PolicyName, Rival, TrainedWindow
from schemas.errors import DataError
from schemas.trading import MarketRules, TradingConfig

LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy", "torch")


def agent_actor(policy: Policy, scaler: Scaler, market: MarketArrays) -> Actor:
    """Let a trained policy decide, one state at a time, exactly as it would outside a backtest.

    In an hour in which nothing arrived it is not asked and holds.

    Args:
        policy: The policy.
        scaler: The scaler it was trained with.
        market: The market it looks at.
    """
    slots = scaler.scale(market.slot_raw)
    encoded: dict[int, MarketCode] = {}  # the newest hour only; every preset asks for it

    def act(t: int, private: NDArray[np.float32], mask: Bool) -> NDArray[np.integer]:
        actions = np.full(len(mask), HOLD, np.int64)
        if not market.arrived[t]:
            return actions
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


def flip_actor(market: MarketArrays, entry_apr: float) -> Actor:
    """Let hold-until-flip decide, which enters above a 3-day APR, percent a year."""
    return lambda t, private, mask: hold_until_flip(market.slot_raw[t], private, mask, entry_apr)


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
    rivals: Sequence[RivalVersion] = (),
    ladder: Ladder | None = None,
    version: str | None = None,
    data_hash: str = "",
    on_progress: Callable[[int, int], None] | None = None,
) -> BacktestSummary:
    """Replay a window under every preset with the candidate and every rung of the ladder.

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
        rivals: The versions that the book's aliases point at, where they are not the candidate.
        ladder: What cash earns, when hold-until-flip enters, and whether bounds are worked out.
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
    steps = ladder or Ladder()
    actors: dict[PolicyName, Actor] = {} if candidate is None else {"agent": candidate}
    actors |= {rival.policy: rival.actor for rival in rivals if rival.actor is not None}
    actors |= {"greedy": greedy_actor(market), "flip": flip_actor(market, steps.flip_apr)}
    if random_runs:
        actors["random"] = random_actor(a, b - a, random_runs, seed)
    actors["cash"] = cash_actor()
    groups = [
        Group(name, policy, config, random_runs if policy == "random" else 1, actor)
        for name, config in presets.items()
        for policy, actor in actors.items()
    ]
    capital = rules.initial_capital
    told = with_interest(replay(market, window, rules, groups, on_progress=on_progress), steps, capital)
    boundaries = by_boundary(market, window, rules, told)
    interest = capital * steps.cash_pct(b - a) / 100.0
    results = tuple(
        outcome(
            told,
            group,
            capital,
            boundaries.get((group.preset, group.policy), {}),
            interest if group.policy == "cash" else 0.0,
        )
        for group in groups
    )

    def overlap_with(seen: Sequence[TrainedWindow]) -> int:
        return overlap_hours(told.curves.time_ms, [(_ms(w.start), _ms(w.end)) for w in seen])

    overlap: int | None = 0
    if candidate is not None:
        overlap = None if trained_on is None else overlap_with(trained_on)
    summary = BacktestSummary(
        version=version,
        data_hash=data_hash,
        start=_when(market.hour_ms(a)),
        end=_when(market.hour_ms(b)),
        hours=b - a,
        initial_capital=capital,
        in_sample=None if overlap is None else overlap > 0,
        overlap_hours=overlap,
        trained_on=tuple(trained_on or ()),
        seed=seed,
        random_runs=random_runs,
        presets=dict(presets),
        rules=rules,
        ladder=steps,
        rivals=tuple(
            Rival(
                policy=rival.policy,
                version=rival.version,
                trained_on=tuple(rival.trained_on),
                overlap_hours=None if rival.actor is None else overlap_with(rival.trained_on),
                missing=rival.missing,
            )
            for rival in rivals
        ),
        results=results,
        bounds=preset_bounds(market, window, rules, presets, results) if steps.bound else (),
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
