"""How a version was judged last: from the book's own folder of it, and from the store."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from schemas.errors import ArtifactError
from schemas.judgement import GATES, Judgement
from schemas.manifest import Manifest
from schemas.promotion import Alias, Gate
from tasks.bundles import Bundles
from tasks.reading import unreadable
from tasks.store import Store, content_hash


@dataclass(frozen=True)
class Judged:
    """How a version was judged last.

    Attributes:
        created: When, UTC, ISO 8601.
        preset: The risk profile that was judged.
        found: Every gate of either alias; None where they were altered, deleted, or are of another version.
    """

    created: str
    preset: str
    found: Judgement | None

    @property
    def gates(self) -> tuple[Gate, ...] | None:
        """Every gate, each once: the champion's are those of the challenger and more."""
        return None if self.found is None else tuple(gate for gate, _ in self.found.asked())

    def gates_of(self, alias: Alias) -> tuple[Gate, ...] | None:
        """Return the gates of an alias; those of the challenger where nobody asked for a champion."""
        if self.found is None:
            return None
        return self.found.gates(alias) or self.found.challenger


def read_gates(folder: Path) -> Judgement:
    """Return the gates in a judgement's folder.

    Raises:
        ArtifactError: They are of a format that is not known here.
    """
    path = folder / GATES
    try:
        return Judgement.parse(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise unreadable(path, f"the judgement {folder.name}", error) from None


def last_judgement(store: Store, version: str, book: str) -> Judged | None:
    """Return how a run judged a version last; a replay, which has no audit, is no judgement."""
    found = [*_in_store(store, version), *_in_book(store, version, book)]
    return max(found, key=lambda one: (one.created, one.found is not None), default=None)


def _in_book(store: Store, version: str, book: str) -> list[Judged]:
    bundles = Bundles(store.root, book)
    try:
        bundle = bundles.read(version)
    except ArtifactError:
        return []
    manifest = bundle.origins["judgement"].manifest
    if manifest is None or not _by_a_run(manifest):
        return []
    try:
        found = read_gates(bundles.local(version, GATES).parent)
    except ArtifactError:
        found = None
    return [Judged(manifest.created, str(manifest.params["preset"]), found)]


def _in_store(store: Store, version: str) -> list[Judged]:
    mine = set()
    for ref in store.refs("backtest"):
        with suppress(ArtifactError):
            if (manifest := store.manifest(ref)).summary.get("version") == version:
                mine.add(content_hash(manifest))
    found = []
    for ref in store.refs("judgement"):
        with suppress(ArtifactError):
            manifest = store.manifest(ref)
            if manifest.inputs.get("backtest") in mine and _by_a_run(manifest):
                found.append((manifest, ref))
    if not found:
        return []
    manifest, ref = max(found, key=lambda one: one[0].created)
    try:
        gates = read_gates(store.local(ref))
    except ArtifactError:
        gates = None
    return [Judged(manifest.created, str(manifest.params["preset"]), gates)]


def _by_a_run(manifest: Manifest) -> bool:
    return "audit" in manifest.inputs
