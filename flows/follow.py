"""What a fan-out shares with its workers: the Prefect server, and the lines that people at a terminal see."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from tasks import ui

_LOOK_EVERY_S: Final = 2.0  # Prefect sends lines about as often
_LATE_S: Final = 10.0  # a line may arrive after a younger one of another worker
_PREFECTS_OWN: Final = ("Finished in state", "Task run failed", "Beginning task run")


@contextmanager
def shared_server() -> Iterator[None]:
    """Tell workers the address of the server that this process started for itself, if it did.

    Each of them would start another one on the same database.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    if PREFECT_API_URL.value():
        yield
        return
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    server.start()  # does nothing where it runs, as it does inside of a flow
    with temporary_settings({PREFECT_API_URL: server.api_url}):
        yield


@contextmanager
def follow_lines(names: Mapping[Any, str]) -> Iterator[None]:
    """Show what workers say in this process's terminal, if it has one, each line under its task's name.

    The lines are those of the run's page, so they come from any machine, some seconds late.

    Args:
        names: Of the tasks to follow, by the id of their run; may grow.
    """
    write = ui.terminal()
    if write is None:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(
        target=copy_context().run, args=(_follow, names, write, stop), name="follow-lines", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5.0)


def _follow(names: Mapping[Any, str], write: Any, stop: threading.Event) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import LogFilter
    from prefect.client.schemas.sorting import LogSort

    since, seen = datetime.now(UTC), set[Any]()
    while True:
        last = stop.wait(_LOOK_EVERY_S)
        asked = {
            "task_run_id": {"any_": [str(one) for one in list(names)]},
            "timestamp": {"after_": since - timedelta(seconds=_LATE_S)},
            "level": {"ge_": logging.INFO, "le_": logging.WARNING},
        }
        # A server that does not answer is no reason to disturb who works.
        with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
            now = datetime.now(UTC)
            if not names:
                continue
            found = client.read_logs(LogFilter.model_validate(asked), sort=LogSort.TIMESTAMP_ASC)
            for line in found:
                if line.id not in seen and not line.message.startswith(_PREFECTS_OWN):
                    write(f"{names[line.task_run_id].capitalize()}: {line.message}", False)
            seen = {line.id for line in found}
            since = now
        if last:
            return
