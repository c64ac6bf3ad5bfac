"""Proposals are a function of the sweep's seed, the trial's number and earlier trials, and nothing else."""

from __future__ import annotations

import random

import numpy as np
import pytest

from rl.sweep.propose import importance, make_study, propose
from schemas.sweep import TrialResult
from schemas.training import Recipe
from tests.rl.sweep.made import CONFIG, EPISODES, made_trial

optuna = pytest.importorskip("optuna", reason="the extra `sweep` is not installed")


def value_of(params: dict[str, float]) -> float:
    """Return a result that only the learning rate decides: best at 1e-3."""
    return -abs(float(np.log10(params["learning_rate"])) + 3.0)


def searched(count: int, seed: int = 0) -> list[TrialResult]:
    """Return the trials of a search one after the other."""
    trials: list[TrialResult] = []
    while len(trials) < count:
        params = propose(CONFIG, Recipe(), EPISODES, seed, trials, [])
        trials.append(made_trial(len(trials), params, value_of(params)))
    return trials


def test_the_first_trial_is_the_recipe_as_it_stands() -> None:
    recipe = Recipe(learning_rate=0.5)
    params = propose(CONFIG, recipe, EPISODES, 0, [], [])
    assert params == {"learning_rate": 0.5, "n_epochs": 4.0, "batch_size": 2048.0, "gae_lambda": 0.9}


def test_a_proposal_depends_on_no_process_history() -> None:
    """As a process that did all of it, so one that was killed and begins at trial 7."""
    whole = searched(10)
    np.random.seed(1)  # noqa: NPY002  the state that must not matter
    random.seed(1)
    again = propose(CONFIG, Recipe(), EPISODES, 0, whole[:7], [])
    assert again == whole[7].params
    assert again != propose(CONFIG, Recipe(), EPISODES, 1, whole[:7], [])


def test_trials_of_one_batch_know_of_each_other_and_differ() -> None:
    earlier = searched(6)
    first = propose(CONFIG, Recipe(), EPISODES, 0, earlier, [])
    second = propose(CONFIG, Recipe(), EPISODES, 0, earlier, [first])
    assert first != second
    assert second == propose(CONFIG, Recipe(), EPISODES, 0, earlier, [first])
    under_way = make_study(CONFIG, EPISODES, earlier, [first]).get_trials(deepcopy=False)[-1]
    assert under_way.state == optuna.trial.TrialState.RUNNING and under_way.params == first


def test_values_lie_in_their_ranges_and_can_be_typed() -> None:
    for trial in searched(14)[1:]:
        for name, values in CONFIG.space.items():
            assert values.holds(trial.params[name])
        assert float(trial.params["n_epochs"]).is_integer()
        for name in ("learning_rate", "gae_lambda"):
            assert trial.params[name] == float(f"{trial.params[name]:.4g}")


def test_the_search_closes_in_on_what_pays() -> None:
    trials = searched(40)
    early = np.mean([value_of(trial.params) for trial in trials[1:5]])
    late = np.mean([value_of(trial.params) for trial in trials[-10:]])
    assert late > early + 0.2


def test_what_was_tried_is_not_proposed_again_while_there_is_something_else() -> None:
    small = CONFIG.model_copy(update={"space": {"batch_size": CONFIG.space["batch_size"]}})
    trials: list[TrialResult] = []
    for number in range(3):
        params = propose(small, Recipe(batch_size=2048), EPISODES, 0, trials, [])
        trials.append(made_trial(number, params, 0.0))
    assert {trial.params["batch_size"] for trial in trials} == {512.0, 1024.0, 2048.0}


def test_a_recipe_outside_of_the_space_is_left_out_of_the_study_and_a_diverged_trial_is_its_worst() -> None:
    inside = {"learning_rate": 1e-3, "n_epochs": 4.0, "batch_size": 512.0, "gae_lambda": 0.9}
    trials = [
        made_trial(0, inside | {"learning_rate": 0.5}, 9.0),
        made_trial(1, inside, 1.0),
        made_trial(2, inside, state="pruned", looks=[(25, -1.0)]),
        made_trial(3, inside, state="diverged", looks=[(25, 7.0)]),
    ]
    kept = make_study(CONFIG, EPISODES, trials).get_trials(deepcopy=False)
    states = optuna.trial.TrialState
    assert [trial.state for trial in kept] == [states.COMPLETE, states.PRUNED, states.PRUNED]
    assert [dict(trial.intermediate_values) for trial in kept] == [{25: 0.0, 50: 0.5}, {25: -1.0}, {}]


def test_importance_finds_the_one_parameter_that_matters() -> None:
    rng = np.random.default_rng(3)
    trials = []
    for number in range(60):
        params = {
            "learning_rate": float(10 ** rng.uniform(-4, -2)),
            "n_epochs": float(rng.integers(1, 9)),
            "batch_size": float(rng.choice([512, 1024, 2048])),
            "gae_lambda": float(rng.uniform(0.5, 0.99)),
        }
        trials.append(made_trial(number, params, value_of(params)))
    found = importance(CONFIG, EPISODES, trials)
    assert next(iter(found)) == "learning_rate"
    assert found["learning_rate"] > 0.6
    assert sum(found.values()) == pytest.approx(1.0)
    assert found == importance(CONFIG, EPISODES, trials)


def test_importance_is_not_claimed_of_few_or_of_equal_trials() -> None:
    params = {"learning_rate": 1e-3, "n_epochs": 4.0, "batch_size": 512.0, "gae_lambda": 0.9}
    assert importance(CONFIG, EPISODES, [made_trial(n, params, float(n)) for n in range(3)]) == {}
    assert importance(CONFIG, EPISODES, [made_trial(n, params, 0.0) for n in range(30)]) == {}
