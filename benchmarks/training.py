"""Training against its parts and against sb3-contrib's MaskablePPO, all in one run on the same episodes.

The contestants take turns, three times, and the median counts, so that a machine that is busy for a while is
busy for all. Without CARRYFLOW_REAL_DATA only the generated sample is measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as every command does, before torch is imported

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._data import read, sample_days
from rl.assignment import Assignment
from rl.baselines import random_valid
from rl.market.arrays import MarketArrays
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.market.scaler import Scaler
from rl.market.splits import split_windows
from rl.policy import count_parameters
from rl.rollout import collect
from rl.train import torch_settings
from rl.trainer import Trainer
from schemas.trading import MarketRules
from schemas.training import TrainingConfig

ROUNDS = 3
SIZE = 2048  # of the matrices that say what the machine can do
GRID = ((128, 16), (1024, 64))  # minibatch and environments of MaskablePPO
# A state costs MaskablePPO the same in a rollout of any length; a short one lets the contestants take turns.
SB3_STATES = 2048
REAL = "binance_hyperliquid_2025"


class Contestant:
    """Something that makes steps; `advance` makes some and says how many.

    Attributes:
        flops: A step costs, counted over the first call; the policy's work alone, the simulator does none.
        rates: Steps/s of each round.
    """

    def __init__(self, name: str, advance: Callable[[], int]) -> None:
        self.name, self.advance = name, advance
        with FlopCounterMode(display=False) as counter:
            steps = advance()
        self.flops = counter.get_total_flops() / steps
        self.rates: list[float] = []

    @property
    def rate(self) -> float:
        """Median over the rounds."""
        return statistics.median(self.rates)

    def measure(self, seconds: float) -> None:
        """Make steps for so long, a whole number of times, and note the rate."""
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < seconds or not steps:
            steps += self.advance()
        self.rates.append(steps / (time.perf_counter() - began))


def matrices() -> Contestant:
    """Return a multiplication of two matrices in fp32."""
    a, b = torch.rand(2, SIZE, SIZE)

    def multiply() -> int:
        torch.mm(a, b)
        return 1

    return Contestant("matrix multiplication", multiply)


def trainer_on(market: MarketArrays, training: TrainingConfig) -> Trainer:
    """Return a trainer in the middle of its first episodes."""
    splits = split_windows(market.n_hours, market.start_ms, training.episode_hours)
    scaler = Scaler.fit(market.slot_raw[slice(*splits.train.rows(market.start_ms))])
    device = torch.device("cpu")
    trainer = Trainer(Assignment(market, splits, scaler, training, "moderate", MarketRules(), "", device))
    trainer.begin()
    return trainer


def ours(market: MarketArrays, training: TrainingConfig) -> tuple[list[Contestant], Trainer]:
    """Return the environment, the rollout and the whole of training here, and a trainer."""
    rng = np.random.default_rng(0)
    alone, acting, learning = (trainer_on(market, training) for _ in range(3))

    def environment() -> int:
        envs, steps = alone.stage, training.rollout_steps
        envs.plan(steps)
        for _ in range(steps):
            envs.private()
            envs.step(random_valid(envs.mask(), rng.random(alone.shape.n_envs)))
        return steps * alone.shape.n_envs

    def rollout() -> int:
        collect(acting.policy, acting.stage.contexts, acting.stage, acting.rollout, acting.generator)
        return int(acting.rollout.reward.size)

    def whole() -> int:
        learning.step()
        return int(learning.rollout.reward.size)

    # The counter sees one thread only, so the first update, which is counted, is made by one.
    workers, learning.workers = learning.workers, None
    contestants = [
        Contestant("environment alone, random valid actions", environment),
        Contestant("rollout: environment and policy", rollout),
        Contestant(f"training, {training.n_epochs} epochs", whole),
    ]
    learning.workers = workers
    return contestants, learning


def sb3(trainer: Trainer) -> list[Contestant]:
    """Return MaskablePPO with both networks over the grid, on the trainer's market and window."""
    from benchmarks._maskable import Network, advance, maskable_ppo

    a, sim = trainer.assignment, trainer.stage.runner.sim
    found = []
    networks: tuple[Network, ...] = ("attention", "mlp")
    for network in networks:
        for batch, n in GRID:
            model = maskable_ppo(
                a.market, sim.slots, a.rules, trainer.stage.runner.window, a.training, network=network,
                n_envs=n, batch_size=batch, states=SB3_STATES, episode_hours=a.splits.episode_hours,
            )  # fmt: skip
            parameters = count_parameters(model.policy)
            name = f"MaskablePPO, {network} {parameters:,}, batch {batch}, {n} environments"
            found.append(Contestant(name, lambda model=model: advance(model)))
    return found


def compare(name: str, market: MarketArrays, args: argparse.Namespace) -> None:
    """Measure every contestant on one market and print the table."""
    # All four epochs of every update, which in a run the KL limit may cut short.
    training = TrainingConfig(threads=args.threads, num_episodes=100_000, max_kl=1e9)
    with torch_settings(args.threads):
        here, trainer = ours(market, training)
    there, limit = [] if args.skip_sb3 else sb3(trainer), matrices()
    shape = trainer.shape
    print(
        f"\n{name}: {market.n_hours} hours; {shape.n_envs} environments in {shape.n_cohorts} cohorts x "
        f"{shape.rollout_steps} steps, minibatches of {training.batch_size}, "
        f"{count_parameters(trainer.policy):,} parameters, {args.threads} threads"
    )
    for _ in range(ROUNDS):
        with torch_settings(args.threads):
            for contestant in here:
                contestant.measure(args.seconds / ROUNDS)
            limit.measure(1.0)
        torch.set_num_threads(args.threads)
        for contestant in there:
            contestant.measure(args.seconds / ROUNDS)
    whole, peak = here[-1].rate, limit.flops * limit.rate
    heads = ("steps/s", "lowest", "highest", "training is", "MFLOP a step", "GFLOP/s", "of peak")
    print(" " * 60 + " ".join(f"{head:>12}" for head in heads))
    for c in here + there:
        done = c.flops * c.rate
        numbers = (
            f"{c.rate:,.0f}",
            f"{min(c.rates):,.0f}",
            f"{max(c.rates):,.0f}",
            f"{whole / c.rate:.2f} x",
        )
        work = (f"{c.flops / 1e6:.2f}", f"{done / 1e9:.1f}", f"{100 * done / peak:.0f} %")
        print(f"{c.name:60}" + " ".join(f"{text:>12}" for text in numbers + work))
    print(f"peak: {peak / 1e9:.0f} GFLOP/s, a multiplication of {SIZE} x {SIZE} matrices, fp32")
    for network in ("attention", "mlp"):
        rates = [c.rate for c in there if network in c.name]
        if rates:
            print(f"training is {whole / max(rates):.1f} times MaskablePPO with {network} at its best")


def main() -> None:
    """Measure on the sample, and on real data where there is some."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12.0, help="For each contestant and market.")
    parser.add_argument("--threads", type=int, default=2, help="Torch threads.")
    parser.add_argument("--days", type=int, default=30, help="Days of the generated market.")
    parser.add_argument("--skip-sb3", action="store_true", help="Leave MaskablePPO out.")
    args = parser.parse_args()
    rules = MarketRules()
    compare("sample", assemble(sample_days(args.days), rules), args)
    root = os.environ.get("CARRYFLOW_REAL_DATA")
    if root:
        compare(REAL, assemble(list(build_days(*read(Path(root) / REAL))), rules), args)


if __name__ == "__main__":
    main()
