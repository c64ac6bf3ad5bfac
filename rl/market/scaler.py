"""Opportunity features on one scale, learnt from train alone."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, SLOT_FEATURES

CLIP = 10.0
_INTERVAL = SLOT_FEATURES.index("long_interval_8")


@dataclass(frozen=True)
class Scaler:
    """Scales slot features by the typical size that they have in train.

    Attributes:
        median: (20,) median |x| of the values that are not null, or 1 where that is 0 or there are none.
    """

    median: F64

    @classmethod
    def fit(cls, slot_raw: F64) -> Scaler:
        """Learn the scale from the unscaled slots (T, 10, 20) of the train hours; empty ones do not count."""
        values = np.abs(slot_raw[filled(slot_raw)])
        median = np.ones(len(SLOT_FEATURES))
        for feature in range(len(SLOT_FEATURES)):
            known = values[:, feature][~np.isnan(values[:, feature])]
            if known.size:
                median[feature] = np.median(known) or 1.0
        return cls(median)

    def scale(self, slot_raw: F64) -> NDArray[np.float32]:
        """Return asinh(x / median) clipped to +-10, as float32; null is 0 and an empty slot all zeros.

        Args:
            slot_raw: (T, 10, 20) unscaled features.
        """
        scaled = np.clip(np.arcsinh(slot_raw / self.median), -CLIP, CLIP)
        return np.asarray(np.nan_to_num(scaled, nan=0.0), dtype=np.float32)

    def to_json(self) -> str:
        """Return the scaler as JSON, by feature name; numbers come back exactly."""
        named = dict(zip(SLOT_FEATURES, self.median.tolist(), strict=True))
        return json.dumps({"median_abs": named, "clip": CLIP}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Scaler:
        """Read what `to_json` wrote.

        Raises:
            ValueError: The text is something else.
        """
        try:
            named = json.loads(text)["median_abs"]
            return cls(np.array([float(named[name]) for name in SLOT_FEATURES]))
        except (KeyError, TypeError) as error:
            raise ValueError("this is not a scaler of these features") from error


def filled(slot_raw: F64) -> NDArray[np.bool_]:
    """Return whether each slot of (..., 20) features holds an opportunity: an empty one has interval 0."""
    return np.asarray(slot_raw[..., _INTERVAL] != 0.0)
