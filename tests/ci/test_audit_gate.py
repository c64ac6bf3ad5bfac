"""What could not be audited never counts as audited."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "audit.py"
GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}, {"id": "PYSEC-2"}]}
SKIPPED = {"name": "c", "skip_reason": "not found on the index"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([GOOD], 0, "1 packages, no known vulnerability"),
        ([GOOD, BAD], 1, "VULNERABLE: b 2: PYSEC-1, PYSEC-2"),
        ([BAD, SKIPPED], 1, "VULNERABLE"),
        ([GOOD, SKIPPED], 1, "NOT AUDITED, though others were: c"),
        ([SKIPPED, SKIPPED], 0, "SKIPPED: pip-audit could not look up a single one of 2 packages"),
        ([], 0, "This is not a pass."),
    ],
)
def test_only_packages_that_were_looked_up_and_are_clean_pass(
    packages: list[dict[str, Any]], code: int, said: str
) -> None:
    spec = importlib.util.spec_from_file_location("audit_gate", SCRIPT)
    assert spec is not None and spec.loader is not None
    gate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gate)
    found = gate.verdict(packages)
    assert found[0] == code
    assert said in found[1]
    assert ("no known vulnerability" in found[1]) == (packages == [GOOD])
