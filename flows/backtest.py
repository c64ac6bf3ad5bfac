"""An ad hoc backtest as a flow: any version, alias or checkpoint file on any data, window and config."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from prefect import flow
from pydantic import Field

from flows.naming import name_run
from flows.steps import BACKTEST, FEATURES, INGEST, JUDGE, STRESS
from schemas.names import BookName
from schemas.params import Advanced
from tasks.lineage import show_lineage
from tasks.step import call

Replayed = Literal["all", "conservative", "moderate", "aggressive", "custom"]


@flow(name="backtest", persist_result=False, retries=0)
def backtest(
    data: str,
    history: str = "",
    model: str = "challenger",
    book: BookName = "default",
    preset: Replayed = "all",
    window: Literal["test", "validation", "train", "all"] = "test",
    start: str = "",
    end: str = "",
    random_runs: Annotated[int, Field(ge=0)] = 100,
    seed: Annotated[int, Field(ge=0)] = 0,
    stress: bool = False,
    advanced: Advanced = Advanced(),  # noqa: B008  frozen, and Prefect's form shows its fields
) -> dict[str, Any]:
    """Replay a policy beside every rung of the ladder, and write a report.

    A window that overlaps what the policy was trained or chosen on is stamped IN-SAMPLE.

    Args:
        data: Opportunities: a CSV file, or a folder of them with or without a market history.
        history: Market history, a file or folder; empty takes the one in the data folder, if any.
        model: An alias (challenger, champion), a version, or the path of a checkpoint file.
        book: The book that knows the alias or version, and whose ledger records the opening.
        preset: Risk profile to replay, or each; "custom" is the profile in advanced.training.trading.
        window: Which part of the data; start and end go over it.
        start: First hour of the window, UTC, ISO 8601; empty leaves it to `window`.
        end: First hour no longer in the window, UTC; empty leaves it to `window`.
        random_runs: Independent runs of the random baseline.
        seed: Seed of the random baseline.
        stress: Replay it also with one thing made worse at a time; minutes for months of data.
        advanced: Everything that rarely changes.

    Returns:
        The refs of the artifacts, as plain JSON; `stress` is empty where nobody asked for it.
    """
    advanced = advanced.one_hurdle()
    judged_preset = "moderate" if preset == "all" else preset
    dataset = call(
        INGEST,
        data,
        history or None,
        **advanced.input_rules(),
    )
    name_run(dataset, model if len(model) <= 64 else "")
    splits_needed = window != "all" and not (start and end)
    features = call(
        FEATURES,
        dataset,
        rules=advanced.rules,
        episode_hours=advanced.training.episode_hours,
        split=splits_needed,
    )
    tested = call(
        BACKTEST,
        features,
        model,
        rules=advanced.rules,
        book=book,
        purpose="ad hoc",
        presets=preset,
        custom=advanced.training.trading,
        window=window,
        start=start,
        end=end,
        random_runs=random_runs,
        seed=seed,
        ladder=advanced.ladder,
    )
    stressed = None
    if stress:
        stressed = call(
            STRESS,
            dataset,
            features,
            model,
            tested,
            book=book,
            preset=judged_preset,
            settings=advanced.stress,
        )
    judged = call(
        JUDGE,
        tested,
        preset=judged_preset,
        policy=advanced.gates,
        book=book,
        stressed=stressed,
        dataset=dataset,
    )
    made = {
        "dataset": str(dataset),
        "features": str(features),
        "backtest": str(tested),
        "stress": "" if stressed is None else str(stressed),
        "judgement": str(judged),
    }
    show_lineage(made.values())
    return made
