"""What a judgement takes of the data-quality step: the drift, the page, and what a version keeps."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

from schemas.backtest import BacktestSummary
from schemas.drift import DRIFT, REFERENCE, DriftLimits, DriftReport, Reference
from schemas.errors import ArtifactError
from tasks.data_quality import read_drift
from tasks.quality_page import PAGE
from tasks.registry import Registry
from tasks.store import Store


def keep_quality(source: Path, folder: Path, summary: BacktestSummary) -> DriftReport:
    """Lay the data-quality report beside a judgement, and what drift needs of the version's training data.

    The latter only where it is of the very hours the version was trained on; a version keeps its last
    judgement, so later drift can be told when the store is gone.

    Args:
        source: What `quality` made.
        folder: The judgement's.
        summary: The backtest of the version.

    Returns:
        The drift.
    """
    for name in (PAGE, DRIFT):
        shutil.copyfile(source / name, folder / name)
    path = source / REFERENCE
    if path.is_file():
        kept = Reference.model_validate_json(path.read_text(encoding="utf-8"))
        train = next((window for window in summary.trained_on if window.name == "train"), None)
        if train is not None and (kept.data, kept.start, kept.end) == (
            summary.data_hash, train.start.astimezone(UTC), train.end.astimezone(UTC)
        ):  # fmt: skip
            shutil.copyfile(path, folder / REFERENCE)
    return read_drift(source)


def trained_on(store: Store, book: str, version: str | None) -> tuple[str, str] | None:
    """Return a reigning version and the hash of the data it was trained on; None where none reigns."""
    if version is None:
        return None
    with suppress(ArtifactError):
        return version, Registry(store.root, book).resolve(version).data
    return version, ""


def drift_facts(drift: DriftReport | None, limits: DriftLimits) -> list[Any]:
    """Return the drift as a line of the report's data quality."""
    if drift is None:
        return []
    from rl.judge.drift import drift_words, verdict_of
    from tasks.report import Fact

    known = drift.against is not None and not drift.unknown
    fine = known and all(verdict_of(one, limits) != "beyond" for one in drift.features)
    return [Fact("Drift", drift_words(drift, limits), "ok" if fine else "warn")]
