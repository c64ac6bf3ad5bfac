"""A comment retrains nothing; a helper does."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.helpers import PROJECT, Api, Run, run_words

pytestmark = pytest.mark.prefect


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the code, to be edited."""
    copy = tmp_path / "project"
    for package in ("flows", "tasks", "rl", "schemas"):
        shutil.copytree(PROJECT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_editing_a_comment_retrains_nothing_and_editing_a_helper_does(
    server: Api, run: Run, root: Path, sample: Path, project: Path
) -> None:
    helper = project / "rl" / "schedule.py"
    helper.write_text("# A comment.\n" + helper.read_text(encoding="utf-8"), encoding="utf-8")
    run(*run_words(sample), root=root, project=project)
    assert {state for name, state in server.task_states().items() if name != "promote"} == {"Cached"}

    helper.write_text(helper.read_text(encoding="utf-8") + "\n_ADDED = 1\n", encoding="utf-8")
    run(*run_words(sample), root=root, project=project)
    states = server.task_states()
    assert (states["ingest"], states["features"], states["train"]) == ("Cached", "Cached", "Completed")
