"""Training alone, as a flow: the sealed test window stays closed."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows.naming import name_run
from flows.steps import FEATURES, INGEST, TRAIN
from schemas.names import BookName
from schemas.params import Advanced
from schemas.trading import PresetName
from tasks.lineage import show_lineage
from tasks.step import call


@flow(name="train", persist_result=False, retries=0)
def train(
    data: str,
    history: str = "",
    book: BookName = "default",
    preset: PresetName = "moderate",
    seed: Annotated[int, Field(ge=0)] = 0,
    num_episodes: Annotated[int, Field(ge=1)] = 5000,
    time_budget: Annotated[float, Field(ge=0)] = 0.0,
    advanced: Advanced = Advanced(),  # noqa: B008  frozen, and Prefect's form shows its fields
) -> dict[str, Any]:
    """Validate the data, build features and train one policy.

    Args:
        data: Opportunities: a CSV file, or a folder of them with or without a market history.
        history: Market history, a file or folder; empty takes the one in the data folder, if any.
        book: The book that registers the version.
        preset: The risk profile that validation looks at.
        seed: Seed of weights, episodes and minibatches.
        num_episodes: Episodes to train for, all environments together.
        time_budget: Seconds after which training stops and publishes what it has; 0 is no limit.
        advanced: Everything that rarely changes.

    Returns:
        The refs of the artifacts, as plain JSON.
    """
    dataset = call(
        INGEST,
        data,
        history or None,
        **advanced.input_rules(),
    )
    name_run(dataset)
    features = call(FEATURES, dataset, rules=advanced.rules, episode_hours=advanced.training.episode_hours)
    model = call(
        TRAIN,
        features,
        training=advanced.training_config(seed=seed, num_episodes=num_episodes, preset=preset),
        preset=preset,
        rules=advanced.rules,
        book=book,
        time_budget=time_budget,
        device=advanced.device,
        resume_from=advanced.resume_from,
    )
    made = {"dataset": str(dataset), "features": str(features), "model": str(model)}
    show_lineage(made.values())
    return made
