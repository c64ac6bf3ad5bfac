"""The newest known value of each instrument or pair at any time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, I64


class AsOf:
    """Finds the newest update of a key at or before a time.

    Updates of one key at one time are ranked by their place: the later one in the input wins.
    """

    def __init__(self, key: NDArray[Any], time: I64) -> None:
        """Index the updates.

        Args:
            key: (N,) small non-negative integers.
            time: (N,) epoch microseconds.
        """
        self._base = int(time.min()) if time.size else 0
        self._span = int(time.max()) - self._base + 1 if time.size else 1
        packed = self._pack(key, time - self._base)
        self._order = np.argsort(packed, kind="stable")
        self._packed = packed[self._order]

    def find(self, key: NDArray[Any], time: NDArray[Any] | int) -> I64:
        """Return the place in the input of the newest update at or before each time, -1 where none.

        Args:
            key: Keys asked for, of any shape.
            time: Epoch microseconds, of a shape that broadcasts with it.
        """
        # A time before the first update asks for offset -1, which lies in the block of the key before.
        offset = np.clip(np.asarray(time, dtype=np.int64) - self._base, -1, self._span - 1)
        packed = self._pack(key, offset)
        if not self._packed.size:
            return np.full(packed.shape, -1, dtype=np.int64)
        place = np.searchsorted(self._packed, packed, side="right") - 1
        hit = (place >= 0) & (self._packed[place] // self._span == key)
        return np.where(hit, self._order[place], -1)

    def _pack(self, key: NDArray[Any], offset: I64) -> I64:
        if key.size and int(key.max()) + 1 > np.iinfo(np.int64).max // self._span:
            raise ValueError("the updates span too long a time to be indexed")
        return np.asarray(key.astype(np.int64) * self._span + offset, dtype=np.int64)


class Series:
    """Updates of one number per key, asked by time."""

    def __init__(self, key: NDArray[Any], time: I64, value: F64) -> None:
        """Index the updates whose value is a number; null ones tell nothing.

        Args:
            key: (N,) small non-negative integers.
            time: (N,) epoch microseconds.
            value: (N,) numbers; among equal key and time the last one wins.
        """
        known = np.isfinite(value)
        self.time, self.value = time[known], value[known]
        self._index = AsOf(key[known], self.time)

    def find(self, key: NDArray[Any], time: NDArray[Any] | int) -> I64:
        """Return the place of the newest update in `time` and `value`, -1 where none."""
        return self._index.find(key, time)

    def at(self, key: NDArray[Any], time: NDArray[Any] | int) -> F64:
        """Return the newest value at or before each time, NaN where none."""
        return gather(self.value, self.find(key, time))


def gather(value: F64, place: I64) -> F64:
    """Return value[place], NaN where the place is -1."""
    if not value.size:
        return np.full(place.shape, np.nan)
    return np.where(place >= 0, value[place], np.nan)
