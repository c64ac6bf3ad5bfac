"""No policy beats the bound, whatever it knows and tries; and the bound is not far above what can be done."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from rl.baselines import ENTER_LARGE, EXIT, HOLD, greedy, greedy_now, hold_until_flip, random_valid
from rl.informed import informed
from rl.judge.bound import Bounds, Plan, bounds
from rl.market.arrays import MarketArrays
from rl.market.known import MARKETS, generate
from rl.sim.env import VectorSim
from rl.sim.record import Recorder
from rl.sim.state import ConfigArrays
from schemas.trading import PRESETS, MarginTier, MarketRules, TradingConfig
from tests.rl.known_play import by_informed, side_by_side
from tests.rl.sim.markets import Builder, random_market

RULES = MarketRules()
CLOSE = 1e-7  # percent
WILD = TradingConfig(
    leverage=10, target_utilization=0.8, max_positions=2, stop_loss=0, liquidation_buffer=0.05
)
PROFILES = {**PRESETS, "wild": WILD}
Acts = Callable[[int, VectorSim], np.ndarray]


def many_venues(seed: int, hours: int = 60) -> MarketArrays:
    """Two coins on five venues each, whose prices and rates differ: several pairs of a coin at a time."""
    rng = np.random.default_rng(seed)
    builder = Builder(prices={}, half_spread=1e-4)
    for c in range(2):
        base = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.004, hours)))
        for v in range(5):
            name = (f"C{c}", f"v{v}")
            builder.prices[name] = list(base * np.exp(rng.normal(0, 2e-3, hours)))
            builder.intervals[name] = 1
            builder.events += [(row, name, float(rng.normal(0, 2e-3))) for row in range(hours)]
    builder.offers = [list(rng.permutation(40)[:10]) for _ in range(hours)]
    return builder.build()


def play(
    market: MarketArrays,
    window: tuple[int, int],
    rules: MarketRules,
    config: TradingConfig,
    n: int,
    act: Acts,
    follow: bool = False,
) -> tuple[np.ndarray, Recorder | None, VectorSim]:
    """(H + 1, n) NLV of n episodes over a window."""  # fmt: skip
    recorder = Recorder(market, np.ones(n, bool)) if follow else None
    sim = VectorSim(market, np.zeros((market.n_hours, 10, 20), np.float32), rules, n, recorder=recorder)
    a, b = window
    sim.reset(np.arange(n), np.full(n, a), np.full(n, b), ConfigArrays.of([config] * n))
    curve = [sim.state.nlv.copy()]
    for t in range(a, b):
        sim.step(act(t, sim))
        curve.append(sim.state.nlv.copy())
    if recorder is not None:
        val = sim.valuation()
        recorder.finish(sim.state, val.unrealised, val.closing)
    return np.array(curve), recorder, sim


def planned(plan: Plan, delay: int) -> Acts:
    """Trade a plan as well as the mask allows: leave what is due, else enter what is due."""

    def act(t: int, sim: VectorSim) -> np.ndarray:
        s, mask = sim.state, sim.mask()[0]
        wanted = {int(p): int(x) for p, d, x in zip(plan.pair, plan.decided, plan.left, strict=True)
                  if d <= t < x - delay}  # fmt: skip
        for slot in np.nonzero(s.active[0])[0].tolist():
            if int(s.pair[0, slot]) not in wanted:
                return np.array([EXIT + slot])
        for k, pair in enumerate(sim.market.slot_pair[t].tolist()):
            if pair in wanted and mask[ENTER_LARGE + k]:
                return np.array([ENTER_LARGE + k])
        return np.array([HOLD])

    return act


def by_chance(rng: np.random.Generator, n: int, eager: np.ndarray) -> Acts:
    """Any valid action, each episode with its own chance to act at all."""

    def act(t: int, sim: VectorSim) -> np.ndarray:
        taken = random_valid(sim.mask(), rng.random(n))
        return np.where(rng.random(n) < eager, taken, HOLD)

    return act


def by_sequence(plans: np.ndarray, first: int) -> Acts:
    return lambda t, sim: plans[:, t - first]


def searched(
    market: MarketArrays,
    window: tuple[int, int],
    rules: MarketRules,
    config: TradingConfig,
    seed: int,
    rounds: int = 4,
    n: int = 48,
) -> np.ndarray:
    """The highest NLV of a random search: the best action sequences are kept, and changed here and there."""
    rng = np.random.default_rng(seed)
    hours = window[1] - window[0]
    plans = np.where(rng.random((n, hours)) < 0.15, rng.integers(1, 36, (n, hours)), HOLD)
    highest = []
    for _ in range(rounds):
        curve, _, _ = play(market, window, rules, config, n, by_sequence(plans, window[0]))
        highest.append(curve.max())
        best = np.argsort(-curve[-1])[: n // 8]
        plans = np.repeat(plans[best], 8, axis=0)
        changed = rng.random(plans.shape) < 4.0 / hours
        changed[::8] = False
        drawn = np.where(rng.random(plans.shape) < 0.5, HOLD, rng.integers(1, 36, plans.shape))
        plans = np.where(changed, drawn, plans)
    return np.array(highest)


def carried(recorder: Recorder, rules: MarketRules, config: TradingConfig) -> np.ndarray:
    """What each episode's trades carried, each in units of NLV at its decision, compounded, percent.

    Of a liquidation, which is booked at prices, the maintenance margin of a leg is counted.
    """
    trades, flows = recorder.trades_frame(), recorder.flows_frame()
    equity = recorder.equity_frame().set_index(["env", "row"])["nlv"]
    start = recorder.market.start_ms
    ends = np.zeros(int(trades["env"].max()) + 1 if len(trades) else 1)
    for trade in trades.itertuples():
        row = int((trade.opened - pd.Timestamp(start, unit="ms", tz="UTC")) / pd.Timedelta(hours=1))
        at = row - rules.fill_delay_steps
        nlv = equity.get((trade.env, at), rules.initial_capital)
        carry = trade.funding + trade.fees + trade.slippage + trade.penalty
        if trade.reason == "liquidation":
            carry -= 0.005 * trade.quantity * max(trade.exit_long, trade.exit_short)
        if trade.reason == "end":
            sums = trade.price_pnl + carry + trade.liquidation
            carry += trade.net_pnl - sums  # closing costs
        ends[trade.env] += np.log1p(carry / nlv)
    assert len(flows) >= len(trades)
    return 100.0 * np.expm1(ends)


def rules_by(market: MarketArrays, flip_apr: float) -> list[Acts]:
    def private(sim: VectorSim) -> tuple[np.ndarray, np.ndarray]:
        return sim.private(), sim.mask()

    return [
        lambda t, sim: greedy(market.slot_raw[t], *private(sim)),
        lambda t, sim: greedy_now(market.slot_raw[t], *private(sim)),
        lambda t, sim: hold_until_flip(market.slot_raw[t], *private(sim), flip_apr),
    ]


def nobody_beats(
    market: MarketArrays, window: tuple[int, int], rules: MarketRules, config: TradingConfig, seed: int
) -> Bounds:
    """Let everybody try, and return the bounds that held."""
    told = bounds(market, window, rules, config)
    most = rules.initial_capital * (1.0 + (told.whole.bound_pct + CLOSE) / 100.0)
    assert told.whole.plan_pct <= told.whole.bound_pct + CLOSE
    assert told.funding.plan_pct <= told.funding.bound_pct + CLOSE
    rng = np.random.default_rng(seed)
    n = 12
    tried: list[tuple[int, Acts]] = [(1, act) for act in rules_by(market, 5.0)]
    tried.append((1, planned(told.whole.plan, rules.fill_delay_steps)))
    tried.append((1, planned(told.funding.plan, rules.fill_delay_steps)))
    tried.append((n, by_chance(rng, n, np.linspace(0.02, 1.0, n))))
    for episodes, act in tried:
        curve, recorder, _ = play(market, window, rules, config, episodes, act, follow=True)
        assert curve.max() <= most
        assert recorder is not None
        assert carried(recorder, rules, config).max() <= told.funding.bound_pct + CLOSE
    assert searched(market, window, rules, config, seed).max() <= most
    return told


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", [3, 4])
def test_nobody_beats_the_bound_on_a_random_market(seed: int, profile: str) -> None:
    nobody_beats(random_market(seed, hours=90), (5, 84), RULES, PROFILES[profile], seed)


@pytest.mark.parametrize(
    "changed",
    [
        {"fill_delay_steps": 0},
        {"fill_delay_steps": 2},
        {"funding_boundary": "open"},
        {"impact_k": 0.5},
        {"slippage": False, "taker_fee": {}, "default_taker_fee": 0.0},
        {"default_margin_tiers": (MarginTier(above=0, rate=0.004), MarginTier(above=3000, rate=0.05))},
        {"stale_penalty": 0.0, "max_quote_age_hours": 1.0},
    ],
    ids=lambda changed: next(iter(changed)),
)
@pytest.mark.parametrize("profile", ["aggressive", "wild"])
def test_nobody_beats_the_bound_under_other_rules(changed: dict[str, object], profile: str) -> None:
    rules = MarketRules.model_validate(changed)
    nobody_beats(random_market(7, hours=70), (0, 69), rules, PROFILES[profile], 7)


@pytest.mark.parametrize("profile", ["conservative", "aggressive"])
def test_nobody_beats_the_bound_where_a_coin_can_be_held_several_times(profile: str) -> None:
    nobody_beats(many_venues(1), (0, 59), RULES, PROFILES[profile], 1)


@pytest.mark.parametrize("name", MARKETS)
def test_nobody_beats_the_bound_on_a_market_with_known_answers(name: str) -> None:
    """Nor does the informed optimum; and both bounds are near what it and their plans really earn."""
    known = generate(name, 9, 5)
    window = (72, known.market.n_hours - 1)
    for config in PRESETS.values():
        told = nobody_beats(known.market, window, RULES, config, 5)
        best = side_by_side(known, [config], [by_informed(informed(known, window[1], config))], window[0])
        assert best.returns[0] <= told.whole.bound_pct + CLOSE
        curve, _, _ = play(known.market, window, RULES, config, 1, planned(told.whole.plan, 1))
        earned = 100.0 * (curve[-1, 0] / RULES.initial_capital - 1.0)
        assert earned == pytest.approx(told.whole.bound_pct, rel=0.05)
        if name in ("persistent edge", "decoy"):  # what pays is known, and prices bring next to nothing
            assert best.returns[0] == pytest.approx(told.funding.bound_pct, rel=0.1)


def tiny(seed: int) -> MarketArrays:
    """Eight hours of one coin on two venues with jumps, quotes that fail and a rate every hour."""
    rng = np.random.default_rng(seed)
    names = ("C", "a"), ("C", "b")
    base = 100.0 * np.exp(np.cumsum(rng.choice([0.0, 0.0, 0.0, 0.12, -0.12], 8)))
    builder = Builder(prices={}, half_spread=1e-4)
    for name in names:
        builder.prices[name] = list(base * np.exp(rng.normal(0, 4e-3, 8)))
        builder.events += [(row, name, float(rng.normal(0, 4e-3))) for row in range(8)]
        builder.low[name] = {r: builder.prices[name][r] * rng.uniform(0.93, 1.0) for r in range(8)}
        builder.high[name] = {r: builder.prices[name][r] * rng.uniform(1.0, 1.07) for r in range(8)}
    if seed >= 8:  # a venue falls silent just before its best rates
        builder.age[names[1]] = [0.0, 0.0, 0.0, 2.0, 4.0, 5.0, 0.0, 0.0]
        builder.events += [(row, names[0], rate) for row, rate in ((5, -0.02), (6, -0.02), (7, 0.02))]
    return builder.build()


@pytest.mark.parametrize("seed", range(10))
def test_with_one_place_and_one_coin_the_bound_is_what_the_best_of_all_plans_earns(seed: int) -> None:
    """Every sequence of hold, either entry and exit over seven decisions is played: 16,384 of them."""
    plans = np.array(np.meshgrid(*[[HOLD, ENTER_LARGE, ENTER_LARGE + 1, EXIT]] * 7)).reshape(7, -1)
    rules = MarketRules(funding_boundary=("close", "open")[seed % 3 == 0])
    config = TradingConfig(
        leverage=(2.0, 8.0)[seed % 2], target_utilization=0.7, max_positions=1,
        stop_loss=(0.0, -0.01)[seed // 2 % 2], liquidation_buffer=(0.05, 0.4)[seed // 4 % 2],
    )  # fmt: skip
    market = tiny(seed)
    curve, _, _ = play(market, (0, 7), rules, config, plans.shape[1], lambda t, sim: plans[t])
    best = 100.0 * (curve.max() / RULES.initial_capital - 1.0)
    told = bounds(market, (0, 7), rules, config)
    assert told.whole.bound_pct == pytest.approx(best, abs=1e-9)
    assert told.whole.plan_pct == pytest.approx(best, abs=1e-9)
    late = MarketRules(fill_delay_steps=2)  # an order that waits keeps no place, which the bound makes use of
    curve, _, _ = play(market, (0, 7), late, config, plans.shape[1], lambda t, sim: plans[t])
    highest = 100.0 * (curve.max() / RULES.initial_capital - 1.0)
    assert bounds(market, (0, 7), late, config).whole.bound_pct >= highest - 1e-9


def test_bounce_between_venues_is_in_the_bound_and_not_in_the_funding_bound() -> None:
    """Nothing is ever settled; one venue is 1 % off in every other hour."""
    apart = {("C", "a"): [100.0] * 12, ("C", "b"): [100.0, 101.0] * 6}
    told = bounds(Builder(prices=apart).build(), (0, 11), RULES, PRESETS["moderate"])
    assert told.funding.bound_pct == 0.0
    assert len(told.funding.plan.pair) == 0
    assert told.whole.bound_pct > 0.1


def test_the_funding_bound_of_a_market_without_bounce_is_the_bound() -> None:
    names = ("C", "a"), ("C", "b")
    events = [(row, names[1], 1e-3) for row in range(12)]
    market = Builder(prices={name: [100.0] * 12 for name in names}, events=events).build()
    told = bounds(market, (0, 11), RULES, PRESETS["moderate"])
    # Decided at 0, filled at 1, and held to 11: ten settlements; fees of 0.05 % and half spreads of nothing.
    large = 0.6 * 3.0 / (2 * 3)
    assert told.funding.bound_pct == pytest.approx(100.0 * large * (10 * 1e-3 - 4 * 5e-4))
    assert told.whole.bound_pct == pytest.approx(told.funding.bound_pct)


def test_without_a_trade_that_pays_the_bound_is_nothing() -> None:
    market = Builder(prices={("C", "a"): [100.0] * 5, ("C", "b"): [100.0] * 5}).build()
    for config in (PRESETS["moderate"], TradingConfig(target_utilization=0.0)):
        told = bounds(market, (0, 4), RULES, config)
        assert (told.whole.bound_pct, told.funding.bound_pct) == (0.0, 0.0)


def test_what_was_never_on_offer_does_not_raise_the_bound() -> None:
    names = ("C", "a"), ("C", "b")
    events = [(row, names[1], 1e-2) for row in range(12)]
    built = Builder(prices={name: [100.0] * 12 for name in names}, events=events)
    built.offers = [[0]] * 6 + [[]] * 6  # the pair that pays, up to hour 5
    for first, pays in ((0, True), (5, True), (6, False)):
        told = bounds(built.build(), (first, 11), RULES, PRESETS["moderate"])
        assert (told.whole.bound_pct > 0.0) == pays


@pytest.mark.parametrize("forced", ["stop-loss", "buffer", "liquidation", "stale quote", "nothing"])
def test_what_is_closed_by_force_earns_nothing_later(forced: str) -> None:
    """On offer at 0 alone, filled at 1, paid 5 % at 8; between, at 4, what may close it for good."""
    long, short = ("C", "a"), ("C", "b")
    calm = [100.0] * 10
    apart = [100.0, 100.0, 100.0, 100.0, 104.0, 100.0, 100.0, 100.0, 100.0, 100.0]
    jump = [100.0, 100.0, 100.0, 100.0, 130.0, 100.0, 100.0, 100.0, 100.0, 100.0]
    built = Builder(prices={long: calm, short: calm}, events=[(8, short, 0.05)])
    built.offers = [[0]] + [[]] * 9
    config = TradingConfig(leverage=2, max_positions=1, stop_loss=0, liquidation_buffer=0.05)
    if forced == "stop-loss":  # 4 % of one leg are 2 % of both
        built.prices[short] = apart
        config = config.model_copy(update={"stop_loss": -0.019})
    elif forced == "buffer":  # 30 % of a margin of 50 %: less than half is left
        built.prices = {long: jump, short: jump}
        config = config.model_copy(update={"liquidation_buffer": 0.5})
    elif forced == "liquidation":
        built.high[short] = {4: 151.0}
    elif forced == "stale quote":
        built.age[long] = [0.0, 0.0, 0.0, 0.0, 3.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    else:
        built.high[short] = {1: 151.0}  # in the hour that ends with the fill
    told = bounds(built.build(), (0, 9), RULES, config)
    paid = 100.0 * 0.6 * 2 / 2 * (0.05 - 4 * 5e-4)
    assert told.funding.bound_pct == pytest.approx(0.0 if forced != "nothing" else paid)
    assert told.whole.bound_pct == pytest.approx(0.0 if forced != "nothing" else paid)
    # Just within each limit it is held, and paid.
    near = {
        "stop-loss": (config.model_copy(update={"stop_loss": -0.022}), None),
        "buffer": (config.model_copy(update={"liquidation_buffer": 0.3}), None),
        "liquidation": (config, {4: 148.0}),
        "stale quote": (config, None),
        "nothing": (config, None),
    }
    if forced == "stale quote":
        built.age[long][4] = 3.0
    kept, high = near[forced]
    if high is not None:
        built.high[short] = high
    assert bounds(built.build(), (0, 9), RULES, kept).whole.bound_pct == pytest.approx(paid)


def test_a_stale_exit_that_pays_is_worth_it_less_its_penalty() -> None:
    """The long leg is stale at 4, where the short one is paid 5 %: nobody gets that without the penalty."""
    long, short = ("C", "a"), ("C", "b")
    built = Builder(prices={name: [100.0] * 10 for name in (long, short)}, events=[(4, short, 0.05)])
    built.age[long] = [0.0, 0.0, 0.0, 0.0, 3.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    built.offers = [[0]] + [[]] * 9
    config = TradingConfig(leverage=2, max_positions=1, stop_loss=0, liquidation_buffer=0.05)
    told = bounds(built.build(), (0, 9), RULES, config)
    paid = 100.0 * 0.6 * 2 / 2 * (0.05 - 4 * 5e-4 - 0.005)
    assert told.whole.bound_pct == told.funding.bound_pct == pytest.approx(paid)
    curve, _, _ = play(built.build(), (0, 9), RULES, config, 1, planned(told.whole.plan, 1))
    assert 100.0 * (curve[-1, 0] / RULES.initial_capital - 1.0) == pytest.approx(paid)


@pytest.mark.parametrize(
    ("venues", "paying", "held"), [(2, "b", 1), (3, "bc", 1), (4, "bd", 2), (4, "d", 1), (5, "bd", 2)]
)
def test_pairs_of_a_coin_are_held_together_if_they_share_no_instrument(
    venues: int, paying: str, held: int
) -> None:
    names = [("C", venue) for venue in "abcde"[:venues]]
    events = [(row, ("C", venue), 1e-3) for row in range(12) for venue in paying]
    built = Builder(prices={name: [100.0] * 12 for name in names}, events=events)
    pairs = [(long, short) for long in range(venues) for short in range(venues) if long != short]
    earns = ["abcde"[short] in paying and "abcde"[long] not in paying for long, short in pairs]
    built.offers = [[k for k, pays in enumerate(earns) if pays]] * 12
    config = TradingConfig(leverage=2, max_positions=3, stop_loss=0, liquidation_buffer=0.05)
    told = bounds(built.build(), (0, 11), RULES, config)
    gain = 0.6 * 2 / (2 * 3) * (10 * 1e-3 - 4 * 5e-4)  # of each, decided at 0
    assert told.whole.bound_pct == pytest.approx(100.0 * ((1.0 + gain) ** held - 1.0), rel=1e-3)
    assert len(told.whole.plan.pair) == held
