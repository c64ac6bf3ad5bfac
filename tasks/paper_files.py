"""A paper portfolio on disk: where it stands, and what it did, an hour at a time.

    books/<book>/paper/<alias>-<preset>/
        state.json      where the portfolio stands after the last hour; replaced in one step
        ledger.jsonl    a line per hour, only appended
    books/<book>/paper/runs.jsonl    when paper trading ran, on which data, and what it said

The state says how long the ledger is and what its hash is. An hour is written by appending its line and then
replacing the state: whatever kills a process in between leaves a line beyond the length that the state
knows, which the next run cuts off and writes again, the same.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from schemas.errors import ArtifactError
from schemas.paper import PAPER_FORMAT, PaperLine, PaperState
from schemas.promotion import Alias
from schemas.trading import PresetName
from tasks import ui
from tasks.files import canonical_json, sync, write_atomic
from tasks.locks import Owner, hold
from tasks.store import book_dir

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_MEND: Final = "Restore its folder from a copy, or move it away to begin anew."


@contextmanager
def paper_turn(root: Path, book: str) -> Iterator[None]:
    """Trade on paper alone: one process a book; another one waits and then finds the hour decided.

    Raises:
        ConfigError: The book's name is not a valid one.
    """

    def tell(owner: Owner | None) -> None:
        ui.say(f"Waiting: paper trading of book {book} is in use by {owner or 'another process'}")

    with hold(book_dir(root, book) / "locks" / "paper.lock", purpose="paper-trade", on_wait=tell):
        yield


class PaperFiles:
    """The folder of one portfolio. Reading takes no lock; writing is for who holds `paper_turn`."""

    def __init__(self, root: Path, book: str, alias: Alias, preset: PresetName) -> None:
        """Raises `ConfigError` where the book's name is not a valid one."""
        self.folder = book_dir(root, book) / "paper" / f"{alias}-{preset}"
        self._state, self._ledger = self.folder / "state.json", self.folder / "ledger.jsonl"
        self._hash: Any = None

    def state(self) -> PaperState | None:
        """Return where the portfolio stands; None if it never began.

        Raises:
            ArtifactError: The file was edited, or is of another version of carryflow.
        """
        try:
            content = json.loads(self._state.read_text(encoding="utf-8"))
            made = content.get("format") if isinstance(content, dict) else None
            if isinstance(made, int) and made != PAPER_FORMAT:
                raise ArtifactError(
                    f"was written by another version of carryflow: it has format {made}, this one reads "
                    f"{PAPER_FORMAT}.",
                    str(self._state),
                    "Use that version, or a newer one.",
                )
            return PaperState.model_validate(content)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:  # pydantic's, json's and unicode's are all of this kind
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            what = f"is not the state of a paper portfolio any more ({why})."
            raise ArtifactError(what, str(self._state), _MEND) from error

    def lines(self) -> list[PaperLine]:
        """Return the hours that were finished, oldest first.

        Raises:
            ArtifactError: The ledger was shortened or edited.
        """
        state = self.state()
        if state is None:
            return []
        return [PaperLine.model_validate(json.loads(line)) for line in self._whole(state).splitlines()]

    def repair(self) -> None:
        """Cut off the line of an hour that a killed process did not finish.

        Raises:
            ArtifactError: What was finished is not there, or not what it was.
        """
        state = self.state()
        whole = b"" if state is None else self._whole(state)
        self._hash = hashlib.sha256(whole)
        if self._ledger.exists() and self._ledger.stat().st_size > len(whole):
            with self._ledger.open("r+b") as file:
                file.truncate(len(whole))
                os.fsync(file.fileno())

    def append(self, line: PaperLine, state: PaperState) -> PaperState:
        """Write an hour down: it counts when this returns, or not at all.

        Args:
            line: The hour.
            state: Where the portfolio stands after it; what it says of the ledger is filled in here.
        """
        if self._hash is None:
            raise RuntimeError("repair the ledger before appending to it")
        data = f"{canonical_json(line.model_dump(mode='json'))}\n".encode()
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._ledger.open("ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        sync(self.folder)
        self._hash.update(data)
        after = state.model_copy(update={"ledger_bytes": size, "ledger_sha256": self._hash.hexdigest()})
        write_atomic(self._state, canonical_json(after.model_dump(mode="json")) + "\n")
        return after

    def _whole(self, state: PaperState) -> bytes:
        try:
            with self._ledger.open("rb") as file:
                data = file.read(state.ledger_bytes)
        except FileNotFoundError:
            data = b""
        if len(data) < state.ledger_bytes or hashlib.sha256(data).hexdigest() != state.ledger_sha256:
            raise ArtifactError("was altered: it is not what was written.", str(self._ledger), _MEND)
        return data


def record_run(root: Path, book: str, line: BaseModel | dict[str, Any]) -> None:
    """Append what a run did to the book's `runs.jsonl`; for who holds `paper_turn`."""
    path = book_dir(root, book) / "paper" / "runs.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = line.model_dump(mode="json") if isinstance(line, BaseModel) else line
    with path.open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":  # of a process that was killed while it wrote
                file.write(b"\n")
        file.write(f"{canonical_json(content)}\n".encode())
