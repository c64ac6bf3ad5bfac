"""How a run is cut into updates."""

import pytest

from rl.schedule import annealed, passed, plan_run
from schemas.training import TrainingConfig


@pytest.mark.parametrize("hours", [2, 24, 168, 336])
@pytest.mark.parametrize("episodes", [1, 3, 10, 40, 200, 1000, 2000, 20_000])
def test_a_run_has_the_size_asked_for(episodes: int, hours: int) -> None:
    training = TrainingConfig(num_episodes=episodes)
    shape = plan_run(training, hours)
    total, rollout = episodes * hours, shape.n_envs * shape.rollout_steps
    assert shape.n_envs % shape.n_cohorts == 0
    assert 1 <= shape.n_envs <= min(training.n_envs, max(1, episodes // 4))
    assert 2 <= shape.rollout_steps <= training.rollout_steps
    assert (shape.updates - 1) * rollout < total <= shape.updates * rollout
    if total > 1024:
        assert shape.updates >= 32, "several updates, however short the run"
    if total > 2_000_000:
        assert (shape.n_envs, shape.rollout_steps) == (training.n_envs, training.rollout_steps)


def test_ten_short_episodes_still_give_several_updates() -> None:
    shape = plan_run(TrainingConfig(num_episodes=10), 24)
    assert shape.updates >= 5
    assert shape.n_envs * shape.rollout_steps <= 240 // 5


def test_the_recipe_is_an_upper_bound() -> None:
    training = TrainingConfig(num_episodes=100_000, n_envs=30, n_cohorts=7, rollout_steps=50)
    shape = plan_run(training, 336)
    assert (shape.n_envs, shape.n_cohorts, shape.rollout_steps) == (28, 7, 50)


@pytest.mark.parametrize(
    ("name", "half", "least"), [("learning_rate", 0.5, 0.1), ("entropy_coef", 0.25, 0.01)]
)
def test_learning_rate_and_entropy_bonus_fall_to_zero_and_not_below(
    name: str, half: float, least: float
) -> None:
    training = TrainingConfig(learning_rate=1.0, entropy_coef=1.0)
    values = [getattr(annealed(training, u, 10), name) for u in range(14)]
    assert values[0] == 1.0
    assert values[5] == half
    assert min(values) == pytest.approx(least)
    assert values == sorted(values, reverse=True)
    constant = training.model_copy(update={"anneal": False})
    assert annealed(constant, 9, 10) == constant


def test_due_numbers_are_those_passed() -> None:
    assert passed(0, 99, 100, 1000) == []
    assert passed(0, 100, 100, 1000) == [100]
    assert passed(100, 230, 100, 1000) == [200]
    assert passed(190, 430, 100, 1000) == [200, 300, 400]
    assert passed(950, 1100, 100, 1000) == [1000], "no number beyond what was asked for"
