"""One retrain of a book at a time, and a last state that tells a person how it went.

The state's message is what the morning's notification carries (`flows/desk/automations.py`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, ParamSpec

import httpx
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.cli.signals import end_soon_after_signals
from schemas.promotion import PromotionDecision
from tasks import ui
from tasks.lineage import show_lineage
from tasks.locks import Owner
from tasks.openings import flow_run
from tasks.store import resolve_root
from tasks.turns import TurnedAway, retrain_turn

P = ParamSpec("P")


def one_at_a_time(pipeline: Callable[P, dict[str, Any]]) -> Callable[P, dict[str, Any] | State[Any]]:
    """Let a pipeline run only in its book's turn.

    Args:
        pipeline: Takes `book`, and returns its decisions by alias as plain JSON under `decisions`.

    Returns:
        The same, which waits while another run has the turn. Where another one waits already it does nothing
        and ends Completed, by a name that says so, with `{"skipped": why}`.
    """
    # Prefect resolves annotations where the wrapper was defined, so they must not be texts any more.
    signature = inspect.signature(pipeline, eval_str=True)

    @functools.wraps(pipeline)
    def run(*args: P.args, **kwargs: P.kwargs) -> dict[str, Any] | State[Any]:
        if ui.in_run():
            end_soon_after_signals()
        asked = signature.bind(*args, **kwargs)
        asked.apply_defaults()
        book = asked.arguments["book"]
        try:
            with retrain_turn(resolve_root(), book, purpose=_purpose(), on_wait=_tell_wait):
                result = pipeline(*args, **kwargs)
                show_lineage(found for found in result.values() if isinstance(found, str))
        except TurnedAway as busy:
            ui.say(str(busy))
            return ended({"skipped": str(busy)}, str(busy), name=busy.title)
        return ended(result, retrain_words(result["decisions"], book, next_run()))

    run.__annotations__ = {name: kept.annotation for name, kept in signature.parameters.items()}
    run.__signature__ = signature  # type: ignore[attr-defined]
    return run


def retrain_words(decisions: Mapping[str, Any], book: str, following: str) -> str:
    """Return how a retrain ended, for the morning: promoted or not, why, and when the next one starts.

    Args:
        decisions: By alias, as plain JSON.
        book: Whose.
        following: When the next run of the same deployment starts; empty where there is none.
    """
    told = [PromotionDecision.model_validate(one) for one in decisions.values()]
    lines = [f"Book {book}, version {told[0].version}." if told else f"Book {book}."]
    lines += [f"{one.alias.capitalize()}: {one.reason}" for one in told]
    lines.append(f"Next run: {following}." if following else "No next run is scheduled.")
    return "\n".join(lines)


def next_run() -> str:
    """Return when the next run of this run's deployment is to start, in words; empty where none is."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort
    from prefect.runtime import deployment

    if not ui.in_run() or deployment.id is None:
        return ""
    waiting = {"state": {"type": {"any_": ["SCHEDULED"]}}}
    later = {"expected_start_time": {"after_": datetime.now(UTC)}}
    found = []
    with suppress(httpx.HTTPError), get_client(sync_client=True) as client:  # no reason to fail what is done
        found = client.read_flow_runs(
            deployment_filter=DeploymentFilter.model_validate({"id": {"any_": [deployment.id]}}),
            flow_run_filter=FlowRunFilter.model_validate(waiting | later),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
            limit=1,
        )
    return f"{found[0].expected_start_time:%Y-%m-%d %H:%M} UTC" if found else ""


def ended(result: dict[str, Any], message: str, name: str = "Completed") -> dict[str, Any] | State[Any]:
    """Return a result as the last state of the run this is part of; outside of one, as it is."""
    return Completed(name=name, message=message, data=result) if ui.in_run() else result


def _purpose() -> str:
    run = flow_run()
    return f"flow run {run}" if run else "retrain"


def _tell_wait(running: Owner | None) -> None:
    ui.say(f"Waits for its turn: {running or 'another process'} retrains this book")
