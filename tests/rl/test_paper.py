"""Paper trading an hour at a time, through JSON each time, is a backtest bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from rl.backtest import agent_actor
from rl.market.arrays import MarketArrays
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.paper import Follower, advance, begin_flat, decide_hour, figures, revalue
from rl.paper_books import Desk, Passed, place
from rl.replay import Group, replay
from schemas.errors import DataError
from schemas.ingest import build_dataset, discover
from schemas.paper import PaperBooks, PaperOrder
from schemas.trading import PRESETS, MarketRules, TradingConfig
from tasks.rows import clean_rows
from tests.tasks.paper_made import trader

LEVELS = (
    "nlv",
    "drawdown",
    "balance",
    "free_cash",
    "unrealised",
    "closing_costs",
    "positions",
    "gross_notional",
)
FLOWS = ("time", "leg", "venue", "symbol", "kind", "side", "quantity", "price", "rate", "amount")
FIRST, HOURS = 30, 50


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    from rl.market.synthetic import write_sample

    folder = tmp_path_factory.mktemp("paper")
    write_sample(folder / "sample", days=4, rows_per_hour=12, seed=0)
    build_dataset(discover(folder / "sample"), folder / "clean")
    return clean_rows(folder / "clean")


def market_of(
    rows: tuple[pd.DataFrame, pd.DataFrame | None], rules: MarketRules, until: int | None = None
) -> MarketArrays:
    opportunities, history = rows
    if until is not None:
        last = pd.Timestamp(until, unit="ms", tz="UTC")
        opportunities = opportunities[opportunities["entry_time"] <= last]
        history = None if history is None else history[history["timestamp"] <= last]
    return assemble(list(build_days(opportunities, history)), rules)


@pytest.fixture(scope="module")
def market(rows: tuple[pd.DataFrame, pd.DataFrame | None]) -> MarketArrays:
    return market_of(rows, MarketRules())


class Played:
    """What an hour-by-hour run left."""

    def __init__(self) -> None:
        self.levels: list[dict] = []
        self.actions: list[int] = []
        self.passed: list[Passed] = []
        self.held: list[str | None] = []
        self.books: PaperBooks | None = None

    @property
    def flows(self) -> pd.DataFrame:
        return pd.DataFrame([f.model_dump() for p in self.passed for f in p.flows])

    @property
    def trades(self) -> pd.DataFrame:
        return pd.DataFrame([t for p in self.passed for t in p.closed])


def through_json(thing):
    return None if thing is None else type(thing).model_validate(json.loads(thing.model_dump_json()))


def play(desk: Desk, config: TradingConfig, follower: Follower | None, hours: int = HOURS) -> Played:
    out = Played()
    books = begin_flat(desk, datetime.fromtimestamp(desk.market.hour_ms(FIRST) / 1000, UTC))
    order: PaperOrder | None = None
    for number in range(hours + 1):
        if number:
            books, passed = advance(desk, config, books, order)
            out.passed.append(passed)
        out.levels.append(figures(desk, config, books))
        books, decided = decide_hour(desk, config, through_json(books), follower)
        books, order = through_json(books), through_json(decided.order)
        out.actions.append(decided.choice.action)
        out.held.append(decided.held)
    out.books = books
    return out


def follower_of(seed: int) -> Follower:
    checkpoint = trader(seed)
    return Follower(checkpoint.policy(), checkpoint.scaler())


def assert_a_backtest_says_the_same(
    desk: Desk, config: TradingConfig, follower: Follower, played: Played
) -> None:
    actor = agent_actor(follower.policy, follower.scaler, desk.market)
    told = replay(
        desk.market, (FIRST, FIRST + HOURS), desk.rules, [Group("moderate", "agent", config, 1, actor)]
    )
    equity = told.equity()
    for name in LEVELS:
        assert equity[name].tolist() == [level[name] for level in played.levels], name
    flows = played.flows
    assert len(flows) == len(told.flows) > 0
    for name in FLOWS:
        assert flows[name].tolist() == told.flows[name].tolist(), name
    closed = told.trades[told.trades["reason"] != "end"]
    trades = played.trades
    assert len(trades) == len(closed) > 3
    for name in trades.columns.difference(["position_id", "opened", "closed"]):
        assert trades[name].tolist() == closed[name].tolist(), name
    assert [f"moderate/agent/{i}" for i in trades["position_id"]] == closed["position_id"].tolist()
    assert pd.to_datetime(trades["opened"]).tolist() == closed["opened"].tolist()


@pytest.mark.parametrize("preset", list(PRESETS))
def test_hour_by_hour_is_a_backtest_bit_for_bit(market: MarketArrays, preset: str) -> None:
    desk, follower = Desk.of(market, MarketRules()), follower_of(1)
    played = play(desk, PRESETS[preset], follower)  # type: ignore[index]
    assert_a_backtest_says_the_same(desk, PRESETS[preset], follower, played)  # type: ignore[index]


@pytest.mark.parametrize("rules", [MarketRules(fill_delay_steps=0), MarketRules(fill_delay_steps=2),
                                   MarketRules(funding_boundary="open", impact_k=0.001)])  # fmt: skip
def test_so_it_is_with_other_delays_and_rules(rows, rules: MarketRules) -> None:
    desk, follower = Desk.of(market_of(rows, rules), rules), follower_of(1)
    played = play(desk, PRESETS["moderate"], follower)
    assert_a_backtest_says_the_same(desk, PRESETS["moderate"], follower, played)


def test_an_hour_knows_only_what_had_come_and_indices_do_not_matter(rows, market: MarketArrays) -> None:
    """A market that ends at each hour has other instruments at other places; the books go by names."""
    rules, config, follower = MarketRules(), PRESETS["moderate"], follower_of(1)
    opportunities, history = rows
    symbols = sorted(set(opportunities["symbol"]))
    listed = pd.Timestamp(market.hour_ms(FIRST + 4), unit="ms", tz="UTC")
    hidden = opportunities["symbol"].isin(symbols[:2]) & (opportunities["entry_time"] < listed)
    rows = opportunities[~hidden], history
    market = market_of(rows, rules)
    whole = play(Desk.of(market, rules), config, follower, hours=12)
    books, order, pairs, carried = None, None, [], []
    for number in range(13):
        desk = Desk.of(market_of(rows, rules, until=market.hour_ms(FIRST + number)), rules)
        if books is None:
            books = begin_flat(desk, datetime.fromtimestamp(market.hour_ms(FIRST) / 1000, UTC))
        else:
            books, _ = advance(desk, config, books, order)
        assert figures(desk, config, books) == whole.levels[number]
        books, decided = decide_hour(desk, config, books, follower)
        order = decided.order
        assert decided.choice.action == whole.actions[number]
        pairs.append(max(desk.pairs.values()))
        carried.append(bool(books.positions) or order is not None)
    assert len(set(whole.actions)) > 3
    moved = pairs.index(pairs[-1])
    assert pairs[0] < pairs[-1] and carried[moved - 1], "what was held or ordered is at another place by now"


def test_an_order_fills_as_it_was_accepted_though_the_hour_looks_otherwise_by_now(
    market: MarketArrays,
) -> None:
    """A late row may turn the slots of a decided hour round; what was ordered stays what it was."""
    rules, config, follower = MarketRules(), PRESETS["moderate"], follower_of(1)
    desk = Desk.of(market, rules)
    books = begin_flat(desk, datetime.fromtimestamp(market.hour_ms(FIRST) / 1000, UTC))
    books, decided = decide_hour(desk, config, books, follower)
    assert decided.order is not None and decided.order.kind == "enter"
    turned = replace(market, slot_pair=market.slot_pair[:, ::-1].copy(), mark=market.mark.copy())
    turned.mark[FIRST] *= 1.01
    after, passed = advance(Desk.of(turned, rules), config, books, decided.order)
    assert (after, passed) == advance(desk, config, books, decided.order)
    assert after.positions[0].symbol == decided.order.symbol


def test_an_hour_in_which_nothing_arrived_is_held_on_paper_and_in_a_backtest(market: MarketArrays) -> None:
    desk, follower = Desk.of(market, MarketRules()), follower_of(1)
    played = play(desk, PRESETS["moderate"], follower)
    nothing = [i for i in range(HOURS) if not market.arrived[FIRST + i]]
    assert nothing, "the sample has a gap"
    assert [i for i in range(HOURS) if (played.held[i] or "").startswith("no fresh data")] == nothing
    assert {played.actions[i] for i in nothing} == {0}
    actor = agent_actor(follower.policy, follower.scaler, market)
    everything = np.ones((1, 36), np.bool_)
    private = np.zeros((1, 75), np.float32)
    assert [int(actor(FIRST + i, private, everything)[0]) for i in nothing] == [0] * len(nothing)


def test_a_quote_arrives_only_if_its_pair_has_been_on_offer(market: MarketArrays) -> None:
    """Else an hour would look otherwise once later rows make known which instruments are traded."""
    t, pair = FIRST, 0
    age, slot_pair, spread = (
        np.full_like(market.age, np.inf),
        market.slot_pair.copy(),
        market.half_spread.copy(),
    )
    age[t, market.pair_short[pair]], slot_pair[t] = 0.5, -1
    own = [
        p
        for p in range(len(market.pair_long))
        if market.pair_short[pair] in (market.pair_long[p], market.pair_short[p])
    ]
    spread[:, own] = np.nan
    unseen = replace(market, age=age, slot_pair=slot_pair, half_spread=spread)
    assert not unseen.arrived[t]
    seen = spread.copy()
    seen[t, pair] = 1e-4
    assert replace(unseen, half_spread=seen).arrived[t]
    assert replace(unseen, slot_pair=market.slot_pair).arrived[t], "a row on offer is enough"
    age = age.copy()
    age[t, market.pair_short[pair]] = 1.0
    assert not replace(unseen, half_spread=seen, age=age).arrived[t], "a quote of the hour before is not new"


def test_a_portfolio_that_the_drawdown_limit_ended_stands_still(rows) -> None:
    rules = MarketRules(drawdown_limit=0.001)
    desk = Desk.of(market_of(rows, rules), rules)
    played = play(desk, PRESETS["aggressive"], follower_of(1), hours=20)
    books = played.books
    assert books is not None and books.ended
    assert "the drawdown limit of 0% ended this portfolio" in played.held
    actor = agent_actor(follower_of(1).policy, follower_of(1).scaler, desk.market)
    group = Group("aggressive", "agent", PRESETS["aggressive"], 1, actor)
    told = replay(desk.market, (FIRST, FIRST + 20), rules, [group])
    assert told.curves.nlv[:, 0].tolist() == [level["nlv"] for level in played.levels]


def test_books_under_other_rules_are_worth_what_closing_costs_there(market: MarketArrays) -> None:
    desk, config = Desk.of(market, MarketRules()), PRESETS["moderate"]
    books = play(desk, config, follower_of(1), hours=12).books
    assert books is not None and books.positions
    assert revalue(desk, config, books) == books
    dear = Desk.of(market, MarketRules(default_taker_fee=0.01, taker_fee={}))
    assert revalue(dear, config, books).nlv < books.nlv - 10.0


def test_a_market_that_does_not_hold_the_books_is_refused_in_words(market: MarketArrays) -> None:
    desk, config = Desk.of(market, MarketRules()), PRESETS["moderate"]
    books = play(desk, config, follower_of(1), hours=12).books
    assert books is not None and books.positions
    early = books.model_copy(update={"hour": books.hour - timedelta(days=30)})
    with pytest.raises(DataError, match="the data does not hold 2025-08"):
        place(desk, config, early)
    gone = books.positions[0].model_copy(update={"symbol": "GONE"})
    with pytest.raises(DataError, match=r"GONE .*is held on paper and the data does not show it any more"):
        place(desk, config, books.model_copy(update={"positions": (gone,)}))
