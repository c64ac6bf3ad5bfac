"""What a judgement looks up besides the backtest: who reigns, what was tried, the recipe's walk-forward."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rl.judge.champion import Reigning
from rl.judge.trials import Trials, count_trials
from schemas.errors import ArtifactError
from schemas.manifest import Manifest, Ref
from schemas.version import instant
from schemas.walk_forward import WALK_FORWARD, WalkForwardSummary
from tasks.ledger import Ledger
from tasks.openings import SEARCH
from tasks.reading import read_json
from tasks.registry import Registry
from tasks.store import Store

_CUT_SHORT: Final = "provisional"  # in the parameters of an artifact that does not answer for its key


def reigning_champion(root: Path, book: str, candidate: str | None) -> Reigning | None:
    """Return the champion of a book and the whole days of its reign; None where that is the candidate itself.

    Args:
        root: Root of the artifacts.
        book: Whose registry.
        candidate: The version that is judged.
    """
    state = Registry(root, book).state()
    version = state.aliases["champion"]
    if version is None or version == candidate:
        return None
    since = max(instant(m.time) for m in state.history if m.moved and m.alias == "champion")
    return Reigning(version, float((datetime.now(UTC) - since).days))


def known_trials(root: Path, book: str, manifest: Manifest, *, preset: str, own: str) -> Trials:
    """Count the trials that a book's ledger knows on the hours of an artifact's curve.

    Those of a search count as well, though they opened nothing: whoever is judged was chosen among them.

    Args:
        root: Root of the artifacts.
        book: Whose ledger.
        manifest: Of a backtest or a walk-forward.
        preset: The risk profile that is judged.
        own: The trial that is judged.
    """
    start, end = (datetime.fromisoformat(manifest.summary[edge]) for edge in ("start", "end"))
    lines = Ledger(root, book).read()
    opened = [line for line in lines if line.get("kind") == "opening"]
    searched = [line | {"kind": "opening"} for line in lines if line.get("purpose") == SEARCH]
    return count_trials([*opened, *searched], start, end, preset=preset, own=own)


def walk_forward_of(store: Store, trained: Ref, data: str, preset: str) -> Ref | None:
    """Return the newest walk-forward of a training's recipe on the same data, or None.

    The same recipe is: every training config but the seed, among them the number of episodes, the risk
    profile that validation looks at, the market's rules, the code and the libraries, from nothing (no weights
    to start from) and to its end, in every fold and for every seed. Only the windows differ, which is what a
    walk-forward is for.

    Args:
        store: Where artifacts are.
        trained: The training of the version that is judged.
        data: Hash of the data set.
        preset: The risk profile that is judged.
    """
    recipe = _recipe(store.manifest(trained))
    if recipe is None:
        return None
    found: list[tuple[str, Ref]] = []
    for ref in store.refs("walk-forward"):
        with suppress(ArtifactError):
            manifest = store.manifest(ref)
            asked = (manifest.inputs.get("dataset"), manifest.params.get("preset"))
            if asked == (data, preset) and _CUT_SHORT not in manifest.params and _all_are(store, ref, recipe):
                found.append((manifest.created, ref))
    return max(found, key=lambda one: one[0], default=("", None))[1]


def _all_are(store: Store, joined: Ref, recipe: Mapping[str, Any]) -> bool:
    """Say whether every training of a walk-forward follows a recipe."""
    folds = read_json(WalkForwardSummary, store.local(joined) / WALK_FORWARD, str(joined)).folds
    runs = [Ref.parse(run.model) for fold in folds for run in fold.runs]
    return all(_recipe(store.manifest(ref)) == recipe for ref in runs)


def _recipe(trained: Manifest) -> dict[str, Any] | None:
    """Return what makes a training apart from its seed and windows; None where it stands alone.

    What started from other weights, or was cut short, is no run of its recipe.
    """
    if "start_from" in trained.inputs or _CUT_SHORT in trained.params:
        return None
    training = {name: value for name, value in trained.params["training"].items() if name != "seed"}
    return {**trained.params, "training": training, "code": trained.code, "versions": trained.versions}
