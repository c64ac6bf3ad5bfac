"""How often the decision function is wrong: synthetic candidates, and whether they become champion.

Nothing is trained here; `_candidates.py` says how they are drawn.

    python -m benchmarks.judgement_calibration

Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchmarks._candidates import decide, worlds
from schemas.promotion import PromotionDecision, PromotionPolicy

EDGE: Final = 15.0  # on a generated market with a persistent edge, greedy shows 16 to 23
WORTHLESS, CHAMPIONS = 0.05, 0.90
LIMIT: Final = 0.065


@dataclass
class Row:
    """How many of some candidates became champion, and which gates stood in the way of the others."""

    what: str
    drawn: int = 0
    champions: int = 0
    missed: Counter[str] = field(default_factory=Counter)

    def add(self, decision: PromotionDecision) -> None:
        """Count one decision."""
        self.drawn += 1
        self.champions += decision.promoted
        self.missed.update(gate.name for gate in decision.gates if gate.verdict == "fail")

    @property
    def share(self) -> float:
        """Share that became champion."""
        return self.champions / self.drawn

    def limits(self) -> tuple[float, float]:
        """Return the 95 % limits of the share (two-sided, Clopper & Pearson 1934)."""
        return clopper_pearson(self.champions, self.drawn)

    def __str__(self) -> str:
        low, high = self.limits()
        missed = ", ".join(f"{name} {n / self.drawn:.0%}" for name, n in self.missed.most_common(4))
        limits = f"{low:.1%}-{high:.1%}"
        return f"| {self.what} | {self.drawn:,} | {self.champions} | {self.share:.1%} | {limits} | {missed} |"


def clopper_pearson(hits: int, of: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact two-sided limits of a share, by bisection of the binomial distribution."""
    tail = (1.0 - confidence) / 2.0

    def at_most(k: int, p: float) -> float:
        if k < 0:
            return 0.0
        if p <= 0.0 or p >= 1.0:
            return float(p <= 0.0 or k >= of)
        logs = [
            math.lgamma(of + 1) - math.lgamma(i + 1) - math.lgamma(of - i + 1)
            + i * math.log(p) + (of - i) * math.log1p(-p)
            for i in range(k + 1)
        ]  # fmt: skip
        return math.fsum(math.exp(x) for x in logs)

    def solve(falls: Callable[[float], float]) -> float:
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2.0
            low, high = (middle, high) if falls(middle) > 0.0 else (low, middle)
        return (low + high) / 2.0

    low = 0.0 if hits == 0 else solve(lambda p: tail - (1.0 - at_most(hits - 1, p)))
    high = 1.0 if hits == of else solve(lambda p: at_most(hits, p) - tail)
    return low, high


def measure(
    what: str, n: int, seed: int, *, edge: float = 0.0, rival: float | None = None,
    policy: PromotionPolicy | None = None,
) -> tuple[Row, dict[str, dict[Any, Row]]]:  # fmt: skip
    """Judge so many candidates; return the row of all, and rows by what their worlds are like."""
    rng = np.random.default_rng(seed)
    whole, by = Row(what), {"trials": {}, "days": {}, "memory": {}, "alike": {}}
    for _, world in zip(range(n), worlds(rng, edge, rival), strict=False):
        decision = decide(world, rng, policy or PromotionPolicy())
        whole.add(decision)
        for name, rows in by.items():
            value = getattr(world, name)
            rows.setdefault(value, Row(f"{name} {value:g}")).add(decision)
    return whole, by


def main() -> int:
    """Print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worthless", type=int, default=2000, help="candidates without an edge")
    parser.add_argument("--edged", type=int, default=500, help="candidates with one, per row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--details", action="store_true", help="also by trials, days, memory and likeness")
    asked = parser.parse_args()
    begun = time.monotonic()
    print("| candidates | drawn | champions | share | 95 % limits | gates missed most |")
    print("|---|---|---|---|---|---|", flush=True)
    worthless, by = measure("no edge", asked.worthless, asked.seed)
    print(worthless, flush=True)
    what = f"an edge: Sharpe ratio {EDGE:g} a year"
    edged, edged_by = measure(what, asked.edged, asked.seed + 1, edge=EDGE)
    print(edged, flush=True)
    others = [
        ("a smaller edge: 10", 10.0, None),
        ("a small edge: 5", 5.0, None),
        ("half the champion's edge: 5 against 10", 5.0, 10.0),
        ("the champion's own edge: 10", 10.0, 10.0),
        ("three times the champion's edge: 15 against 5", 15.0, 5.0),
    ]
    for k, (what, edge, rival) in enumerate(others):
        print(measure(what, asked.edged, asked.seed + 2 + k, edge=edge, rival=rival)[0], flush=True)
    if asked.details:
        for what, details in (("no edge", by), ("an edge", edged_by)):
            for rows in details.values():
                for value in sorted(rows):
                    print(str(rows[value]).replace("| ", f"| {what}, ", 1))
    print(f"\n{time.monotonic() - begun:.0f} s")
    reached = worthless.share <= WORTHLESS and worthless.limits()[1] <= LIMIT and edged.share >= CHAMPIONS
    print("The bars are reached." if reached else "A bar is missed.")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
