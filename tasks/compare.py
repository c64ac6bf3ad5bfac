"""Two versions of a book side by side, and what makes their numbers no fair comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from schemas.backtest import BacktestSummary
from schemas.comparison import Comparison, Difference, JudgedGate, SharedWindow, Side
from schemas.errors import ArtifactError, ConfigError
from schemas.manifest import Manifest
from schemas.registry import RegistryState, VersionRecord
from schemas.version import instant
from tasks.bundles import BACKTEST, Bundles
from tasks.files import canonical_json
from tasks.reading import read_json
from tasks.registry import Registry
from tasks.store import Store
from tasks.verdicts import last_judgement

_RECIPE: Final = ("training", "preset", "rules")
_SEED: Final = "training.seed"  # told apart: a recipe and a seed make a trial


def compare(store: Store, book: str, first: str, second: str) -> Comparison:
    """Put two versions side by side.

    Args:
        store: Where artifacts are.
        book: Whose registry.
        first: What `Registry.resolve` understands.
        second: Likewise, and another version.

    Raises:
        ArtifactError: There is no such version.
        ConfigError: Both are the same.
    """
    registry = Registry(store.root, book)
    state = registry.state()
    a, b = registry.resolve(first), registry.resolve(second)
    if a.version == b.version:
        raise ConfigError(f"{first} and {second} are the same version, {a.version}.", "compare")
    trained_a, trained_b = _training(store, a, book), _training(store, b, book)
    side_a, side_b = _side(store, a, state, book, trained_a), _side(store, b, state, book, trained_b)
    known = trained_a is not None and trained_b is not None
    fair_from = max(a.windows.validation[1], b.windows.validation[1], key=instant)
    shared = tuple(_shared(store, a, b, book, fair_from))
    return Comparison(
        book=book,
        a=side_a,
        b=side_b,
        recipe_known=known,
        recipe=tuple(_differences(trained_a.params, trained_b.params)) if trained_a and trained_b else (),
        fair_from=fair_from,
        warnings=tuple(_warnings(side_a, side_b, fair_from)),
        shared=shared,
    )


def _training(store: Store, record: VersionRecord, book: str) -> Manifest | None:
    """Return the manifest of the training: the book's copy, else the store's."""
    with suppress(ArtifactError):
        return Bundles(store.root, book).read(record.version).origins["train"].manifest
    with suppress(ArtifactError):
        return store.manifest(record.ref)
    return None


def _side(
    store: Store, record: VersionRecord, state: RegistryState, book: str, trained: Manifest | None
) -> Side:
    judged = last_judgement(store, record.version, book)
    gates = (judged.gates or ()) if judged else ()
    return Side(
        version=record.version,
        aliases=tuple(state.aliases_of(record.version)),
        awaiting=tuple(state.awaited_by(record.version)),
        created=record.created,
        preset=record.preset,
        seed=record.seed,
        data=record.data,
        windows=record.windows,
        metrics=record.metrics,
        code=trained.code if trained else None,
        judged=judged.created if judged else None,
        judged_preset=judged.preset if judged else None,
        gates={g.name: JudgedGate(verdict=g.verdict, value=g.value, threshold=g.threshold) for g in gates},
    )


def _differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Difference]:
    mine = dict(_flat({name: a.get(name) for name in _RECIPE}))
    other = dict(_flat({name: b.get(name) for name in _RECIPE}))
    for name in sorted(set(mine) | set(other)):
        if name != _SEED and mine.get(name) != other.get(name):
            yield Difference(parameter=name, a=mine.get(name), b=other.get(name))


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{path}.{name}" if path else str(name))
    else:
        yield path, value


def _warnings(a: Side, b: Side, fair_from: str) -> Iterator[str]:
    for mine, other in ((a, b), (b, a)):
        if instant(mine.windows.test[0]) < instant(other.windows.validation[1]):
            seen = other.windows.seen_in_training(*mine.windows.test)
            lies = f" (it shares hours with its {' and '.join(seen)})" if seen else ""
            yield (
                f"The test window of {mine.version} begins before the validation of {other.version} ended"
                f"{lies}: compare only on hours after both models' validation end, {fair_from[:16]} UTC."
            )
    if a.windows.test != b.windows.test:
        yield "Their test windows are not the same, so their test returns are of different hours."
    if a.data != b.data:
        yield "They were trained on different data."
    if a.code != b.code and a.code and b.code:
        yield "They were trained by different code."
    if a.judged_preset != b.judged_preset and a.judged_preset and b.judged_preset:
        yield f"They were judged under different risk profiles: {a.judged_preset} and {b.judged_preset}."
    both = [name for name in a.gates if name in b.gates]
    if odd := [name for name in both if a.gates[name].threshold != b.gates[name].threshold]:
        yield f"They were judged against different thresholds: {', '.join(odd)}."


def _shared(
    store: Store, a: VersionRecord, b: VersionRecord, book: str, fair_from: str
) -> Iterator[SharedWindow]:
    """Pair the backtests of both that asked the same: hours, data, market rules, and risk profile."""
    mine = {_question(one, preset): one for one in _backtests(store, a, book) for preset in one.presets}
    for other in _backtests(store, b, book):
        for preset in other.presets:
            one = mine.pop(_question(other, preset), None)
            if one is None:
                continue
            ours, theirs = one.result(preset, "agent"), other.result(preset, "agent")
            greedy = one.result(preset, "greedy")
            if ours is not None and theirs is not None:
                yield SharedWindow(
                    start=one.start.isoformat(),
                    end=one.end.isoformat(),
                    preset=preset,
                    a_pct=ours.return_pct,
                    b_pct=theirs.return_pct,
                    greedy_pct=greedy.return_pct if greedy is not None else None,
                    fair=one.start >= instant(fair_from),
                )


def _question(summary: BacktestSummary, preset: str) -> str:
    profile = summary.presets[preset].model_dump(mode="json")
    rules = summary.rules.model_dump(mode="json")
    hours = [summary.start.isoformat(), summary.end.isoformat()]
    return canonical_json([summary.data_hash, hours, preset, profile, rules])


def _backtests(store: Store, record: VersionRecord, book: str) -> Iterator[BacktestSummary]:
    """Yield every backtest of a version that can be trusted: the book's own, and the store's."""
    with suppress(ArtifactError):
        path = Bundles(store.root, book).local(record.version, BACKTEST)
        yield read_json(BacktestSummary, path, f"version {record.version} of book {book}")
    for ref in store.refs("backtest"):
        with suppress(ArtifactError):
            if store.manifest(ref).summary.get("version") == record.version:
                yield read_json(BacktestSummary, store.local(ref) / BACKTEST, str(ref))
