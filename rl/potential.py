"""What is known of a state's worth before anything is learnt: the potential that helps the critic.

Only the learner sees it. Reported rewards, returns and evaluations never do.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, SLOT_FEATURES
from rl.sim.observe import POSITION_NAMES
from schemas.trading import N_POSITION_FEATURES, N_POSITION_SLOTS, N_PRIVATE

MIN_EXPOSURE: Final = 0.05  # a profile that may hardly trade does not blow its rewards up

_LEVERAGE, _UTILIZATION, _NLV = 0, 1, 5
_POSITIONS: Final = N_PRIVATE - N_POSITION_SLOTS * N_POSITION_FEATURES
_TRAIL24, _NOTIONAL = POSITION_NAMES.index("trail24"), POSITION_NAMES.index("notional")
_ROUND_TRIP: Final = SLOT_FEATURES.index("round_trip_cost_percent")


def exposure(private: NDArray[Any]) -> F64:
    """Leverage x utilization; a profile with ten times of it has ten times the reward for the same skill."""
    found: F64 = np.maximum(private[..., _LEVERAGE] * 10.0 * private[..., _UTILIZATION], MIN_EXPOSURE)
    return found


def expected_carry(private: NDArray[Any], hours: float, round_trip: float) -> F64:
    """Return what held positions are worth beside an empty book: percent over exposure.

    It is what they bring if their net rate of the last day lasts, and at most what entering them anew would
    cost, which is all that having them saves. This part of a state's worth need not be learnt: added to the
    critic's values and taken off its targets it acts as a potential (Ng, Harada, Russell 1999; Wiewiora
    2003). An entry is credited with what it is about to earn in the hour it pays its costs, leaving what
    pays is charged at once, and the best policy stays the best.

    Args:
        private: (..., 75).
        hours: How long the rate is taken to last.
        round_trip: Cost of entering and leaving, a fraction of a leg's notional.
    """
    positions = private[..., _POSITIONS:].reshape(*private.shape[:-1], N_POSITION_SLOTS, N_POSITION_FEATURES)
    leg = positions[..., _NOTIONAL].astype(np.float64) / 2.0 * private[..., _NLV, None]
    earned = leg * np.clip(positions[..., _TRAIL24] * hours / 8.0, 0.0, round_trip)
    total: F64 = 100.0 * earned.sum(-1) / exposure(private)
    return total


def round_trip_cost(slot_raw: F64) -> float:
    """Return the median cost of entering and leaving what is on offer, a fraction of a leg's notional.

    Args:
        slot_raw: (..., 20) unscaled opportunity features of the train hours; NaN is null.
    """
    costs = slot_raw[..., _ROUND_TRIP]
    known = costs[np.isfinite(costs)]
    return float(np.median(known)) / 100.0 if known.size else 0.0
