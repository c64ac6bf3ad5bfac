"""Policies that need no learning: what any trained policy has to beat.

Each is a pure function of the observation and the mask, over any number of episodes at once.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rl.market.arrays import F64, I64, SLOT_FEATURES, Bool
from schemas.trading import N_ACTIONS, N_OPPORTUNITY_SLOTS, N_POSITION_FEATURES, N_POSITION_SLOTS

HOLD: Final = 0
ENTER_LARGE: Final = 1 + 2 * N_OPPORTUNITY_SLOTS  # action of slot 0, large
EXIT: Final = 1 + 3 * N_OPPORTUNITY_SLOTS  # action of position slot 0
POSITIONS_AT: Final = 15  # 5 config and 10 portfolio numbers come first in the private part
TRAIL_24H: Final = 6  # of the 12 numbers of a position slot
PERIODS_72H: Final = 9  # 8-hour periods in 72 hours

PERIODS_A_YEAR: Final = 1095  # 8-hour periods; APR columns are profit columns times this

_PROFIT_NOW: Final = SLOT_FEATURES.index("profit_8h")
_PROFIT_24H: Final = SLOT_FEATURES.index("profit_24h_proj")
_PROFIT_3D: Final = SLOT_FEATURES.index("profit_3d_proj")
_ROUND_TRIP: Final = SLOT_FEATURES.index("round_trip_cost_percent")


def cash(mask: Bool) -> I64:
    """Hold, always.

    Args:
        mask: (N, 36) valid actions.

    Returns:
        (N,) actions.
    """
    action: I64 = np.full(len(mask), HOLD, np.int64)
    return action


def random_valid(mask: Bool, uniform: F64) -> I64:
    """Take each valid action with the same probability.

    Args:
        mask: (N, 36) valid actions.
        uniform: (N,) numbers drawn from [0, 1), one per episode.

    Returns:
        (N,) actions.
    """
    choices = mask.sum(axis=1)
    nth = np.minimum((uniform * choices).astype(np.int64), choices - 1)
    action: I64 = np.argmax(mask.cumsum(axis=1) > nth[:, None], axis=1).astype(np.int64)
    return action


def greedy(slot_raw: F64, private: np.ndarray, mask: Bool) -> I64:
    """Chase the highest projected APR net of costs; leave when it has gone.

    Enters, large, the valid slot with the highest 24 h projected profit whose projected 72 h funding exceeds
    its round-trip cost. Leaves a position whose pair's 24 h net rate is below 0, the worst first. Leaving
    goes before entering; ties go to the lowest slot. Between the two lies its hysteresis: what it enters has
    to pay for a round trip, what it holds, whose round trip is spent, only has to pay.

    Args:
        slot_raw: (N, 10, 20) unscaled opportunity features, NaN is null; (10, 20) where one hour serves all.
        private: (N, 75) config, portfolio and position part of the observation.
        mask: (N, 36) valid actions.

    Returns:
        (N,) actions.
    """
    profit = slot_raw[..., _PROFIT_24H]
    pays = profit * PERIODS_72H > slot_raw[..., _ROUND_TRIP]  # a null on either side does not pay
    return _leave_or_enter(profit, pays, private, mask)


def greedy_now(slot_raw: F64, private: np.ndarray, mask: Bool) -> I64:
    """Be greedy by the rate on show: `greedy` with the current 8 h profit in place of the projection."""
    profit = slot_raw[..., _PROFIT_NOW]
    return _leave_or_enter(profit, profit * PERIODS_72H > slot_raw[..., _ROUND_TRIP], private, mask)


def hold_until_flip(slot_raw: F64, private: np.ndarray, mask: Bool, entry_apr: float) -> I64:
    """Carry what has paid for three days until it no longer pays.

    Enters, large, the valid slot with the highest 3-day APR above `entry_apr`, unless its 24 h APR is below
    0 already. Leaves a position whose pair's 24 h net rate is below 0, the worst first. Leaving goes before
    entering; ties go to the lowest slot.

    Args:
        slot_raw: (N, 10, 20) unscaled opportunity features, NaN is null; (10, 20) where one hour serves all.
        private: (N, 75) config, portfolio and position part of the observation.
        mask: (N, 36) valid actions.
        entry_apr: Percent a year.

    Returns:
        (N,) actions.
    """
    profit = slot_raw[..., _PROFIT_3D]
    wanted = (profit * PERIODS_A_YEAR > entry_apr) & (slot_raw[..., _PROFIT_24H] >= 0.0)
    return _leave_or_enter(profit, wanted, private, mask)


def _leave_or_enter(rank: F64, wanted: Bool, private: np.ndarray, mask: Bool) -> I64:
    """Leave the pair with the lowest 24 h net rate below 0; else enter the wanted slot of highest rank."""
    n = len(mask)
    may_enter = mask[:, ENTER_LARGE : ENTER_LARGE + N_OPPORTUNITY_SLOTS] & wanted
    enter = np.argmax(np.where(may_enter, rank, -np.inf), axis=1)
    action = np.where(may_enter.any(axis=1), ENTER_LARGE + enter, HOLD)

    positions = private[:, POSITIONS_AT:].reshape(n, N_POSITION_SLOTS, N_POSITION_FEATURES)
    trailing = positions[:, :, TRAIL_24H].astype(np.float64)
    may_leave = mask[:, EXIT:N_ACTIONS] & (positions[:, :, 0] > 0) & (trailing < 0.0)
    leave = np.argmin(np.where(may_leave, trailing, np.inf), axis=1)
    return np.where(may_leave.any(axis=1), EXIT + leave, action).astype(np.int64)
