"""Runs the vectorised simulator and the reference on one case, and says how far they are apart.

`python -m tests.reference.compare --episodes 2000` prints the largest difference and what was visited.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings

from rl.market.arrays import MarketArrays
from schemas.trading import MarketRules
from tests.reference import adapter
from tests.reference.cases import Case, Lane, cases
from tests.reference.markets import random_market
from tests.reference.model import HOUR_MS, Replay
from tests.reference.simulator import replay
from tests.reference.vectorised import Played, play

RELATIVE = 1e-9
NOISE = 1e-13  # of a position's notional: what cancellation in float64 may leave of a price difference
FLOAT32 = 2.5e-7  # observations are cast to float32 once
OVER_EQUITY = [6, 7, 14, *range(22, 75, 12)]  # numbers of the observation that are divided by the equity


@dataclass
class Tally:
    """What was compared, and the worst of it."""

    episodes: int = 0
    steps: int = 0
    flows: int = 0
    worst: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    visited: Counter[str] = field(default_factory=Counter)

    def near(
        self, what: str, ours: float, theirs: float, relative: float, absolute: float, where: object
    ) -> None:
        """Fail where two numbers differ by more than both allowances; keep the largest difference."""
        apart = abs(ours - theirs)
        size = max(abs(ours), abs(theirs))
        assert apart <= max(relative * size, absolute), (
            f"{what} at {where}: reference {ours!r}, vectorised {theirs!r}"
        )
        if size > absolute:
            self.worst[what] = max(self.worst[what], apart / size)

    def __str__(self) -> str:
        lines = [f"{self.episodes} episodes, {self.steps} steps, {self.flows} cash flows compared"]
        lines += [f"largest relative difference of {k}: {v:.2e}" for k, v in sorted(self.worst.items())]
        return "\n".join(lines + [f"{k}: {v}" for k, v in sorted(self.visited.items())])


def compare(case: Case, tally: Tally) -> list[Replay]:
    """Run a case on both sides; raise AssertionError where they differ."""
    return compare_on(random_market(case.traits), case.rules, case.lanes, tally)


def compare_on(
    arrays: MarketArrays,
    rules: MarketRules,
    lanes: Sequence[Lane],
    tally: Tally,
    actions_of: Sequence[Sequence[int]] | None = None,
) -> list[Replay]:
    """Run some episodes on both sides; raise AssertionError where they differ."""
    market, their_rules = adapter.market_of(arrays), adapter.rules_of(rules, arrays.venues)
    replays = []
    for lane, fast in zip(lanes, play(arrays, rules, lanes, actions_of), strict=True):
        profile = adapter.profile_of(lane.config)
        slow = replay(market, profile, their_rules, lane.start, lane.end, fast.actions)
        _same_path(slow, fast, tally)
        _same_flows(slow, fast, tally)
        _conserved(slow, fast, rules, tally)
        _count(arrays.start_ms, rules, slow, tally)
        replays.append(slow)
    return replays


def _same_path(slow: Replay, fast: Played, tally: Tally) -> None:
    capital = fast.equity[0]
    for k, action in enumerate(fast.actions):
        expected = np.array(slow.masks[k])
        differing = np.nonzero(expected != fast.masks[k])[0]
        assert not len(differing), (
            f"mask of decision {k}: actions {differing}, reference {expected[differing]}"
        )
        _same_counts(slow.counts[k], fast.counts[k], k, action)
        tally.near("equity", float(slow.equity[k + 1]), fast.equity[k + 1], RELATIVE, 0.0, k + 1)
        scale = (
            100 * max(fast.equity[k], fast.equity[k + 1], 0.0) / capital
        )  # a reward is a difference of these
        rewards = slow.rewards[k], fast.rewards[k]
        tally.near("reward, of the equity", *(float(r) + scale for r in rewards), RELATIVE, 0.0, k)
    ours, theirs = np.float32(slow.observations), np.array(fast.observations)
    assert ours.shape == theirs.shape
    defined = np.ones(ours.shape, bool)  # a share of no equity is not; the episode has ended then
    defined[np.ix_(np.array(slow.equity) <= 0, OVER_EQUITY)] = False
    differing = defined & (np.abs(ours - theirs) > FLOAT32 * np.abs(theirs) + 1e-11)
    for k, i in np.argwhere(differing):
        tally.near("observation", float(ours[k, i]), float(theirs[k, i]), FLOAT32, 1e-11, (k, i))
    tally.visited["numbers of observations"] += int(defined.sum())
    tally.visited["numbers of observations not identical in float32"] += int((ours != theirs)[defined].sum())
    assert (slow.terminated, slow.truncated) == (fast.terminated, fast.truncated)


def _same_counts(slow: dict[str, int], fast: dict[str, int], k: int, action: int) -> None:
    for name, value in fast.items():
        assert slow.get(name, 0) == value, f"{name} after step {k} (action {action}): {slow} and {fast}"


def _same_flows(slow: Replay, fast: Played, tally: Tally) -> None:
    notional = {f.serial: float(f.notional) for f in slow.flows}
    ours: dict[tuple, list[float]] = defaultdict(list)
    theirs: dict[tuple, list[float]] = defaultdict(list)
    for f in slow.flows:
        if abs(f.amount) > NOISE * notional[f.serial]:
            ours[(f.time_ms, f.serial, f.leg, f.kind)].append(float(f.amount))
    for *key, amount in fast.flows:
        assert key[1] in notional, f"a position the reference does not know: {key}"
        if abs(amount) > NOISE * notional[key[1]]:
            theirs[tuple(key)].append(amount)
    for key in sorted(set(ours) | set(theirs)):
        a, b = ours.get(key, []), theirs.get(key, [])
        assert len(a) == len(b), f"flows at {key}: reference {a}, vectorised {b}"
        for x, y in zip(a, b, strict=True):
            tally.near(f"flow, {key[3]}", x, y, RELATIVE, NOISE * notional[key[1]], key)
            tally.flows += 1


def _conserved(slow: Replay, fast: Played, rules: MarketRules, tally: Tally) -> None:
    """Initial capital + every flow + unrealised - closing costs is the equity, on the vectorised side too."""
    booked = rules.initial_capital + sum(f[4] for f in fast.flows)
    tally.near("balance", booked, fast.balance, RELATIVE, 0.0, "the end")
    nlv = booked + float(slow.unrealised) - float(slow.closing_cost)
    tally.near("conservation", nlv, fast.equity[-1], RELATIVE, 0.0, "the end")
    total = 100 * (fast.equity[-1] / rules.initial_capital - 1)
    tally.near("sum of rewards", sum(fast.rewards), total, RELATIVE, 1e-10, "the end")


def _count(start_ms: int, rules: MarketRules, slow: Replay, tally: Tally) -> None:
    tally.episodes += 1
    tally.steps += len(slow.rewards)
    seen = tally.visited
    seen.update(slow.final)
    seen[f"episodes with a delay of {rules.fill_delay_steps}"] += 1
    seen[f"episodes that settle at the {rules.funding_boundary}"] += 1
    seen["terminated"] += slow.terminated
    seen["truncated"] += slow.truncated
    seen.update(f"void {kind}, {why}" for _, kind, why in slow.voids)
    opened: dict[int, int] = {}
    closed = {serial: start_ms + row * HOUR_MS for row, serial, _ in slow.closes}
    for f in slow.flows:
        opened.setdefault(f.serial, f.time_ms)
        seen[f"flows of {f.kind}"] += 1
        if f.kind == "funding":
            seen["funding estimated"] += f.estimated
            seen["funding of a stale leg"] += f.stale
            seen["funding off the hour"] += f.time_ms % HOUR_MS != 0
            seen["settlements on the opening fill"] += f.time_ms == opened[f.serial]
            seen["settlements on the closing fill"] += f.time_ms == closed.get(f.serial)
            by_close = rules.funding_boundary == "close"
            assert f.time_ms != (opened[f.serial] if by_close else closed.get(f.serial))
    settled = Counter((f.serial, f.leg, -(-f.time_ms // HOUR_MS)) for f in slow.flows if f.kind == "funding")
    seen["several settlements of a leg in one step"] += sum(v > 1 for v in settled.values())
    if rules.fill_delay_steps:
        seen["closed in the step of the fill"] += sum(
            start_ms + row * HOUR_MS == opened[serial] for row, serial, _ in slow.closes
        )
    seen["margin wholly eaten by funding"] += sum(
        f.kind == "liquidation" and f.amount == 0 for f in slow.flows
    )


def run(examples: int, delay: int, tally: Tally, *, shrink: bool = True) -> None:
    """Compare cases of two episodes each, always the same ones; failures shrink."""

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(cases(delay=delay))
    def agree(case: Case) -> None:
        compare(case, tally)

    agree()


def run_all(episodes: int, tally: Tally, *, shrink: bool = True) -> None:
    """Half of the episodes with a delay of one hour, a quarter with none, a quarter with two."""
    for delay, share in ((1, 2), (0, 4), (2, 4)):
        run(episodes // 2 // share, delay, tally, shrink=shrink)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=200)
    args = parser.parse_args()
    began, tally = time.perf_counter(), Tally()
    run_all(args.episodes, tally)
    print(f"{tally}\nin {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
