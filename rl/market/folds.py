"""Walk-forward folds: train, validation and a held-out part each, which together cover the newest hours."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

from rl.market.arrays import HOUR_MS
from rl.market.plan import MAX_HOURS
from rl.market.splits import EMBARGO_HOURS, SHORTEST_PART_HOURS, Splits, Window
from schemas.errors import DataError
from schemas.walk_forward import FoldPlan


def fold_windows(hours: int, start_ms: int, episode_hours: int, plan: FoldPlan) -> list[Splits]:
    """Cut the hours of a market into folds of train | embargo | validation | embargo | test.

    The newest `held_out_share` of the hours is held out and cut into equal test parts, one behind the other;
    the hours that are left over go to the last one. What lies before a test part, less two embargos, is train
    and validation; validation is rounded down. Every fold starts at the first hour, or (rolling) as many
    hours before its test part as the first fold does. Embargo and episode length are the same in every
    fold: an episode is a quarter of the first fold's train at most, and no longer than any part.

    Args:
        hours: Hours in the market.
        start_ms: UTC epoch milliseconds of its first hour.
        episode_hours: Longest episode asked for.
        plan: How many folds, and of what.

    Returns:
        The folds, oldest first.

    Raises:
        DataError: A part would be shorter than 24 hours.
    """
    rows = _rows(hours, episode_hours, plan)
    if not _fit(rows):
        needed = _needed(hours, episode_hours, plan)
        wanted = "" if needed is None else f", and {needed} are needed"
        raise DataError(
            f"the data has {hours} hours{wanted} for {plan.n_folds} folds whose parts have "
            f"{SHORTEST_PART_HOURS} hours each.",
            remedy="Give data of more days, or ask for fewer folds.",
        )
    embargo = _embargo(hours, episode_hours)
    shortest = min(b - a for parts in rows for a, b in parts)
    episode = min(episode_hours, (rows[0][0][1] - rows[0][0][0]) // 4, shortest)
    return [
        Splits(
            train=_window(start_ms, train),
            validation=_window(start_ms, validation),
            test=_window(start_ms, test),
            embargo_hours=embargo,
            episode_hours=episode,
            hours=hours,
        )
        for train, validation, test in rows
    ]


Part = tuple[int, int]  # first row and first row after


def _rows(hours: int, episode_hours: int, plan: FoldPlan) -> list[tuple[Part, Part, Part]]:
    """Return the rows of every fold's train, validation and test; parts may be too short, even negative."""
    embargo = _embargo(hours, episode_hours)
    held_out = int(hours * plan.held_out_share)
    each = held_out // plan.n_folds
    first = hours - held_out
    edges = [first + number * each for number in range(plan.n_folds)] + [hours]
    folds = []
    for begin, end in pairwise(edges):
        oldest = begin - first if plan.scheme == "rolling" else 0
        rest = begin - oldest - 2 * embargo
        validation = int(rest * plan.validation_share)
        train = (oldest, oldest + rest - validation)
        chosen = (train[1] + embargo, train[1] + embargo + validation)
        folds.append((train, chosen, (begin, end)))
    return folds


def _needed(hours: int, episode_hours: int, plan: FoldPlan) -> int | None:
    """Return the number of hours from which on the plan fits, or None where no data set has as many."""

    def fits(n: int) -> bool:
        return _fit(_rows(n, episode_hours, plan))

    below, enough = max(hours, 0), MAX_HOURS
    if not fits(enough):
        return None
    while enough - below > 1:
        middle = (below + enough) // 2
        below, enough = (below, middle) if fits(middle) else (middle, enough)
    return enough


def _embargo(hours: int, episode_hours: int) -> int:
    # Of all hours, not of a fold's own: the larger one, and the same in every fold.
    return min(EMBARGO_HOURS + episode_hours, hours // 20)


def _fit(folds: list[tuple[Part, Part, Part]]) -> bool:
    return all(b - a >= SHORTEST_PART_HOURS for parts in folds for a, b in parts)


def _window(start_ms: int, part: Part) -> Window:
    start, end = (datetime.fromtimestamp((start_ms + row * HOUR_MS) / 1000, UTC) for row in part)
    return Window(start=start, end=end)
