"""What docs/judgement.md says of gates and thresholds is what they are."""

from __future__ import annotations

import re
from pathlib import Path

from rl.judge.champion import Reigning, evidence_gates
from rl.judge.gates import basic_gates
from schemas.promotion import PromotionPolicy
from tests.rl.judge.test_champion import proof
from tests.rl.judge.test_gates import audit, backtest

PAGE = (Path(__file__).parents[3] / "docs" / "judgement.md").read_text(encoding="utf-8")


def listed(section: str) -> list[str]:
    """First cells of the tables of a section, their heads left out."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| ([^|]+?) \|", text, flags=re.MULTILINE)
    return [cell for cell in cells if cell != "gate"]


def test_every_gate_is_on_the_page_and_no_other() -> None:
    policy = PromotionPolicy()
    assert listed("Basic gates") == [g.name for g in basic_gates(backtest(), "moderate", policy, audit())]
    named = {
        gate.name
        for reigning in (None, Reigning("v", 1.0), Reigning("v", 1_000.0))
        for gate in evidence_gates(proof(), policy, reigning)
    }
    named.add("drift")  # asked of the data, and not of the returns
    assert set(listed("Champion")) == named
    assert len(listed("Champion")) == len(named)


def test_every_threshold_on_the_page_is_a_field_with_the_default_it_says() -> None:
    fields = PromotionPolicy.model_fields
    told = re.findall(r"`(\w+)` \((\d[\d.]*)\)", PAGE)
    assert {name for name, _ in told} >= {
        "min_blocks", "min_deflated_sharpe", "max_age_days", "retire_after_days"
    }  # fmt: skip
    for name, value in told:
        assert fields[name].default == float(value), name
