"""A segment of paper trading once more as a backtest: one run over all of its hours, nothing written down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rl.backtest import agent_actor, cash_actor
from rl.paper import Follower
from rl.paper_books import Desk, figures_of, place
from schemas.paper import PaperLine
from schemas.trading import TradingConfig


def first_difference(
    desk: Desk,
    config: TradingConfig,
    follower: Follower | None,
    lines: Sequence[PaperLine],
    after: PaperLine | None,
) -> str | None:
    """Hold a segment's lines against a backtest that starts with the books the segment began with.

    Args:
        desk: A market over the segment's hours, under the version's rules.
        config: The portfolio's risk profile.
        follower: The version; None where the segment holds.
        lines: The segment's hours, without a hole; the first one carries its books.
        after: The next segment's first line, which tells what came of the last decision.

    Returns:
        The first number that differs, in words; None where all are equal, bit for bit.

    Raises:
        DataError: The market does not reach over the hours, or does not know a pair.
        ValueError: The first line carries no books.
    """
    if lines[0].carried is None:
        raise ValueError("a segment begins with its books")
    sim, recorder = place(desk, config, lines[0].carried)
    if follower is None:
        actor = cash_actor()
    else:
        actor = agent_actor(follower.policy, follower.scaler, desk.market)
    told = [*lines[1:], after] if after is not None else list(lines[1:])
    for line, later in zip(lines, told, strict=False):
        action = int(actor(desk.row(line.hour), sim.private(), sim.mask())[0])
        if action != line.decision.action:
            return f"at {_told(line)} action {action} was decided, not {line.decision.action}"
        sim.step(np.array([action]))
        for name, value in figures_of(sim).items():
            if value != getattr(later, name):
                return f"at {_told(later)} {name} is {value!r}, not {getattr(later, name)!r}"
    passed = recorder.passed(0)
    for what, now, then in (
        (
            "flow",
            [f.model_dump() for f in passed.flows],
            [f.model_dump() for line in told for f in line.flows],
        ),
        ("closed position", list(passed.closed), [trade for line in told for trade in line.closed]),
    ):
        if (found := _unequal(what, now, then)) is not None:
            return found
    return None


def _unequal(what: str, now: list[dict[str, Any]], then: list[dict[str, Any]]) -> str | None:
    if len(now) != len(then):
        return f"there are {len(now)} {what}s, not {len(then)}"
    for number, (a, b) in enumerate(zip(now, then, strict=True), start=1):
        for name in a:
            if a[name] != b[name]:
                return f"{what} {number}: {name} is {a[name]!r}, not {b[name]!r}"
    return None


def _told(line: PaperLine) -> str:
    return f"{line.hour:%Y-%m-%d %H:%M} UTC"
