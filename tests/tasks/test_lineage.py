"""What came from what can be followed from a run's page down to the files of the data."""

from __future__ import annotations

import hashlib
from pathlib import Path

from schemas.trading import MarketRules
from tasks.features import features
from tasks.ingest import ingest
from tasks.lineage import lineage_markdown
from tasks.store import Store


def test_an_artifact_names_its_inputs_by_the_content_of_earlier_ones(artifacts: Path, sample: Path) -> None:
    data = ingest(sample)
    built = features(data.ref, rules=MarketRules(), episode_hours=24)
    text = lineage_markdown(Store(artifacts), [data.ref, built.ref])
    rows = [line for line in text.splitlines() if line.startswith(("| ingest", "| features"))]
    assert len(rows) == 2
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    content = cells[0][5]
    assert content == f"`{data.content[:12]}`"
    assert f"dataset {content}" in cells[1][4]
    for file in ("opportunities.csv", "market_history.csv"):
        assert hashlib.sha256((sample / file).read_bytes()).hexdigest()[:12] in text
        assert file in text
    assert "python 3." in text and "torch " in text
