"""Every case of the corpus does what its line says."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.corpus.case import Case, Kept, Refused
from tests.corpus.cases import CASES
from tests.corpus.document import PAGE, written
from tests.corpus.run import build


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that also others may enter, if those above it let them."""
    with tempfile.TemporaryDirectory() as path:
        yield Path(path)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_broken_file_is_accounted_for_or_refused_in_a_sentence(case: Case, folder: Path) -> None:
    outcome = build(case, folder)
    if isinstance(case.does, Refused):
        assert outcome.sentence == case.does.sentence
        return
    does: Kept = case.does
    assert outcome.sentence is None
    facts = outcome.quality["opportunities"]
    parts = [facts[part] for part in ("rows_in", "clean", "quarantined", "duplicates")]
    assert parts == [does.rows, does.clean, does.quarantined, does.duplicates]
    assert set(facts["rules"]) == set(does.rules)
    assert {name: facts["counts"][name] for name in does.counts} == does.counts
    if does.check is not None:
        does.check(outcome)


def test_cases_have_names_of_their_own() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_page_of_the_corpus_is_what_the_cases_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == written(), "run python -m tests.corpus"
