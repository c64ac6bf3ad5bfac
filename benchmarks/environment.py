"""The environment alone: random valid actions on the generated sample, observations and masks included.

Two processes, each with its own environments on one core; threads would take turns at the interpreter.
Memory is read after one round of episodes and after ten: it must not grow.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from dataclasses import dataclass

import numpy as np

from benchmarks._data import sample_days
from rl.baselines import random_valid
from rl.market.arrays import MarketArrays
from rl.market.assemble import assemble
from rl.market.scaler import Scaler
from rl.sim.env import VectorSim
from rl.sim.state import ConfigArrays
from schemas.trading import MarketRules

EPISODE_HOURS = 168
AT_LEAST, GOAL = 50_000, 300_000
ROUNDS = 10


@dataclass(frozen=True)
class Measured:
    """What one process did: steps, seconds, peak memory (MiB) after one and after all rounds."""

    steps: int
    seconds: float
    first_mib: float
    last_mib: float


def run_round(sim: VectorSim, rng: np.random.Generator) -> int:
    """Run one episode in each environment; return the steps made."""
    n = sim.n
    start = rng.integers(0, sim.market.n_hours - EPISODE_HOURS, n)
    sim.reset(np.arange(n), start, start + EPISODE_HOURS, ConfigArrays.sample(n, rng))
    steps = 0
    while not sim.state.done.all():
        steps += n - int(sim.state.done.sum())
        sim.step(random_valid(sim.mask(), rng.random(n)))
        sim.observe()
    return steps


def measure(market: MarketArrays, n: int, seed: int, ready: multiprocessing.synchronize.Barrier) -> Measured:
    """Run all rounds of one process."""
    slots = Scaler.fit(market.slot_raw).scale(market.slot_raw)
    sim, rng = VectorSim(market, slots, MarketRules(), n), np.random.default_rng(seed)
    ready.wait()
    began, steps, memory = time.perf_counter(), 0, []
    for _ in range(ROUNDS):
        steps += run_round(sim, rng)
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return Measured(steps, time.perf_counter() - began, memory[0], memory[-1])


def _process(market: MarketArrays, n: int, seed: int, ready: object, told: object) -> None:
    told.put(measure(market, n, seed, ready))  # type: ignore[attr-defined, arg-type]


def both(market: MarketArrays, n: int, processes: int) -> list[Measured]:
    """Run processes side by side."""
    context = multiprocessing.get_context("fork")
    ready, told = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=_process, args=(market, n, i, ready, told)) for i in range(processes)]
    for worker in workers:
        worker.start()
    measured = [told.get() for _ in workers]
    for worker in workers:
        worker.join()
    return measured


def main() -> None:
    """Print steps a second and memory for some numbers of environments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30, help="Days of the generated market.")
    parser.add_argument("--envs", type=int, nargs="*", default=[256, 1024], help="Environments a process.")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    market = assemble(sample_days(args.days), MarketRules())
    print(
        f"sample of {market.n_hours} hours, {len(market.pair_long)} pairs; "
        f"at least {AT_LEAST:,} steps/s, goal {GOAL:,}"
    )
    for n in args.envs:
        told = both(market, n, args.processes)
        rate = sum(m.steps / m.seconds for m in told)
        grown = max(m.last_mib - m.first_mib for m in told)
        print(
            f"{args.processes} processes x {n:5d} environments: {rate:10,.0f} steps/s; peak memory "
            f"a process {max(m.first_mib for m in told):.0f} MiB after {n:,} episodes, "
            f"+{grown:.1f} after {ROUNDS * n:,}"
        )


if __name__ == "__main__":
    main()
