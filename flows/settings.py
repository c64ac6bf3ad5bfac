"""Settings the pipeline needs; the package applies them before anything of it imports prefect or torch.

`prefect.toml` is read from the current folder only, so it cannot carry them. A value
that is already in the environment wins, except that results are never persisted by Prefect:
its records name their own deserialiser, so a planted one could run a pickle.
"""

from __future__ import annotations

import os
from typing import Final

from flows.desk.access import AUTH, URL, known_auth

DEFAULTS: Final[dict[str, str]] = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # Without an API URL a script starts a server of its own; a cold disk needs more than the default 20 s.
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    # The automation that finds dead runs (flows/desk/automations.py) counts on it.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    # Warnings of the store and its neighbours belong on the run's page.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "carryflow",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # Torch's threads meet many times in each update. Where another process holds a core, one that waits by
    # spinning keeps the other from working; after a thousand turns it waits asleep. Idle cores lose nothing.
    "GOMP_SPINCOUNT": "1000",
}
FORCED: Final[dict[str, str]] = {
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    # The exception of a failed flow is kept all the same: as a line of JSON, and not as a pickle.
    "PREFECT_RESULTS_DEFAULT_SERIALIZER": "json",
    "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "false",
}
# For a run started by the command line: the terminal is ours, Prefect's own lines go to the run's page only.
SCRIPT: Final[dict[str, str]] = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}


def apply() -> None:
    """Put the settings every run needs into the environment; call before importing prefect."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    os.environ.update(FORCED)
    if (url := os.environ.get(URL)) and AUTH not in os.environ and (auth := known_auth(url)):
        os.environ[AUTH] = auth


def apply_script(*, verbose: bool = False) -> None:
    """Add what a run from the command line needs: a quiet console.

    Args:
        verbose: Leave Prefect's own lines on the console.
    """
    apply()
    if not verbose:
        for name, value in SCRIPT.items():
            os.environ.setdefault(name, value)
