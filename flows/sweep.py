"""A search over recipes as a flow: trials are proposed, trained, pruned on validation, and put together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows.naming import name_run
from flows.runners import Call, FanOut, fan_out
from flows.steps import CONCLUDE, FEATURES, INGEST, TRIAL
from schemas.manifest import Ref
from schemas.names import BookName
from schemas.params import Advanced, RunnerName
from schemas.sweep import DEFAULT_EPISODES, DEFAULT_TRIALS, SweepConfig
from schemas.trading import PresetName
from tasks import ui
from tasks.lineage import show_lineage
from tasks.step import call
from tasks.sweep import Plan, Search, ended
from tasks.walk_forward import Allowance


@flow(name="sweep", persist_result=False, retries=0)
def sweep(
    data: str,
    history: str = "",
    book: BookName = "default",
    preset: PresetName = "moderate",
    trials: Annotated[int, Field(ge=1)] = DEFAULT_TRIALS,
    seed: Annotated[int, Field(ge=0)] = 0,
    seeds: Annotated[int, Field(ge=1)] = 1,
    num_episodes: Annotated[int, Field(ge=1)] = DEFAULT_EPISODES,
    time_budget: Annotated[float, Field(ge=0)] = 0.0,
    runner: RunnerName = "inline",
    workers: Annotated[int, Field(ge=0)] = 0,
    search: SweepConfig = SweepConfig(),  # noqa: B008  frozen, and Prefect's form shows its fields
    advanced: Advanced = Advanced(),  # noqa: B008
) -> dict[str, Any]:
    """Search for a recipe: train many, compare them on validation, end early those that fall behind.

    Nothing but validation chooses; the sealed test window stays closed and no alias moves. Every training is
    written into the book's ledger as a trial that was looked at.

    Args:
        data: Opportunities: a CSV file, or a folder of them with or without a market history.
        history: Market history, a file or folder; empty takes the one in the data folder, if any.
        book: Whose ledger records every trial.
        preset: The risk profile that validation looks at.
        trials: Recipes to try; the first is the recipe as it stands.
        seed: Of the proposals, and the first of the trainings; the others count up from it.
        seeds: Trainings of each trial; their mean is compared.
        num_episodes: Episodes of each training, all environments together.
        time_budget: Seconds for all trainings together; what is cut short goes on when it is asked for again.
            0 is no limit.
        runner: Where trials of a batch run: inline in this process, one after the other; process in a pool of
            processes; ray on the cluster of RAY_ADDRESS, else on this machine.
        workers: Trainings at once; 0 is as many as there are cores for their threads.
        search: What is searched and how.
        advanced: Everything that rarely changes; its recipe is what trials vary.

    Returns:
        The refs of the artifacts, as plain JSON; `sweep` is empty while there are trials left.
    """
    plan = Plan(search, trials, seed, seeds, num_episodes, preset, advanced)
    dataset = call(
        INGEST,
        data,
        history or None,
        **advanced.input_rules(),
    )
    name_run(dataset)
    features = call(FEATURES, dataset, rules=advanced.rules, episode_hours=advanced.training.episode_hours)
    under_way = Search(plan)
    allowance = Allowance(time_budget)
    with fan_out(runner, workers, threads=advanced.training.threads) as fan:
        while batch := under_way.batch():
            made = _train_batch(fan, features, batch, under_way, allowance, book)
            if made is None:
                break
            for (_, params), refs in zip(batch, made, strict=True):
                under_way.end(params, refs)
    result: dict[str, Any] = {
        "dataset": str(dataset),
        "features": str(features),
        "trials": [[str(ref) for ref in refs] for refs in under_way.refs],
        "asked": trials,
        "sweep": "",
    }
    if len(under_way.ended) < trials:
        ui.say(f"Cut short by the time budget with {len(under_way.ended)} of {trials} trials ended")
        return result
    done = [(trial.params, refs) for trial, refs in zip(under_way.ended, under_way.refs, strict=True)]
    concluded = call(CONCLUDE, features, done, plan=plan, book=book)
    models = [run.model for trial in under_way.ended for run in trial.runs if run.model]
    show_lineage([str(dataset), str(features), *models, str(concluded)])
    return result | {"sweep": str(concluded)}


def _train_batch(
    fan: FanOut,
    features: Ref,
    batch: Sequence[tuple[int, dict[str, float]]],
    under_way: Search,
    allowance: Allowance,
    book: str,
) -> list[list[Ref]] | None:
    """Train a batch of trials: each with its first seed, and those that were not pruned with the others.

    Returns:
        What was made of each trial, by seed; None where the budget cut one of them short.
    """
    plan = under_way.plan
    first, *others = plan.every_seed
    made: dict[int, list[Ref]] = {number: [] for number, _ in batch}
    for seeds, bars in (([first], under_way.bars()), (others, ())):
        going = [
            (number, params, own)
            for number, params in batch
            if all(ended(ref) == "complete" for ref in made[number])
            for own in seeds
        ]
        for begin in range(0, len(going), fan.width):
            if allowance.spent:
                return None
            began = time.monotonic()
            calls = [
                Call(
                    (features,),
                    {
                        "training": plan.training(params, own),
                        "preset": plan.preset,
                        "rules": plan.advanced.rules,
                        "book": book,
                        "bars": bars,
                        "time_budget": allowance.left,
                        "device": plan.advanced.device,
                    },
                    f"trial {number}" + (f", seed {own}" if plan.seeds > 1 else ""),
                )
                for number, params, own in going[begin : begin + fan.width]
            ]
            ui.say(
                f"Training {calls[0].name} of {plan.trials}"
                + (f" and {len(calls) - 1} beside it" if len(calls) > 1 else ""),
                transient=True,
            )
            refs = fan.map(TRIAL, calls)
            for ref in refs:
                allowance.charge(ref, began)
            if not all(map(ended, refs)):
                return None
            for (number, _, _), ref in zip(going[begin : begin + fan.width], refs, strict=True):
                made[number].append(ref)
    return [_until_incomplete(made[number]) for number, _ in batch]


def _until_incomplete(refs: Sequence[Ref]) -> list[Ref]:
    """Return a trial's runs up to the first one that was not complete, as `TrialResult` tells them."""
    kept = []
    for ref in refs:
        kept.append(ref)
        if ended(ref) != "complete":
            break
    return kept
