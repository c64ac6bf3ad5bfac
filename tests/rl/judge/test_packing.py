"""The packing's bound is one for any prices, and near the best packing, which a solver of integers finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from rl.judge.packing import Jobs, Packed, _Grid, pack


def some_jobs(seed: int, n: int = 60, hours: int = 20, groups: int = 5, resources: int = 0) -> Jobs:
    rng = np.random.default_rng(seed)
    start = np.sort(rng.integers(0, hours - 1, n))
    end = np.minimum(start + rng.integers(1, 9, n), hours)
    group = rng.integers(0, groups, n)
    resource = np.full((n, 2), -1)
    if resources:
        resource = np.sort(rng.integers(0, resources, (n, 2)), axis=1)
        resource[resource[:, 0] == resource[:, 1], 1] = -1
    return Jobs(start, end, group, resource, rng.uniform(0.1, 1.0, n) * (end - start) ** 0.5)


def limits(jobs: Jobs, capacity: int, hours: int) -> tuple[np.ndarray, np.ndarray]:
    """A row per hour and place, group or resource: what lies in it, and how much may."""
    rows, most = [], []
    lies = (jobs.start[:, None] <= np.arange(hours)) & (np.arange(hours) < jobs.end[:, None])
    for hour in range(hours):
        rows.append(lies[:, hour])
        most.append(capacity)
        for group in range(int(jobs.group.max()) + 1):
            rows.append(lies[:, hour] & (jobs.group == group))
            most.append(1)
        for resource in range(int(jobs.resource.max()) + 1):
            rows.append(lies[:, hour] & (jobs.resource == resource).any(axis=1))
            most.append(1)
    return np.array(rows, float), np.array(most, float)


def best(jobs: Jobs, capacity: int, hours: int) -> float:
    rows, most = limits(jobs, capacity, hours)
    solved = milp(
        -jobs.weight, constraints=LinearConstraint(rows, ub=most), integrality=np.ones(len(jobs)),
        bounds=Bounds(0, 1),
    )  # fmt: skip
    return -float(solved.fun)


def kept(jobs: Jobs, packed: Packed, capacity: int, hours: int) -> bool:
    rows, most = limits(jobs, capacity, hours)
    return bool((rows[:, packed.chosen].sum(axis=1) <= most).all())


@pytest.mark.parametrize("resources", [0, 3])
@pytest.mark.parametrize("capacity", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_the_bound_is_above_the_best_packing_and_near_it(seed: int, capacity: int, resources: int) -> None:
    jobs = some_jobs(seed, resources=resources)
    packed = pack(jobs, capacity, 20)
    optimum = best(jobs, capacity, 20)
    assert packed.weight <= optimum + 1e-9
    assert optimum - 1e-9 <= packed.bound <= optimum * 1.1
    assert packed.weight == pytest.approx(jobs.weight[packed.chosen].sum())
    assert packed.weight >= 0.8 * optimum
    assert kept(jobs, packed, capacity, 20)


def test_without_conflicts_between_groups_the_bound_is_exact() -> None:
    for seed in range(5):
        jobs = some_jobs(seed)
        assert pack(jobs, 5, 20).bound == pytest.approx(best(jobs, 5, 20), rel=2e-4)


@pytest.mark.parametrize("resources", [0, 3])
def test_any_prices_give_a_bound(resources: int) -> None:
    rng = np.random.default_rng(0)
    jobs = some_jobs(9, resources=resources)
    grid, optimum = _Grid(jobs, 2, 20), best(jobs, 2, 20)
    for scale in (0.0, 0.01, 0.1, 0.3, 1.0, 10.0):
        for _ in range(5):
            potential = scale * rng.normal(0, 1, len(grid.keys))
            assert grid.bound(potential) >= optimum - 1e-9


def test_nothing_to_pack_weighs_nothing() -> None:
    none = np.zeros(0, np.int64)
    packed = pack(Jobs(none, none, none, np.zeros((0, 2), np.int64), np.zeros(0)), 3, 10)
    assert (packed.bound, packed.weight, len(packed.chosen)) == (0.0, 0.0, 0)
