"""What a policy is and where it comes from, as short names: versions and trials."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from rl.checkpoint import Checkpoint
from schemas.trading import MarketRules, PresetName
from schemas.training import TrainingConfig
from schemas.version import VERSION_DIGITS, Windows

TRIAL_DIGITS: Final = 16


def version_of(checkpoint: Checkpoint) -> str:
    """Name a policy by its weights, its scaler and its configs: equal policies have equal names."""
    info = checkpoint.info
    return _hash(
        checkpoint.weights_hash,
        list(info.scaler_median),
        info.training.model_dump(mode="json"),
        info.rules.model_dump(mode="json"),
        info.preset,
    )[:VERSION_DIGITS]


def trial_of(checkpoint: Checkpoint) -> str:
    """Name what was tried: data, windows, configs and seed; the same trial trained twice counts once."""
    info = checkpoint.info
    return trial_named(info.data_hash, info.windows, info.training, info.rules, info.preset)


def trial_named(
    data_hash: str, windows: Windows, training: TrainingConfig, rules: MarketRules, preset: PresetName
) -> str:
    """Name what is to be tried, as `trial_of` does once there is a checkpoint."""
    parts = [part.model_dump(mode="json") for part in (windows, training, rules)]
    return _hash(data_hash, *parts, preset)[:TRIAL_DIGITS]


def _hash(*parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
