"""Packing intervals into places: how much weight fits at most, whatever is chosen.

A job takes one of `capacity` places from `start` up to `end`; jobs of one group, and jobs that name the same
resource, never overlap. What fits at most is an integer program; its Lagrangian dual bounds it from above
for *any* prices >= 0 of places and resources (Geoffrion, "Lagrangean relaxation for integer programming",
1974), because a packing that keeps the limits pays no more than they hold. A linear program, by HiGHS through
scipy, only proposes good prices: the bound itself is worked out from them by a longest path per group, so it
holds whatever the solver's precision, and however early it is stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array

from rl.market.arrays import F64, I64, Bool

CLOSE_ENOUGH: Final = 1e-4  # of the bound: how far it may be above what fits in fractions
MOST_ROUNDS: Final = 200
_NOTHING: Final = 1e-12


@dataclass(frozen=True)
class Jobs:
    """K jobs that want a place, by rising start.

    Attributes:
        start: (K,) first hour taken.
        end: (K,) first hour no longer taken, after start.
        group: (K,) jobs of one group never overlap.
        resource: (K, 2) what else is used, each by one job at a time; -1 is nothing.
        weight: (K,) what the job brings, positive.
    """

    start: I64
    end: I64
    group: I64
    resource: I64
    weight: F64

    def __len__(self) -> int:
        """Return K."""
        return len(self.start)


@dataclass(frozen=True)
class Packed:
    """What fits at most, and what is known to fit.

    Attributes:
        bound: No packing weighs more.
        weight: Of a packing that keeps every limit.
        chosen: (C,) its jobs.
    """

    bound: float
    weight: float
    chosen: I64


def pack(jobs: Jobs, capacity: int, hours: int) -> Packed:
    """Bound what fits, and find a packing that comes near.

    Columns are generated: the linear program starts with the heaviest job of every group and hour, and takes
    in what its prices show to be missing, until bound and program meet.

    Args:
        jobs: The jobs.
        capacity: Places.
        hours: Every job ends at or before this hour.
    """
    if not len(jobs):
        return Packed(0.0, 0.0, np.zeros(0, np.int64))
    grid = _Grid(jobs, capacity, hours)
    bound = grid.bound(np.zeros(len(grid.keys)))
    active = np.zeros(len(jobs), np.bool_)
    active[grid.heaviest(jobs.weight)] = True
    share = np.zeros(len(jobs))
    for _ in range(MOST_ROUNDS):
        solved = grid.solve(active)
        if solved is None:
            break
        value, potential, share = solved
        bound = min(bound, grid.bound(potential))
        missing = np.where(active, -np.inf, grid.reduced(potential))
        found = grid.heaviest(missing)
        found = found[missing[found] > _NOTHING]
        if bound - value <= CLOSE_ENOUGH * bound or not len(found):
            break
        active[found] = True
    chosen = grid.rounded(share)
    return Packed(bound, float(jobs.weight[chosen].sum()), chosen)


class _Grid:
    """The program's rows: a chain of hours for the places, for each group, and for each resource.

    Along a chain flows its capacity; a job takes one unit from the hour of its start to that of its end. Only
    hours at which a job starts are rows: a place that is free earlier waits till then.

    Attributes:
        keys: (R,) chain and hour of each row, rising.
    """

    def __init__(self, jobs: Jobs, capacity: int, hours: int) -> None:
        self.jobs, self.capacity, self.hours = jobs, capacity, hours
        groups = int(jobs.group.max()) + 1
        self.resources = max(int(jobs.resource.max()) + 1, 0)
        first = np.where(jobs.resource >= 0, 1 + groups + jobs.resource, -1)
        # (K, 4): places are chain 0, then the groups, then the resources.
        self.chain = np.column_stack([np.zeros(len(jobs), np.int64), 1 + jobs.group, first])
        self.groups = groups
        width = hours + 1
        used = self.chain >= 0
        begin = self.chain * width + jobs.start[:, None]
        self.keys = np.unique(begin[used])
        self._chain_of = self.keys // width
        self._hour_of = self.keys % width
        self._enter = np.where(used, np.searchsorted(self.keys, begin), -1)
        leave = np.searchsorted(self.keys, self.chain * width + jobs.end[:, None])
        padded = np.append(self._chain_of, -1)
        self._leave = np.where(used & (padded[leave] == self.chain), leave, -1)
        followed = np.append(self._chain_of[1:] == self._chain_of[:-1], False)
        self._next = np.where(followed, np.arange(1, len(self.keys) + 1), -1)
        opens = np.append(True, ~followed[:-1])
        size = np.where(self._chain_of == 0, capacity, 1).astype(np.float64)
        self._limit, self._supply = size, np.where(opens, size, 0.0)
        entry = np.unique(jobs.start * groups + jobs.group, return_inverse=True)[1]
        self._by_entry = np.argsort(entry, kind="stable")
        self._entry_from = np.flatnonzero(np.diff(entry[self._by_entry], prepend=-1))
        self._hour_from = np.searchsorted(jobs.start, np.arange(hours + 1))

    def heaviest(self, value: F64) -> I64:
        """Return the job of highest value of every group and hour of start."""
        ordered = value[self._by_entry]
        top = np.maximum.reduceat(ordered, self._entry_from)
        length = np.diff(np.append(self._entry_from, len(ordered)))
        hit = np.flatnonzero(ordered == np.repeat(top, length))
        which = np.repeat(np.arange(len(top)), length)[hit]
        first: I64 = self._by_entry[hit[np.unique(which, return_index=True)[1]]]
        return first

    def solve(self, active: Bool) -> tuple[float, F64, F64] | None:
        """Solve the program for some of the jobs: its value, the rows' potentials and each job's share."""
        rows, which = len(self.keys), np.flatnonzero(active)
        every, column = np.arange(rows), rows + np.arange(len(which))
        linked = self._next >= 0
        parts = [(every, every, 1.0), (self._next[linked], every[linked], -1.0)]
        for k in range(self.chain.shape[1]):
            for at, sign in ((self._enter[which, k], 1.0), (self._leave[which, k], -1.0)):
                parts.append((at[at >= 0], column[at >= 0], sign))
        values = np.concatenate([np.full(len(r), sign) for r, _, sign in parts])
        where = np.concatenate([r for r, _, _ in parts]), np.concatenate([c for _, c, _ in parts])
        matrix = coo_array((values, where), shape=(rows, rows + len(which))).tocsc()
        limits = np.concatenate([self._limit, np.full(len(which), np.inf)])
        result = linprog(
            np.concatenate([np.zeros(rows), -self.jobs.weight[which]]),
            A_eq=matrix,
            b_eq=self._supply,
            bounds=np.column_stack([np.zeros(len(limits)), limits]),
            method="highs",
        )
        if result.status != 0:
            return None
        share = np.zeros(len(self.jobs))
        share[which] = result.x[rows:]
        return -float(result.fun), -np.asarray(result.eqlin.marginals, np.float64), share

    def reduced(self, potential: F64) -> F64:
        """Return (K,) what each job brings beyond the price of what it takes."""
        padded = np.append(potential, 0.0)  # -1 is the end of a chain
        paid: F64 = (padded[self._enter] - padded[self._leave]).sum(axis=1)
        return self.jobs.weight - paid

    def bound(self, potential: F64) -> float:
        """Return the Lagrangian bound for the prices that some potentials mean."""
        jobs, hours = self.jobs, self.hours
        price = np.maximum(potential - np.append(potential, 0.0)[self._next], 0.0)
        places = self._chain_of == 0
        shared = self._chain_of > self.groups
        paid = np.zeros((self.resources + 1, hours + 1))  # the last row: nothing is used, nothing is paid
        np.add.at(paid, (self._chain_of[shared] - 1 - self.groups, self._hour_of[shared]), price[shared])
        until = np.zeros((self.resources + 1, hours + 2))
        until[:, 1:] = np.cumsum(paid, axis=1)
        per_place = np.zeros(hours + 2)
        np.add.at(per_place, self._hour_of[places] + 1, price[places])
        along = np.cumsum(per_place)
        net = jobs.weight - (along[jobs.end] - along[jobs.start])
        for k in range(2):
            used = jobs.resource[:, k]
            net -= until[used, jobs.end] - until[used, jobs.start]
        best = np.zeros((self.groups, hours + 1))
        for t in range(hours - 1, -1, -1):
            best[:, t] = best[:, t + 1]
            now = slice(self._hour_from[t], self._hour_from[t + 1])
            group = jobs.group[now]
            np.maximum.at(best[:, t], group, net[now] + best[group, jobs.end[now]])
        return float(self.capacity * price[places].sum() + price[shared].sum() + best[:, 0].sum())

    def rounded(self, share: F64) -> I64:
        """Take the jobs of largest share, the heavier first, as long as every limit is kept."""
        jobs = self.jobs
        places = np.zeros(self.hours, np.int64)
        taken = np.zeros((self.groups + self.resources + 1, self.hours), np.bool_)
        chosen = []
        likely = np.flatnonzero(share > 1e-9)
        for k in likely[np.lexsort((-jobs.weight[likely], -np.round(share[likely], 6)))].tolist():
            span = slice(int(jobs.start[k]), int(jobs.end[k]))
            own = [int(c) - 1 for c in self.chain[k, 1:] if c >= 0]
            if places[span].max() < self.capacity and not taken[own, span].any():
                places[span] += 1
                taken[own, span] = True
                chosen.append(k)
        return np.array(sorted(chosen), np.int64)
