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
