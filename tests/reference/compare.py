"""Runs the vectorised simulator and the reference on one case, and says how far they are apart.

`python -m tests.reference.compare --episodes 2000` prints the largest difference and what was visited.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rl.market.arrays import MarketArrays
from rl.sim.env import VectorSim
from rl.sim.record import Recorder
from rl.sim.state import COUNTERS, KINDS, ConfigArrays
from schemas.trading import N_ACTIONS, N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES, MarketRules, TradingConfig
from tests.reference import adapter
from tests.reference import simulator as ref
from tests.reference.markets import Traits, random_market, traits

RELATIVE = 1e-9
NOISE = 1e-13  # of a position's notional: what cancellation in float64 may leave of a price difference
FLOAT32 = 2.5e-7  # observations are cast to float32 once
OVER_EQUITY = {6, 7, 14, *range(22, 75, 12)}  # numbers of the observation that are divided by the equity

# -- a case ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lane:
    """One episode: where it starts and ends, its profile, and a number for each decision."""

    config: TradingConfig
    start: int
    end: int
    choices: tuple[int, ...]


@dataclass(frozen=True)
class Case:
    """Some episodes on one market, run side by side in one vectorised simulator."""

    traits: Traits
    rules: MarketRules
    lanes: tuple[Lane, ...]


def configs() -> st.SearchStrategy[TradingConfig]:
    return st.builds(
        TradingConfig,
        leverage=st.one_of(st.sampled_from([1.0, 3.0, 10.0]), st.floats(1, 10)),
        target_utilization=st.one_of(st.sampled_from([0.6, 1.0, 0.0]), st.floats(0.2, 1)),
        max_positions=st.integers(1, 5),
        stop_loss=st.one_of(st.sampled_from([0.0, -0.02]), st.floats(-0.1, -0.001)),
        liquidation_buffer=st.one_of(st.sampled_from([0.05, 0.5]), st.floats(0.05, 0.5)),
    )


def market_rules() -> st.SearchStrategy[MarketRules]:
    return st.builds(
        MarketRules,
        fill_delay_steps=st.sampled_from([1, 0, 2]),
        initial_capital=st.sampled_from([10_000.0, 10_000.0, 137.0, 1e6]),
        default_taker_fee=st.sampled_from([0.0005, 0.0, 0.002]),
        min_notional=st.sampled_from([{}, {"bybit": 40.0, "okx": 5.0}]),
        slippage=st.sampled_from([True, True, False]),
        impact_k=st.sampled_from([0.0, 0.0005, 0.02]),
        maintenance_margin=st.sampled_from([0.005, 0.005, 0.02]),
        maintenance_amount=st.sampled_from([0.0, 0.0, 2.0]),
        stale_penalty=st.sampled_from([0.005, 0.0, 0.02]),
        drawdown_limit=st.sampled_from([0.25, 0.6, 0.9]),
        max_quote_age_hours=st.sampled_from([3.0, 3.0, 2.0]),
        entry_quote_age_hours=st.sampled_from([1.0, 1.0, 4.0]),
    )


@st.composite
def cases(draw: st.DrawFn, lanes: int = 2) -> Case:
    market = draw(traits())
    rules = draw(market_rules())
    drawn = []
    for _ in range(lanes):
        start = draw(st.integers(0, 10))
        end = draw(st.integers(start + 20, market.hours - 1))
        choices = draw(st.lists(st.integers(0, 2**16), min_size=end - start, max_size=end - start))
        drawn.append(Lane(draw(configs()), start, end, tuple(choices)))
    return Case(market, rules, tuple(drawn))


def pick(choice: int, mask: np.ndarray) -> int:
    """Turn a number into an action: 0 holds, some enter, some exit, one in 32 is not valid."""
    kind, which = choice % 32, choice // 32
    if kind < 8:
        return 0
    wanted = np.nonzero(mask)[0]
    if kind == 31:
        wanted = np.nonzero(~mask)[0]
    elif kind < 24:
        wanted = wanted[(wanted > 0) & (wanted <= 30)]
    elif kind < 28:
        wanted = wanted[wanted > 30]
    return int(wanted[which % len(wanted)]) if len(wanted) else 0


# -- the vectorised side ---------------------------------------------------------------------------


@dataclass
class Played:
    """What the vectorised simulator did in one lane."""

    actions: list[int] = field(default_factory=list)
    masks: list[np.ndarray] = field(default_factory=list)
    observations: list[np.ndarray] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)
    flows: list[tuple[int, int, str, str, float]] = field(default_factory=list)
    balance: float = 0.0
    terminated: bool = False
    truncated: bool = False


def play(market: MarketArrays, rules: MarketRules, lanes: tuple[Lane, ...]) -> list[Played]:
    """Drive the lanes together, each by its own choices, until all have ended."""
    n = len(lanes)
    recorder = Recorder(market, np.ones(n, bool))
    slots = np.zeros((market.n_hours, N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES), np.float32)
    sim = VectorSim(market, slots, rules, n, recorder)
    starts, ends = np.array([lane.start for lane in lanes]), np.array([lane.end for lane in lanes])
    sim.reset(np.arange(n), starts, ends, ConfigArrays.of([lane.config for lane in lanes]))
    played = [Played(equity=[rules.initial_capital]) for _ in lanes]
    running = [True] * n
    for k in range(max(len(lane.choices) for lane in lanes)):
        mask, private = sim.mask(), sim.private()
        actions = np.zeros(n, np.int64)
        for e, lane in enumerate(lanes):
            if running[e]:
                actions[e] = pick(lane.choices[k], mask[e])
                played[e].actions.append(int(actions[e]))
                played[e].masks.append(mask[e].copy())
                played[e].observations.append(private[e].copy())
        result = sim.step(actions)
        private = sim.private()
        for e, out in enumerate(played):
            if not running[e]:
                continue
            out.equity.append(float(result.nlv[e]))
            out.rewards.append(float(result.reward[e]))
            counts = zip(COUNTERS, sim.state.counts[e].tolist(), strict=True)
            out.counts.append({name: int(value) for name, value in counts})
            out.balance = float(sim.state.balance[e])
            out.terminated, out.truncated = bool(result.terminated[e]), bool(result.truncated[e])
            if out.terminated or out.truncated:
                running[e] = False
                out.observations.append(private[e].copy())
    frame = recorder.flows_frame()
    times = frame["time"].dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64) // 1000
    for e, t, serial, leg, kind, amount in zip(
        frame["env"], times, frame["position_id"], frame["leg"], frame["kind"], frame["amount"], strict=True
    ):
        played[int(e)].flows.append((int(t), int(serial), ("long", "short")[int(leg)], str(kind), float(amount)))
    return played


# -- the comparison --------------------------------------------------------------------------------


@dataclass
class Tally:
    """What was compared, and the worst of it."""

    episodes: int = 0
    steps: int = 0
    flows: int = 0
    worst: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    visited: Counter[str] = field(default_factory=Counter)

    def near(self, what: str, ours: float, theirs: float, relative: float, absolute: float, where: object) -> None:
        """Fail where two numbers differ by more than both allowances; keep the largest relative difference."""
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


def compare(case: Case, tally: Tally) -> None:
    """Run a case on both sides; raise AssertionError where they differ."""
    arrays = random_market(case.traits)
    market = adapter.market_of(arrays)
    rules = adapter.rules_of(case.rules, arrays.venues)
    for lane, fast in zip(case.lanes, play(arrays, case.rules, case.lanes), strict=True):
        slow = ref.replay(
            market, adapter.profile_of(lane.config), rules, lane.start, lane.end, fast.actions
        )
        _same_path(slow, fast, tally)
        _same_flows(slow, fast, tally)
        _conserved(slow, fast, case.rules, tally)
        _count(case, lane, slow, tally)


def _same_path(slow: ref.Replay, fast: Played, tally: Tally) -> None:
    capital = fast.equity[0]
    for k, action in enumerate(fast.actions):
        expected = np.array(slow.masks[k])
        differing = np.nonzero(expected != fast.masks[k])[0]
        assert not len(differing), f"mask of decision {k}: actions {differing}, reference {expected[differing]}"
        _same_counts(slow.counts[k], fast.counts[k], k, action)
        tally.near("equity", float(slow.equity[k + 1]), fast.equity[k + 1], RELATIVE, 0.0, k + 1)
        scale = 100 * max(fast.equity[k], fast.equity[k + 1]) / capital  # a reward is a difference of these
        tally.near("reward", float(slow.rewards[k]), fast.rewards[k], RELATIVE, 1e-12 * scale, k)
    assert len(slow.observations) == len(fast.observations)
    for k, (ours, theirs) in enumerate(zip(slow.observations, fast.observations, strict=True)):
        for i in range(75):
            if slow.equity[k] <= 0 and i in OVER_EQUITY:
                continue  # a share of nothing is not defined; the episode has ended
            ours_cast = float(np.float32(ours[i]))
            tally.near("observation", ours_cast, float(theirs[i]), FLOAT32, 1e-11, (k, i))
    assert (slow.terminated, slow.truncated) == (fast.terminated, fast.truncated)


def _same_counts(slow: dict[str, int], fast: dict[str, int], k: int, action: int) -> None:
    for name, value in fast.items():
        assert slow.get(name, 0) == value, f"{name} after step {k} (action {action}): {slow} and {fast}"


def _same_flows(slow: ref.Replay, fast: Played, tally: Tally) -> None:
    notional = {f.serial: float(f.notional) for f in slow.flows}
    ours: dict[tuple, list[float]] = defaultdict(list)
    theirs: dict[tuple, list[float]] = defaultdict(list)
    for f in slow.flows:
        if abs(f.amount) > NOISE * notional[f.serial]:
            ours[(f.time_ms, f.serial, f.leg, f.kind)].append(float(f.amount))
    for *key, amount in fast.flows:
        assert key[3] in KINDS
        assert key[1] in notional, f"a position the reference does not know: {key}"
        if abs(amount) > NOISE * notional[key[1]]:
            theirs[tuple(key)].append(amount)
    for key in sorted(set(ours) | set(theirs)):
        a, b = ours.get(key, []), theirs.get(key, [])
        assert len(a) == len(b), f"flows at {key}: reference {a}, vectorised {b}"
        for x, y in zip(a, b, strict=True):
            tally.near(f"flow, {key[3]}", x, y, RELATIVE, NOISE * notional[key[1]], key)
            tally.flows += 1


def _conserved(slow: ref.Replay, fast: Played, rules: MarketRules, tally: Tally) -> None:
    """Initial capital + every flow + unrealised - closing costs is the equity, on the vectorised side too."""
    booked = rules.initial_capital + sum(f[4] for f in fast.flows)
    tally.near("balance", booked, fast.balance, RELATIVE, 0.0, "the end")
    nlv = booked + float(slow.unrealised) - float(slow.closing_cost)
    tally.near("conservation", nlv, fast.equity[-1], RELATIVE, 0.0, "the end")
    total = 100 * (fast.equity[-1] / rules.initial_capital - 1)
    tally.near("sum of rewards", sum(fast.rewards), total, RELATIVE, 1e-10, "the end")


def _count(case: Case, lane: Lane, slow: ref.Replay, tally: Tally) -> None:
    tally.episodes += 1
    tally.steps += len(slow.rewards)
    seen = tally.visited
    seen.update(slow.final)
    seen[f"episodes with a delay of {case.rules.fill_delay_steps}"] += 1
    seen["terminated"] += slow.terminated
    seen["truncated"] += slow.truncated
    seen.update(f"void {kind}, {why}" for _, kind, why in slow.voids)
    opened: dict[int, int] = {}
    for f in slow.flows:
        opened.setdefault(f.serial, f.time_ms)
        seen[f"flows of {f.kind}"] += 1
        if f.kind == "funding":
            seen["funding estimated"] += f.estimated
            seen["funding of a stale leg"] += f.stale
            seen["funding off the hour"] += f.time_ms % ref.HOUR_MS != 0
    settled = Counter((f.serial, f.leg, -(-f.time_ms // ref.HOUR_MS)) for f in slow.flows if f.kind == "funding")
    seen["several settlements of a leg in one step"] += sum(v > 1 for v in settled.values())
    origin = random_market_start(case.traits)
    seen["closed in the step of the fill"] += sum(
        origin + row * ref.HOUR_MS == opened[serial] for row, serial, _ in slow.closes
    )
    seen["margin wholly eaten by funding"] += sum(f.kind == "liquidation" and f.amount == 0 for f in slow.flows)


def random_market_start(traits: Traits) -> int:
    from tests.reference.markets import EPOCH_MS

    return EPOCH_MS + traits.start_hour * ref.HOUR_MS


def run(examples: int, *, shrink: bool = True, lanes: int = 2) -> Tally:
    """Compare `examples` cases of `lanes` episodes each, always the same ones; failures shrink."""
    tally = Tally()
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(cases(lanes))
    def agree(case: Case) -> None:
        compare(case, tally)

    agree()
    return tally


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=200)
    args = parser.parse_args()
    began = time.perf_counter()
    tally = run(args.episodes // 2)
    print(f"{tally}\nin {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
