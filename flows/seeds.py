"""Several trainings of one recipe that differ in their seed; the best on validation is the candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flows.runners import Call, fan_out
from flows.steps import TRAIN
from schemas.manifest import Ref
from schemas.params import RunnerName
from schemas.training import TrainingConfig
from tasks import ui
from tasks.show_seeds import show_seeds
from tasks.store import Store, resolve_root


def train_seeds(
    features: Ref,
    seeds: range,
    training: Callable[..., TrainingConfig],
    *,
    runner: RunnerName,
    workers: int,
    threads: int,
    time_budget: float,
    resume_from: str,
    **asked: Any,
) -> list[dict[str, Any]]:
    """Train every seed, and return what is known of each, the candidate first and the others by seed.

    Args:
        features: What `features` made.
        seeds: Two and more.
        training: Returns the training config of a `seed`.
        runner: Where they run.
        workers: How many at once; 0 is as many as there are cores for their threads.
        threads: Of each training.
        time_budget: Seconds for all together. Each gets the same share of them: those that follow one another
            divide what those beside each other have in full. 0 is no limit.
        resume_from: A checkpoint that all start from, or empty.
        **asked: What else `train` takes.

    Returns:
        Of each seed: seed, model, version, validation_pct, episodes and finished, as plain JSON.
    """
    if resume_from and Path(resume_from).is_file():
        resume_from = str(Path(resume_from).absolute())  # a worker's current folder may be another one
    with fan_out(runner, workers, threads=threads) as fan:
        share = time_budget * min(1.0, fan.width / len(seeds))
        ui.say(f"Training seeds {seeds[0]} to {seeds[-1]}, {min(fan.width, len(seeds))} at once")
        models = fan.map(
            TRAIN,
            [
                Call(
                    (features,),
                    {
                        "training": training(seed=own),
                        "time_budget": share,
                        "resume_from": resume_from,
                        **asked,
                    },
                    f"train seed {own}",
                )
                for own in seeds
            ],
        )
    found = [_facts(own, model) for own, model in zip(seeds, models, strict=True)]
    best = choose(found)
    show_seeds(found, best["seed"])
    return [best, *(one for one in found if one is not best)]


def choose(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the seed that is best on validation, the lowest of equals."""
    return min(found, key=lambda one: (-one["validation_pct"], one["seed"]))


def _facts(seed: int, model: Ref) -> dict[str, Any]:
    facts: Mapping[str, Any] = Store(resolve_root()).manifest(model).summary
    told = {name: facts[name] for name in ("version", "validation_pct", "episodes", "finished")}
    return {"seed": seed, "model": str(model), **told}
