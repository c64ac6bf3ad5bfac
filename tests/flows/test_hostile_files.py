"""The corpus, given to the command line: a table or one sentence, and nothing that steers a terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tasks.store import Store
from tests.corpus.case import Case, Refused
from tests.corpus.cases import CASES

NAMED = {case.name: case for case in CASES}
GIVEN = [
    "UTF-16 with a mark", "Latin-1", "semicolons", "gzip cut short", "a page of NUL bytes at the end",
    "no header",
    "a required column renamed", "a name of 200,000 characters", "decimal commas in every row, quoted",
    "legs a factor of 1000 apart in every row", "rates of 5 in every row",
    "spreads in percent where fractions belong",
    "one time 70 years ahead of the others", "a pipe", "a link to nothing in a folder",
    "a name that is not UTF-8",
    "symbols with control characters and markup", "a name with markup, an escape code and RTL text",
    "10 MB in a quoted symbol full of commas", "a quote that is never closed",
]  # fmt: skip


@pytest.mark.parametrize("name", GIVEN)
def test_validate_answers_with_a_table_or_with_one_sentence(carryflow, artifacts, tmp_path, name) -> None:
    case: Case = NAMED[name]
    files = tmp_path / "files"
    files.mkdir()
    answer = carryflow("validate", "--data", case.make(files))
    assert "Traceback" not in answer.err
    assert all(sign.isprintable() for sign in (answer.out + answer.err).replace("\n", ""))
    if isinstance(case.does, Refused):
        assert answer.code == 2
        [line] = answer.err.strip().splitlines()
        assert line.replace(f"{files}/", "") == f"Error: {case.does.sentence}"
        assert not Store(artifacts).refs()
        assert not list(artifacts.glob("store/.tmp-*"))
    else:
        assert answer.code == 0, answer.err
        assert "VALID" in answer.out


@pytest.mark.parametrize(("name", "code"), [("a pipe", 2), ("exact duplicates", 0)])
def test_the_installed_command_answers_the_same(
    artifacts: Path, tmp_path: Path, name: str, code: int
) -> None:
    path = NAMED[name].make(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli.main", "validate", "--data", path],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert ("Error: " in done.stderr) == bool(code)
