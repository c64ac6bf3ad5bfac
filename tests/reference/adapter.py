"""Market arrays and configs as the plain decimals of the reference simulator, converted exactly."""

from __future__ import annotations

import math
from decimal import Decimal

from rl.market.arrays import MarketArrays
from schemas.trading import MarketRules, TradingConfig
from tests.reference import model


def number(value: float) -> Decimal | None:
    """A float as the decimal it stands for; what is not finite is missing."""
    return Decimal(float(value)) if math.isfinite(value) else None


def table(values: object) -> list[list[Decimal | None]]:
    return [[number(v) for v in row] for row in values.tolist()]  # type: ignore[attr-defined]


def market_of(market: MarketArrays) -> model.Market:
    events = market.settlements
    by_row: dict[int, list[model.Settlement]] = {}
    for e in range(len(events.row)):
        by_row.setdefault(int(events.row[e]), []).append(
            model.Settlement(
                time_ms=int(events.time_ms[e]),
                instrument=int(events.instrument[e]),
                rate=Decimal(float(events.rate[e])),
                mark=Decimal(float(events.mark[e])),
                stale=bool(events.stale[e]),
                estimated=bool(events.estimated[e]),
                off_boundary=bool(events.off_boundary[e]),
            )
        )
    return model.Market(
        start_ms=market.start_ms,
        instruments=list(zip(market.symbols, market.venues, strict=True)),
        mark=table(market.mark),
        age=[[Decimal(float(a)) for a in row] for row in market.age.tolist()],
        low=table(market.low),
        high=table(market.high),
        rate=table(market.rate),
        interval=[[int(v) for v in row] for row in market.interval.tolist()],
        pairs=[(int(a), int(b)) for a, b in zip(market.pair_long, market.pair_short, strict=True)],
        half_spread=table(market.half_spread),
        depth=table(market.depth),
        trail24=table(market.trail24),
        slots=[[int(p) for p in row] for row in market.slot_pair.tolist()],
        settlements=by_row,
    )


def profile_of(config: TradingConfig) -> model.Profile:
    return model.Profile(
        leverage=Decimal(config.leverage),
        utilization=Decimal(config.target_utilization),
        max_positions=config.max_positions,
        stop_loss=Decimal(config.stop_loss),
        buffer=Decimal(config.liquidation_buffer),
    )


def rules_of(rules: MarketRules, venues: tuple[str, ...]) -> model.Rules:
    return model.Rules(
        initial_capital=Decimal(rules.initial_capital),
        fee=[Decimal(rules.fee(v)) for v in venues],
        minimum=[Decimal(rules.minimum(v)) for v in venues],
        worst_half_spread=Decimal(rules.full_spread_thin) / 2,
        slippage=rules.slippage,
        impact_k=Decimal(rules.impact_k),
        tiers=[[(Decimal(tier.above), Decimal(tier.rate)) for tier in rules.tiers(v)] for v in venues],
        funding_at=rules.funding_boundary,
        max_age=Decimal(rules.max_quote_age_hours),
        entry_age=Decimal(rules.entry_quote_age_hours),
        stale_penalty=Decimal(rules.stale_penalty),
        drawdown_limit=Decimal(rules.drawdown_limit),
        delay=rules.fill_delay_steps,
    )
