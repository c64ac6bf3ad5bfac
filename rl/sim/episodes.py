"""Episodes for training: cohorts that share their hours, sampled profiles, starts inside trading.

What is on offer depends on the hour alone, so environments of a cohort walk through the same hours and the
policy encodes each of them once. Half of the episodes begin after an unrecorded burn-in by random or greedy
actions, because states in the middle of trading are otherwise never a start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl.baselines import greedy, random_valid
from rl.market.arrays import F64, I64, Bool
from rl.sim.env import VectorSim
from rl.sim.state import COUNTERS, ConfigArrays, SimState
from schemas.errors import DataError
from schemas.training import TrainingConfig

# A random burn-in that tried an entry every hour would only measure fees.
BURN_IN_HOLD = 0.9
# Cohorts' first episodes are cut to different lengths so that rollouts see every phase of an episode;
# short episodes mix by themselves, and resetting all cohorts together makes their burn-in cheaper.
STAGGER_FROM_HOURS = 96


@dataclass(frozen=True)
class FinishedEpisode:
    """One episode of training: return in percent, steps, end by the drawdown limit, counters by name."""

    reward: float
    length: int
    terminated: bool
    counts: dict[str, int]


@dataclass(frozen=True)
class RunnerStep:
    """One step of all environments, with the resets already done.

    Attributes:
        reward: (N,) float64, percent.
        terminated: (N,) ended by the drawdown limit.
        truncated: (N,) ended by time: bootstrap from the final observation.
        final_private: (N, 75) private observation before any reset.
        final_t: (N,) row before any reset.
        finished: episodes that ended in this step.
    """

    reward: F64
    terminated: Bool
    truncated: Bool
    final_private: NDArray[np.float32]
    final_t: I64
    finished: list[FinishedEpisode]


def last_rows(gap: Bool, first: int, last: int) -> I64:
    """For each row of first..last, the last row an episode starting there can reach without crossing a gap.

    Args:
        gap: (T,) rows at which every quote is too old.
        first: First row of the window.
        last: Last row of the window.

    Returns:
        (last - first + 1,) rows; a row inside a gap reaches only itself.
    """
    reach = np.empty(last - first + 1, np.int64)
    end = last
    for row in range(last, first - 1, -1):
        if gap[row]:
            end = row - 1
            reach[row - first] = row
        else:
            reach[row - first] = end
    return reach


class EpisodeRunner:
    """Runs training episodes on a window and resets them as they end.

    Args:
        sim: The simulator; its N environments are split evenly into cohorts.
        window: First and last row of the part of the market that may be seen.
        training: Episode length, burn-in, profiles.
        rng: Source of starts, profiles and burn-ins.
        episode_hours: Length of an episode, steps.
        n_cohorts: Groups of environments that share their hours; must divide N.

    Raises:
        DataError: The window has no stretch of two hours without a gap.
    """

    def __init__(
        self,
        sim: VectorSim,
        window: tuple[int, int],
        training: TrainingConfig,
        rng: np.random.Generator,
        episode_hours: int,
        n_cohorts: int,
    ) -> None:
        if sim.n % n_cohorts:
            raise ValueError(f"{sim.n} environments cannot be split into {n_cohorts} cohorts")
        self.sim = sim
        self.window = window
        self.training = training
        self.rng = rng
        self.length = episode_hours
        self.n_cohorts = n_cohorts
        self.cohort = np.repeat(np.arange(n_cohorts), sim.n // n_cohorts)
        self._reach = last_rows(sim.market.gap, *window)
        room = self._reach - (window[0] + np.arange(self._reach.size))
        longest = int(room.max(initial=0))
        if longest < 1:
            raise DataError(
                "the training window has no two consecutive hours with quotes.",
                remedy="Use data with fewer gaps.",
            )
        # Where no stretch is long enough, the longest there is has to do.
        self.length = min(self.length, longest)
        self._starts = window[0] + np.nonzero(room >= self.length)[0]
        self._cohort_end = np.zeros(n_cohorts, np.int64)
        self._plan: list[
            I64
        ] = []  # starts of the cohorts' coming episodes, (n_cohorts,), -1 where none begins
        self._return = np.zeros(sim.n)
        self._steps = np.zeros(sim.n, np.int64)
        self._burn = VectorSim(sim.market, sim.slots, sim.rules, max(1, sim.n), quotes=sim.quotes)

    # -- plan and step -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the first episode of every cohort."""
        starts = self.rng.choice(self._starts, self.n_cohorts)
        lengths = np.full(self.n_cohorts, self.length)
        if self.length >= STAGGER_FROM_HOURS:
            lengths = np.maximum(self.length * (np.arange(self.n_cohorts) + 1) // self.n_cohorts, 1)
        self._begin(np.arange(self.n_cohorts), starts, starts + lengths)

    def plan(self, steps: int) -> I64:
        """Fix the hours of the next `steps` steps, whatever the actions will be.

        Returns:
            (steps + 1, cohorts) rows: where each cohort stands before each step, and after the last one.
        """
        if self._plan:
            raise RuntimeError("the previous plan has not been walked to its end")
        rows = np.empty((steps + 1, self.n_cohorts), np.int64)
        at = self.sim.t[:: self.sim.n // self.n_cohorts].copy()
        end = self._cohort_end.copy()
        for i in range(steps):
            rows[i] = at
            at = at + 1
            over = at >= end
            starts = np.full(self.n_cohorts, -1, np.int64)
            starts[over] = self.rng.choice(self._starts, int(over.sum()))
            at = np.where(over, starts, at)
            end = np.where(over, starts + self.length, end)
            self._plan.append(starts)
        rows[steps] = at
        return rows

    def step(self, action: NDArray[np.integer]) -> RunnerStep:
        """Step every environment and reset those that ended, along the plan."""
        starts = self._plan.pop(0)
        sim = self.sim
        result = sim.step(action)
        self._return += result.reward
        self._steps += 1
        final_private, final_t = sim.private(), sim.t.copy()
        done = result.terminated | result.truncated
        finished = [self._summary(int(e), bool(result.terminated[e])) for e in np.nonzero(done)[0]]
        self._return[done] = 0.0
        self._steps[done] = 0
        over = starts >= 0
        if over.any():
            which = np.nonzero(over)[0]
            self._begin(which, starts[which], starts[which] + self.length)
        early = np.nonzero(result.terminated & ~over[self.cohort])[0]
        if early.size:
            # Its cohort goes on: start again, flat, from the hour the cohort stands at.
            sim.reset(
                early, sim.t[early].copy(), self._cohort_end[self.cohort[early]], self._profiles(early.size)
            )
        return RunnerStep(
            reward=result.reward,
            terminated=result.terminated,
            truncated=result.truncated,
            final_private=final_private,
            final_t=final_t,
            finished=finished,
        )

    # -- beginning ---------------------------------------------------------------------------------

    def _profiles(self, n: int) -> ConfigArrays:
        if self.training.sample_random_config:
            return ConfigArrays.sample(n, self.rng)
        return ConfigArrays.of([self.training.trading] * n)

    def _begin(self, cohorts: I64, starts: I64, ends: I64) -> None:
        """Reset all environments of some cohorts, some of them after a burn-in."""
        self._cohort_end[cohorts] = ends
        env = np.nonzero(np.isin(self.cohort, cohorts))[0]
        lookup = np.searchsorted(cohorts, self.cohort[env])
        start, end = starts[lookup], ends[lookup]
        profiles = self._profiles(env.size)
        self.sim.reset(env, start, end, profiles)
        lead = self.rng.integers(0, self.training.burn_in_hours + 1, env.size)
        burn = self.rng.random(env.size) < self.training.burn_in_share
        # A burn-in lies within the window and, like the episode, does not cross a gap.
        first = np.maximum(start - lead, self.window[0])
        burn &= (first < start) & (self._reach[first - self.window[0]] >= start)
        k = np.nonzero(burn)[0]
        if k.size:
            state = self._burn_in(first[k], start[k], profiles.take(k))
            alive = ~state.done | (state.t >= start[k])
            state.end[:] = end[k]
            state.begin_here()
            keep = np.nonzero(alive)[0]
            self.sim.put(env[k[keep]], state.take(keep))

    def _burn_in(self, first: I64, start: I64, profiles: ConfigArrays) -> SimState:
        """Trade from `first` to `start` by random or greedy actions; an unlucky one stops before."""
        n = first.size
        burn = self._burn
        burn.state.done[:] = True
        idx = np.arange(n)
        burn.reset(idx, first, start, profiles)
        by_greedy = self.rng.random(burn.n) < 0.5
        for _ in range(int((start - first).max())):
            mask = burn.mask()
            chance = self.rng.random((2, burn.n))
            action = np.where(chance[0] < BURN_IN_HOLD, 0, random_valid(mask, chance[1]))
            if by_greedy[:n].any():
                chosen = greedy(burn.market.slot_raw[burn.t], burn.private(), mask)
                action = np.where(by_greedy, chosen, action)
            burn.step(action)
        return burn.state.take(idx)

    def _summary(self, env: int, terminated: bool) -> FinishedEpisode:
        counts = dict(zip(COUNTERS, self.sim.state.counts[env].tolist(), strict=True))
        return FinishedEpisode(
            reward=float(self._return[env]),
            length=int(self._steps[env]),
            terminated=terminated,
            counts=counts,
        )

    # -- resuming ----------------------------------------------------------------------------------

    def state_arrays(self) -> dict[str, NDArray]:
        """Everything a resumed run needs besides the random generator, at the end of a plan."""
        if self._plan:
            raise RuntimeError("a runner is saved between plans only")
        return self.sim.state.to_arrays() | {
            "runner_cohort_end": self._cohort_end.copy(),
            "runner_return": self._return.copy(),
            "runner_steps": self._steps.copy(),
        }

    def load_state_arrays(self, arrays: Mapping[str, NDArray]) -> None:
        """Continue from `state_arrays`."""
        self._cohort_end[:] = arrays["runner_cohort_end"]
        self._return[:] = arrays["runner_return"]
        self._steps[:] = arrays["runner_steps"]
        self.sim.put(np.arange(self.sim.n), SimState.from_arrays(arrays))
