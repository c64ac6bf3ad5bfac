"""The audit passes on what does not look ahead, and says where anything else does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

import rl.market.asof
from rl.audit.compare import compare_with_run
from rl.audit.garbage import KINDS, Tables
from rl.audit.rebuild import Pipeline, rebuild
from rl.audit.replay import make_deciders
from rl.audit.run import audit, sample_times
from rl.backtest import greedy_actor
from rl.market.asof import AsOf
from rl.market.build import build_days
from rl.market.scaler import Scaler
from rl.market.splits import Splits, Window
from rl.policy import Policy
from rl.sim.quotes import P_LONG, lay_out
from schemas.trading import PRESETS, MarketRules
from tests.rl.market.market_frames import DAY, random_history, random_offers

RULES = MarketRules()
MODERATE = {"moderate": PRESETS["moderate"]}
HOURS = 112


def window(first: int, stop: int) -> Window:
    return Window(start=DAY + pd.Timedelta(hours=first), end=DAY + pd.Timedelta(hours=stop))


SPLITS = Splits(
    train=window(2, 50),
    validation=window(52, 80),
    test=window(82, 110),
    embargo_hours=2,
    episode_hours=12,
    hours=HOURS,
)


def random_tables(history: bool) -> Tables:
    """A market with ties, gaps and nulls, whose rows arrive at any time."""
    rng = np.random.default_rng(3)
    stamped = random_history(rng, hours=HOURS) if history else None
    return Tables(random_offers(rng, hours=HOURS, per_hour=10), stamped)


@pytest.fixture(scope="module")
def with_history() -> Tables:
    return random_tables(True)


@pytest.fixture(scope="module")
def without_history() -> Tables:
    return random_tables(False)


@pytest.fixture(scope="module", params=[True, False], ids=["history", "no history"])
def tables(request: pytest.FixtureRequest) -> Tables:
    return random_tables(request.param)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(seed=0)


def audited(tables: Tables, pipeline: Pipeline | None = None, deciders=None, times=2, **more):
    return audit(
        tables,
        SPLITS,
        RULES,
        MODERATE,
        make_deciders(None, 0) if deciders is None else deciders,
        times=times,
        seed=1,
        pipeline=pipeline,
        **more,
    )


def groups(report) -> set[str]:
    """Return which groups of numbers differ anywhere."""
    findings = [finding for time in report.times for finding in time.findings]
    return {text.split(":")[0] for finding in findings for text in finding.differences}


def test_the_pipeline_and_a_policy_pass(tables: Tables, policy: Policy) -> None:
    report = audited(tables, deciders=make_deciders(policy, 0), times=4)
    assert report.first_difference is None
    assert report.holds
    assert {time.part for time in report.times} == {"validation", "test"}
    assert report.deciders == ("agent", "greedy", "random")
    assert {finding.kind for time in report.times for finding in time.findings} == set(KINDS)
    for time in report.times:
        floor = time.time.replace(minute=0, second=0, microsecond=0)
        reached = {finding.kind: finding.last_hour for finding in time.findings}
        assert reached["additional rows"] == floor
        # With no later row the market may end in the gap that the time lies in, and only there.
        assert floor - timedelta(hours=6) <= reached["no rows"] <= floor


def test_the_replays_trade(with_history: Tables) -> None:
    """An audit of runs that never hold anything would compare nothing of the books."""
    from rl.audit.replay import replay

    built = rebuild(Pipeline(), with_history, SPLITS.train, RULES)
    trace = replay(built, (52, 79), RULES, MODERATE, make_deciders(None, 0))
    opened = trace.books["serials"][-1]
    assert (opened > 0).all()
    assert (trace.orders["order quantity"] > 0).any()
    assert trace.books["active"].any()


# -- four planted leaks ---------------------------------------------------------------------------------


def rows_of_the_hour_that_begins(opportunities, history):
    """Leak (a): what a scanner sees in [t, t + 1 h) is on offer at t."""
    return build_days(opportunities.assign(entry_time=opportunities.entry_time.dt.floor("h")), history)


def bars_stamped_at_their_open(opportunities, history):
    """Leak (d): the high and low of (t, t + 1 h] stand at t."""
    if history is not None:
        order = history.sort_values("timestamp", kind="stable")
        after = order.groupby(["exchange", "symbol"])[["low", "high"]].shift(-1)
        history = history.assign(low=after["low"], high=after["high"])
    return build_days(opportunities, history)


class Nearest(AsOf):
    """Leak (b): the nearest update, whether it came before or comes after."""

    def __init__(self, key, time) -> None:
        super().__init__(key, time)
        self._time, self._from_behind = time, AsOf(key, -time)

    def find(self, key, time):
        before, after = super().find(key, time), self._from_behind.find(key, -np.asarray(time))
        if not self._time.size:
            return before
        wait = self._time[after] - time
        nearer = (after >= 0) & ((before < 0) | (wait < time - self._time[before]))
        return np.where(nearer, after, before)


def fitted_on_every_row(market, train) -> Scaler:
    """Leak (c): validation and test have a say in how features are scaled."""
    return Scaler.fit(market.slot_raw)


def test_opportunities_of_the_hour_to_come_are_caught(with_history: Tables) -> None:
    report = audited(with_history, Pipeline(build=rows_of_the_hour_that_begins))
    assert not report.holds
    assert report.leaking == len(report.times)  # on the hour and within it: the rest of the hour is garbage
    assert {"market", "quotes", "observation", "mask"} <= groups(report)
    [early] = [t.time for t in report.times if t.part == "validation"]
    assert f"{early:%Y-%m-%d %H:%M}" in report.first_difference  # the hour, and the garbage after it
    assert any(kind in report.first_difference for kind in KINDS)


def test_the_nearest_quote_instead_of_the_last_is_caught(
    without_history: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rl.market.asof, "AsOf", Nearest)
    report = audited(without_history)
    assert not report.holds
    assert {"market", "quotes"} <= groups(report)
    assert any(word in report.first_difference for word in ("mark of", "age of", "rate of"))


def test_a_scaler_fitted_on_all_rows_is_caught(with_history: Tables) -> None:
    report = audited(with_history, Pipeline(fit=fitted_on_every_row))
    assert report.leaking == len(report.times)
    assert groups(report) == {"scaler", "observation"}
    assert "fitted on train" in report.first_difference


def test_bars_stamped_at_their_open_are_caught(with_history: Tables) -> None:
    report = audited(with_history, Pipeline(build=bars_stamped_at_their_open))
    assert report.leaking == len(report.times)
    assert {"market", "quotes"} <= groups(report)
    assert "low of" in report.first_difference


# -- leaks beyond the features --------------------------------------------------------------------------


def test_a_leak_that_only_a_policy_sees_is_caught_in_its_decision(without_history: Tables) -> None:
    def looks_ahead(build, first, last):
        market, wait = build.market, greedy_actor(build.market)

        def act(t, private, mask):
            pair, after = market.slot_pair[t, 0], min(t + 1, market.n_hours - 1)
            leg = market.pair_long[pair]
            rises = pair >= 0 and market.mark[after, leg] > market.mark[t, leg]
            return np.array([1]) if rises and mask[0, 1] else wait(t, private, mask)

        return act

    few = {kind: KINDS[kind] for kind in ("other prices, rates and intervals", "no rows")}
    report = audited(without_history, deciders={"agent": looks_ahead}, times=12, kinds=few)
    assert not report.holds
    assert groups(report) == {"decision", "order"}
    assert "the action of agent under moderate" in report.first_difference


def test_an_order_sized_by_the_quotes_it_will_fill_at_is_caught(with_history: Tables) -> None:
    def prices_of_the_next_hour(market, rules):
        quotes = lay_out(market, rules)
        offers = quotes.offers.copy()
        offers[:-1, :, P_LONG] = quotes.offers[1:, :, P_LONG]
        return replace(quotes, offers=offers)

    report = audited(with_history, Pipeline(lay_out=prices_of_the_next_hour))
    assert not report.holds
    assert "quotes" in groups(report) and "market" not in groups(report)


# -- the parts ------------------------------------------------------------------------------------------


def test_a_run_whose_features_are_not_those_of_its_rows_fails(with_history: Tables) -> None:
    built = rebuild(Pipeline(), with_history, SPLITS.train, RULES)
    same = {"scaler of the run": built.scaler}
    assert compare_with_run(built, built.market, same) == ()
    mark = built.market.mark.copy()
    mark[60, 1] *= 1.0 + 2e-16
    [told] = compare_with_run(built, replace(built.market, mark=mark), same)
    assert told.startswith("features of the run: mark of ")
    [told] = compare_with_run(
        built, built.market, {"scaler of the policy": Scaler.fit(built.market.slot_raw)}
    )
    assert told.startswith("scaler of the policy: the scale of ")
    report = audited(with_history, times=2, on_clean=lambda clean: (told,))
    assert report.leaking == 0 and not report.holds
    assert report.first_difference == told


def test_times_are_drawn_from_both_parts_on_the_hour_and_within_one_by_the_seed_alone() -> None:
    hour_us = 3_600_000_000
    times = sample_times(SPLITS, 20, seed=5)
    assert times == sample_times(SPLITS, 20, seed=5) != sample_times(SPLITS, 20, seed=6)
    assert [time.us for time in times] == sorted(time.us for time in times)
    for part in ("validation", "test"):
        span: Window = getattr(SPLITS, part)
        mine = [time.us for time in times if time.part == part]
        assert len(mine) == 10
        assert sum(us % hour_us == 0 for us in mine) == 5
        assert all(span.start_ms * 1000 <= us < span.end_ms * 1000 for us in mine)
    assert len(sample_times(SPLITS, 200, seed=0)) == 200  # more than there are hours


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_leaves_what_arrived_by_the_time_and_nothing_else(tables: Tables, kind: str) -> None:
    # A row that arrives at that very microsecond has arrived.
    late = tables.opportunities.entry_time.sort_values().iloc[len(tables.opportunities) // 2]
    after_us = int(late.value // 1000)
    dirty = KINDS[kind](tables, after_us, np.random.default_rng(0))
    for column, clean, changed in (
        ("entry_time", tables.opportunities, dirty.opportunities),
        ("timestamp", tables.history, dirty.history),
    ):
        if clean is None:
            assert changed is None or (changed[column] > late).all()
            continue
        known, later = clean[clean[column] <= late], clean[clean[column] > late]
        assert len(known) and len(later)
        now = changed[changed[column] <= late]
        pd.testing.assert_frame_equal(now.reset_index(drop=True)[list(known)], known.reset_index(drop=True))
        future = changed[changed[column] > late]
        if kind == "no rows":
            assert future.empty
        elif kind == "additional rows":
            assert len(future) > len(later)
            assert future[column].min() == late + pd.Timedelta(microseconds=1)
            assert set(changed["symbol"]) > set(clean["symbol"])
        else:
            assert len(future) == len(later)
            numbers = later.select_dtypes("number").columns
            differs = future[numbers].to_numpy() != later[numbers].to_numpy()  # a null differs from all
            assert differs.all() if kind != "missing values" else 0.4 < differs.mean() < 0.9
