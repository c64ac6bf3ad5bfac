"""Every stress by its name: what is made worse, the replay of it, and what there is to say of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from rl.judge.gates import counted
from rl.market.arrays import MarketArrays
from rl.replay import Replay
from rl.stress.costs import LATEST_FILL, higher_fees, later_fills, reversed_boundary
from rl.stress.deleverage import DELEVERAGED, MOVE, deleveraging
from rl.stress.freeze import HOURS, frozen_market, worst_freeze
from rl.stress.late_leg import naked_hour, worst_late_leg
from rl.stress.subject import Held, Subject, summed_up
from schemas.stress import StressName, StressOutcome


@dataclass(frozen=True)
class Tried:
    """One stress.

    Attributes:
        what: What was made worse; the beginning of a sentence.
        told: The replay; None where the stress meets nothing, and the run is the plain one.
        note: What there is to say besides the return; without a replay, why there is none.
    """

    what: str
    told: Replay | None
    note: str = ""


def fees(subject: Subject, held: list[Held], impact_k: float) -> Tried:
    """Double every taker fee."""
    return Tried("With every taker fee doubled", subject.play(rules=higher_fees(subject.rules)))


def fills(subject: Subject, held: list[Held], impact_k: float) -> Tried:
    """Fill orders an hour later still."""
    what = "With fills an hour later still"
    if subject.rules.fill_delay_steps >= LATEST_FILL:
        return Tried(what, None, "Orders fill two hours late already, and the simulator knows no later.")
    return Tried(what, subject.play(rules=later_fills(subject.rules)))


def boundary(subject: Subject, held: list[Held], impact_k: float) -> Tried:
    """Charge settlements on a fill to the other position."""
    what = "With settlements on a fill charged to the other position"
    return Tried(what, subject.play(rules=reversed_boundary(subject.rules)))


def late_leg(subject: Subject, held: list[Held], impact_k: float) -> Tried:
    """Fill one leg of the worst entry an hour late."""
    what, market = "With one leg of an entry filled an hour late", subject.market
    late = worst_late_leg(held, market)
    if late is None:
        return Tried(what, None, "No position was held for an hour, so no leg could be late.")
    leg = f"{('long', 'short')[late.leg]} leg of {market.symbols[late.instrument]}"
    note = (
        f"It was the {leg} at {market.venues[late.instrument]}, ordered for {_clock(market, late.row)}, "
        f"the costliest of {counted(len(held), 'entry', 'entries')}."
    )
    return Tried(what, subject.play(hour=naked_hour(late)), note)


def deleveraged(subject: Subject, held: list[Held], impact_k: float) -> Tried:
    """Let venues close winning legs in hours that move far."""
    what = f"With winning legs closed by their venue in hours that move more than {100.0 * MOVE:g} %"
    told = subject.play(hour=deleveraging())
    times = int((told.trades["reason"] == DELEVERAGED).sum())
    if not times:
        return Tried(
            what, None, f"No hour moved more than {100.0 * MOVE:g} % in favour of a leg that was held."
        )
    return Tried(what, told, f"It happened {counted(times, 'time')}.")


def frozen(subject: Subject, held: list[Held], impact_k: float) -> Tried:
    """Freeze a venue when it costs most."""
    what, market, rules = f"With a venue frozen for {HOURS} hours", subject.market, subject.rules
    freeze = worst_freeze(held, market, rules, subject.window[1])
    if freeze is None:
        return Tried(what, None, "Nothing was held, so nothing could be frozen.")
    note = (
        f"It was {freeze.venue} from {_clock(market, freeze.first)} on, when legs of {freeze.notional:,.0f} "
        "were held there, the costliest hours there were."
    )
    return Tried(what, subject.play(market=frozen_market(market, freeze, rules)), note)


def impact(subject: Subject, held: list[Held], impact_k: float) -> Tried:
    """Let orders move prices."""
    what, depth = f"With an impact of {impact_k:g} x notional / depth", subject.market.depth
    if not held:
        return Tried(what, None, "Nothing was traded, so there was no impact.")
    if not any(depth[p.opened, p.pair] > 0 or depth[p.closed, p.pair] > 0 for p in held):
        return Tried(what, None, "Not tested: the order book's depth is unknown wherever the policy traded.")
    return Tried(what, subject.play(rules=subject.rules.model_copy(update={"impact_k": impact_k})))


TRIES: Final[dict[StressName, Callable[[Subject, list[Held], float], Tried]]] = {
    "fees x2": fees,
    "fills an hour later": fills,
    "funding boundary reversed": boundary,
    "one leg an hour late": late_leg,
    "winning leg deleveraged": deleveraged,
    "venue frozen": frozen,
    "size against depth": impact,
}


def stressed(
    name: StressName, subject: Subject, held: list[Held], plain: StressOutcome, impact_k: float
) -> StressOutcome:
    """Try one stress.

    Args:
        name: The stress.
        subject: The policy and its run.
        held: The positions of the plain run.
        plain: The plain run.
        impact_k: The k of the impact of "size against depth".
    """
    tried = TRIES[name](subject, held, impact_k)
    if tried.told is None:
        return plain.model_copy(update={"name": name, "what": tried.what, "sentence": tried.note})
    return summed_up(name, tried.what, tried.told, subject.rules.initial_capital, plain, tried.note)


def _clock(market: MarketArrays, row: int) -> str:
    return f"{datetime.fromtimestamp(market.hour_ms(row) / 1000, UTC):%Y-%m-%d %H:%M} UTC"
