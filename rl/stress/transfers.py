"""What each venue's wallet would lack, where the simulator has one wallet for all.

Every venue that is traded on begins with the same part of the capital. Its balance moves by the cash flows
booked there; its margins are locked from entry to exit, less what funding has taken out of them. It lacks
what its locked margins exceed its balance by.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from rl.judge.gates import counted
from rl.market.arrays import F64, MarketArrays
from rl.replay import Replay
from rl.stress.subject import Held, rows_of
from schemas.stress import Transfers, VenueNeed


def transfers(
    told: Replay,
    held: Sequence[Held],
    market: MarketArrays,
    *,
    window: tuple[int, int],
    capital: float,
    leverage: float,
) -> Transfers:
    """Split the wallet of a replay of one run by venue.

    Args:
        told: The replay.
        held: Its positions.
        market: Its market.
        window: First and last row.
        capital: Its initial capital, quote currency.
        leverage: Notional of a leg over its margin at entry.
    """
    names = sorted({market.venues[i] for position in held for i in position.instruments})
    if not names:
        return Transfers(sentence="Nothing was traded, so no venue lacked anything.")
    free = _free(told, held, market, names, window, leverage) + capital / len(names)
    needs = []
    for v, name in enumerate(names):
        worst = int(np.argmin(free[:, v]))
        lacks = max(0.0, -float(free[worst, v]))
        when = datetime.fromtimestamp(market.hour_ms(window[0] + worst) / 1000, UTC) if lacks else None
        needs.append(VenueNeed(venue=name, starts_with=capital / len(names), lacks=lacks, when=when))
    moved = _level(free, 1e-9 * capital)
    largest = max(needs, key=lambda need: need.lacks)
    start = f"With {capital / len(names):,.0f} at each of {len(names)} venues"
    if not largest.lacks:
        text = f"{start} none would have lacked anything."
    else:
        text = (
            f"{start}, {largest.venue} would have lacked {largest.lacks:,.0f} at worst; "
            f"{counted(len(moved), 'transfer')} of {sum(moved):,.0f} in all would have been needed."
        )
    return Transfers(
        venues=tuple(needs),
        count=len(moved),
        total=sum(moved),
        largest=max(moved, default=0.0),
        sentence=text,
    )


def _free(
    told: Replay,
    held: Sequence[Held],
    market: MarketArrays,
    names: Sequence[str],
    window: tuple[int, int],
    leverage: float,
) -> F64:
    """Return (H + 1, V) what each venue's flows and margins leave of an empty wallet at each hour's end."""
    first, last = window
    place = {name: v for v, name in enumerate(names)}
    change = np.zeros((last - first + 1, len(names)))  # of free cash, in each hour
    flows = told.flows
    row = rows_of(flows["time"], market) - first
    at = np.array([place[name] for name in flows["venue"].tolist()], np.int64)
    amount = flows["amount"].to_numpy(np.float64)
    np.add.at(change, (np.clip(row, 0, last - first), at), amount)
    paid = np.minimum(amount, 0.0) * (flows["kind"] == "funding").to_numpy()
    serial = np.array([int(str(name).rsplit("/", 1)[1]) for name in flows["position_id"].tolist()], np.int64)
    leg_of = flows["leg"].to_numpy(np.int64)
    ids = [int(str(name).rsplit("/", 1)[1]) for name in told.trades["position_id"].tolist()]
    for which, position in zip(ids, held, strict=True):
        for leg, instrument in enumerate(position.instruments):
            v = place[market.venues[instrument]]
            left = position.quantity * position.entry[leg] / leverage
            change[position.opened - first, v] -= left
            for k in np.flatnonzero((serial == which) & (leg_of == leg) & (paid < 0.0)):
                taken = min(left, -paid[k])  # out of the margin, not out of free cash
                change[min(max(int(row[k]), 0), last - first), v] += taken
                left -= taken
            if position.reason != "end":
                change[position.closed - first, v] += left
    total: F64 = np.cumsum(change, axis=0)
    return total


def _level(free: F64, tolerance: float) -> list[float]:
    """Return the transfers that keep every venue above zero: whoever lacks is levelled with the richest."""
    moved: list[float] = []
    shift = np.zeros(free.shape[1])
    for hour in free:
        now = hour + shift
        while now.min() < -tolerance and now.max() > 0:
            poor, rich = int(np.argmin(now)), int(np.argmax(now))
            amount = float((now[rich] - now[poor]) / 2.0)
            shift[poor] += amount
            shift[rich] -= amount
            now = hour + shift
            moved.append(amount)
    return moved
