"""The baselines do what their one sentence says, on observations written by hand."""

from __future__ import annotations

import numpy as np

from rl.baselines import ENTER_LARGE, EXIT, HOLD, cash, greedy, greedy_now, hold_until_flip, random_valid
from rl.market.arrays import SLOT_FEATURES

PROFIT_NOW = SLOT_FEATURES.index("profit_8h")
PROFIT_3D = SLOT_FEATURES.index("profit_3d_proj")
PROFIT_24H = SLOT_FEATURES.index("profit_24h_proj")
COST = SLOT_FEATURES.index("round_trip_cost_percent")


def slots(*offers: tuple[float, float]) -> np.ndarray:
    """Opportunity slots from (24 h projected profit, round-trip cost); the rest are empty."""
    raw = np.zeros((1, 10, 20))
    for i, (profit, cost) in enumerate(offers):
        raw[0, i, :] = 0.5
        raw[0, i, PROFIT_24H], raw[0, i, COST] = profit, cost
    return raw


def held(**trailing: float) -> np.ndarray:
    """Private features with positions p0, p1 ... whose pairs' 24 h net rates are given."""
    private = np.zeros((1, 75), np.float32)
    for name, rate in trailing.items():
        at = 15 + 12 * int(name[1:])
        private[0, at] = 1.0
        private[0, at + 6] = rate
    return private


def mask(*valid: int) -> np.ndarray:
    allowed = np.zeros((1, 36), bool)
    allowed[0, [HOLD, *valid]] = True
    return allowed


ALL = mask(*range(1, 36))
ENTRIES = mask(*range(1, 31))
FLAT = held()


def act(raw: np.ndarray, private: np.ndarray, allowed: np.ndarray) -> int:
    return int(greedy(raw, private, allowed)[0])


def test_greedy_enters_large_the_highest_projection_that_pays_its_round_trip() -> None:
    assert act(slots((0.02, 0.1), (0.05, 0.3), (0.03, 0.2)), FLAT, ENTRIES) == ENTER_LARGE + 1
    # The highest projection costs more than 72 hours of it bring: the next one is taken.
    assert act(slots((0.02, 0.1), (0.05, 0.46), (0.03, 0.2)), FLAT, ENTRIES) == ENTER_LARGE + 2


def test_greedy_asks_for_more_than_the_cost_and_not_for_as_much() -> None:
    assert act(slots((0.0625, 0.5625)), FLAT, ENTRIES) == HOLD  # 9 x 0.0625 = 0.5625 exactly
    assert act(slots((0.0626, 0.5625)), FLAT, ENTRIES) == ENTER_LARGE


def test_greedy_enters_nothing_that_loses_is_unknown_or_is_empty() -> None:
    assert act(slots((-0.05, 0.1)), FLAT, ENTRIES) == HOLD
    assert act(slots((np.nan, 0.1), (0.5, np.nan)), FLAT, ENTRIES) == HOLD
    assert act(slots(), FLAT, ENTRIES) == HOLD


def test_greedy_takes_large_or_nothing() -> None:
    small_and_medium_only = mask(*range(1, 21))
    assert act(slots((0.05, 0.1)), FLAT, small_and_medium_only) == HOLD
    # Slot 0 cannot be entered: the next best valid one is.
    assert act(slots((0.05, 0.1), (0.04, 0.1)), FLAT, mask(ENTER_LARGE + 1)) == ENTER_LARGE + 1


def test_greedy_ties_go_to_the_lowest_slot() -> None:
    assert act(slots((0.05, 0.1), (0.05, 0.1)), FLAT, ENTRIES) == ENTER_LARGE


def test_greedy_leaves_a_pair_whose_net_rate_is_below_zero_before_it_enters() -> None:
    tempting = slots((0.5, 0.1))
    assert act(tempting, held(p1=-1e-6), ALL) == EXIT + 1
    assert act(tempting, held(p1=0.0), ALL) == ENTER_LARGE
    assert act(slots(), held(p1=1e-6), ALL) == HOLD


def test_greedy_leaves_the_worst_pair_first() -> None:
    assert act(slots(), held(p0=-1e-5, p2=-3e-5, p4=2e-5), ALL) == EXIT + 2
    assert act(slots(), held(p1=-2e-5, p3=-2e-5), ALL) == EXIT + 1


def test_greedy_never_leaves_an_empty_slot_or_against_the_mask() -> None:
    private = held(p0=-1e-5)
    private[0, 15] = 0.0  # not active
    assert act(slots(), private, ALL) == HOLD
    assert act(slots(), held(p0=-1e-5), ENTRIES) == HOLD


def test_greedy_decides_for_many_episodes_as_for_one() -> None:
    rng = np.random.default_rng(1)
    raw = rng.normal(0, 0.1, (64, 10, 20))
    private = rng.normal(0, 1e-4, (64, 75)).astype(np.float32)
    private[:, 15::12] = rng.random((64, 5)) < 0.5
    allowed = rng.random((64, 36)) < 0.5
    allowed[:, 0] = True
    together = greedy(raw, private, allowed)
    alone = [int(greedy(raw[i : i + 1], private[i : i + 1], allowed[i : i + 1])[0]) for i in range(64)]
    assert together.tolist() == alone
    assert allowed[np.arange(64), together].all()
    shared = greedy(raw[0], private, allowed)
    assert shared.tolist() == greedy(np.repeat(raw[:1], 64, axis=0), private, allowed).tolist()


