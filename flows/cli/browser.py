"""Opening a report in the browser of whoever typed the command."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from flows.cli.terminal import print_note
from schemas.errors import ConfigError


def refuse_without_browser() -> None:
    """Refuse before anything is computed where there is no browser to open a report in.

    Raises:
        ConfigError: There is none.
    """
    try:
        webbrowser.get()
    except webbrowser.Error:
        raise ConfigError(
            "there is no browser here.", "--open", "Leave it out: the report's path is printed."
        ) from None


def open_report(path: Path) -> None:
    """Open a report; a browser that would not is told, for the report is there all the same."""
    if not webbrowser.open(path.absolute().as_uri()):
        print_note(f"the browser would not open {path}.")
