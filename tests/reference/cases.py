"""Random cases: a market, the rules, and some episodes with a number for each decision."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from schemas.trading import MarginTier, MarketRules, TradingConfig
from tests.reference.markets import Traits, traits

# Legs are entered with a hundred to ten thousand or so, at the usual capital: most tiers are met.
FLAT = (MarginTier(above=0, rate=0.005),)
TIERED = tuple(MarginTier(above=a, rate=m) for a, m in ((0, 0.005), (700, 0.01), (2_500, 0.05)))
STEEP = tuple(MarginTier(above=a, rate=m) for a, m in ((0, 0.02), (1_500, 0.09)))


@dataclass(frozen=True)
class Lane:
    """One episode: its profile, its first and last hour, and a number for each decision."""

    config: TradingConfig
    start: int
    end: int
    choices: dict[int, int]  # by decision; 0, which holds, where there is none


@dataclass(frozen=True)
class Case:
    """Some episodes on one market, run side by side in one vectorised simulator."""

    traits: Traits
    rules: MarketRules
    lanes: tuple[Lane, ...]


def configs() -> st.SearchStrategy[TradingConfig]:
    return st.builds(
        TradingConfig,
        leverage=st.one_of(st.sampled_from([1.0, 3.0, 10.0]), st.floats(1, 10)),
        target_utilization=st.one_of(st.sampled_from([0.6, 1.0, 0.0]), st.floats(0.2, 1)),
        max_positions=st.integers(1, 5),
        stop_loss=st.one_of(st.sampled_from([0.0, -0.02, -0.002]), st.floats(-0.1, -0.001)),
        liquidation_buffer=st.one_of(st.sampled_from([0.05, 0.5]), st.floats(0.05, 0.5)),
    )


def market_rules(delay: int | None = None) -> st.SearchStrategy[MarketRules]:
    return st.builds(
        MarketRules,
        fill_delay_steps=st.sampled_from([1, 0, 2]) if delay is None else st.just(delay),
        initial_capital=st.sampled_from([10_000.0, 10_000.0, 137.0, 1e6]),
        default_taker_fee=st.sampled_from([0.0005, 0.0, 0.002]),
        default_min_notional=st.sampled_from([10.0, 0.0, 100.0]),
        min_notional=st.sampled_from([{}, {"bybit": 40.0, "okx": 5.0}]),
        slippage=st.sampled_from([True, True, False]),
        impact_k=st.sampled_from([0.0, 0.0005, 0.02]),
        default_margin_tiers=st.sampled_from([FLAT, TIERED]),
        margin_tiers=st.sampled_from([{}, {}, {"bybit": STEEP}]),
        funding_boundary=st.sampled_from(["close", "open"]),
        stale_penalty=st.sampled_from([0.005, 0.0, 0.02]),
        drawdown_limit=st.sampled_from([0.25, 0.1, 1.0]),
        max_quote_age_hours=st.sampled_from([3.0, 3.0, 2.0]),
        entry_quote_age_hours=st.sampled_from([1.0, 1.0, 4.0]),
    )


@st.composite
def cases(draw: st.DrawFn, lanes: int = 2, delay: int | None = None) -> Case:
    market = draw(traits())
    rules = draw(market_rules(delay))
    drawn = []
    for _ in range(lanes):
        start = draw(st.integers(0, 10))
        end = draw(st.integers(start + 40, market.hours - 1))
        choices = draw(st.lists(st.integers(0, 2**16), min_size=end - start, max_size=end - start))
        drawn.append(Lane(draw(configs()), start, end, {k: c for k, c in enumerate(choices) if c}))
    return Case(market, rules, tuple(drawn))


def pick(choice: int, mask: np.ndarray) -> int:
    """Turn a number into an action: 0 holds, some enter, some exit, one in 32 is not valid."""
    kind, which = choice % 32, choice // 32
    if kind < 8:
        return 0
    wanted = np.nonzero(mask)[0]
    if kind == 31:
        wanted = np.nonzero(~mask)[0]
    elif kind < 24:
        wanted = wanted[(wanted > 0) & (wanted <= 30)]
    elif kind < 28:
        wanted = wanted[wanted > 30]
    return int(wanted[which % len(wanted)]) if len(wanted) else 0
