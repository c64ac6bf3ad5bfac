"""The signs in words: what the documentation and the report of a desk say is what the judgement does."""

from __future__ import annotations

import re
from pathlib import Path

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


def test_no_number_is_in_the_text_but_those_of_the_limits() -> None:
    odd = {name: 1000 + 7 * i for i, name in enumerate(HealthLimits.model_fields)}
    limits = HealthLimits.model_construct(**odd)
    told = {
        int(number)
        for sign in watched(limits)
        for text in (sign.good, *(case.when for case in sign.cases))
        for number in re.findall(r"\d+", text)
    }
    told.discard(0)  # the return of cash, which is no choice of ours
    assert told <= {*odd.values(), *(100 * value for value in odd.values())}
    shares = {"hardly", "churn"}
    not_told = {name for name, value in odd.items() if value * (100 if name in shares else 1) not in told}
    how = {"recent_share", "recent_updates", "early_episodes", "trend_updates", "trend_errors"}
    assert not_told == how | {"working_rate", "evaluations"}, "these say how it is measured"


def test_a_sign_and_its_cases_have_names_of_their_own() -> None:
    signs = watched(LIMITS)
    assert len({sign.name for sign in signs}) == len(signs)
    for sign in signs:
        assert len({case.name for case in sign.cases}) == len(sign.cases) > 0
        assert all(case.advice.endswith(".") for case in sign.cases)
