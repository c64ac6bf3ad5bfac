"""The names of two markets: where each stands in the other.

Garbage brings names and removes some, so instruments and pairs have other indices in each build. No number
may depend on which other names there are; so numbers are looked up under their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import I64, MarketArrays

ABSENT: Final = -2  # a name that the other market lacks; -1 is no name


class Alignment:
    """Where the names of two markets stand in each other, and how far both go.

    Attributes:
        clean: The market of the rows as they are.
        dirty: The other one.
        last: The last row that is compared; both have it.
        legs: Instruments of the clean market, in words.
        pairs: Its pairs.
        dirty_pairs: Those of the other one.
        leg_to_clean: Index in the clean market of each instrument of the dirty one, or ABSENT.
        pair_to_clean: The same of pairs.
        common_legs: Indices, in the clean market and in the dirty one, of the instruments that both have.
        common_pairs: The same of pairs.
    """

    def __init__(self, clean: MarketArrays, dirty: MarketArrays, last: int) -> None:
        """Match names.

        Args:
            clean: The market of the rows as they are.
            dirty: The same with garbage after some time; begins at the same hour.
            last: The last row known by that time.
        """
        self.clean, self.dirty = clean, dirty
        self.last = min(last, clean.n_hours - 1, dirty.n_hours - 1)
        self.legs, self.pairs = _leg_names(clean), _pair_names(clean)
        dirty_legs, dirty_pairs = _leg_names(dirty), _pair_names(dirty)
        self.leg_to_clean = _places(dirty_legs, self.legs)
        self.pair_to_clean = _places(dirty_pairs, self.pairs)
        self.dirty_pairs = dirty_pairs
        # Indices, in either market, of the names that both have; in the order of the clean one.
        at, there = _places(self.legs, dirty_legs), _places(self.pairs, dirty_pairs)
        self.common_legs = np.flatnonzero(at >= 0), at[at >= 0]
        self.common_pairs = np.flatnonzero(there >= 0), there[there >= 0]

    def in_clean(self, index: NDArray[Any], to_clean: I64) -> NDArray[np.int64]:
        """Translate indices of the dirty market; -1 stays, a name the clean one lacks is ABSENT."""
        return np.where(index >= 0, np.append(to_clean, ABSENT)[index.astype(np.int64)], index).astype(
            np.int64
        )

    def hour(self, row: int) -> str:
        """Name a row of the grid."""
        return time_text(self.clean.hour_ms(row))


def time_text(ms: int) -> str:
    """Write UTC epoch milliseconds as a person does."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _leg_names(market: MarketArrays) -> list[str]:
    return [f"{symbol} at {venue}" for symbol, venue in zip(market.symbols, market.venues, strict=True)]


def _pair_names(market: MarketArrays) -> list[str]:
    return [
        f"{market.symbols[a]} long at {market.venues[a]} and short at {market.venues[b]}"
        for a, b in zip(market.pair_long, market.pair_short, strict=True)
    ]


def _places(names: Sequence[str], among: Sequence[str]) -> I64:
    """Return where each name stands among others; ABSENT where it does not."""
    index = {name: i for i, name in enumerate(among)}
    return np.array([index.get(name, ABSENT) for name in names], dtype=np.int64)
