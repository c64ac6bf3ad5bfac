"""How long until 80 % of the informed optimum on *persistent edge*: this trainer, and MaskablePPO beside it.

Both learn on the same market with the same recipe and decide deterministically on the same unseen markets.
The clock runs while they learn and stands while they are looked at. `--limit` bounds each of them.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as every command does, before torch is imported

import numpy as np
import torch

from benchmarks.training import trainer_on
from rl.certify import FIRST_UNSEEN, TRAINED_SEED, Trader, as_informed, as_policy, play
from rl.market.known import Known, generate
from rl.sim.env import VectorSim
from rl.train import torch_settings
from schemas.certify import BARS, Budget, MarketName
from schemas.trading import MarketRules
from schemas.training import TrainingConfig

MARKET: Final[MarketName] = "persistent edge"
BATCH, ENVIRONMENTS = 1024, 64  # of MaskablePPO: where `benchmarks.training` found it fastest
LOOKS: Final = 30.0  # seconds of learning between two looks


@dataclass
class Learner:
    """Something that learns by steps and can be looked at."""

    name: str
    advance: Callable[[], int]
    trader: Callable[[Known], Trader]


def race(learner: Learner, share: Callable[[Learner], float], least: float, limit: float) -> str:
    """Let one learn until it is good enough or out of time, and say how it went."""
    clock, steps, reached, looked = 0.0, 0, 0.0, 0.0
    while clock < limit and reached < least:
        began = time.perf_counter()
        steps += learner.advance()
        clock += time.perf_counter() - began
        if clock - looked >= LOOKS or clock >= limit:
            looked, reached = clock, share(learner)
            print(f"  {learner.name}: {clock:6.0f} s, {steps:10,} steps, {100 * reached:4.0f} %", flush=True)
    verdict = f"{clock:.0f} s" if reached >= least else f"not within {limit:.0f} s"
    return f"{learner.name}: {verdict} ({steps:,} steps, {100 * reached:.0f} % at the end)"


def main() -> None:
    """Race both and print who took how long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=600.0, help="Seconds of learning for each.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="Torch threads.")
    parser.add_argument("--skip-sb3", action="store_true", help="Leave MaskablePPO out.")
    args = parser.parse_args()
    rules, budget = MarketRules(), Budget()
    bar = next(bar for bar in BARS if bar.market == MARKET)
    market = generate(MARKET, budget.days, TRAINED_SEED, rules).market
    unseen = [generate(MARKET, budget.unseen_days, FIRST_UNSEEN + i, rules) for i in range(budget.unseen)]
    training = TrainingConfig(seed=args.seed, threads=args.threads, num_episodes=budget.episodes(MARKET))
    trainer = trainer_on(market, training)
    scaler = trainer.assignment.scaler
    optimum = play(bar, scaler, unseen, rules, lambda known: as_informed(known, bar.config)).mean_pct

    def share(learner: Learner) -> float:
        return play(bar, scaler, unseen, rules, learner.trader).mean_pct / optimum

    def step() -> int:
        with torch_settings(args.threads):
            trainer.step()
        return int(trainer.rollout.reward.size)

    print(f"{MARKET}: informed optimum {optimum:.2f} %, {len(unseen)} unseen markets, {args.threads} threads")
    told = [
        race(Learner("carryflow", step, lambda _: as_policy(trainer.policy)), share, bar.least, args.limit)
    ]
    if not args.skip_sb3:
        from benchmarks._maskable import advance, maskable_ppo

        torch.set_num_threads(args.threads)
        total = budget.episodes(MARKET) * trainer.assignment.splits.episode_hours
        runner = trainer.stage.runner
        model = maskable_ppo(
            market, runner.sim.slots, rules, runner.window, training, n_envs=ENVIRONMENTS, batch_size=BATCH,
            episode_hours=trainer.assignment.splits.episode_hours, total_steps=total,
        )  # fmt: skip

        def decide(sim: VectorSim) -> int:
            action, _ = model.predict(sim.observe(), action_masks=sim.mask(), deterministic=True)
            return int(np.asarray(action)[0])

        other = Learner("MaskablePPO, attention", lambda: advance(model), lambda _: decide)
        told.append(race(other, share, bar.least, args.limit))
    trainer.close()
    print("\n".join(told))


if __name__ == "__main__":
    main()
