"""A training run in memory: one update at a time, and all of its state as tensors and JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl.assignment import Assignment
from rl.checkpoint import (
    Checkpoint,
    optimizer_of,
    part,
    restore_optimizer,
    restore_rng,
    rng_of,
    weights_of,
)
from rl.evaluate import Evaluator
from rl.finite import check_decision, check_minibatch, check_rollout, check_weights
from rl.health import MEAN_OVER, behaviour
from rl.market.arrays import F64
from rl.policy import Policy
from rl.potential import expected_carry, exposure, round_trip_cost
from rl.ppo import RewardScaler, gae, update
from rl.rollout import Rollout, collect
from rl.schedule import annealed, plan_run
from rl.sim.episodes import FinishedEpisode
from rl.stage import Stage
from rl.workers import Workers
from schemas.checkpoint import CheckpointInfo, Progress, RewardScale
from schemas.trading import N_ACTIONS, N_PRIVATE

METRIC_COLUMNS = (
    *("update", "episodes", "steps", "reward_mean", "mean_100", "hourly_reward", "liquidations_per_episode"),
    *("policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "explained_variance", "grad_norm"),
    *("ratio_error", "reward_scale", "lr", "share_hold", "share_enter", "share_exit"),
    *("entropy_kind", "entropy_entry", "steps_per_second", "seconds"),
    *("eval_episode", "eval_return", "eval_conservative", "eval_moderate", "eval_aggressive"),
)
TIMING_COLUMNS = ("steps_per_second", "seconds")


class Trainer:
    """Everything that changes while a policy is trained."""

    def __init__(self, assignment: Assignment) -> None:
        a = self.assignment = assignment
        for_policy, for_actions, for_episodes = np.random.SeedSequence(a.training.seed).spawn(3)
        self.rng = np.random.default_rng(for_episodes)
        self.generator = torch.Generator().manual_seed(_seed(for_actions))
        self.policy = Policy(_seed(for_policy)).to(a.device)
        fused = a.device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(
            self.policy.parameters(), lr=a.training.learning_rate, eps=1e-5, fused=fused
        )
        shape = self.shape = plan_run(a.training, a.splits.episode_hours)
        slots = a.scaler.scale(a.market.slot_raw)
        rows = a.splits.train.rows(a.market.start_ms)
        self.stage = Stage(
            a.market, rows, slots, a.rules, a.training, shape, a.splits.episode_hours, self.rng, a.device
        )
        on_cpu = a.device.type == "cpu"
        self.workers = Workers(a.training.threads) if on_cpu and a.training.threads > 1 else None
        self.rollout = Rollout(
            shape.rollout_steps, shape.n_envs, N_PRIVATE, N_ACTIONS, a.device, shape.n_envs // shape.n_cohorts
        )
        self.reward_scaler = RewardScaler(shape.n_envs, a.training.gamma)
        self.round_trip = round_trip_cost(a.market.slot_raw[slice(*rows)])
        first, stop = a.splits.validation.rows(a.market.start_ms)
        self.evaluator = Evaluator(a.market, slots, a.rules, (first, stop - 1), a.profiles, self.stage.quotes)
        self.updates, self.episodes, self.steps = 0, 0, 0
        self.recent: list[float] = []
        self.metrics: list[dict[str, float]] = []
        self.best: Checkpoint | None = None
        self.last_finished: list[FinishedEpisode] = []

    def begin(self) -> None:
        """Start the first episodes, from the weights asked for."""
        given = self.assignment.start_from
        if given is not None:
            self.policy.load_state_dict(given.policy().state_dict())
            restore_optimizer(self.policy, self.optimizer, given.optimizer)
            scale = given.info.reward_scale
            own = self.reward_scaler
            own.count, own.mean, own.spread = scale.count, scale.mean, scale.spread
        self.stage.runner.start()

    def close(self) -> None:
        """End the threads that share the work."""
        if self.workers is not None:
            self.workers.close()

    def has_finished(self) -> bool:
        """Whether the episodes asked for were trained."""
        return self.episodes >= self.assignment.training.num_episodes

    # -- one update ----------------------------------------------------------------------------------

    def step(self) -> dict[str, float]:
        """Collect a rollout, learn from it, and return its row of metrics.

        Raises:
            TrainingDiverged: A number was not finite; the weights are still those before the minibatch.
        """
        started = time.perf_counter()
        training = annealed(self.assignment.training, self.updates, self.shape.updates)
        for group in self.optimizer.param_groups:
            group["lr"] = training.learning_rate
        rollout = self.rollout
        contexts = self.stage.disturb(self.generator)
        finished = collect(self.policy, contexts, self.stage, rollout, self.generator, check_decision)
        check_rollout(rollout)
        advantage, returns = self._targets()
        statistics = update(
            self.policy,
            self.optimizer,
            contexts,
            rollout,
            advantage,
            returns,
            training,
            self.generator,
            check_minibatch,
            self.workers,
        )
        check_weights(self.policy)
        self.updates += 1
        self.steps += rollout.reward.size
        self.episodes += len(finished)
        self.last_finished = finished
        self.recent = (self.recent + [e.reward for e in finished])[-MEAN_OVER:]
        seconds = time.perf_counter() - started
        row = dict.fromkeys(METRIC_COLUMNS, float("nan")) | asdict(statistics) | behaviour(rollout)
        row |= {
            "update": float(self.updates),
            "episodes": float(self.episodes),
            "steps": float(self.steps),
            "reward_mean": _mean([e.reward for e in finished]),
            "mean_100": _mean(self.recent),
            "hourly_reward": float(rollout.reward.mean()),
            "liquidations_per_episode": _mean([float(e.counts["liquidations"]) for e in finished]),
            "reward_scale": self.reward_scaler.deviation,
            "lr": training.learning_rate,
            "steps_per_second": rollout.reward.size / seconds,
            "seconds": seconds,
        }
        self.metrics.append(row)
        return row

    def _targets(self) -> tuple[F64, F64]:
        """Scale rewards as the learner sees them, and estimate advantages and targets of the critic.

        What is worth knowing of a state is what the critic says and what its positions are expected to carry:
        the critic learns the rest.
        """
        training, rollout = self.assignment.training, self.rollout
        private = rollout.private.double().cpu().numpy()
        reward = rollout.reward / exposure(private)
        self.reward_scaler.observe(reward, rollout.terminated, rollout.truncated)
        scale = self.reward_scaler.deviation

        def carry(x: NDArray[Any]) -> F64:
            return expected_carry(x, training.carry_hours, self.round_trip) / scale

        held = carry(private)
        advantage, returns = gae(
            reward / scale,
            rollout.value.double().cpu().numpy() + held,
            rollout.final_value + carry(rollout.final_private),
            rollout.next_value + carry(rollout.next_private),
            rollout.terminated,
            rollout.truncated,
            training.gamma,
            training.gae_lambda,
        )
        return advantage, returns - held

    # -- judging and keeping -------------------------------------------------------------------------

    def evaluate(self, label: int) -> dict[str, float]:
        """Return the validation columns of a row of metrics; changes nothing.

        Args:
            label: The number of episodes the evaluation was asked for at.
        """
        on_cpu = self.assignment.device.type == "cpu"
        returns = self.evaluator.returns(self.policy if on_cpu else self.checkpoint().policy())
        row = {"eval_episode": float(label), "eval_return": next(iter(returns.values()))}
        named = {f"eval_{name}": value for name, value in returns.items()}
        return row | {name: value for name, value in named.items() if name in METRIC_COLUMNS}

    def checkpoint(self, *, asked: int | None = None, validation: float | None = None) -> Checkpoint:
        """Copy what a checkpoint holds, as it is now."""
        a, scaler = self.assignment, self.reward_scaler
        info = CheckpointInfo(
            progress=Progress(
                update=self.updates,
                episodes=self.episodes,
                steps=self.steps,
                asked=asked,
                validation_pct=validation,
            ),
            preset=a.preset,
            training=a.training,
            rules=a.rules,
            scaler_median=tuple(a.scaler.median.tolist()),
            reward_scale=RewardScale(count=scaler.count, mean=scaler.mean, spread=scaler.spread),
            data_hash=a.data_hash,
            windows=a.windows,
            torch=torch.__version__,
        )
        return Checkpoint(
            weights_of(self.policy),
            optimizer_of(self.policy, self.optimizer),
            rng_of(self.generator, self.rng),
            info,
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything another process needs to go on bit for bit, at an update boundary."""
        now = self.checkpoint()
        table = np.array([[row[c] for c in METRIC_COLUMNS] for row in self.metrics], np.float64)
        arrays = self.stage.runner.state_arrays() | {"reward_running": self.reward_scaler.running}
        tensors = now.tensors() | {f"env/{name}": torch.from_numpy(x) for name, x in arrays.items()}
        tensors["metrics"] = torch.from_numpy(table.reshape(-1, len(METRIC_COLUMNS)))
        tensors["recent"] = torch.tensor(self.recent, dtype=torch.float64)
        document: dict[str, Any] = {"info": now.info.model_dump(mode="json"), "columns": METRIC_COLUMNS}
        if self.best is not None:
            tensors |= {f"best/{name}": tensor for name, tensor in self.best.tensors().items()}
            document["best"] = self.best.info.model_dump(mode="json")
        return tensors, document

    def restore(self, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
        """Continue from `state`, instead of `begin`."""
        info = CheckpointInfo.model_validate(document["info"])
        now = Checkpoint.of(tensors, info)
        self.policy.load_state_dict(now.weights)
        restore_optimizer(self.policy, self.optimizer, now.optimizer)
        restore_rng(self.generator, self.rng, now.rng)
        progress = info.progress
        self.updates, self.episodes, self.steps = progress.update, progress.episodes, progress.steps
        arrays = {name: tensor.numpy() for name, tensor in part(tensors, "env").items()}
        self.stage.runner.load_state_arrays(arrays)
        scaler, scale = self.reward_scaler, info.reward_scale
        scaler.running = arrays["reward_running"].copy()
        scaler.count, scaler.mean, scaler.spread = scale.count, scale.mean, scale.spread
        self.recent = tensors["recent"].tolist()
        columns = document["columns"]
        self.metrics = [dict(zip(columns, row, strict=True)) for row in tensors["metrics"].tolist()]
        if "best" in document:
            best = CheckpointInfo.model_validate(document["best"])
            self.best = Checkpoint.of(part(tensors, "best"), best)


def _seed(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1)[0])


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
