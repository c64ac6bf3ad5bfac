"""docs/certify.md states the informed optimum and greedy of each bar; both are worked out again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rl.baselines import greedy, greedy_now
from rl.certify import FIRST_UNSEEN, WARM_UP_HOURS
from rl.informed import informed
from rl.market.known import generate
from rl.sim.env import VectorSim
from schemas.certify import BARS, EPISODES, Bar, Budget
from tests.rl.known_play import Side, by_informed, side_by_side

PAGE = Path(__file__).parents[2] / "docs" / "certify.md"


def stated() -> dict[tuple[str, str], tuple[float, float]]:
    """(market, profile) -> (informed, greedy) of the page's table."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = lines.index("| market | profile | informed | greedy |") + 2
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines[first : first + len(BARS)]
    ]
    return {(market, profile): (float(best), float(rule)) for market, profile, best, rule in rows}


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: f"{bar.market}, {bar.profile}")
def test_the_optimum_that_is_stated_is_the_one_that_is_judged_by(bar: Bar) -> None:
    rule = greedy_now if bar.market == "decoy" else greedy

    def by_greedy(t: int, sim: VectorSim, env: int) -> int:
        row = slice(env, env + 1)
        return int(rule(sim.market.slot_raw[t], sim.private()[row], sim.mask()[row])[0])

    returns = []
    for seed in range(FIRST_UNSEEN, FIRST_UNSEEN + Budget().unseen):
        known = generate(bar.market, Budget().unseen_days, seed)
        plan = by_informed(informed(known, known.market.n_hours - 1, bar.config))
        sides: list[Side] = [plan, by_greedy]
        returns.append(side_by_side(known, [bar.config] * 2, sides, WARM_UP_HOURS).returns)
    assert np.mean(returns, axis=0) == pytest.approx(stated()[bar.market, bar.profile], abs=5e-4)


def test_the_page_says_how_many_markets_of_how_many_days() -> None:
    words = " ".join(PAGE.read_text(encoding="utf-8").split())
    budget = Budget()
    assert f"Training is on {budget.days} days of seed 0" in words
    last = FIRST_UNSEEN + budget.unseen - 1
    assert f"{budget.unseen_days} days of the seeds {FIRST_UNSEEN} to {last}" in words
    told = ", ".join(f"{episodes:,} on *{market}*" for market, episodes in EPISODES.items())
    assert f"Episodes of training: {told}" in words
