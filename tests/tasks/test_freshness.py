"""Old data is refused in words, before anything is trained on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.errors import DataError
from schemas.manifest import Ref
from tasks.freshness import refuse_stale
from tasks.ingest import ingest

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def dataset(artifacts: Path, sample: Path) -> tuple[Ref, datetime]:
    """The sample, and when its newest opportunity was seen."""
    import json

    made = ingest(sample)
    told = json.loads((made.path / "dataset.json").read_text(encoding="utf-8"))
    return made.ref, datetime.fromisoformat(told["last"])


def test_data_older_than_allowed_is_refused_and_the_sentence_says_how_old(
    dataset: tuple[Ref, datetime],
) -> None:
    ref, last = dataset
    now = last + timedelta(hours=26, minutes=6)
    with pytest.raises(
        DataError, match=rf"stale.*{last:%Y-%m-%d %H:%M} UTC, 26\.1 h ago.*at most 26 "
    ) as told:
        refuse_stale(ref, 26, now=now)
    assert told.value.remedy
    refuse_stale(ref, 26.2, now=now)


def test_without_a_limit_any_age_will_do(dataset: tuple[Ref, datetime]) -> None:
    refuse_stale(dataset[0], 0.0)
    with pytest.raises(DataError):
        refuse_stale(dataset[0], 1.0)  # the sample is of a year that is over
