"""Walk-forward as a flow: a fresh model for every fold and seed, the held-out parts joined to one curve."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

from prefect import flow
from pydantic import Field

from flows.naming import name_run
from flows.runners import Call, FanOut, Pending, fan_out
from flows.steps import BACKTEST, FEATURES, FOLD, INGEST, JOIN_FOLDS, TRAIN
from schemas.manifest import Ref
from schemas.names import BookName
from schemas.params import Advanced, RunnerName
from schemas.trading import PresetName
from schemas.training import TrainingConfig
from schemas.walk_forward import DEFAULT_EPISODES, DEFAULT_FOLDS, DEFAULT_SEEDS, FoldPlan, Scheme
from tasks import ui
from tasks.extras import refuse_runner
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
    runner: RunnerName = "inline",
    workers: Annotated[int, Field(ge=0)] = 0,
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
            0 is no limit. They count from the first training that is made, however many run at once.
        runner: Where trainings and replays run: inline in this process, one after the other; process in a
            pool of processes; ray on the cluster of RAY_ADDRESS, else on this machine.
        workers: Trainings at once; 0 is as many as there are cores for their threads.
        advanced: Everything that rarely changes.

    Returns:
        The refs of the artifacts, as plain JSON; `walk_forward` is empty while there are trainings left.
    """
    refuse_start(advanced)
    refuse_runner(runner)
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
    every_seed = range(seed, seed + seeds)
    trained = _train_and_replay(
        cut,
        every_seed,
        allowance=Allowance(time_budget),
        runner=runner,
        workers=workers,
        training=partial(advanced.training_config, num_episodes=num_episodes, preset=preset),
        preset=preset,
        book=book,
        advanced=advanced,
    )
    left = folds * seeds - sum(map(len, trained))
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
        ui.say(f"Cut short by the time budget with {left} of {folds * seeds} trainings left")
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


class _Flight(NamedTuple):
    """A training or a replay that was begun."""

    fold: int  # from 0
    seed: int
    began: float
    model: Ref | None  # what is replayed; None is a training

    @property
    def name(self) -> str:
        return f"fold {self.fold + 1}, seed {self.seed}"


def _train_and_replay(
    cut: Sequence[Ref],
    seeds: Sequence[int],
    *,
    allowance: Allowance,
    runner: RunnerName,
    workers: int,
    training: Callable[..., TrainingConfig],
    preset: PresetName,
    book: str,
    advanced: Advanced,
) -> list[list[Trained]]:
    """Train every fold and seed and replay what the fold held out, as many at once as the runner takes.

    A replay is begun as soon as its training has ended. Once one was cut short or failed no training is begun
    any more; those that were go on, and an error is raised when all have ended.

    Returns:
        Of each fold its trainings that were replayed, by seed.
    """
    total = len(cut) * len(seeds)
    waiting = deque((number, own) for number in range(len(cut)) for own in seeds)
    trained: list[dict[int, Trained]] = [{} for _ in cut]
    flights: dict[Pending, _Flight] = {}
    failed: list[Exception] = []
    over = False

    def train(fan: FanOut) -> None:
        number, own = waiting.popleft()
        flight = _Flight(number, own, time.monotonic(), None)
        ui.say(f"{flight.name.capitalize()} ({total - len(waiting)} of {total} trainings)")
        asked = {
            "training": training(seed=own),
            "preset": preset,
            "rules": advanced.rules,
            "book": book,
            "time_budget": allowance.left,
            "device": advanced.device,
        }
        flights[fan.submit(TRAIN, Call((cut[number],), asked, f"train {flight.name}"))] = flight

    def replay(fan: FanOut, done: _Flight, model: Ref) -> None:
        asked = {"rules": advanced.rules, "book": book, "purpose": PURPOSE, "random_runs": 0}
        call_ = Call((cut[done.fold], model), asked, f"backtest {done.name}")
        flights[fan.submit(BACKTEST, call_)] = done._replace(model=model)

    with fan_out(runner, workers, threads=advanced.training.threads) as fan:
        while flights or (waiting and not over):
            while waiting and not over and len(flights) < fan.width and not allowance.spent:
                train(fan)
            over = over or allowance.spent
            if not flights:
                break
            ended = fan.first(flights)
            flight = flights.pop(ended)
            try:
                made = ended.result()
            except Exception as error:  # noqa: BLE001  raised when the others have ended
                if flights:
                    ui.say(f"Failed, and {len(flights)} still at work: {error}")
                failed.append(error)
                over = True
                continue
            if flight.model is not None:
                trained[flight.fold][flight.seed] = Trained(flight.seed, flight.model, made)
                continue
            allowance.charge(made, flight.began)
            if was_cut(made):
                over = True
            else:
                replay(fan, flight, made)
    if failed:
        raise failed[0]
    return [[runs[own] for own in seeds if own in runs] for runs in trained]
