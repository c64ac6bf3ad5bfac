"""The best of many is called what it is: the best of many."""

from __future__ import annotations

import pytest

from rl.sweep.findings import alike, findings, luck
from tests.rl.sweep.made import made_summary, made_trial

PARAMS = {"learning_rate": 1e-3, "n_epochs": 4.0, "batch_size": 512.0, "gae_lambda": 0.9}


def test_the_best_is_the_complete_trial_of_the_highest_mean_and_of_equals_the_first() -> None:
    trials = [
        made_trial(0, PARAMS, 1.0, 3.0),
        made_trial(1, PARAMS, 2.5, 2.5),
        made_trial(2, PARAMS, 5.0, 0.0),
    ]
    pruned = made_trial(3, PARAMS, state="pruned", looks=[(25, 99.0)])
    best = made_summary([*trials, pruned], 2).best
    assert best is not None and (best.number, best.value) == (1, 2.5)


def test_luck_is_the_expected_greatest_of_so_many() -> None:
    """E[max of 10] = 1.5746, after Bailey & Lopez de Prado."""
    chance = luck(made_summary([made_trial(n, PARAMS, float(n)) for n in range(10)]))
    assert chance is not None and not chance.by_seeds
    assert chance.expected == pytest.approx(4.5 + 1.5746 * chance.deviation, abs=1e-3)
    assert chance.deviation == pytest.approx(3.02765, abs=1e-5)


def test_with_several_seeds_noise_is_what_seeds_of_one_recipe_differ_by() -> None:
    trials = [made_trial(n, PARAMS, n - 1.0, n + 0.0, n + 1.0) for n in range(4)]
    summary = made_summary(trials, 3)
    chance = luck(summary)
    assert chance is not None and chance.by_seeds
    assert chance.deviation == pytest.approx((1.0 / 3.0) ** 0.5)
    assert [trial.number for trial in alike(summary)] == [2], "2 sqrt(2) deviations are 1.63"


def test_one_seed_each_tells_nothing_apart_and_says_so() -> None:
    summary = made_summary([made_trial(n, PARAMS, float(n)) for n in range(3)])
    assert alike(summary) == ()
    said = " ".join(findings(summary).details)
    assert "One seed each does not tell how much of a difference is luck" in said
    assert "is an optimistic figure" in said
    assert "The sealed test window was not opened." in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((0.5, 0.7), "Trial 1 is the best of 2 trials, 0 pruned: +0.70 % on validation."),
        ((0.5, 0.2), "The recipe as it stands is the best of 2 trials, 0 pruned: +0.50 % on validation."),
        ((-0.5, 0.0), "No recipe is better than holding: the best of 2 trials, 0 pruned, returns +0.00 % on"),
    ],
)
def test_the_headline_says_what_the_best_is_worth(values, said) -> None:
    summary = made_summary([made_trial(n, PARAMS, value) for n, value in enumerate(values)])
    assert findings(summary).headline.startswith(said)


def test_a_sweep_without_a_complete_trial_has_no_best() -> None:
    summary = made_summary([made_trial(0, PARAMS, state="diverged", looks=[])])
    assert summary.best is None and luck(summary) is None
    assert findings(summary).headline == "No trial was trained to its end: 1 trials, 0 pruned, 1 diverged."


def test_equal_trials_are_called_equal() -> None:
    said = findings(made_summary([made_trial(n, PARAMS, 0.0) for n in range(3)])).details
    assert "All of them are equal, so that there is nothing to choose between." in said
