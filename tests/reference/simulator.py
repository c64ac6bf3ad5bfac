"""The books once more: one episode, event by event, in decimals of 40 digits, with nothing from `rl.sim`.

It replays a list of actions and returns every cash flow, mask, observation and the equity path. Nothing
here is fast and nothing is shared with the simulator it is compared with: a missing quote is `None`, a
position is an object, and every rule is written where it is applied.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext

from tests.reference.model import ZERO, Flow, Market, Profile, Replay, Rules, Settlement

DIGITS = 40
TOLERANCE = Decimal("1e-9")  # thresholds: allowed, not triggered, within this of their value
ONE, EIGHT = Decimal(1), Decimal(8)
SIZES = (Decimal(1) / 3, Decimal(2) / 3, Decimal(1))


# -- the books -------------------------------------------------------------------------------------


@dataclass
class Leg:
    name: str
    side: int  # +1 long, -1 short
    instrument: int
    entry: Decimal
    margin: Decimal  # isolated, what funding has left of it
    maintenance: Decimal  # m and c of the tier of its notional at entry
    maintenance_amount: Decimal

    def unrealised(self, quantity: Decimal, price: Decimal) -> Decimal:
        return self.side * quantity * (price - self.entry)


@dataclass
class Position:
    serial: int
    pair: int
    quantity: Decimal
    opened: int
    long: Leg
    short: Leg
    booked: Decimal = ZERO  # all its flows
    funding: Decimal = ZERO
    entry_costs: Decimal = ZERO

    @property
    def legs(self) -> tuple[Leg, Leg]:
        return self.long, self.short

    @property
    def notional(self) -> Decimal:
        return self.quantity * (self.long.entry + self.short.entry)


@dataclass(frozen=True)
class Order:
    kind: str  # "entry" or "exit"
    due: int  # row of its fill
    pair: int = -1
    quantity: Decimal = ZERO
    slot: int = -1
    serial: int = -1


def below(value: Decimal, limit: Decimal) -> bool:
    """Whether a value is under a limit by more than the tolerance."""
    return value < limit - TOLERANCE * abs(limit)


def above(value: Decimal, limit: Decimal) -> bool:
    """Whether a value is over a limit by more than the tolerance."""
    return value > limit + TOLERANCE * abs(limit)


def replay(
    market: Market, profile: Profile, rules: Rules, start: int, end: int, actions: list[int]
) -> Replay:
    """Play actions from row `start`; row `end` is the last one marked."""
    with localcontext(Context(prec=DIGITS)):
        episode = Episode(market, profile, rules, start, end)
        for action in actions:
            if episode.out.terminated or episode.out.truncated:
                raise ValueError("an action after the end of the episode")
            episode.step(action)
        return episode.finish()


class Episode:
    """One episode from a flat start."""

    def __init__(self, market: Market, profile: Profile, rules: Rules, start: int, end: int) -> None:
        self.market, self.profile, self.rules = market, profile, rules
        self.t, self.end = start, end
        self.balance = rules.initial_capital
        self.slots: list[Position | None] = [None] * 5
        self.queue: list[Order] = []
        self.serials = 0
        self.closed_shares: list[Decimal] = []
        self.count: Counter[str] = Counter()
        self.out = Replay()
        self.nlv = self.peak = rules.initial_capital
        self.drawdown = self.max_drawdown = ZERO
        self._observe()
        self.out.equity.append(self.nlv)

    # -- one hour --------------------------------------------------------------------------------

    def step(self, action: int) -> None:
        before = self.nlv
        order = self._accept(action)
        if order is not None:
            self.queue.append(order)
        self._fill_due(self.t)  # only without a delay is anything due already
        self.t += 1
        self._funding()
        self._liquidations()
        self._fill_due(self.t)
        self._forced_exits()
        self.nlv = self.balance + self._unrealised() - self._closing_costs()
        self.out.equity.append(self.nlv)
        self.out.rewards.append(100 * (self.nlv - before) / self.rules.initial_capital)
        self.peak = max(self.peak, self.nlv)
        self.drawdown = 1 - self.nlv / self.peak
        self.max_drawdown = max(self.max_drawdown, self.drawdown)
        self.out.terminated = above(self.drawdown, self.rules.drawdown_limit)
        self.out.truncated = not self.out.terminated and self.t >= self.end
        self.out.counts.append(dict(self.count))
        self._observe()

    def finish(self) -> Replay:
        self.out.unrealised = self._unrealised()
        self.out.closing_cost = self._closing_costs()
        return self.out

    # -- the order -------------------------------------------------------------------------------

    def mask(self) -> list[bool]:
        """Which of the 36 actions would be accepted now."""
        return [self._order(action) is not None or action == 0 for action in range(36)]

    def _accept(self, action: int) -> Order | None:
        order = self._order(action)
        if order is None and action != 0:
            self.count["invalid"] += 1
        return order

    def _order(self, action: int) -> Order | None:
        """What an action orders; None is hold, or an action that is not valid."""
        due = self.t + self.rules.delay
        if 1 <= action <= 30:
            size, slot = divmod(action - 1, 10)
            pair = self.market.slots[self.t][slot]
            if pair < 0:
                return None
            quantity = self._quantity(pair, size)
            if quantity is None or self._refusal(pair, quantity, self.t) is not None:
                return None
            return Order("entry", due, pair=pair, quantity=quantity)
        if 31 <= action <= 35:
            position = self.slots[action - 31]
            if position is not None:
                return Order("exit", due, slot=action - 31, serial=position.serial)
        return None

    def _quantity(self, pair: int, size: int) -> Decimal | None:
        """Coins on each leg, by the quotes of now; None where a leg would be too small or has no price."""
        prices = [self.market.mark[self.t][i] for i in self.market.pairs[pair]]
        if prices[0] is None or prices[1] is None:
            return None
        margin = SIZES[size] * self.profile.utilization * self.nlv / self.profile.max_positions
        notional = margin / 2 * self.profile.leverage
        quantity = notional / ((prices[0] + prices[1]) / 2)
        if quantity <= 0:
            return None
        for instrument, price in zip(self.market.pairs[pair], prices, strict=True):
            if below(quantity * price, self.rules.minimum[instrument]):
                return None
        return quantity

    def _refusal(self, pair: int, quantity: Decimal, row: int) -> str | None:
        """Why an entry at the quotes of a row cannot be; None if it can."""
        legs = self.market.pairs[pair]
        if any(above(self.market.age[row][i], self.rules.entry_age) for i in legs):
            return "quote"
        if self._free_slot() is None:
            return "slot"
        held = {leg.instrument for p in self._open() for leg in p.legs}
        if any(i in held for i in legs):
            return "instrument"
        needed = ZERO
        for instrument in legs:
            price = self.market.mark[row][instrument]
            assert price is not None, "a fresh quote has a price"
            needed += quantity * price / self.profile.leverage
            needed += self._fee(instrument, quantity, price)
            needed += self._slippage(pair, quantity, price, row)
        return "cash" if above(needed, self._free_cash()) else None

    def _free_slot(self) -> int | None:
        for slot in range(self.profile.max_positions):
            if self.slots[slot] is None:
                return slot
        return None

    # -- fills -----------------------------------------------------------------------------------

    def _fill_due(self, row: int) -> None:
        for order in [o for o in self.queue if o.due == row]:
            self.queue.remove(order)
            if order.kind == "entry":
                self._fill_entry(order, row)
            else:
                self._fill_exit(order, row)

    def _fill_entry(self, order: Order, row: int) -> None:
        refusal = self._refusal(order.pair, order.quantity, row)
        if refusal is not None:
            self._void(row, "entry", refusal)
            return
        slot = self._free_slot()
        assert slot is not None, "a refusal would have said so"
        made = []
        for name, side, instrument in zip(
            ("long", "short"), (1, -1), self.market.pairs[order.pair], strict=True
        ):
            made.append(self._new_leg(name, side, instrument, order.quantity, row))
        position = Position(self.serials, order.pair, order.quantity, row, made[0], made[1])
        self.serials += 1
        self.slots[slot] = position
        self.count["entries"] += 1
        for leg in position.legs:
            fee = self._fee(leg.instrument, order.quantity, leg.entry)
            slip = self._slippage(order.pair, order.quantity, leg.entry, row)
            self._book(row, position, leg, "fee", -fee)
            self._book(row, position, leg, "slippage", -slip)
            position.entry_costs += fee + slip

    def _new_leg(self, name: str, side: int, instrument: int, quantity: Decimal, row: int) -> Leg:
        price = self.market.mark[row][instrument]
        assert price is not None
        m, c = self._tier(instrument, quantity * price)
        if m > self.rules.tiers[instrument][0][1]:
            self.count["legs_in_a_higher_tier"] += 1
        return Leg(name, side, instrument, price, quantity * price / self.profile.leverage, m, c)

    def _tier(self, instrument: int, notional: Decimal) -> tuple[Decimal, Decimal]:
        """m and c for a notional: m x notional - c grows by each tier's rate over that tier's stretch."""
        m, c = ZERO, ZERO
        for lower_end, rate in self.rules.tiers[instrument]:
            if lower_end > 0 and not above(notional, lower_end):
                break
            c += lower_end * (rate - m)
            m = rate
        return m, c

    def _fill_exit(self, order: Order, row: int) -> None:
        position = self.slots[order.slot]
        if position is None or position.serial != order.serial:
            self._void(row, "exit", "gone")
            return
        self._close(order.slot, row, "exits")

    def _void(self, row: int, kind: str, why: str) -> None:
        self.count["voids"] += 1
        self.out.voids.append((row, kind, why))

    def _close(self, slot: int, row: int, reason: str) -> None:
        """Close both legs at their last prices, with fees, slippage and the penalty of a stale leg."""
        position = self.slots[slot]
        assert position is not None
        for leg in position.legs:
            price = self._mark(leg, row)
            quantity = position.quantity
            self._book(row, position, leg, "price", leg.unrealised(quantity, price))
            self._book(row, position, leg, "fee", -self._fee(leg.instrument, quantity, price))
            self._book(row, position, leg, "slippage", -self._slippage(position.pair, quantity, price, row))
            if self._stale(leg, row):
                self._book(row, position, leg, "penalty", -self.rules.stale_penalty * quantity * price)
        self._forget(slot, row, reason)

    def _forget(self, slot: int, row: int, reason: str) -> None:
        position = self.slots[slot]
        assert position is not None
        self.slots[slot] = None
        self.count[reason] += 1
        self.count["closed"] += 1
        self.closed_shares.append(position.booked / position.notional)
        self.out.closes.append((row, position.serial, reason))

    # -- what the hour brings --------------------------------------------------------------------

    def _funding(self) -> None:
        """Everything settled in the hour; what is paid comes out of the leg's margin while there is any."""
        for event in self._settled():
            for position in self._open():
                for leg in position.legs:
                    if leg.instrument != event.instrument:
                        continue
                    cash = -leg.side * position.quantity * event.mark * event.rate
                    if event.stale and cash > 0:
                        cash = ZERO
                    if cash < 0:
                        leg.margin = max(leg.margin + cash, ZERO)
                    position.funding += cash
                    self._book_at(event.time_ms, position, leg, "funding", cash, event.estimated, event.stale)

    def _settled(self) -> list[Settlement]:
        """The settlements of the hour that ends now, with its end or, by the other rule, with its start."""
        start, end = self.market.time_ms(self.t - 1), self.market.time_ms(self.t)
        near = [e for row in (self.t - 1, self.t) for e in self.market.settlements.get(row, [])]
        if self.rules.funding_at == "close":
            return [e for e in near if start < e.time_ms <= end]
        return [e for e in near if start <= e.time_ms < end]

    def _liquidations(self) -> None:
        for slot, position in enumerate(self.slots):
            if position is None:
                continue
            prices = [self._liquidation_price(position, leg) for leg in position.legs]
            hit = [self._triggered(leg, p) for leg, p in zip(position.legs, prices, strict=True)]
            if not any(hit):
                continue
            for leg, struck in zip(position.legs, hit, strict=True):
                if struck:
                    if leg.maintenance_amount > 0:
                        self.count["legs_liquidated_in_a_higher_tier"] += 1
                    self._book(self.t, position, leg, "liquidation", -max(leg.margin, ZERO))
            if all(hit):
                self.count["both_legs"] += 1
            else:
                gone = 0 if hit[0] else 1
                lost, other = position.legs[gone], position.legs[1 - gone]
                ratio = self._mark(other, self.t - 1) / self._mark(lost, self.t - 1)
                price = prices[gone] * ratio
                self._book(self.t, position, other, "price", other.unrealised(position.quantity, price))
                self._book(
                    self.t, position, other, "fee", -self._fee(other.instrument, position.quantity, price)
                )
            self._forget(slot, self.t, "liquidations")

    def _liquidation_price(self, position: Position, leg: Leg) -> Decimal:
        q, s = position.quantity, leg.side
        room = leg.margin + leg.maintenance_amount - s * q * leg.entry
        return room / (q * leg.maintenance - s * q)

    def _triggered(self, leg: Leg, price: Decimal) -> bool:
        """Whether the worst price of the hour lies beyond the liquidation price."""
        mark = self._mark(leg, self.t)
        if leg.side > 0:
            low = self.market.low[self.t][leg.instrument]
            return below(mark if low is None else min(mark, low), price)
        high = self.market.high[self.t][leg.instrument]
        return above(mark if high is None else max(mark, high), price)

    def _forced_exits(self) -> None:
        for slot, position in enumerate(self.slots):
            if position is None:
                continue
            if any(self._stale(leg, self.t) for leg in position.legs):
                self._close(slot, self.t, "stale_exits")
            elif self.profile.stop_loss < 0 and below(self._share(position), self.profile.stop_loss):
                self._close(slot, self.t, "stop_exits")
            elif below(self._distance(position), self.profile.buffer):
                self._close(slot, self.t, "buffer_exits")

    # -- values ----------------------------------------------------------------------------------

    def _open(self) -> list[Position]:
        return [p for p in self.slots if p is not None]

    def _mark(self, leg: Leg, row: int) -> Decimal:
        price = self.market.mark[row][leg.instrument]
        assert price is not None, "an instrument that was traded has a price"
        return price

    def _stale(self, leg: Leg, row: int) -> bool:
        return above(self.market.age[row][leg.instrument], self.rules.max_age)

    def _fee(self, instrument: int, quantity: Decimal, price: Decimal) -> Decimal:
        return self.rules.fee[instrument] * quantity * price

    def _slippage(self, pair: int, quantity: Decimal, price: Decimal, row: int) -> Decimal:
        """Half the spread, plus impact, of one leg's fill."""
        if not self.rules.slippage:
            return ZERO
        half = self.market.half_spread[row][pair]
        depth = self.market.depth[row][pair]
        notional = quantity * price
        cost = notional * (self.rules.worst_half_spread if half is None else half)
        if depth is not None:
            cost += notional * self.rules.impact_k * notional / depth
        return cost

    def _closing_cost(self, position: Position) -> Decimal:
        cost = ZERO
        for leg in position.legs:
            price = self._mark(leg, self.t)
            cost += self._fee(leg.instrument, position.quantity, price)
            cost += self._slippage(position.pair, position.quantity, price, self.t)
        return cost

    def _closing_costs(self) -> Decimal:
        return sum((self._closing_cost(p) for p in self._open()), ZERO)

    def _price_gain(self, position: Position) -> Decimal:
        return sum(
            (leg.unrealised(position.quantity, self._mark(leg, self.t)) for leg in position.legs), ZERO
        )

    def _unrealised(self) -> Decimal:
        return sum((self._price_gain(p) for p in self._open()), ZERO)

    def _share(self, position: Position) -> Decimal:
        """What the position has brought to the equity so far, over its notional."""
        gain = self._price_gain(position) + position.funding
        return (gain - position.entry_costs - self._closing_cost(position)) / position.notional

    def _distance(self, position: Position) -> Decimal:
        """Liquidation distance of the nearer leg: 1 at entry, 0 at liquidation."""
        q = position.quantity
        distances = []
        for leg in position.legs:
            m, c = leg.maintenance, leg.maintenance_amount
            mark = self._mark(leg, self.t)
            left = leg.margin + leg.unrealised(q, mark)
            whole = q * leg.entry / self.profile.leverage - m * q * leg.entry + c
            distances.append((left - m * q * mark + c) / whole)
        return min(distances)

    def _margin(self) -> Decimal:
        return sum((leg.margin for p in self._open() for leg in p.legs), ZERO)

    def _free_cash(self) -> Decimal:
        return self.balance - self._margin()

    # -- bookings --------------------------------------------------------------------------------

    def _book(self, row: int, position: Position, leg: Leg, kind: str, amount: Decimal) -> None:
        self._book_at(self.market.time_ms(row), position, leg, kind, amount)

    def _book_at(
        self,
        time_ms: int,
        position: Position,
        leg: Leg,
        kind: str,
        amount: Decimal,
        estimated: bool = False,
        stale: bool = False,
    ) -> None:
        self.balance += amount
        position.booked += amount
        self.out.flows.append(
            Flow(time_ms, position.serial, leg.name, kind, amount, position.notional, estimated, stale)
        )

    # -- the private 75 numbers --------------------------------------------------------------------

    def _observe(self) -> None:
        self.out.masks.append(self.mask())
        numbers = self._observe_config() + self._observe_portfolio()
        for position in self.slots:
            numbers += [ZERO] * 12 if position is None else self._observe_position(position)
        self.out.observations.append([float(x) for x in numbers])

    def _observe_config(self) -> list[Decimal]:
        p = self.profile
        return [p.leverage / 10, p.utilization, Decimal(p.max_positions) / 5, p.stop_loss * 10, p.buffer * 2]

    def _observe_portfolio(self) -> list[Decimal]:
        held, shares = self._open(), self.closed_shares
        return [
            self.nlv / self.rules.initial_capital,
            self._free_cash() / self.nlv,
            self._margin() / self.nlv,
            Decimal(len(held)) / self.profile.max_positions,
            sum(shares, ZERO) / len(shares) if shares else ZERO,
            self.drawdown,
            self.max_drawdown,
            Decimal(self.market.utc_hour(self.t) % 8) / 8,
            min((self._distance(p) for p in held), default=ONE),
            sum((p.notional for p in held), ZERO) / self.nlv,
        ]

    def _observe_position(self, position: Position) -> list[Decimal]:
        marks = [self._mark(leg, self.t) for leg in position.legs]
        trail = self.market.trail24[self.t][position.pair]
        gains = [
            leg.unrealised(position.quantity, mark) for leg, mark in zip(position.legs, marks, strict=True)
        ]
        return [
            ONE,
            self._share(position),
            Decimal(self.t - position.opened) / 72,
            position.funding / position.notional,
            self._rate_per_8h(position.short) - self._rate_per_8h(position.long),
            (marks[1] - marks[0]) / ((marks[0] + marks[1]) / 2),
            ZERO if trail is None else trail,
            position.notional / self.nlv,
            sum((self._funding_due(position, leg) for leg in position.legs), ZERO) / position.notional,
            gains[0] / position.notional,
            gains[1] / position.notional,
            self._distance(position),
        ]

    def _rate_per_8h(self, leg: Leg) -> Decimal:
        rate = self.market.rate[self.t][leg.instrument]
        interval = self.market.interval[self.t][leg.instrument]
        return ZERO if rate is None or interval == 0 else rate * EIGHT / interval

    def _funding_due(self, position: Position, leg: Leg) -> Decimal:
        rate = self.market.rate[self.t][leg.instrument]
        interval = self.market.interval[self.t][leg.instrument]
        booked_next = self.t + 1 if self.rules.funding_at == "close" else self.t
        if rate is None or interval == 0 or self.market.utc_hour(booked_next) % interval != 0:
            return ZERO
        return -leg.side * position.quantity * self._mark(leg, self.t) * rate
