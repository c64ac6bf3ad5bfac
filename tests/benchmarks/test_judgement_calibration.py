"""The decision function makes few mistakes; `benchmarks/judgement_calibration.py` counts more of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks._candidates import World, noise
from benchmarks.judgement_calibration import EDGE, clopper_pearson, measure


def test_worthless_candidates_the_best_of_many_hardly_ever_become_champion_thanks_to_the_deflation() -> None:
    told = measure("no edge", 400, 11)
    assert told.share <= 0.05
    assert told.without("", "deflated Sharpe").share > 0.15


def test_a_worthless_candidate_that_was_the_only_one_tried_does_not_either_thanks_to_the_bounds() -> None:
    told = measure("no edge", 800, 13, trials=(1,))
    assert told.share <= 0.05
    assert told.without("", "over cash", "over greedy").share > 1.2 * told.share


def test_candidates_with_the_stated_edge_do() -> None:
    assert measure("an edge", 150, 12, edge=EDGE).share >= 0.90


def test_half_of_the_champions_edge_does_not_unseat_it() -> None:
    told = measure("half", 100, 14, edge=5.0, rival=10.0)
    assert told.share <= 0.05
    assert told.missing("over the champion") >= 0.95


def test_the_returns_drawn_are_what_they_are_said_to_be() -> None:
    world = World(days=100_000, trials=3, memory=0.4, tails=5.0, crashes=0.3, alike=0.5)
    told = noise(world, 3, np.random.default_rng(0))
    assert told.mean() == pytest.approx(0.0, abs=0.02)
    assert told.std() == pytest.approx(1.0, abs=0.05)
    assert np.corrcoef(told)[0, 1] == pytest.approx(0.5, abs=0.03)
    for row in told:
        apart = row - row.mean()
        assert (apart[1:] @ apart[:-1]) / (apart @ apart) == pytest.approx(0.4, abs=0.03)
        assert (apart**4).mean() / (apart @ apart / len(apart)) ** 2 > 5.0  # heavy tails
        assert (apart**3).mean() < 0.0  # the losing side is wider


@pytest.mark.parametrize(("hits", "of"), [(0, 50), (3, 50), (54, 2_000), (462, 500), (50, 50)])
def test_limits_of_a_share_are_those_of_clopper_and_pearson(hits: int, of: int) -> None:
    beta = pytest.importorskip("scipy.stats").beta
    low, high = clopper_pearson(hits, of)
    assert low == pytest.approx(0.0 if hits == 0 else beta.ppf(0.025, hits, of - hits + 1), abs=1e-9)
    assert high == pytest.approx(1.0 if hits == of else beta.ppf(0.975, hits + 1, of - hits), abs=1e-9)
    assert math.isclose(low, max(0.0, low))
