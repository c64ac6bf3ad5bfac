"""The whole pipeline as one flow: from a CSV to a policy that is promoted, or refused with reasons."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows.naming import name_run
from flows.retraining import one_at_a_time
from flows.seeds import train_seeds
from flows.steps import AUDIT, BACKTEST, FEATURES, INGEST, JUDGE, PROMOTE, QUALITY, STRESS, TRAIN
from schemas.manifest import Ref
from schemas.names import BookName
from schemas.params import Advanced, RunnerName
from schemas.trading import PresetName
from tasks.extras import refuse_runner
from tasks.freshness import refuse_stale
from tasks.step import call


@flow(name="data-to-model", persist_result=False, retries=0)
@one_at_a_time
def data_to_model(
    data: str,
    history: str = "",
    book: BookName = "default",
    preset: PresetName = "moderate",
    seed: Annotated[int, Field(ge=0)] = 0,
    seeds: Annotated[int, Field(ge=1)] = 1,
    num_episodes: Annotated[int, Field(ge=1)] = 5000,
    time_budget: Annotated[float, Field(ge=0)] = 0.0,
    runner: RunnerName = "inline",
    workers: Annotated[int, Field(ge=0)] = 0,
    dry_run: bool = False,
    max_data_age_hours: Annotated[float, Field(ge=0)] = 0.0,
    advanced: Advanced = Advanced(),  # noqa: B008  frozen, and Prefect's form shows its fields
) -> dict[str, Any]:
    """Validate and describe data, build features, train a policy, backtest, audit, stress, judge, promote.

    Two verdicts come of it: whether the policy becomes challenger, and whether it becomes champion.

    Steps whose inputs, parameters and code have not changed are found in the store.

    Args:
        data: Opportunities: a CSV file, or a folder of them with or without a market history.
        history: Market history, a file or folder; empty takes the one in the data folder, if any.
        book: The book whose registry and aliases are concerned; generated and real data never share one.
        preset: The risk profile that validation and the gates look at.
        seed: Seed of weights, episodes and minibatches, and of the audit's times.
        seeds: Trainings, with seeds that count up from the first; the best on validation is the candidate.
        num_episodes: Episodes to train for, all environments together.
        time_budget: Seconds after which training stops and publishes what it has, all seeds together; 0 is
            no limit.
        runner: Where several seeds train: inline in this process, one after the other; process in a pool of
            processes; ray on the cluster of RAY_ADDRESS, else on this machine.
        workers: Trainings at once; 0 is as many as there are cores for their threads.
        dry_run: Do all but move an alias.
        max_data_age_hours: Hours that the newest opportunity may be old before training is refused; 0 is
            no limit.
        advanced: Everything that rarely changes.

    Returns:
        The refs of the artifacts and the decisions by alias, as plain JSON, and with several seeds what is
        known of each, the candidate first; or only `skipped`, where one
        retrain of the book runs and another waits.
    """
    refuse_runner(runner)
    advanced = advanced.one_hurdle()
    dataset = call(
        INGEST,
        data,
        history or None,
        **advanced.input_rules(),
    )
    name_run(dataset)
    refuse_stale(dataset, max_data_age_hours)
    described = call(
        QUALITY,
        dataset,
        book=book,
        limits=advanced.gates.drift,
        episode_hours=advanced.training.episode_hours,
    )
    features = call(FEATURES, dataset, rules=advanced.rules, episode_hours=advanced.training.episode_hours)
    asked: dict[str, Any] = {
        "preset": preset,
        "rules": advanced.rules,
        "book": book,
        "time_budget": time_budget,
        "device": advanced.device,
        "resume_from": advanced.resume_from,
    }
    config = partial(advanced.training_config, num_episodes=num_episodes, preset=preset)
    trained: list[dict[str, Any]] = []
    if seeds == 1:
        model = call(TRAIN, features, training=config(seed=seed), **asked)
    else:
        trained = train_seeds(
            features,
            range(seed, seed + seeds),
            config,
            runner=runner,
            workers=workers,
            threads=advanced.training.threads,
            **asked,
        )
        model = Ref.parse(trained[0]["model"])
    tested = call(
        BACKTEST,
        features,
        model,
        rules=advanced.rules,
        book=book,
        purpose="promotion",
        ladder=advanced.ladder,
    )
    audited = call(
        AUDIT,
        dataset,
        features,
        model,
        rules=advanced.rules,
        book=book,
        times=advanced.audit_times,
        seed=seed,
    )
    stressed = call(
        STRESS, dataset, features, model, tested, book=book, preset=preset, settings=advanced.stress
    )
    judged = call(
        JUDGE,
        tested,
        preset=preset,
        policy=advanced.gates,
        book=book,
        audited=audited,
        stressed=stressed,
        dataset=dataset,
        trained=model,
        described=described,
    )
    decisions = call(
        PROMOTE,
        model,
        tested,
        judged,
        book=book,
        preset=preset,
        require_approval=advanced.gates.require_approval,
        dry_run=dry_run,
    )
    return {
        "dataset": str(dataset),
        "quality": str(described),
        "features": str(features),
        "model": str(model),
        **({"seeds": trained} if trained else {}),
        "backtest": str(tested),
        "audit": str(audited),
        "stress": str(stressed),
        "judgement": str(judged),
        "decisions": {one.alias: one.model_dump(mode="json") for one in decisions},
    }