def shown(*offers: tuple[float, float, float]) -> np.ndarray:
    """Opportunity slots from (profit on show, 24 h projected profit, round-trip cost)."""
    raw = slots(*((projected, cost) for _, projected, cost in offers))
    raw[0, : len(offers), PROFIT_NOW] = [now for now, _, _ in offers]
    return raw


def act_now(raw: np.ndarray, private: np.ndarray, allowed: np.ndarray) -> int:
    return int(greedy_now(raw, private, allowed)[0])


def test_greedy_now_enters_what_shows_most_whatever_is_projected() -> None:
    tempting = shown((0.02, 0.09, 0.1), (0.05, -0.01, 0.3), (0.03, 0.08, 0.2))
    assert act_now(tempting, FLAT, ENTRIES) == ENTER_LARGE + 1
    assert act(tempting, FLAT, ENTRIES) == ENTER_LARGE
    # 9 x 0.05 = 0.45 does not pay 0.46: the next one is taken; where none shows enough, none is.
    assert act_now(shown((0.05, 0.09, 0.46), (0.03, 0.0, 0.2)), FLAT, ENTRIES) == ENTER_LARGE + 1
    assert act_now(shown((0.02, 0.09, 0.2), (np.nan, 0.09, 0.1), (-0.5, 0.09, 0.1)), FLAT, ENTRIES) == HOLD


def test_greedy_now_leaves_by_the_day_and_not_by_what_is_on_show() -> None:
    tempting = shown((0.5, 0.5, 0.1))
    assert act_now(tempting, held(p1=-1e-6), ALL) == EXIT + 1
    assert act_now(tempting, held(p1=1e-6), ALL) == ENTER_LARGE
    assert act_now(shown((-0.5, -0.5, 0.1)), held(p1=1e-6), ALL) == HOLD


def steady(*offers: tuple[float, float]) -> np.ndarray:
    """Opportunity slots from (3-day APR, 24 h APR), percent a year."""
    raw = slots(*((day / 1095, 0.0) for _, day in offers))
    raw[0, : len(offers), PROFIT_3D] = [three_days / 1095 for three_days, _ in offers]
    return raw


def flip(raw: np.ndarray, private: np.ndarray, allowed: np.ndarray) -> int:
    return int(hold_until_flip(raw, private, allowed, 20.0)[0])


def test_hold_until_flip_enters_the_highest_three_day_apr_above_its_threshold() -> None:
    assert flip(steady((21, 5), (40, 1), (30, 90)), FLAT, ENTRIES) == ENTER_LARGE + 1
    assert flip(steady((19.99, 90)), FLAT, ENTRIES) == HOLD
    assert flip(steady((20.01, 90)), FLAT, ENTRIES) == ENTER_LARGE
    assert flip(steady((21, 5), (40, 1)), FLAT, mask(ENTER_LARGE)) == ENTER_LARGE
    assert flip(steady((np.nan, 90)), FLAT, ENTRIES) == HOLD


def test_hold_until_flip_does_not_enter_what_it_would_leave_at_once() -> None:
    assert flip(steady((40, -0.1), (30, 0.0)), FLAT, ENTRIES) == ENTER_LARGE + 1
    assert flip(steady((40, np.nan)), FLAT, ENTRIES) == HOLD


def test_hold_until_flip_leaves_when_the_day_has_turned_and_not_before() -> None:
    assert flip(steady((40, 5)), held(p1=-1e-6), ALL) == EXIT + 1
    assert flip(steady((40, 5)), held(p1=1e-6), ALL) == ENTER_LARGE
    assert flip(steady(), held(p0=-1e-6, p2=-2e-6), ALL) == EXIT + 2


def test_cash_holds() -> None:
    assert cash(np.ones((7, 36), bool)).tolist() == [HOLD] * 7


def test_random_takes_every_valid_action_equally_often_and_no_other() -> None:
    rng = np.random.default_rng(2)
    allowed = np.repeat(mask(3, 17, 35), 40_000, axis=0)
    taken = np.bincount(random_valid(allowed, rng.random(40_000)), minlength=36)
    assert np.nonzero(taken)[0].tolist() == [0, 3, 17, 35]
    np.testing.assert_allclose(taken[[0, 3, 17, 35]] / 40_000, 0.25, atol=0.01)


def test_random_holds_where_nothing_else_is_valid_even_at_the_edge_of_its_draws() -> None:
    edge = np.array([0.0, np.nextafter(1.0, 0.0)])
    assert random_valid(np.repeat(mask(), 2, axis=0), edge).tolist() == [0, 0]
    assert random_valid(np.repeat(mask(5), 2, axis=0), edge).tolist() == [0, 5]
