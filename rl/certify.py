"""Training on a market whose best trade is known, and judging the policy on unseen ones of the same law."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from rl.baselines import greedy, greedy_now
from rl.checkpoint import load_checkpoint
from rl.decide import HOLD, decide, encode_hour
from rl.informed import informed
from rl.market.known import Known, generate
from rl.market.scaler import Scaler
from rl.market.splits import split_windows
from rl.policy import Policy
from rl.sim.env import VectorSim
from rl.sim.state import LIQUIDATIONS, ConfigArrays
from rl.train import train
from schemas.certify import BARS, Bar, Budget, Certificate, MarketName, Played, Verdict
from schemas.checkpoint import BEST_MODEL
from schemas.trading import MarketRules, TradingConfig
from schemas.training import TrainingConfig

TRAINED_SEED: Final = 0
FIRST_UNSEEN: Final = 1_000
WARM_UP_HOURS: Final = 72  # the longest window of a rolling feature

Trader = Callable[[VectorSim], int]


def certify(
    market: MarketName,
    training: TrainingConfig,
    budget: Budget,
    *,
    work_dir: Path,
    out_dir: Path,
    time_budget: float | None = None,
    device: str = "cpu",
    on_progress: Callable[[dict[str, Any]], None] | None = None,
) -> Certificate:
    """Train on one known-answer market and hold the policy against its bars.

    Args:
        market: Which.
        training: The recipe and its seed; the budget's episodes and looks go over its own.
        budget: How much is trained, and on how much it is judged.
        work_dir: Where the training keeps its resume state.
        out_dir: Where its checkpoints go.
        time_budget: Seconds of training after which it is cut short; None is no limit.
        device: Torch device.
        on_progress: Told after every update, see `rl.train.train`.
    """
    started = time.monotonic()
    rules = MarketRules()
    known = generate(market, budget.days, TRAINED_SEED, rules).market
    episodes = budget.episodes(market)
    looks = {"num_episodes": episodes, "eval_every": max(episodes // budget.looks, 1)}
    splits = split_windows(known.n_hours, known.start_ms, training.episode_hours)
    scaler = Scaler.fit(known.slot_raw[slice(*splits.train.rows(known.start_ms))])
    bars = [bar for bar in BARS if bar.market == market]
    result = train(
        known,
        splits,
        scaler,
        training.model_copy(update=looks),
        rules=rules,
        data_hash=f"known-answer market: {market}",
        work_dir=work_dir,
        out_dir=out_dir,
        # The state is chosen under what it is judged by, the hardest first: presets say nothing of 10x.
        judged_under={bar.profile: bar.config for bar in reversed(bars)},
        time_budget=time_budget,
        device=device,
        on_progress=on_progress,
    )
    policy = load_checkpoint(out_dir / BEST_MODEL).policy()
    unseen = [generate(market, budget.unseen_days, FIRST_UNSEEN + i, rules) for i in range(budget.unseen)]
    return Certificate(
        market=market,
        seed=training.seed,
        episodes=result.episodes,
        steps=result.steps,
        finished=result.finished,
        seconds=time.monotonic() - started,
        verdicts=tuple(hold_against(bar, policy, scaler, unseen, rules) for bar in bars),
    )


def hold_against(
    bar: Bar, policy: Policy, scaler: Scaler, unseen: list[Known], rules: MarketRules
) -> Verdict:
    """Play the unseen markets as the policy, as greedy and as the informed trader."""
    by_current = bar.market == "decoy"

    def as_greedy(known: Known) -> Trader:
        rule = greedy_now if by_current else greedy
        return lambda sim: int(rule(known.market.slot_raw[sim.t], sim.private(), sim.mask())[0])

    traders: tuple[Callable[[Known], Trader], ...] = (
        lambda known: as_policy(policy),
        as_greedy,
        lambda known: as_informed(known, bar.config),
    )
    played = [play(bar, scaler, unseen, rules, trader) for trader in traders]
    return Verdict(bar=bar, policy=played[0], greedy=played[1], informed=played[2])


def as_policy(policy: Policy) -> Trader:
    """Decide as everywhere: deterministically, one state at a time."""

    def act(sim: VectorSim) -> int:
        mask, t = sim.mask(), int(sim.t[0])
        if mask.sum() == 1:
            return HOLD
        slots = sim.slots[t : t + 1]
        return decide(policy, slots, sim.private(), mask, encode_hour(policy, slots)).action

    return act


def as_informed(known: Known, config: TradingConfig) -> Trader:
    """Decide knowing the regimes of the whole market, and none of its noise."""
    plan = informed(known, known.market.n_hours - 1, config)

    def act(sim: VectorSim) -> int:
        s = sim.state
        return plan.act(int(s.t[0]), s.pair[0], s.active[0], sim.mask()[0])

    return act


def play(
    bar: Bar,
    scaler: Scaler,
    markets: list[Known],
    rules: MarketRules,
    trader: Callable[[Known], Trader],
) -> Played:
    """Replay each market from flat to its end under the bar's profile.

    The first hours are left out: a day's average is that of an hour there, which no run on real data meets,
    since its windows lie behind train.
    """
    rows: list[tuple[float, float, int, int]] = []
    for known in markets:
        market = known.market
        sim = VectorSim(market, scaler.scale(market.slot_raw), rules, 1)
        first, last = np.full(1, WARM_UP_HOURS), np.full(1, market.n_hours - 1)
        sim.reset(np.array([0]), first, last, ConfigArrays.of([bar.config]))
        act, exposure = trader(known), []
        while not sim.state.done[0]:
            sim.step(np.array([act(sim)]))
            notional = np.where(sim.state.active[0], sim.valuation().notional[0], 0.0).sum()
            exposure.append(float(notional / sim.state.nlv[0]))
        s = sim.state
        rows.append(
            (
                100.0 * (float(s.nlv[0]) / rules.initial_capital - 1.0),
                float(np.mean(exposure)),
                int(s.counts[0, LIQUIDATIONS]),
                int(s.serials[0]),
            )
        )
    columns = list(zip(*rows, strict=True))
    return Played(
        returns_pct=columns[0], exposure=columns[1], liquidations=columns[2], trades=columns[3]
    )  # fmt: skip
