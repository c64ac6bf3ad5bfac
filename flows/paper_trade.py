"""An hour of paper trading as a flow; a deployment runs it every hour."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from flows.steps import INGEST, PAPER
from schemas.params import Advanced
from schemas.trading import PresetName
from tasks.paper_files import paper_turn
from tasks.step import call
from tasks.store import resolve_root

Presets = Annotated[tuple[PresetName, ...], Field(min_length=1)]


@flow(name="paper-trade", persist_result=False, retries=0)
def paper_trade(
    data: str,
    history: str = "",
    book: str = "default",
    presets: Presets = ("moderate",),
    advanced: Advanced = Advanced(),  # noqa: B008  frozen, and Prefect's form shows its fields
) -> dict[str, Any]:
    """Let the challenger and the champion decide on every new hour of the data, and move their books on.

    Run late, twice or after missed hours, it leaves the same ledger. Without fresh data everything is held.

    Args:
        data: Opportunities: a CSV file, or a folder of them with or without a market history.
        history: Market history, a file or folder; empty takes the one in the data folder, if any.
        book: The book whose aliases are followed, and that keeps the portfolios.
        presets: The risk profiles; each alias has a portfolio under each.
        advanced: Input rules, and the initial capital in `rules`; the other rules are the version's.

    Returns:
        Where the portfolios stand, as plain JSON.
    """
    given = advanced.rules.model_fields_set
    with paper_turn(resolve_root(), book):
        dataset = call(
            INGEST,
            data,
            history or None,
            **advanced.input_rules(),
        )
        done = call(
            PAPER,
            dataset,
            book=book,
            presets=presets,
            capital=advanced.rules.initial_capital if "initial_capital" in given else None,
        )
    return {"dataset": str(dataset), "paper": done.model_dump(mode="json")}
