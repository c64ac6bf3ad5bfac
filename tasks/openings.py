"""What goes into a book's ledger, each fact once however often its cached step is asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from tasks.files import plain
from tasks.ledger import Kind, Ledger

SEARCH: Final = "sweep"  # purpose of the trials of a search


def record_trial(root: Path, book: str, **facts: Any) -> None:
    """Write down that a recipe was trained with a seed.

    Args:
        root: Root of the artifacts.
        book: Whose ledger.
        **facts: Trial, recipe, seed, version, data, result.
    """
    _once(root, book, "trial", ("trial", "version"), facts)


def record_tried(root: Path, book: str, **facts: Any) -> None:
    """Write down that a trial was looked at in a search, and which sealed window its winner is judged on.

    Args:
        root: Root of the artifacts.
        book: Whose ledger.
        **facts: Trial, purpose, window, seed, version, data, result.
    """
    _once(root, book, "trial", ("trial", "purpose", "window"), facts)


def record_opening(root: Path, book: str, **facts: Any) -> None:
    """Write down that a window was opened; the same opened again is not written again.

    Args:
        root: Root of the artifacts.
        book: Whose ledger.
        **facts: Data, window, version, trial, config, purpose, result.
    """
    _once(root, book, "opening", ("data", "window", "version", "config", "purpose"), facts)


def flow_run() -> str:
    """Return the name of the Prefect flow run this is part of, or an empty text."""
    if "prefect" not in sys.modules:
        return ""
    from prefect.runtime import flow_run as run

    return str(run.name or "")


def _once(root: Path, book: str, kind: Kind, identity: tuple[str, ...], facts: dict[str, Any]) -> None:
    ledger = Ledger(root, book)
    mine = plain(facts)
    if not any(all(line.get(name) == mine[name] for name in identity) for line in ledger.read(kind)):
        ledger.append(kind, flow_run=flow_run(), **facts)
