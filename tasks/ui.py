"""What a person sees while a step runs: progress in the terminal, artifacts in the Prefect UI.

The terminal belongs to the command line, which sets `terminal`; a run of a worker has none
and its lines go to the run's log page. Prefect is imported only where it is already in use.
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_LINK: Final = re.compile(r"\]\((?!data:image/png;base64,[A-Za-z0-9+/=]*\))")
_MAX_PICTURE_BYTES: Final = 1_500_000

_terminal: Callable[[str, bool], None] | None = None


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


def in_run() -> bool:
    """Whether this code runs inside a Prefect flow or task."""
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext, TaskRunContext

    return TaskRunContext.get() is not None or FlowRunContext.get() is not None


def markdown(key: str, text: str, description: str) -> None:
    """Put a markdown artifact on the run's page; outside a run, do nothing.

    Args:
        key: Lower-case letters, digits and dashes; the same key over runs gives a history.
        text: GitHub-flavoured markdown; pictures as data URIs from `picture`.
        description: One line.
    """
    if not in_run():
        return
    from prefect.artifacts import create_markdown_artifact

    create_markdown_artifact(markdown=harmless(text), key=key, description=description)


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
    return f"![{title}](data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')})"


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
