"""What a person sees while a step runs: progress in the terminal, artifacts in the Prefect UI.

The terminal belongs to the command line, which sets `terminal`; a run of a worker has none
and its lines go to the run's log page. Prefect is imported only where it is already in use.
"""

from __future__ import annotations

import base64
import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal
from uuid import UUID

_LINK: Final = re.compile(r"\]\((?!data:image/png;base64,[A-Za-z0-9+/=]*\))")
_MAX_PICTURE_BYTES: Final = 1_500_000
_NO_KEY: Final = re.compile(r"[^a-z0-9]+")
Kind = Literal["markdown", "progress"]
LOG = logging.getLogger("carryflow")

_terminal: Callable[[str, bool], None] | None = None
_live: dict[tuple[UUID | None, str], UUID] = {}  # artifacts that are written over, by task run and key


def set_terminal(write: Callable[[str, bool], None] | None) -> None:
    """Say where lines go: `write(text, transient)`; a transient line may be overwritten by the next."""
    global _terminal
    _terminal = write


def terminal() -> Callable[[str, bool], None] | None:
    """Return where lines for a person at a terminal go; None where nobody sits at one."""
    return _terminal


def say(text: str, *, transient: bool = False) -> None:
    """Tell whoever watches one line: the terminal, and the run's page where there is one.

    Args:
        text: One line.
        transient: The next line may replace it; such lines are not logged.
    """
    if _terminal is not None:
        _terminal(text, transient)
    if not transient:
        note(text)


def note(text: str) -> None:
    """Write one line to the log of the run's page, if this is part of a run."""
    logger = _run_logger()
    if logger is not None:
        logger.info(text)


def warn(text: str) -> None:
    """Tell a warning in one line: in the terminal, and in the log of the run's page."""
    LOG.warning(text)


def in_run() -> bool:
    """Whether this code runs inside a Prefect flow or task."""
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext, TaskRunContext

    return TaskRunContext.get() is not None or FlowRunContext.get() is not None


def step_detail() -> str:
    """Return which of several like it the task run is that this is part of: `fold 1, seed 0`; mostly empty.

    That is what its name says after the first word.
    """
    return _task_run()[1].partition(" ")[2]


def key(text: str) -> str:
    """Return a text as the key of an artifact: lower-case letters, digits and dashes."""
    return _NO_KEY.sub("-", text.lower()).strip("-")


def markdown(key: str, text: str, description: str) -> None:
    """Put a markdown artifact on the run's page; outside a run, do nothing.

    It takes the place of what `show_live` put there under the same key.

    Args:
        key: Lower-case letters, digits and dashes; the same key over runs gives a history.
        text: GitHub-flavoured markdown; pictures as data URIs from `picture`.
        description: One line.
    """
    if not in_run():
        return
    from prefect.artifacts import create_markdown_artifact

    shown = harmless(text)
    known = _live.pop((_task_run()[0], key), None)
    if known is None or not _write_over(known, shown, description):
        create_markdown_artifact(markdown=shown, key=key, description=description)


def show_live(kind: Kind, key: str, data: str | float, description: str) -> None:
    """Put something on the run's page, or something newer in its place; only in a run.

    Args:
        kind: Markdown that is `harmless`, or a progress bar.
        key: As that of `markdown`.
        data: The markdown, or percent.
        description: One line.

    Raises:
        httpx.HTTPError: The server did not take it.
    """
    from prefect.artifacts import create_markdown_artifact, create_progress_artifact

    mine = (_task_run()[0], key)
    if mine in _live and _write_over(_live[mine], data, description):
        return
    if isinstance(data, str):
        _live[mine] = create_markdown_artifact(markdown=data, key=key, description=description)  # type: ignore[assignment]
    else:
        _live[mine] = create_progress_artifact(data, key=key, description=description)  # type: ignore[assignment]


def _write_over(artifact: UUID, data: str | float, description: str) -> bool:
    """Replace what an artifact holds; False where it was deleted meanwhile."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    # The client's own way to update would also send the whole picture as an event, which the server keeps.
    content = {"data": data, "description": description}
    try:
        client = get_client(sync_client=True)  # the run's own
        client.request("PATCH", "/artifacts/{id}", path_params={"id": artifact}, json=content)
    except PrefectHTTPStatusError as error:
        if error.response.status_code == 404:
            return False
        raise
    return True


def _task_run() -> tuple[UUID | None, str]:
    """Return the task run this is part of, and its name."""
    if not in_run():
        return None, ""
    from prefect.context import TaskRunContext

    context = TaskRunContext.get()
    return (None, "") if context is None else (context.task_run.id, context.task_run.name)


def harmless(text: str) -> str:
    """Return markdown in which nothing but our own pictures is more than text.

    Names come from files that others write: a symbol may be called `<script>` or `[x](javascript:...)`.
    """
    return _LINK.sub(r"]\\(", text.replace("<", "&lt;"))


def picture(path: Path, title: str) -> str:
    """Return a markdown picture that needs no file beside it, or nothing where there is no picture.

    Both UIs render data URIs inside markdown offline; an image artifact prints its address instead.
    """
    if not path.is_file() or path.stat().st_size > _MAX_PICTURE_BYTES:
        return ""
    return png_picture(path.read_bytes(), title)


def png_picture(png: bytes, title: str) -> str:
    """Return a PNG as a markdown picture that needs no file beside it."""
    return f"![{title}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"


def table(header: list[str], rows: list[list[Any]]) -> str:
    """Return a markdown table; floats get four significant digits, None an empty cell."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """Return a value as a person writes it in a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _run_logger() -> Any:
    if not in_run():
        return None
    from prefect.logging import get_run_logger

    return get_run_logger()
