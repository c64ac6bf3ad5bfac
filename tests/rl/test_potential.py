"""What the critic is told before it learns, and that it changes no preference between policies."""

from typing import Any

import numpy as np
import pytest
import torch

import rl.trainer
from rl.assignment import Assignment
from rl.market.arrays import SLOT_FEATURES
from rl.market.known import generate
from rl.market.scaler import Scaler
from rl.market.splits import split_windows
from rl.potential import expected_carry, round_trip_cost
from rl.sim.observe import CONFIG_NAMES, POSITION_NAMES
from rl.trainer import Trainer
from schemas.trading import N_PRIVATE
from tests.rl.test_train import RECIPE, RULES

COST = 0.0024


def state(leverage: float = 2.0, utilization: float = 0.5, **first_position: float) -> np.ndarray:
    private = np.zeros(N_PRIVATE)
    private[CONFIG_NAMES.index("leverage")] = leverage / 10.0
    private[CONFIG_NAMES.index("utilization")] = utilization
    private[5] = 1.0
    for name, value in first_position.items():
        private[15 + POSITION_NAMES.index(name)] = value
    return private


def test_a_held_pair_is_worth_what_it_brings_if_the_rate_of_its_day_lasts() -> None:
    held = state(is_active=1.0, notional=0.4, trail24=1e-4)  # a leg of a fifth of equity, 0.01 % per 8 h
    # 72 hours are nine periods: 0.09 % of the leg, 0.018 % of equity, at an exposure of one.
    assert expected_carry(held, 72.0, COST) == pytest.approx(0.018)
    assert expected_carry(held, 24.0, COST) == pytest.approx(0.006)


def test_it_is_worth_no_more_than_entering_it_anew_and_no_less_than_leaving_it() -> None:
    rich, poor = (state(is_active=1.0, notional=0.4, trail24=rate) for rate in (1e-2, -1e-2))
    assert expected_carry(rich, 72.0, COST) == pytest.approx(100 * 0.2 * COST)
    assert expected_carry(poor, 72.0, COST) == 0.0


def test_it_is_counted_at_the_exposure_that_rewards_are() -> None:
    small = state(1.0, 0.5, is_active=1.0, notional=0.2, trail24=1e-4)
    large = state(10.0, 0.5, is_active=1.0, notional=2.0, trail24=1e-4)
    assert expected_carry(small, 72.0, COST) == pytest.approx(expected_carry(large, 72.0, COST))


def test_an_empty_book_is_worth_nothing_yet_and_no_hours_tell_nothing() -> None:
    assert expected_carry(state(), 72.0, COST) == 0.0
    assert expected_carry(state(is_active=1.0, notional=0.4, trail24=1e-4), 0.0, COST) == 0.0


def test_a_round_trip_costs_the_median_of_what_is_on_offer() -> None:
    slots = np.full((2, 3, len(SLOT_FEATURES)), np.nan)
    assert round_trip_cost(slots) == 0.0
    slots[0, :, SLOT_FEATURES.index("round_trip_cost_percent")] = (0.2, 0.24, 0.9)
    assert round_trip_cost(slots) == pytest.approx(0.0024)


def reference(trainer: Any, hours: float) -> tuple[np.ndarray, np.ndarray]:
    """Advantages and targets of a plain critic on shaped rewards, by the definition and in O(T^2)."""
    recipe, r, scale = trainer.assignment.training, trainer.rollout, trainer.reward_scaler.deviation

    def potential(private: np.ndarray) -> np.ndarray:
        return expected_carry(private, hours, trainer.round_trip) / scale

    private = r.private.double().numpy()
    held = potential(private)
    exposed = np.maximum(private[:, :, 0] * 10 * private[:, :, 1], 0.05)
    value = r.value.double().numpy()
    steps, n = r.shape
    advantage = np.zeros((steps, n))
    for i in range(n):
        delta, over = np.zeros(steps), np.zeros(steps, bool)
        for t in range(steps):
            last = t + 1 == steps
            after = r.next_value[i] if last else value[t + 1, i]
            then = potential(r.next_private[i]) if last else held[t + 1, i]
            if r.truncated[t, i]:
                after, then = r.final_value[t, i], potential(r.final_private[t, i])
            if r.terminated[t, i]:
                after, then = 0.0, 0.0
            shaped = r.reward[t, i] / exposed[t, i] / scale + recipe.gamma * then - held[t, i]
            delta[t] = shaped + recipe.gamma * after - value[t, i]
            over[t] = r.truncated[t, i] or r.terminated[t, i]
        for t in range(steps):
            weight = 1.0
            for k in range(t, steps):
                advantage[t, i] += weight * delta[k]
                if over[k]:
                    break
                weight *= recipe.gamma * recipe.gae_lambda
    return advantage, advantage + value


@pytest.mark.parametrize("hours", [0.0, 72.0])
def test_the_learner_learns_as_from_rewards_shaped_by_the_potential(
    monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    monkeypatch.setattr("rl.policy.INITIAL_KIND", (0.3, 0.5, 0.2))
    trainer = trainer_on_carry(carry_hours=hours)
    given: list[Any] = []
    monkeypatch.setattr(rl.trainer, "update", lambda *args: given.append(args[4:6]) or _stop())
    for _ in range(2):  # in the second one an episode is cut, and the other goes on, with positions that pay
        with pytest.raises(_Looked):
            trainer.step()
    r = trainer.rollout
    for private in (r.final_private[r.truncated], r.next_private):
        assert expected_carry(private, 72.0, trainer.round_trip).any()
    advantage, target = reference(trainer, hours)
    np.testing.assert_allclose(given[-1][0], advantage, atol=1e-6)
    np.testing.assert_allclose(given[-1][1], target, atol=1e-6)


def trainer_on_carry(**recipe: Any) -> Trainer:
    market = generate("persistent edge", 20, 0).market
    splits = split_windows(market.n_hours, market.start_ms, 24)
    scaler = Scaler.fit(market.slot_raw[slice(*splits.train.rows(market.start_ms))])
    training = RECIPE.model_copy(update=recipe)
    device = torch.device("cpu")
    trainer = Trainer(Assignment(market, splits, scaler, training, "moderate", RULES, "d", device))
    trainer.begin()
    return trainer


class _Looked(Exception):
    pass


def _stop() -> None:
    raise _Looked
