"""Pruning: the bar of a rung is the median of what complete trials had reached there, as Optuna has it."""

from __future__ import annotations

import numpy as np
import pytest

from rl.sweep.looks import bars, best_by, missed
from tests.rl.sweep.made import CONFIG, EPISODES, made_trial

PARAMS = {"learning_rate": 1e-3, "n_epochs": 4.0, "batch_size": 512.0, "gae_lambda": 0.9}


def test_what_was_reached_at_a_rung_is_the_best_look_up_to_the_first_one_at_or_after_it() -> None:
    looks = [(20, 1.0), (40, 3.0), (60, 2.0), (80, 9.0)]
    assert best_by(looks, 20) == 1.0
    assert best_by(looks, 21) == 3.0
    assert best_by(looks, 60) == 3.0
    assert best_by(looks, 61) == 9.0
    assert best_by(looks, 81) is None
    assert best_by([], 1) is None


def test_a_training_ends_at_the_first_rung_it_falls_short_at_and_equal_is_enough() -> None:
    looks = [(20, 1.0), (40, 3.0), (60, 2.0)]
    assert missed(looks, [(20, 1.0), (50, 3.0)]) is None
    assert missed(looks, [(20, 1.1), (50, 9.0)]) == (1, 1.1)
    assert missed(looks, [(20, 1.0), (50, 3.1)]) == (3, 3.1)
    assert missed(looks, [(90, 99.0)]) is None, "it is not there yet"


def test_the_first_seed_of_complete_trials_makes_the_bars_and_pruned_ones_do_not() -> None:
    first = made_trial(0, PARAMS, 1.0, 50.0)
    second = made_trial(1, PARAMS, 3.0, -50.0)
    pruned = made_trial(2, PARAMS, state="pruned", looks=[(25, 99.0)])
    assert bars(CONFIG, EPISODES, [first]) == ((25, 0.0), (50, 0.5))
    assert bars(CONFIG, EPISODES, [first, second, pruned]) == ((25, 1.0), (50, 1.5))


def test_nothing_is_pruned_before_enough_trials_are_complete_or_without_rungs() -> None:
    late = CONFIG.model_copy(update={"bar_after": 3})
    trials = [made_trial(number, PARAMS, float(number)) for number in range(3)]
    assert bars(late, EPISODES, trials[:2]) == ()
    assert len(bars(late, EPISODES, trials)) == 2
    assert bars(CONFIG.model_copy(update={"rungs": ()}), EPISODES, trials) == ()


def test_it_decides_as_optunas_median_pruner() -> None:
    optuna = pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
    rng = np.random.default_rng(5)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=0)
    config = CONFIG.model_copy(update={"bar_after": 2})
    outcomes = set()
    for _ in range(60):
        study = optuna.create_study(direction="maximize")
        trials = []
        for number in range(int(rng.integers(1, 9))):
            looks = [(25, float(rng.normal())), (50, float(rng.normal())), (100, float(rng.normal()))]
            trials.append(made_trial(number, PARAMS, looks=looks))
            rungs = {rung: best_by(looks, rung) for rung in (25, 50)}
            study.add_trial(optuna.create_trial(value=trials[-1].value, intermediate_values=rungs))
        mine = [(25, float(rng.normal())), (50, float(rng.normal()))]
        theirs = None
        for count in (1, 2):
            seen = {rung: best_by(mine[:count], rung) for rung, _ in mine[:count]}
            frozen = optuna.create_trial(
                state=optuna.trial.TrialState.RUNNING, intermediate_values=seen, params={}
            )
            if pruner.prune(study, frozen):
                theirs = count
                break
        own = missed(mine, bars(config, EPISODES, trials))
        assert (own and own[0]) == theirs
        outcomes.add(theirs)
    assert outcomes == {None, 1, 2}
