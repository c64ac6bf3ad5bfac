"""Walk-forward as a flow: a fresh model for every fold and seed, the held-out parts joined to one curve."""

from __future__ import annotations

import time
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows.naming import name_run
from flows.steps import BACKTEST, FEATURES, FOLD, INGEST, JOIN_FOLDS, TRAIN
from schemas.names import BookName
from schemas.params import Advanced
from schemas.trading import PresetName
from schemas.walk_forward import DEFAULT_EPISODES, DEFAULT_FOLDS, DEFAULT_SEEDS, FoldPlan, Scheme
from tasks import ui
from tasks.lineage import show_lineage
from tasks.step import call
from tasks.walk_forward import PURPOSE, Allowance, Trained, refuse_start, was_cut


@flow(name="walk-forward", persist_result=False, retries=0)
def walk_forward(
    data: str,
    history: str = "",
    book: BookName = "default",
    preset: PresetName = "moderate",
    folds: Annotated[int, Field(ge=2)] = DEFAULT_FOLDS,
    scheme: Scheme = "expanding",
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.25,
    seeds: Annotated[int, Field(ge=1)] = DEFAULT_SEEDS,
    seed: Annotated[int, Field(ge=0)] = 0,
    num_episodes: Annotated[int, Field(ge=1)] = DEFAULT_EPISODES,
    time_budget: Annotated[float, Field(ge=0)] = 0.0,
    advanced: Advanced = Advanced(),  # noqa: B008  frozen, and Prefect's form shows its fields
) -> dict[str, Any]:
    """Train on each fold, replay what was held out from it, and join the parts to one out-of-sample curve.

    In each fold the seed that is best on validation is the candidate; the held-out part has no say.

    Args:
        data: Opportunities: a CSV file, or a folder of them with or without a market history.
        history: Market history, a file or folder; empty takes the one in the data folder, if any.
        book: Whose ledger records every training and every opening of a held-out part.
        preset: The risk profile that validation looks at and that is judged.
        folds: How many; each holds out a part of its own.
        scheme: Expanding trains from the first hour on, rolling on as many hours as the first fold.
        held_out: Share of the hours that is held out, all folds together; the newest.
        validation: Share of a fold's hours before its held-out part that validates.
        seeds: Trainings of each fold.
        seed: The first seed of weights, episodes and minibatches; the others count up from it.
        num_episodes: Episodes of each training, all environments together.
        time_budget: Seconds for all trainings together; what is cut short goes on when it is asked for again.
            0 is no limit.
        advanced: Everything that rarely changes.

    Returns:
        The refs of the artifacts, as plain JSON; `walk_forward` is empty while there are trainings left.
    """
    refuse_start(advanced)
    dataset = call(
        INGEST,
        data,
        history or None,
        **advanced.input_rules(),
    )
    name_run(dataset)
    episode_hours = advanced.training.episode_hours
    features = call(FEATURES, dataset, rules=advanced.rules, episode_hours=episode_hours, split=False)
    plan = FoldPlan(n_folds=folds, scheme=scheme, held_out_share=held_out, validation_share=validation)
    cut = [
        call(
            FOLD.with_options(task_run_name=f"fold {number}"),
            features,
            number=number,
            plan=plan,
            rules=advanced.rules,
            episode_hours=episode_hours,
        )
        for number in range(1, folds + 1)
    ]
    allowance = Allowance(time_budget)
    every_seed = range(seed, seed + seeds)
    trained: list[list[Trained]] = [[] for _ in cut]
    left = [(number, own) for number in range(folds) for own in every_seed]
    while left and not allowance.spent:
        number, own = left[0]
        name = f"fold {number + 1}, seed {own}"
        ui.say(f"{name.capitalize()} ({folds * seeds - len(left) + 1} of {folds * seeds} trainings)")
        began = time.monotonic()
        model = call(
            TRAIN.with_options(task_run_name=f"train {name}"),
            cut[number],
            training=advanced.training_config(seed=own, num_episodes=num_episodes, preset=preset),
            preset=preset,
            rules=advanced.rules,
            book=book,
            time_budget=allowance.left,
            device=advanced.device,
        )
        allowance.charge(model, began)
        if was_cut(model):
            break
        tested = call(
            BACKTEST.with_options(task_run_name=f"backtest {name}"),
            cut[number],
            model,
            rules=advanced.rules,
            book=book,
            purpose=PURPOSE,
            random_runs=0,
        )
        trained[number].append(Trained(own, model, tested))
        del left[0]
    result: dict[str, Any] = {
        "dataset": str(dataset),
        "features": str(features),
        "folds": [str(ref) for ref in cut],
        "models": [[str(run.model) for run in runs] for runs in trained],
        "backtests": [[str(run.backtest) for run in runs] for runs in trained],
        "trainings": folds * seeds,
        "walk_forward": "",
    }
    if left:
        ui.say(f"Cut short by the time budget with {len(left)} of {folds * seeds} trainings left")
        return result
    joined = call(
        JOIN_FOLDS,
        dataset,
        cut,
        trained,
        plan=plan,
        preset=preset,
        seeds=list(every_seed),
        num_episodes=num_episodes,
        book=book,
        advanced=advanced,
    )
    show_lineage(
        [
            str(dataset),
            str(features),
            *result["folds"],
            *(model for runs in result["models"] for model in runs),
            str(joined),
        ]
    )
    return result | {"walk_forward": str(joined)}
