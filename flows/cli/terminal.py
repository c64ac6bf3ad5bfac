"""Writing to the terminal: progress lines, tables, and one line per error."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

_PLAIN_EVERY_S = 10.0


class Progress:
    """Writes progress to stderr: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._dirty = False
        self._last = 0.0

    def __call__(self, text: str, transient: bool) -> None:
        """Write one line; a transient one may be replaced by the next."""
        if transient and not self._live:
            now = time.monotonic()
            if now - self._last < _PLAIN_EVERY_S:
                return
            self._last = now
        if self._dirty:
            sys.stderr.write("\r\x1b[2K")
            self._dirty = False
        if transient and self._live:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(text[:width])
            self._dirty = True
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def done(self) -> None:
        """Remove a line that was left for the next one."""
        if self._dirty:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._dirty = False


class _ToProgress(logging.Handler):
    def __init__(self, progress: Progress) -> None:
        super().__init__(logging.INFO)
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        prefix = f"{record.levelname.capitalize()}: " if record.levelno >= logging.WARNING else ""
        self._progress(prefix + record.getMessage(), False)


def show_logs(progress: Progress) -> None:
    """Show what the store and its neighbours have to say, such as that a damaged artifact is rebuilt."""
    logger = logging.getLogger("carryflow")
    logger.handlers = [_ToProgress(progress)]
    logger.setLevel(logging.INFO)
    logger.propagate = False


def heading(text: str) -> None:
    """Print a heading to stdout."""
    print(f"\n{text}\n{'-' * len(text)}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table to stdout: text to the left, numbers to the right, no line wrapped."""
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max([len(h), *(len(row[i]) for row in texts)]) for i, h in enumerate(header)]
    numeric = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(header))]
    for row in [list(header), ["-" * width for width in widths], *texts]:
        cells = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)]
        print("  ".join(cells).rstrip())


def print_error(text: str) -> None:
    """Print one line to stderr, however many the text has."""
    print("Error: " + _printable(" ".join(text.split())), file=sys.stderr)


def print_note(text: str) -> None:
    """Print one line to stderr about what is odd and yet not wrong."""
    print("Note: " + " ".join(text.split()), file=sys.stderr)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, int):
        return f"{value:,}"
    return _printable(str(value))


def _printable(text: str) -> str:
    """Return a text with what would steer a terminal, or not be seen, written out."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
