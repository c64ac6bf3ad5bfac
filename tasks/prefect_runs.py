"""Old flow runs in Prefect's database, removed through its own API.

Only runs of this project's flows are looked at: a server may serve others too. Prefect removes a run's task
runs and states with it and its logs soon after; artifacts it would leave behind, so they go first. Killed in
between, a run is still there and the next collection goes on with it. Events are Prefect's own to remove.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from schemas.errors import ConfigError
from schemas.retention import PrefectRuns
from tasks import ui

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient

# The names of the flows in flows/, by which their runs are known.
FLOWS: Final = (
    *("data-to-model", "train", "backtest", "walk-forward", "certify"),
    *("gc", "paper-trade", "promote", "sweep"),
)
_PAGE: Final = 200  # the server's largest answer


def collect_runs(older_than_days: float, *, dry_run: bool = False) -> PrefectRuns:
    """Remove finished flow runs that ended long ago, with all that belongs to them.

    Outside of a flow run, and without the address of a server, nothing is touched: Prefect would start a
    server of its own for the question.

    Args:
        older_than_days: Since they ended.
        dry_run: Count them only.

    Raises:
        ConfigError: The server does not answer.
    """
    if not (ui.in_run() or _address()):
        return PrefectRuns(left_alone="PREFECT_API_URL is not set, so there is no server to ask")
    from prefect.utilities.asyncutils import run_coro_as_sync

    before = datetime.now(UTC) - timedelta(days=older_than_days)
    found: PrefectRuns = run_coro_as_sync(_collect(before, dry_run))
    return found


def _address() -> str:
    """Return the address of the server that was named, by the environment or by Prefect's own profile."""
    named = os.environ.get("PREFECT_API_URL", "")
    if named or "prefect" not in sys.modules:
        return named
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value() or "")


async def _collect(before: datetime, dry_run: bool) -> PrefectRuns:
    from prefect.client.orchestration import get_client

    async with get_client() as client:
        address = str(client.api_url)
        if (trouble := await client.api_healthcheck()) is not None:
            raise ConfigError(
                f"the Prefect server does not answer ({trouble}).",
                address,
                "Start it, or leave its database alone with --no-prefect.",
            )
        runs = artifacts = 0
        while page := await _page(client, before, offset=runs if dry_run else 0):
            for run in page:
                artifacts += await _artifacts_of(client, run, dry_run)
                if not dry_run:
                    await _delete_run(client, run)
                runs += 1
            ui.say(f"Prefect: {runs} flow runs", transient=True)
        return PrefectRuns(server=address, runs=runs, artifacts=artifacts)


async def _page(client: PrefectClient, before: datetime, *, offset: int) -> list[UUID]:
    """Return finished runs of our flows that no other run is waiting for.

    A run that was started by another has that one's task as its parent; once that is gone, it has none.
    """
    from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
    from prefect.client.schemas.objects import TERMINAL_STATES

    runs = await client.read_flow_runs(
        flow_filter=FlowFilter.model_validate({"name": {"any_": list(FLOWS)}}),
        flow_run_filter=FlowRunFilter.model_validate(
            {
                "state": {"type": {"any_": sorted(TERMINAL_STATES)}},
                "end_time": {"before_": before},
                "parent_task_run_id": {"is_null_": True},
            }
        ),
        limit=_PAGE,
        offset=offset,
    )
    return [run.id for run in runs]


async def _artifacts_of(client: PrefectClient, run: UUID, dry_run: bool) -> int:
    from prefect.client.schemas.filters import ArtifactFilter
    from prefect.exceptions import ObjectNotFound

    mine: Any = ArtifactFilter.model_validate({"flow_run_id": {"any_": [str(run)]}})
    count = 0
    while page := await client.read_artifacts(
        artifact_filter=mine, limit=_PAGE, offset=count if dry_run else 0
    ):
        for artifact in page:
            if not dry_run:
                with suppress(ObjectNotFound):
                    await client.delete_artifact(artifact.id)
            count += 1
    return count


async def _delete_run(client: PrefectClient, run: UUID) -> None:
    from prefect.exceptions import ObjectNotFound

    with suppress(ObjectNotFound):  # somebody else was faster
        await client.delete_flow_run(run)
