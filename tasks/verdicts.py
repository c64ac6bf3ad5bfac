"""How a version was judged last: from the book's own folder of it, and from the store."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ArtifactError
from schemas.manifest import Manifest
from schemas.promotion import Gate
from tasks.bundles import Bundles
from tasks.store import Store, content_hash

GATES = "gates.json"


@dataclass(frozen=True)
class Judged:
    """How a version was judged last.

    Attributes:
        created: When, UTC, ISO 8601.
        preset: The risk profile that was judged.
        gates: Every gate; None where they were altered or deleted.
    """

    created: str
    preset: str
    gates: tuple[Gate, ...] | None


def read_gates(folder: Path) -> tuple[Gate, ...]:
    """Return the gates of a judgement's folder."""
    told = json.loads((folder / GATES).read_text(encoding="utf-8"))
    return tuple(Gate.model_validate(gate) for gate in told)


def last_judgement(store: Store, version: str, book: str) -> Judged | None:
    """Return how a run judged a version last; a replay, which has no audit, is no judgement."""
    found = [*_in_store(store, version), *_in_book(store, version, book)]
    return max(found, key=lambda one: (one.created, one.gates is not None), default=None)


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
        gates = read_gates(bundles.local(version, GATES).parent)
    except ArtifactError:
        gates = None
    return [Judged(manifest.created, str(manifest.params["preset"]), gates)]


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
