"""Training from start to publication: evaluate and save on time, resume after a kill, stop when told to."""

from __future__ import annotations

import math
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch

from rl.assignment import Assignment
from rl.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from rl.finite import ActingDiverged, TrainingDiverged
from rl.health import judge
from rl.market.arrays import MarketArrays
from rl.market.scaler import Scaler
from rl.market.splits import Splits
from rl.policy import count_parameters
from rl.resume import ResumeState
from rl.schedule import passed
from rl.trainer import METRIC_COLUMNS, Trainer
from schemas.checkpoint import (
    BEST_MODEL,
    FINAL_MODEL,
    METRICS,
    TRAINING,
    ModelFacts,
    TrainingResult,
    periodic_model,
)
from schemas.errors import ConfigError
from schemas.trading import MarketRules, PresetName, TradingConfig
from schemas.training import TrainingConfig

SAVE_SECONDS = 10.0  # the most work a kill may cost
LAST_GOOD = "last_good.safetensors"
Reason = Literal["episodes", "time budget", "stopped"]


def train(
    market: MarketArrays,
    splits: Splits,
    scaler: Scaler,
    training: TrainingConfig,
    *,
    rules: MarketRules,
    data_hash: str,
    work_dir: Path,
    out_dir: Path,
    preset: PresetName = "moderate",
    judged_under: Mapping[str, TradingConfig] | None = None,
    time_budget: float | None = None,
    device: str = "cpu",
    start_from: Checkpoint | None = None,
    on_progress: Callable[[dict[str, Any]], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> TrainingResult:
    """Train a policy until `num_episodes` episodes have ended, and choose among its states on validation.

    Leaves best_model, final_model and checkpoint_ep<N> (.safetensors), metrics.parquet and training.json.
    The same data, recipe, seed, machine and thread count give the same weights, resumed or not.

    Args:
        market: The whole market; only its train and validation hours are looked at.
        splits: Windows and episode length.
        scaler: Fitted on train.
        training: The recipe.
        rules: What venues charge and how orders fill.
        data_hash: Hash of the data, for the checkpoints.
        work_dir: Where the run keeps what it needs to go on after a kill; one folder per run.
        out_dir: Where the results go, once there is something to publish.
        preset: Risk profile whose validation return chooses the best model. A recipe with a fixed profile
            is validated under that one.
        judged_under: Risk profiles to validate under instead, by name; the first one chooses.
        time_budget: Seconds after which the run is cut at an update boundary; it can be resumed. At least one
            update is made.
        device: "cpu", "cuda", "mps" or "auto".
        start_from: Begin with these weights, moments and reward scale; episodes are counted anew.
        on_progress: Told after every update: its row of metrics, `updates` expected, `num_episodes`,
            `eta_seconds`, `elapsed_seconds`, the episodes that `finished` and the `health` so far.
        should_stop: Asked after every update; True leaves the resume state and publishes nothing.

    Raises:
        TrainingDiverged: A number was not finite; the last good state is kept in `work_dir`.
        ArtifactError: `work_dir` holds the state of another run.
        ConfigError: There is no such device.
    """
    started = time.monotonic()
    for folder in (work_dir, out_dir):
        folder.mkdir(parents=True, exist_ok=True)
    with torch_settings(training.threads):
        assignment = Assignment(
            market,
            splits,
            scaler,
            training,
            preset,
            rules,
            data_hash,
            resolve_device(device),
            start_from,
            judged_under,
        )
        run = _Run(assignment, work_dir)
        try:
            reason = run.follow(started, time_budget, on_progress, should_stop)
            return run.publish(out_dir, reason, time.monotonic() - started)
        finally:
            run.trainer.close()


@contextmanager
def torch_settings(threads: int) -> Iterator[None]:
    """Fix what decides the last bits of a result, and restore the process's settings afterwards."""
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    filling = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    # The same as use_deterministic_algorithms(True), which would import the compiler: seconds at every start.
    torch.set_deterministic_debug_mode("error")
    # Filling new memory with NaN only finds bugs, and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_deterministic_debug_mode(before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filling  # type: ignore[attr-defined]


def resolve_device(name: str) -> torch.device:
    """Return the torch device of a name; "auto" takes the best there is.

    Raises:
        ConfigError: It does not exist here.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if there[kind])
    if not there.get(name.partition(":")[0], False):
        have = ", ".join(kind for kind, yes in there.items() if yes)
        raise ConfigError(
            f"there is no device {name!r} on this machine.", "device", f"Use one of: {have}, auto."
        )
    return torch.device(name)


class _Run:
    """A trainer with its files: when to evaluate, to save, to stop, and what to publish."""

    def __init__(self, assignment: Assignment, work_dir: Path) -> None:
        self.assignment, self.work_dir = assignment, work_dir
        self.trainer = Trainer(assignment)
        self.resume = ResumeState(work_dir, assignment.identity)
        self.periodic: list[ModelFacts] = []
        self.saved_at = time.monotonic()
        self.evaluation_seconds = 0.0
        self.speeds: list[float] = []
        self.acted: Checkpoint | None = None  # the newest state that went through a rollout
        kept = self.resume.load()
        if kept is None:
            self.trainer.begin()
        else:
            self.trainer.restore(*kept)
            self.periodic = [ModelFacts.model_validate(facts) for facts in kept[1]["periodic"]]
        self.resumed_at = self.trainer.updates
        self.greedy = self.trainer.evaluator.greedy()

    @property
    def greedy_pct(self) -> float:
        """What greedy returns on validation under the profile that chooses."""
        return next(iter(self.greedy.values()))

    def follow(
        self,
        started: float,
        time_budget: float | None,
        on_progress: Callable[[dict[str, Any]], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> Reason:
        """Train until it is done, out of time, or told to stop."""
        trainer = self.trainer
        while not trainer.has_finished():
            begun = time.monotonic()
            row = self._update()
            self.speeds.append(row["steps_per_second"])
            now = time.monotonic()
            if on_progress is not None:
                left = max(trainer.shape.updates - trainer.updates, 0 if trainer.has_finished() else 1)
                on_progress(
                    dict(row)
                    | {
                        "updates": trainer.shape.updates,
                        "num_episodes": self.assignment.training.num_episodes,
                        "eta_seconds": left * (now - started) / len(self.speeds),
                        "elapsed_seconds": now - started,
                        "finished": list(trainer.last_finished),
                        "health": judge(trainer.metrics, self.greedy_pct),
                    }
                )
            if trainer.has_finished():
                break
            lasted = now - begun
            stop = should_stop is not None and should_stop()
            # A cut run is evaluated once more before it is published: leave time for that.
            over = time_budget is not None and now - started + lasted + self.evaluation_seconds > time_budget
            if stop or over or now - self.saved_at + lasted >= SAVE_SECONDS:
                self._keep()
            if stop or over:
                return "stopped" if stop else "time budget"
        return "episodes"

    def _update(self) -> dict[str, float]:
        """One update, with the evaluation and the checkpoints that fall due at its end."""
        trainer, training = self.trainer, self.assignment.training
        now, before = trainer.checkpoint(), trainer.episodes
        try:
            row = trainer.step()
        except TrainingDiverged as error:
            path = self.work_dir / LAST_GOOD
            # What cannot act was spoiled by the update before.
            save_checkpoint(path, (self.acted if isinstance(error, ActingDiverged) else None) or now)
            remedy = f"{error.remedy} The last good state is {path}; --resume-from starts from it."
            raise TrainingDiverged(error.what, error.where, remedy) from error
        self.acted = now
        due = passed(before, trainer.episodes, training.eval_every, training.num_episodes)
        validation = None
        if due or trainer.has_finished():
            begun = time.monotonic()
            row |= trainer.evaluate(training.num_episodes if trainer.has_finished() else due[-1])
            self.evaluation_seconds = time.monotonic() - begun
            validation = row["eval_return"]
            trainer.best = better(trainer.best, trainer.checkpoint(validation=validation))
        for asked in passed(before, trainer.episodes, training.save_every, training.num_episodes):
            name = periodic_model(asked)
            checkpoint = trainer.checkpoint(asked=asked, validation=validation)
            save_checkpoint(self.work_dir / name, checkpoint)
            self.periodic.append(facts(name, checkpoint))
        return row

    def _keep(self) -> None:
        tensors, document = self.trainer.state()
        document["periodic"] = [facts.model_dump(mode="json") for facts in self.periodic]
        document["files"] = [facts.file for facts in self.periodic]
        self.resume.save(tensors, document)
        self.saved_at = time.monotonic()

    def publish(self, out_dir: Path, reason: Reason, seconds: float) -> TrainingResult:
        """Write the results; a run that was told to stop leaves only its resume state."""
        a, trainer = self.assignment, self.trainer
        models: list[ModelFacts] = []
        rows = [dict(row) for row in trainer.metrics]
        if reason != "stopped":
            # A cut run is evaluated where it stands, and forgets it: resumed, it must not differ from one
            # that was never cut.
            if math.isnan(rows[-1]["eval_return"]):
                rows[-1] |= trainer.evaluate(trainer.episodes)
            final = trainer.checkpoint(validation=rows[-1]["eval_return"])
            best = better(trainer.best, final)
            for name, checkpoint in ((BEST_MODEL, best), (FINAL_MODEL, final)):
                save_checkpoint(out_dir / name, checkpoint)
                models.append(facts(name, checkpoint))
            for periodic in self.periodic:
                source = self.work_dir / periodic.file
                load_checkpoint(source)  # it is whole
                _replace(out_dir / periodic.file, partial(shutil.copyfile, source))
                models.append(periodic)
            table = pd.DataFrame(rows, columns=list(METRIC_COLUMNS))
            _replace(out_dir / METRICS, lambda path: table.to_parquet(path, index=False))
        result = TrainingResult(
            finished=trainer.has_finished(),
            reason=reason,
            updates=trainer.updates,
            episodes=trainer.episodes,
            steps=trainer.steps,
            seconds=seconds,
            steps_per_second=statistics.median(self.speeds) if self.speeds else 0.0,
            resumed_at=self.resumed_at,
            parameters=count_parameters(trainer.policy),
            episode_hours=a.splits.episode_hours,
            shape=trainer.shape,
            preset=a.preset,
            training=a.training,
            scaler_median=tuple(a.scaler.median.tolist()),
            data_hash=a.data_hash,
            windows=a.windows,
            torch=torch.__version__,
            device=a.device.type,
            threads=a.training.threads,
            models=tuple(models),
            greedy_validation_pct=self.greedy,
            health=judge(rows, self.greedy_pct),
        )
        if reason != "stopped":
            text = result.model_dump_json(indent=2) + "\n"
            _replace(out_dir / TRAINING, lambda path: path.write_text(text, encoding="utf-8"))
        return result


def better(one: Checkpoint | None, other: Checkpoint) -> Checkpoint:
    """Return the checkpoint with the higher validation return; the later one where they are equal.

    Where validation offers nothing, whoever waits earns 0, an untrained policy too; more training is then all
    that tells two of them apart.
    """
    if one is None:
        return other
    first, second = one.info.progress.validation_pct, other.info.progress.validation_pct
    if first is None or second is None:
        raise ValueError("a checkpoint that was not evaluated cannot be compared")
    return other if second >= first else one


def facts(file: str, checkpoint: Checkpoint) -> ModelFacts:
    """Sum up a checkpoint for `training.json`."""
    progress = checkpoint.info.progress
    return ModelFacts(
        file=file,
        weights=checkpoint.weights_hash,
        update=progress.update,
        episodes=progress.episodes,
        validation_pct=progress.validation_pct,
    )


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file so that it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    write(temporary)
    temporary.replace(path)
