"""`carryflow registry` tells all that a person moves an alias by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.registry import Registry
from tests.tasks.test_registry import A, B, record


@pytest.fixture
def registry(artifacts: Path) -> Registry:
    """A book with two versions."""
    registry = Registry(artifacts, "b")
    for version in (A, B):
        registry.register(record(version))
    return registry


def test_the_list_shows_every_alias_of_a_version(carryflow, registry: Registry) -> None:
    registry.move("challenger", A, reason="gates hold")
    registry.move("champion", A, reason="evidence")
    answer = carryflow("registry", "list", "--book", "b")
    assert answer.code == 0
    [line] = [line for line in answer.out.splitlines() if line.startswith(A)]
    assert "challenger, champion" in line
    [other] = [line for line in answer.out.splitlines() if line.startswith(B)]
    assert "champion" not in other


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--book", "../elsewhere"),
        ("show", "nothing"),
        ("promote", "champion", "nothing", "--reason", "why not"),
        ("rollback", "champion", "--reason", "why not"),
    ],
)
def test_verbose_shows_the_traceback_of_every_command(carryflow, artifacts: Path, words) -> None:
    answer = carryflow("registry", *words, "--verbose")
    assert answer.code == 2
    assert "Traceback" in answer.err
    assert answer.err.splitlines()[-1].startswith("Error: ")
