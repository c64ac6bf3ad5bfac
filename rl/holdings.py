"""What a person says is held: the impossible is refused, the odd is said, the rest is put into the books.

Impossible is what no market of this data and no books of the simulator could have led to. Odd is what they
could have, but hardly.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np

from rl.market.arrays import F64, HOUR_MS, MarketArrays
from rl.sim.env import VectorSim
from rl.sim.observe import drawdown
from rl.sim.quotes import is_fresh
from rl.sim.state import CLOSED, SimState
from schemas.errors import DataError
from schemas.prediction import Holding, Portfolio
from schemas.trading import MarketRules, TradingConfig

SIDES: Final = ("long", "short")
# Price over quote, or quote over price, beyond which it is impossible, and odd: where there was a fresh quote
# when the position was opened, and where there was none.
NEAR: Final = (2.0, 1.1)
FAR: Final = (10.0, 2.0)
LEGS_APART: Final = 0.20  # of the cheaper leg, as in the data
MANY: Final = 3.0
DEAR: Final = 0.05


def known_pairs(market: MarketArrays, portfolio: Portfolio) -> list[int]:
    """Return the market's pair of each position.

    Raises:
        DataError: There is no such pair, or an instrument is in two positions.
    """
    names = {
        (market.symbols[a], market.venues[a], market.venues[b]): p
        for p, (a, b) in enumerate(zip(market.pair_long, market.pair_short, strict=True))
    }
    pairs: list[int] = []
    used: dict[int, int] = {}
    for number, held in enumerate(portfolio.positions, start=1):
        pair = names.get((held.symbol, held.long_exchange.lower(), held.short_exchange.lower()))
        if pair is None:
            known = held.symbol in market.symbols
            what = "this pair is not in the data." if known else f"{held.symbol} is not in the data."
            raise DataError(what, _where(number, held), "Give data that shows it, or mend the names.")
        for leg in (int(market.pair_long[pair]), int(market.pair_short[pair])):
            if leg in used:
                what = f"{held.symbol} on {market.venues[leg]} is in position {used[leg]} already."
                raise DataError(what, _where(number, held), "Net the positions.")
            used[leg] = number
        pairs.append(pair)
    return pairs


def check_holdings(
    market: MarketArrays, rules: MarketRules, portfolio: Portfolio, pairs: list[int]
) -> list[str]:
    """Hold what is said about each position against the market; return what is odd.

    Args:
        market: The market up to the hour decided for.
        rules: What venues charge.
        portfolio: What is held.
        pairs: Of `known_pairs`.

    Raises:
        DataError: Something cannot be.
    """
    odd = []
    for number, (held, pair) in enumerate(zip(portfolio.positions, pairs, strict=True), start=1):
        where = _where(number, held)
        legs = (int(market.pair_long[pair]), int(market.pair_short[pair]))
        _possible_time(market, held, where)
        _possible_amounts(held, where)
        begins = _time(market.start_ms)
        if held.entry_time < begins:
            odd.append(f"{where}: it was opened before the data begins, {_told(begins)}.")
        for side, leg, price in zip(
            SIDES, legs, (held.entry_long_price, held.entry_short_price), strict=True
        ):
            quote, (most, much) = _quote_then(market, rules, leg, price, held.entry_time)
            ratio = max(price / quote, quote / price)
            text = f"entry_{side}_price {price:g} is far from {quote:g}, which {market.venues[leg]} quoted"
            if ratio > most:
                remedy = "Give what one coin cost, as the data writes it."
                raise DataError(f"{text} then.", where, remedy)
            if ratio > much:
                odd.append(f"{where}: {text} then.")
            if held.quantity * price < rules.minimum(market.venues[leg]):
                odd.append(f"{where}: the {side} leg is smaller than {market.venues[leg]}'s least order.")
            age = float(market.age[market.n_hours - 1, leg])
            if age > rules.max_quote_age_hours:
                odd.append(f"{where}: the newest quote of {market.venues[leg]} is {age:.0f} h old.")
        if (held.entry_costs or 0.0) > DEAR * _notional(held):
            odd.append(f"{where}: entry_costs are more than {DEAR:.0%} of its notional.")
    return odd


def place(
    sim: VectorSim, market: MarketArrays, rules: MarketRules, portfolio: Portfolio, pairs: list[int]
) -> list[str]:
    """Put the holdings into the position slots of every episode; return what is odd about the whole.

    Args:
        sim: Reset to the hour decided for.
        market: Its market.
        rules: Its rules.
        portfolio: What is held; the same in every episode.
        pairs: Of `known_pairs`.

    Raises:
        DataError: The equity cannot be what it would be.
    """
    everyone = np.arange(sim.n)
    sim.put(everyone, _state(sim, market, rules, portfolio, pairs))
    state, worth = sim.state.take(everyone), sim.valuation()
    state.nlv = state.balance + (worth.unrealised - worth.closing).sum(axis=1)
    capital, nlv = float(state.initial[0]), float(state.nlv[0])  # no profile has a part in them
    if nlv <= 0.0:
        raise DataError(
            f"closing everything now would leave an equity of {nlv:,.2f}.",
            "balance" if portfolio.balance is not None else "positions",
            "Give the balance, and each quantity in coins.",
        )
    if portfolio.peak_equity is not None and portfolio.peak_equity < capital:
        raise DataError(
            f"the highest equity so far cannot be below the {capital:,.2f} at the start.",
            "peak_equity",
            "Give initial_capital too.",
        )
    state.peak = np.maximum(state.nlv, portfolio.peak_equity or state.initial)
    state.max_drawdown = np.maximum(drawdown(state), portfolio.max_drawdown)
    sim.put(everyone, state)
    odd = []
    if portfolio.peak_equity is not None and portfolio.peak_equity < nlv:
        odd.append(f"peak_equity is below the present equity of {nlv:,.2f}, which is taken instead.")
    if nlv > MANY * capital:
        odd.append(f"the equity of {nlv:,.2f} is {nlv / capital:,.1f} times the initial capital.")
    if (deepest := float(state.max_drawdown[0])) > rules.drawdown_limit:
        odd.append(
            f"the drawdown of {deepest:.0%} is beyond the {rules.drawdown_limit:.0%} that end an episode: "
            "no policy has traded there."
        )
    return odd


def not_holdable(sim: VectorSim, presets: Mapping[str, TradingConfig]) -> dict[str, str]:
    """Return by risk profile why it could not hold what `place` put there; those that could are left out."""
    state = sim.state
    held = state.active.sum(axis=1)
    why = {}
    for i, (name, config) in enumerate(presets.items()):
        if held[i] > config.max_positions:
            why[name] = f"{held[i]} positions are held and {name} allows {config.max_positions}"
        elif sim.free[i] < 0.0:
            locked = float(state.balance[i] - sim.free[i])
            why[name] = (
                f"the margins, {locked:,.2f} with the leverage of {name} where they were left out, are more "
                f"than the balance of {state.balance[i]:,.2f}"
            )
    return why


def beyond_liquidation(sim: VectorSim, portfolio: Portfolio, names: Mapping[int, str]) -> list[str]:
    """Say which positions the present quotes would liquidate, and under which profiles (named by episode)."""
    odd = []
    for slot, held in enumerate(portfolio.positions):
        gone = [name for i, name in names.items() if sim.valuation().distance[i, slot] <= 0.0]
        if gone:
            odd.append(
                f"{_where(slot + 1, held)}: under {', '.join(gone)} a leg would be liquidated by now; "
                "give long_margin and short_margin."
            )
    return odd


def _possible_time(market: MarketArrays, held: Holding, where: str) -> None:
    now = _time(market.hour_ms(market.n_hours - 1))
    if held.entry_time > now:
        raise DataError(
            f"entry_time {_told(held.entry_time)} is after the hour decided for, {_told(now)}.",
            where,
            "Give the time it was opened at, or newer data.",
        )


def _possible_amounts(held: Holding, where: str) -> None:
    low, high = sorted((held.entry_long_price, held.entry_short_price))
    if high - low > LEGS_APART * low:
        raise DataError(
            f"the entry prices {held.entry_long_price:g} and {held.entry_short_price:g} are more than "
            f"{LEGS_APART:.0%} apart.",
            where,
            "Give both in the same currency, for one coin.",
        )
    notional = _notional(held)
    for name, amount in (("funding", abs(held.funding)), ("entry_costs", held.entry_costs or 0.0)):
        if amount > notional:
            raise DataError(
                f"{name} of {amount:,.2f} is more than the {notional:,.2f} the position was worth.",
                where,
                "Give amounts in the quote currency, and the quantity in coins.",
            )


def _quote_then(
    market: MarketArrays, rules: MarketRules, leg: int, price: float, entry_time: datetime
) -> tuple[float, tuple[float, float]]:
    """Return the quote nearest to a price, of the hours around its time, and how far off it may be."""
    hour = int(np.floor((entry_time.timestamp() * 1000 - market.start_ms) / HOUR_MS))
    marks, ages = market.mark[:, leg], market.age[:, leg]
    around = slice(max(hour - 1, 0), max(hour + 3, 0))
    fresh: F64 = marks[around][is_fresh(ages[around], rules)]
    if fresh.size:
        return float(fresh[np.argmin(np.abs(np.log(fresh / price)))]), NEAR
    known: F64 = marks[np.isfinite(marks)]
    return float(known[0] if hour < 0 else known[-1]), FAR


def _state(
    sim: VectorSim, market: MarketArrays, rules: MarketRules, portfolio: Portfolio, pairs: list[int]
) -> SimState:
    """Return the simulator's state with the holdings in its position slots."""
    state = sim.state.take(np.arange(sim.n))
    capital = portfolio.initial_capital or rules.initial_capital
    state.initial[:] = capital
    booked = 0.0
    for slot, (held, pair) in enumerate(zip(portfolio.positions, pairs, strict=True)):
        legs = [int(market.pair_long[pair]), int(market.pair_short[pair])]
        entry = np.array([held.entry_long_price, held.entry_short_price])
        costs = held.entry_costs
        if costs is None:
            fees = np.array([rules.fee(market.venues[leg]) for leg in legs])
            costs = float((held.quantity * entry * fees).sum())
        booked += held.funding - costs
        state.active[:, slot] = True
        state.pair[:, slot] = pair
        state.leg[:, slot] = legs
        state.serial[:, slot] = slot
        state.opened[:, slot] = round((held.entry_time.timestamp() * 1000 - market.start_ms) / HOUR_MS)
        state.quantity[:, slot] = held.quantity
        state.flows[:, slot] = held.funding
        state.costs[:, slot] = costs
        state.entry[:, slot] = entry
        for leg, margin in enumerate((held.long_margin, held.short_margin)):
            by_leverage = held.quantity * entry[leg] / state.leverage
            state.margin[:, slot, leg] = by_leverage if margin is None else margin
        rate, amount = sim.quotes.margins.of_legs(np.array(legs), held.quantity * entry)
        state.maintenance[:, slot], state.maintenance_amount[:, slot] = rate, amount
        state.mark[:, slot] = market.mark[market.n_hours - 1, legs]
    state.serials[:] = len(portfolio.positions)
    state.balance[:] = portfolio.balance if portfolio.balance is not None else capital + booked
    state.counts[:, CLOSED] = portfolio.closed_positions
    state.closed_pnl[:] = portfolio.mean_closed_pnl * portfolio.closed_positions
    return state


def _notional(held: Holding) -> float:
    return held.quantity * (held.entry_long_price + held.entry_short_price)


def _where(number: int, held: Holding) -> str:
    return f"position {number} ({held.symbol}, {held.long_exchange} / {held.short_exchange})"


def _time(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def _told(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
