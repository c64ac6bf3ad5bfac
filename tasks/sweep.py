"""A sweep: which trial is next, and what all of them together found, with its report.

sweep.json    every trial with its values and looks, and what matters among the parameters
recipe.json   the best trial's recipe, as `carryflow run --advanced` takes it
report.html   a page for people, and its pictures

Nothing of a search is kept but its trials. Proposals follow from the sweep's seed and earlier trials, and
each trial is in the store once it has ended: a sweep that was killed is asked for again, finds them, and
goes on.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rl.sweep.looks import Bar, bars
from rl.sweep.propose import importance, propose, require_optuna
from schemas.manifest import Ref
from schemas.params import Advanced
from schemas.sweep import (
    RECIPE,
    SWEEP,
    SweepConfig,
    SweepSummary,
    TrialResult,
    base_recipe,
    recipe_file,
    typed,
    with_params,
)
from schemas.trading import PresetName
from schemas.training import TrainingConfig
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.commands import set_words
from tasks.reports import lay_out
from tasks.store import Store, content_hash, resolve_root
from tasks.trials import read_trial

STEP: Final = "sweep"
_NOT_OF_A_SWEEP: Final = (
    "device",
    "audit_times",
    "gates",
    "ladder",
    "resume_from",
    "stress",
)  # of `Advanced`


@dataclass(frozen=True)
class Plan:
    """Everything that is asked of a sweep, apart from the data.

    Attributes:
        config: What is searched and how.
        trials: How many.
        seed: Of the proposals, and the first of the trainings.
        seeds: Trainings of each trial.
        num_episodes: Of each training.
        preset: The risk profile that validation looks at.
        advanced: The recipe that trials vary, and the market's rules.
    """

    config: SweepConfig
    trials: int
    seed: int
    seeds: int
    num_episodes: int
    preset: PresetName
    advanced: Advanced

    def __post_init__(self) -> None:
        """Raises `ConfigError` where there are weights to start from, or Optuna is not installed."""
        refuse_start(self.advanced)
        require_optuna()

    @property
    def every_seed(self) -> range:
        """The seeds of each trial's trainings."""
        return range(self.seed, self.seed + self.seeds)

    @property
    def base(self) -> Advanced:
        """The parameters with the recipe that trials vary."""
        recipe = base_recipe(self.advanced.training, self.config, self.num_episodes)
        return self.advanced.model_copy(update={"training": recipe})

    def varied(self, params: Mapping[str, float]) -> Advanced:
        """Return the parameters with a trial's recipe."""
        base = self.base
        return base.model_copy(update={"training": with_params(base.training, params)})

    def training(self, params: Mapping[str, float], seed: int) -> TrainingConfig:
        """Return one training of a trial."""
        return self.varied(params).training_config(
            seed=seed, num_episodes=self.num_episodes, preset=self.preset
        )


@dataclass
class Search:
    """A sweep under way: the trials that ended, and the batch that is next."""

    plan: Plan
    ended: list[TrialResult] = field(default_factory=list)
    refs: list[list[Ref]] = field(default_factory=list)

    def batch(self) -> list[tuple[int, dict[str, float]]]:
        """Return number and values of the trials that come next; none where all have ended."""
        plan = self.plan
        beside: list[dict[str, float]] = []
        for _ in range(min(plan.config.batch, plan.trials - len(self.ended))):
            beside.append(
                propose(plan.config, plan.base.training, plan.num_episodes, plan.seed, self.ended, beside)
            )
        return list(enumerate(beside, start=len(self.ended)))

    def bars(self) -> tuple[Bar, ...]:
        """Return what the first seed of the next batch's trials has to reach at each rung."""
        return bars(self.plan.config, self.plan.num_episodes, self.ended)

    def end(self, params: Mapping[str, float], refs: Sequence[Ref]) -> None:
        """Add a trial that has ended, in the order of their numbers.

        Args:
            params: Its values.
            refs: What `trial` made of each of its seeds.
        """
        store, number = Store(resolve_root()), len(self.ended)
        runs = tuple(read_trial(store.local(ref)) for ref in refs)
        self.ended.append(TrialResult(number=number, params=dict(params), runs=runs))
        self.refs.append(list(refs))
        ui.say(self._told(self.ended[-1]))

    def _told(self, trial: TrialResult) -> str:
        values = ", ".join(f"{name} {value:g}" for name, value in trial.params.items())
        said = f"Trial {trial.number} ({len(self.ended)} of {self.plan.trials} ended; {values}): "
        if trial.value is not None:
            said += f"{trial.value:+.2f} % on validation"
        else:
            said += trial.state
            if (best := trial.runs[-1].best_pct) is not None:
                said += f" at {trial.runs[-1].looks[-1][0]:,} episodes with {best:+.2f} %"
        complete = [one for one in self.ended if one.value is not None]
        leader = max(complete, key=lambda one: (one.value, -one.number), default=None)
        return said if leader is None else f"{said}; best so far {leader.value:+.2f} %, trial {leader.number}"


def refuse_start(advanced: Advanced) -> None:
    """Refuse weights to start from: they were made by a recipe of their own.

    Raises:
        ConfigError: There are some.
    """
    advanced.refuse_start("has no part in a sweep: every trial trains from nothing.")


