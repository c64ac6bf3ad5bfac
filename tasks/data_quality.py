"""The data-quality report of an ingested data set, and how far its newest rows are from the training data.

quality.html        what a person reads
drift.json          the newest rows against the champion's training data, feature by feature
training_data.json  what a version trained on this data keeps of it, so that drift can be told later
quality_*.png       the report's pictures
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from schemas.columns import TableName
from schemas.drift import DRIFT, REFERENCE, DriftLimits, DriftReport, Reference
from schemas.manifest import Manifest, Ref
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.champion_data import ChampionData, champion_data
from tasks.store import Store, content_hash, resolve_root

STEP: Final = "quality"
DAY_STEP: Final = "quality-day"
_HOUR_S: Final = 3600


def quality(dataset: Ref, *, book: str, limits: DriftLimits, episode_hours: int) -> Cached:
    """Describe a data set for a person, and hold its newest rows against what was trained on.

    That is the training data of the book's champion; where none reigns, or it was trained on the same hours,
    it is the train window that this data set is split into. Days that were described before are not read
    again.

    Args:
        dataset: What `ingest` made.
        book: Whose champion.
        limits: Length of the recent window, and what is far.
        episode_hours: Longest episode; the train window depends on it.
    """
    root = resolve_root()
    store = Store(root)
    manifest = store.manifest(dataset)
    data = content_hash(manifest)
    own = _own_window(store.local(dataset), episode_hours)
    champion = champion_data(root, book)
    if champion is not None and champion.data == data and _hours(champion) == own:
        champion = None  # who reigns makes no difference: it is the same rows

    def compute(folder: Path) -> Mapping[str, Any]:
        return _build(store, dataset, manifest, data, own, champion, limits, folder)

    return run_cached(
        store,
        STEP,
        modules=("tasks.data_quality",),
        inputs={"dataset": data},
        params={
            "limits": limits.model_dump(mode="json"),
            "train": list(own) if own else None,
            "champion": "" if champion is None else champion.version,
            "unknown": "" if champion is None else champion.unknown,
        },
        compute=compute,
    )


def read_drift(folder: Path) -> DriftReport:
    """Return what the step found in its folder."""
    return DriftReport.model_validate_json((folder / DRIFT).read_text(encoding="utf-8"))


def newest_row(found: Cached) -> datetime:
    """Return the time of the newest opportunity row; how old that is depends on when one asks."""
    return datetime.fromisoformat(found.manifest.summary["newest"])


def _own_window(source: Path, episode_hours: int) -> tuple[int, int] | None:
    """Return the train hours that `features` will cut from this data, [first, end); None if it is too short.

    Every clean row is on offer at the full hour at or after it, so the market goes from that of the first to
    that of the last.
    """
    from rl.market.arrays import HOUR_MS
    from rl.market.splits import split_windows
    from schemas.errors import DataError

    facts = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    first, last = (-(-_seconds(facts[edge]) // _HOUR_S) for edge in ("first", "last"))
    try:
        train = split_windows(last - first + 1, first * HOUR_MS, episode_hours).train
    except DataError:
        return None
    return train.start_ms // HOUR_MS, train.end_ms // HOUR_MS


def _hours(champion: ChampionData) -> tuple[int, int]:
    """Return the champion's train window, [first, end) in hours since 1970."""
    first, end = (_seconds(edge) // _HOUR_S for edge in champion.windows.train)
    return first, end


def _seconds(time: str) -> int:
    """Return whole seconds since 1970, rounded up as a row is to its hour."""
    stamp = datetime.fromisoformat(time).timestamp()
    return -int(-stamp // 1)


def _build(
    store: Store,
    dataset: Ref,
    manifest: Manifest,
    data: str,
    own: tuple[int, int] | None,
    champion: ChampionData | None,
    limits: DriftLimits,
    folder: Path,
) -> dict[str, Any]:
    from rl.quality.drift import make_reference, measure_drift
    from rl.quality.profile import MOST_SYMBOLS, of_hours, profile
    from schemas.ingest.quality import QualityReport
    from tasks.report.quality import write_quality

    ui.say("Describing the data", transient=True)
    source = store.local(dataset)
    told = QualityReport.model_validate_json((source / "quality.json").read_text(encoding="utf-8"))
    profiles: dict[str, Any] = {}
    tables: dict[TableName, Any] = {"opportunities": told.opportunities, "history": told.history}
    for table, facts in tables.items():
        if facts is not None:
            followed = sorted(facts.symbols, key=lambda name: (-facts.symbols[name], name))[:MOST_SYMBOLS]
            files = _files(store, manifest, source, table)
            profiles[table] = profile(files, table, followed, _describer(store, manifest, table))
    files = _files(store, manifest, source, "opportunities")
    describe = _describer(store, manifest, "opportunities")

    reference = None
    if own is not None:
        reference = make_reference(of_hours(files, *own, describe), data, *own)
        (folder / REFERENCE).write_text(reference.model_dump_json() + "\n", encoding="utf-8")
    against, unknown = reference, "" if own else "The data is too short to be split, and no champion reigns."
    if champion is not None:
        against, unknown = _champions(store, champion), champion.unknown
    end = -(-_seconds(told.opportunities.last) // _HOUR_S) + 1
    first = end - 24 * limits.days
    recent = of_hours(files, first, end, describe)
    drift = measure_drift(
        recent, data, first, end, against, "" if champion is None else champion.version, unknown=unknown
    )
    (folder / DRIFT).write_text(drift.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write_quality(folder, told, profiles, drift, limits, dataset=str(dataset), files=_inputs(source))
    worst = max((one.psi for one in drift.features if one.judged and one.psi is not None), default=None)
    return {"newest": told.opportunities.last, "worst_psi": worst, "champion": drift.champion}


def _champions(store: Store, champion: ChampionData) -> Reference | None:
    """Return the champion's reference: as it was kept, or from its data set."""
    from rl.quality.drift import make_reference
    from rl.quality.profile import of_hours

    if champion.kept is not None or champion.dataset is None:
        return champion.kept
    manifest, source = store.manifest(champion.dataset), store.local(champion.dataset)
    hours = _hours(champion)
    files = _files(store, manifest, source, "opportunities")
    facts = of_hours(files, *hours, _describer(store, manifest, "opportunities"))
    return make_reference(facts, champion.data, *hours)


def _files(store: Store, manifest: Manifest, source: Path, table: TableName) -> list[Any]:
    from rl.quality.profile import DayFile

    names = sorted(entry.path for entry in manifest.files if entry.path.startswith(f"{table}/"))
    return [DayFile(Path(name).stem, source / name) for name in names]


def _describer(store: Store, manifest: Manifest, table: TableName) -> Any:
    """Return what describes a whole day, from the store where it was described before."""
    hashes = {entry.path: entry.sha256 for entry in manifest.files}

    def describe(file: Any) -> Any:
        from rl.quality.day import describe_day, read_facts, write_facts

        def compute(folder: Path) -> Mapping[str, Any]:
            facts = describe_day(file.path, table)
            write_facts(facts, folder)
            return {"rows": facts.rows}

        made = run_cached(
            store,
            DAY_STEP,
            modules=("rl.quality.day",),
            inputs={"rows": hashes[f"{table}/{file.day}.parquet"]},
            params={"table": table, "day": file.day},
            compute=compute,
        )
        return read_facts(made.path)

    return describe


def _inputs(source: Path) -> list[tuple[str, str, int]]:
    """Return name, table and rows of every file that was read."""
    facts = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
    return [(one["name"], one["table"], one["rows"]) for one in facts["files"]]
