"""What keeps few hours from being learnt by heart: noise on what is measured, pairs that are not on offer."""

import numpy as np
import pytest
import torch

from rl.market.arrays import SLOT_FEATURES
from rl.policy import FIRST_EXIT
from rl.stage import EXACT, Stage
from tests.rl.test_trainer import trainer_of

EXACT_AT = [SLOT_FEATURES.index(name) for name in EXACT]
MEASURED_AT = [i for i in range(len(SLOT_FEATURES)) if i not in EXACT_AT]


def stage_of(noise: float = 0.0, dropout: float = 0.0) -> Stage:
    return trainer_of(feature_noise=noise, pair_dropout=dropout).stage


def seen(stage: Stage, seed: int = 0) -> np.ndarray:
    return stage.disturb(torch.Generator().manual_seed(seed)).numpy()


def test_without_either_the_hours_are_seen_as_they_are() -> None:
    stage = stage_of()
    assert stage.disturb(torch.Generator()) is stage.contexts
    assert stage.mask() is stage.runner.sim.mask()


def test_noise_has_the_size_asked_for_and_spares_what_is_exact_or_empty() -> None:
    stage = stage_of(noise=0.3)
    clean, filled = stage.contexts.numpy(), stage.market.slot_pair >= 0
    added = seen(stage) - clean
    assert added[filled][:, MEASURED_AT].std() == pytest.approx(0.3, rel=0.05)
    assert abs(added[filled][:, MEASURED_AT].mean()) < 0.02
    assert (added[filled][:, EXACT_AT] == 0).all()
    assert (added[~filled] == 0).all()
    assert (~filled).any(), "the test must see empty slots"
    assert not np.array_equal(seen(stage, seed=0), seen(stage, seed=1)), "every update has noise of its own"


def test_a_dropped_pair_is_neither_seen_nor_entered_in_any_hour_of_the_update() -> None:
    stage = stage_of(dropout=0.5)
    hours, pairs = seen(stage), stage.market.slot_pair
    hidden = (hours == 0).all(axis=2) & (pairs >= 0)
    dropped = np.unique(pairs[hidden])
    assert 0 < dropped.size < len(stage.market.pair_long)
    assert np.isin(pairs, dropped)[~hidden].sum() == 0, "a pair is dropped in all hours or in none"
    mask, whole = stage.mask(), stage.runner.sim.mask()
    at = hidden[stage.runner.sim.t]
    entries = mask[:, 1:FIRST_EXIT].reshape(len(mask), 3, -1).transpose(1, 0, 2)
    assert not entries[:, at].any()
    assert (mask[:, FIRST_EXIT:] == whole[:, FIRST_EXIT:]).all(), "what is held may always be left"
    kept = ~np.concatenate([at] * 3, axis=1)
    assert (mask[:, 1:FIRST_EXIT][kept] == whole[:, 1:FIRST_EXIT][kept]).all()
    seen(stage)
    assert not np.array_equal(stage.mask(), mask) or not np.array_equal(seen(stage), hours)


def test_evaluation_sees_the_hours_undisturbed() -> None:
    trainer = trainer_of(feature_noise=0.3, pair_dropout=0.5)
    clean = trainer.assignment.scaler.scale(trainer.assignment.market.slot_raw)
    trainer.step()
    np.testing.assert_array_equal(trainer.evaluator.sim.slots, clean)
    np.testing.assert_array_equal(trainer.stage.contexts.numpy(), clean)
