"""The signs in words: what the documentation and the report of a desk say is what the judgement does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rl.trainer import METRIC_COLUMNS
from schemas.health import HealthLimits, watched

TEXT = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
LIMITS = HealthLimits()


def test_the_documentation_has_each_sign_with_its_limits_and_advice() -> None:
    table = [line for line in TEXT.splitlines() if re.search(r"\| (watch|bad): ", line)]
    wanted = []
    for sign in watched(LIMITS):
        for i, case in enumerate(sign.cases):
            first = f"| {sign.name} | {sign.good} |" if i == 0 else "| | |"  # told once
            wanted.append(f"{first} {case.verdict}: {case.when} | {case.advice} |")
    assert table == wanted


def test_the_documentation_explains_each_column_of_the_metrics() -> None:
    table = TEXT.split("## The columns of metrics.parquet", 1)[1]
    told = [
        name for line in table.splitlines() if line.startswith("| `") for name in re.findall(r"`(\w+)`", line)
    ]
    assert sorted(told) == sorted(METRIC_COLUMNS)


@pytest.mark.parametrize(
    "limit",
    [
        "trend_episodes", "fall_errors", "low_return_pct", "bad_return_pct", "liquidations", "stuck_entropy",
        "good_kl", "bad_kl", "low_clip", "high_clip", "growing_value_loss", "exploding_value_loss",
        "good_explained", "bad_explained", "hardly", "churn",
    ],
)  # fmt: skip
def test_another_limit_is_another_text(limit: str) -> None:
    other = LIMITS.model_copy(update={limit: getattr(LIMITS, limit) * 1.5 + 2})
    assert watched(other) != watched(LIMITS)


def test_a_sign_and_its_cases_have_names_of_their_own() -> None:
    signs = watched(LIMITS)
    assert len({sign.name for sign in signs}) == len(signs)
    for sign in signs:
        assert len({case.name for case in sign.cases}) == len(sign.cases) > 0
        assert all(case.advice.endswith(".") for case in sign.cases)
