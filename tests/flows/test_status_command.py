"""`carryflow status` tells a mistake from a desk that is not ready."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tasks.registry import Registry
from tests.tasks.made import VERSION, kept


@pytest.fixture
def public(sample: Path) -> Iterator[Path]:
    """A folder that anybody may look into, with the sample in it."""
    folder = Path(tempfile.mkdtemp(prefix="carryflow-test-"))
    shutil.copytree(sample, folder / "sample")
    for path in (folder, folder / "sample"):
        path.chmod(0o755)
    yield folder
    for path in (folder / "artifacts", folder / "artifacts" / "store"):
        path.chmod(0o755)
    shutil.rmtree(folder)


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Be somebody else where this is root, whom no permission stops."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "nowhere.csv"), "nowhere.csv: does not exist."),
        (("--data", "sample", "--history", "nowhere.csv"), "nowhere.csv: does not exist."),
        (("--data", "empty"), "empty: holds no CSV file"),
    ],
)
def test_a_mistake_in_a_path_is_one_sentence_and_exit_code_2(
    carryflow, artifacts, sample, tmp_path, monkeypatch, words, said
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sample").symlink_to(sample)
    (tmp_path / "empty").mkdir()
    answer = carryflow("status", *words)
    assert (answer.code, answer.out) == (2, "")
    [line] = answer.err.strip().splitlines()
    assert line.startswith(f"Error: {said}")
    assert not artifacts.exists()


@pytest.mark.parametrize("locked", [".", "store"])
def test_artifacts_that_cannot_be_written_are_called_that(carryflow, public: Path, locked: str) -> None:
    root = public / "artifacts"
    (root / "store").mkdir(parents=True)
    (root / "store").chmod(0o777)
    root.chmod(0o777)
    (root / locked).chmod(0o555)
    with bound_by_permissions():
        answer = carryflow("status", "--data", public / "sample", "--artifacts", root)
    assert (answer.code, answer.out) == (2, "")
    [line] = answer.err.strip().splitlines()
    assert line.startswith(f"Error: {root / locked}: nothing can be written there (Permission denied).")
    assert "--artifacts" in line


def test_data_that_cannot_be_trained_on_is_a_report_that_says_not_ready(
    carryflow, artifacts, sample, tmp_path
) -> None:
    lines = (sample / "opportunities.csv").read_text(encoding="utf-8").splitlines()[:100]
    short = tmp_path / "short.csv"
    short.write_text("\n".join(lines) + "\n", encoding="utf-8")
    answer = carryflow("status", "--data", short)
    assert answer.code == 1
    assert "NOT READY" in answer.out
    assert "2 if a path is wrong" in " ".join(carryflow("status", "--help").out.split())


def test_the_report_tells_what_awaits_approval(carryflow, artifacts: Path, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # no data: the report is short
    kept(artifacts, VERSION)
    Registry(artifacts, "b").wait(
        "champion",
        VERSION,
        expected=None,
        judgement="j",
        report="books/b/report.html",
        reason="all gates hold",
    )
    said = " ".join(carryflow("status", "--book", "b").out.split())
    assert "AWAITING APPROVAL for champion since" in said
    assert f"{VERSION}, compared with no version report: artifacts/books/b/report.html" in said
    assert f'"version": "{VERSION}"' in carryflow("status", "--book", "b", "--json").out
