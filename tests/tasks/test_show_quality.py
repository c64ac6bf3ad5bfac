"""What the quality step puts on its run's page."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from schemas.drift import DriftLimits
from tasks import show_quality
from tasks.data_quality import newest_row, quality
from tasks.ingest import ingest
from tasks.quality_page import AGE, age_words, is_stale, told_at
from tests.schemas.conftest import opportunity, to_csv


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    said: dict[str, str] = {}
    monkeypatch.setattr("tasks.ui.markdown", lambda key, text, description: said.update({key: text}))
    return said


def test_the_runs_page_has_drift_age_and_every_picture_and_no_markup_of_a_scanner(
    artifacts: Path, tmp_path: Path, shown: dict[str, str]
) -> None:
    rows = [opportunity(hour, long_exchange="<script>x|y</script>") for hour in range(200)]
    data = tmp_path / "opportunities.csv"
    data.write_text(to_csv(rows))
    found = quality(ingest(data).ref, book="b", limits=DriftLimits(days=2), episode_hours=24)
    show_quality.quality(found)
    page = shown["data-report"]
    assert "rate_8h@&lt;script&gt;x\\|y&lt;/script&gt;" in page and "<script>" not in page
    assert page.count("data:image/png;base64,") == len(list(found.path.glob("quality_*.png"))) >= 4
    assert "The newest row is of 2025-03-11 07:00 UTC" in page
    assert str(found.path / "quality.html") in page


def test_age_is_that_of_the_moment_asked(artifacts: Path, sample: Path) -> None:
    found = quality(ingest(sample).ref, book="b", limits=DriftLimits(), episode_hours=24)
    newest = newest_row(found)
    fresh, old = newest + timedelta(hours=2), newest + timedelta(days=5)
    assert (is_stale(newest, fresh), is_stale(newest, old)) == (False, True)
    assert age_words(newest, fresh).endswith(f"2.0 hours old at {fresh:%Y-%m-%d %H:%M}.")
    assert "5.0 days old" in age_words(newest, old) and "older than the 3 h" in age_words(newest, old)
    assert "a clock is wrong" in age_words(newest, newest - timedelta(hours=1))
    page = (found.path / "quality.html").read_text()
    assert page.count(AGE) == 1 and "hours old" not in page
    assert 'class="details">The newest row' in told_at(page, newest, fresh)
    assert 'class="caution">The newest row' in told_at(page, newest, old)
