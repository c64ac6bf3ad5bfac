"""What a training run is asked to do; everything a resumed run has to agree on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from rl.checkpoint import Checkpoint
from rl.market.arrays import MarketArrays
from rl.market.scaler import Scaler
from rl.market.splits import Splits
from schemas.trading import PRESETS, MarketRules, PresetName, TradingConfig
from schemas.training import TrainingConfig
from schemas.version import Windows


@dataclass(frozen=True)
class Assignment:
    """What is to be trained, on what."""

    market: MarketArrays
    splits: Splits
    scaler: Scaler
    training: TrainingConfig
    preset: PresetName
    rules: MarketRules
    data_hash: str
    device: torch.device
    start_from: Checkpoint | None = None
    judged_under: Mapping[str, TradingConfig] | None = None

    @property
    def windows(self) -> Windows:
        """The three windows, as ISO 8601."""
        named = {name: getattr(self.splits, name) for name in ("train", "validation", "test")}
        return Windows(**{name: (w.start.isoformat(), w.end.isoformat()) for name, w in named.items()})

    @property
    def profiles(self) -> dict[str, TradingConfig]:
        """Risk profiles looked at on validation; the first one chooses.

        A policy trained for one profile is judged under that one, unless others were named.
        """
        if self.judged_under is not None:
            return dict(self.judged_under)
        if not self.training.sample_random_config:
            return {"own": self.training.trading}
        first: dict[str, TradingConfig] = {self.preset: PRESETS[self.preset]}
        return first | {name: config for name, config in PRESETS.items() if name != self.preset}

    @property
    def identity(self) -> str:
        """Hash of everything a resumed run must agree on."""
        facts = {
            "training": self.training.model_dump(mode="json"),
            "rules": self.rules.model_dump(mode="json"),
            "preset": self.preset,
            "profiles": {name: config.model_dump(mode="json") for name, config in self.profiles.items()},
            "data": self.data_hash,
            "windows": self.windows.model_dump(mode="json"),
            "episode_hours": self.splits.episode_hours,
            "scaler": self.scaler.median.tolist(),
            "start_from": self.start_from.weights_hash if self.start_from else None,
            "torch": torch.__version__,
            "device": self.device.type,
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
