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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from benchmarks._candidates import TRIALS, decide, worlds
from schemas.promotion import PromotionDecision, PromotionPolicy

EDGE: Final = 15.0  # on a generated market with a persistent edge, greedy shows 16 to 23
WORTHLESS, CHAMPIONS = 0.05, 0.90
LIMIT: Final = 0.065


@dataclass
class Row:
    """Some candidates, and which gates each missed."""

    what: str
    missed: list[frozenset[str]] = field(default_factory=list)

    def add(self, decision: PromotionDecision) -> None:
        """Count one decision."""
        self.missed.append(frozenset(gate.name for gate in decision.gates if gate.verdict == "fail"))

    def without(self, what: str, *gates: str) -> Row:
        """Return the same candidates, judged without some gates."""
        return Row(f"the same, {what}", [missed - set(gates) for missed in self.missed])

    @property
    def champions(self) -> int:
        """How many became champion."""
        return sum(not missed for missed in self.missed)

    @property
    def share(self) -> float:
        """Share that did."""
        return self.champions / len(self.missed)

    def limits(self) -> tuple[float, float]:
        """Return the 95 % limits of the share (two-sided, Clopper & Pearson 1934)."""
        return clopper_pearson(self.champions, len(self.missed))

    def missing(self, gate: str) -> float:
        """Return the share that missed a gate."""
        return sum(gate in missed for missed in self.missed) / len(self.missed)

    def __str__(self) -> str:
        low, high = self.limits()
        names = {name: self.missing(name) for missed in self.missed for name in missed}
        most = sorted(names, key=lambda name: -names[name])[:3]
        told = ", ".join(f"{name} {names[name]:.0%}" for name in most)
        n = len(self.missed)
        return (
            f"| {self.what} | {n:,} | {self.champions} | {self.share:.1%} | {low:.1%}-{high:.1%} | {told} |"
        )


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
    what: str,
    n: int,
    seed: int,
    *,
    edge: float = 0.0,
    rival: float | None = None,
    trials: Sequence[int] = TRIALS,
) -> Row:
    """Draw so many candidates and judge each.

    Args:
        what: Of the row.
        n: How many.
        seed: Of everything drawn.
        edge: Annual Sharpe ratio of every trial over cash.
        rival: That of the reigning champion; None where there is none.
        trials: How many trials there may be.
    """
    rng, policy, row = np.random.default_rng(seed), PromotionPolicy(), Row(what)
    for _, world in zip(range(n), worlds(rng, edge, rival, trials), strict=False):
        row.add(decide(world, rng, policy))
    return row


def main() -> int:
    """Print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--worthless", type=int, default=2000, help="candidates without an edge")
    parser.add_argument("--edged", type=int, default=500, help="candidates with one, per row")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    n, edged_n, seed = asked.worthless, asked.edged, asked.seed
    begun = time.monotonic()
    print("| candidates | drawn | champions | share | 95 % limits | gates missed most |")
    print("|---|---|---|---|---|---|", flush=True)
    worthless = measure("no edge, best of 1 to 100 trials", n, seed)
    print(worthless)
    print(worthless.without("without the deflated Sharpe ratio", "deflated Sharpe"), flush=True)
    alone = measure("no edge, one trial", n, seed + 1, trials=(1,))
    print(alone)
    print(alone.without("without the lower bounds", "over cash", "over greedy"), flush=True)
    edged = measure(f"an edge: Sharpe ratio {EDGE:g} a year", edged_n, seed + 2, edge=EDGE)
    print(edged, flush=True)
    others = [
        ("a smaller edge: 10", 10.0, None),
        ("a small edge: 5", 5.0, None),
        ("half the champion's edge: 5 against 10", 5.0, 10.0),
        ("the champion's own edge: 10", 10.0, 10.0),
        ("three times the champion's edge: 15 against 5", 15.0, 5.0),
    ]
    for k, (what, edge, rival) in enumerate(others, start=3):
        print(measure(what, edged_n, seed + k, edge=edge, rival=rival), flush=True)
    print(f"\n{time.monotonic() - begun:.0f} s")
    reached = worthless.share <= WORTHLESS and worthless.limits()[1] <= LIMIT and edged.share >= CHAMPIONS
    print("The bars are reached." if reached else "A bar is missed.")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
