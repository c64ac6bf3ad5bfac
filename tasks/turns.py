"""Whose turn it is to retrain a book: one run works, at most one waits, any further one is turned away.

The turn is a file lock, so it also holds between a worker and a person's terminal, and ends with its process
however that ends. Prefect's own limits would do neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tasks.locks import LockBusy, Owner, hold, owner
from tasks.store import book_dir

RUNNING: Final = "retrain.lock"
WAITING: Final = "retrain-next.lock"


class TurnedAway(Exception):
    """One retrain is running and another waits for its turn.

    Attributes:
        running: Who runs, where that is known.
    """

    def __init__(self, running: Owner | None) -> None:
        self.running = running
        super().__init__(running)

    @property
    def title(self) -> str:
        """A few words, as the name of a state; the time is UTC."""
        since = "" if self.running is None else f" since {self.running.since[11:16]}"
        return f"Skipped: a retrain is running{since}"

    def __str__(self) -> str:
        who = self.running or "another process"
        return f"A retrain of this book is running in {who}, and another one waits for its turn."


@contextmanager
def retrain_turn(
    root: Path, book: str, *, purpose: str = "", on_wait: Callable[[Owner | None], None] | None = None
) -> Iterator[None]:
    """Hold the turn to retrain a book for the length of a `with` block, after waiting for it if need be.

    Args:
        root: Root of the artifacts.
        book: Whose turn.
        purpose: A few words for those who wait, such as the name of the flow run.
        on_wait: Called once, with the run that is waited for where it is known.

    Raises:
        TurnedAway: One runs and another one waits.
        ConfigError: The book's name is not a valid one.
    """
    locks = book_dir(root, book) / "locks"
    with ExitStack() as turn, ExitStack() as queue:
        try:
            turn.enter_context(hold(locks / RUNNING, purpose=purpose, timeout=0))
        except LockBusy:
            try:
                queue.enter_context(hold(locks / WAITING, purpose=purpose, timeout=0))
            except LockBusy:
                raise TurnedAway(owner(locks / RUNNING)) from None
            turn.enter_context(hold(locks / RUNNING, purpose=purpose, on_wait=on_wait))
        queue.close()
        yield
