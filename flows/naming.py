"""Names of runs by which a person finds them: what was done, up to which day, with which venues."""

from __future__ import annotations

import json
from typing import Final

from schemas.manifest import Ref
from tasks import ui
from tasks.store import Store, resolve_root

_MANY: Final = 4


def name_run(dataset: Ref, detail: str = "") -> None:
    """Name the flow run this is part of after its data, as `retrain 2025-10-28 binance-hyperliquid`.

    A run of a deployment is called by that, any other by its flow. Outside a run, do nothing.

    Args:
        dataset: What `ingest` made.
        detail: What else tells it from others of the same data.
    """
    if not ui.in_run():
        return
    from prefect.runtime import deployment, flow_run

    kind = str(deployment.name or flow_run.flow_name)
    rename_run(" ".join(filter(None, (kind, data_name(dataset), detail))))


def rename_run(name: str) -> None:
    """Give the flow run this is part of a name, in the UI and in what is written down."""
    if not ui.in_run():
        return
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    with get_client(sync_client=True) as client:
        client.set_flow_run_name(context.flow_run.id, name)
    context.flow_run.name = name


def data_name(dataset: Ref) -> str:
    """Return the last day and the venues of a data set: `2025-10-28 binance-hyperliquid`."""
    folder = Store(resolve_root()).local(dataset)
    last = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))["last"][:10]
    quality = json.loads((folder / "quality.json").read_text(encoding="utf-8"))
    venues = sorted(quality["opportunities"]["venues"])
    return f"{last} {'-'.join(venues) if len(venues) <= _MANY else f'{len(venues)} venues'}"
