"""Finding whom a candidate has to beat: the versions that the aliases of its book point at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from schemas.backtest import RIVALS
from schemas.errors import UserError
from schemas.promotion import Alias
from tasks.files import sha256_file
from tasks.models import find_model
from tasks.registry import Registry
from tasks.store import Store


@dataclass(frozen=True)
class Found:
    """A version that an alias points at.

    Attributes:
        policy: The alias.
        version: The version.
        path: Its checkpoint; None where it is gone or was altered.
        content: Hash of the checkpoint; the version's name where there is none.
        missing: Why there is none.
    """

    policy: Alias
    version: str
    path: Path | None
    content: str
    missing: str = ""


def find_rivals(store: Store, book: str, candidate: str) -> list[Found]:
    """Return the champion and the challenger of a book, where they are not the candidate.

    One that stands under both aliases is the champion. One whose files are gone is told and not replayed:
    an alias that cannot be compared with must not stop the run that could replace it.

    Args:
        store: Where artifacts are.
        book: Whose aliases.
        candidate: Hash of the candidate's checkpoint.
    """
    registry = Registry(store.root, book)
    found: list[Found] = []
    for alias in RIVALS:
        record = registry.current(alias)
        if record is None or record.version in {one.version for one in found}:
            continue
        try:
            path = find_model(store, record.version, book)
        except UserError as error:
            found.append(Found(alias, record.version, None, record.version, str(error)))
            continue
        content = sha256_file(path)
        if content != candidate:
            found.append(Found(alias, record.version, path, content))
    return found