def ended(ref: Ref) -> str:
    """Return how a trial's run ended: complete, pruned or diverged; empty where its budget cut it."""
    return str(Store(resolve_root()).manifest(ref).summary.get("state", ""))


def conclude(
    features: Ref, trials: Sequence[tuple[Mapping[str, float], Sequence[Ref]]], *, plan: Plan, book: str
) -> Cached:
    """Put all trials of a sweep together and write the report.

    Args:
        features: What they were trained on.
        trials: Values and runs of each, in order.
        plan: What was asked.
        book: Whose ledger holds the trials; part of the commands that are told.
    """
    optuna = str(require_optuna().__version__)
    store = Store(resolve_root())
    manifest = store.manifest(features)
    inputs = {"features": content_hash(manifest)}
    for number, (_, refs) in enumerate(trials):
        inputs |= {
            f"trial {number}, seed {seed}": content_hash(store.manifest(ref))
            for seed, ref in zip(plan.every_seed, refs, strict=False)
        }
    again = command(plan, book)
    base = plan.base.training_config(seed=plan.seed, num_episodes=plan.num_episodes, preset=plan.preset)

    def compute(folder: Path) -> Mapping[str, Any]:
        from rl.sweep.findings import findings
        from tasks.report.sweep import write_sweep

        ui.say("Putting the trials together, and writing the report", transient=True)
        results = tuple(
            TrialResult(
                number=number,
                params=dict(params),
                runs=tuple(read_trial(store.local(ref)) for ref in refs),
            )
            for number, (params, refs) in enumerate(trials)
        )
        summary = SweepSummary(
            data_hash=manifest.inputs["dataset"],
            preset=plan.preset,
            config=plan.config,
            seed=plan.seed,
            seeds=tuple(plan.every_seed),
            base=base,
            validation=store.manifest(trials[0][1][0]).summary["validation"],
            trials=results,
            importance=importance(plan.config, plan.num_episodes, results),
            optuna=optuna,
        )
        (folder / SWEEP).write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")
        best, next_command = summary.best, ""
        if best is not None:
            recipe = plan.varied(best.params).training
            (folder / RECIPE).write_text(recipe_file(recipe), encoding="utf-8")
            next_command = run_command(plan, best, book)
        write_sweep(summary, folder, features=str(features), command=again, next_command=next_command)
        return {
            "headline": findings(summary).headline,
            "best": None if best is None else best.number,
            "validation_pct": None if best is None else best.value,
            "params": None if best is None else typed(best.params),
            "next": next_command,
        }

    return run_cached(
        store,
        STEP,
        modules=("tasks.sweep",),
        inputs=inputs,
        params={
            "config": plan.config.model_dump(mode="json"),
            "params": [dict(params) for params, _ in trials],
            "preset": plan.preset,
            "seeds": list(plan.every_seed),
            "base": base.model_dump(mode="json"),
            "rules": plan.advanced.rules.model_dump(mode="json"),
            "command": again,
            "optuna": optuna,
        },
        compute=compute,
    )


def command(plan: Plan, book: str) -> str:
    """Return the command line that makes a sweep again; where the data lies is left to the reader."""
    words = ["carryflow", "sweep", "--data", "DATA", "--book", book, "--preset", plan.preset]
    words += ["--trials", str(plan.trials), "--seed", str(plan.seed), "--seeds", str(plan.seeds)]
    words += ["--num-episodes", str(plan.num_episodes)]
    config, usual = plan.config, SweepConfig()
    if config.space != usual.space:
        words += [
            word
            for name, values in config.space.items()
            for word in ("--search", f"{name}={values.as_typed()}")
        ]
    for flag in ("batch", "random_trials", "bar_after"):
        if getattr(config, flag) != getattr(usual, flag):
            words += [f"--{flag.replace('_', '-')}", str(getattr(config, flag))]
    if not config.rungs:
        words.append("--no-prune")
    elif config.rungs != usual.rungs:
        words += [word for share in config.rungs for word in ("--rung", f"{share:g}")]
    return shlex.join(words + _set(plan.advanced, _NOT_OF_A_SWEEP))


def run_command(plan: Plan, best: TrialResult, book: str) -> str:
    """Return the command line that judges the best trial; its training is found, not made again."""
    run = max(best.runs, key=lambda one: (one.best_pct or 0.0, -one.seed))
    words = ["carryflow", "run", "--data", "DATA", "--book", book, "--preset", plan.preset]
    words += ["--seed", str(run.seed), "--num-episodes", str(plan.num_episodes)]
    return shlex.join(words + _set(plan.varied(best.params), ("device",)))


def _set(advanced: Advanced, without: Sequence[str]) -> list[str]:
    asked, usual = advanced.model_dump(mode="json"), Advanced().model_dump(mode="json")
    for name in without:
        del asked[name]
    return set_words(asked, usual)


def read_sweep(made: Ref) -> SweepSummary:
    """Return what a sweep found, from its verified artifact."""
    folder = Store(resolve_root()).local(made)
    return SweepSummary.model_validate_json((folder / SWEEP).read_text(encoding="utf-8"))


def publish_sweep(made: Ref, *, book: str) -> Path:
    """Lay a sweep where a person finds it: `reports/<book>/sweep-<key>/`.

    Returns:
        The path of report.html.
    """
    return lay_out([made], book=book, name=f"{STEP}-{made.key[:8]}")
