"""A backtest is one honest episode per policy: its tables add up, and it knows what it may claim."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rl.backtest import agent_actor, cash_actor, greedy_actor, random_actor, run_backtest, window_rows
from rl.market.arrays import SLOT_FEATURES, MarketArrays
from rl.market.scaler import Scaler
from rl.policy import Policy
from rl.replay import Group, Replay, replay
from rl.sim.env import VectorSim
from rl.sim.state import KINDS, ConfigArrays
from schemas.backtest import BacktestSummary, TrainedWindow
from schemas.errors import DataError
from schemas.trading import PRESETS, MarketRules, TradingConfig
from tests.rl.sim.markets import START_MS, Builder, random_market

START = datetime.fromtimestamp(START_MS / 1000, UTC)
RULES = MarketRules()
HOURS = 120
FLOW_COLUMNS = [
    "preset", "policy", "time", "position_id", "leg", "venue", "symbol", "kind", "side", "quantity", "price",
    "rate", "amount",
]  # fmt: skip


def lively_market(seed: int = 3, hours: int = HOURS) -> MarketArrays:
    """A random market in which greedy finds something to enter and something to leave."""
    rng = np.random.default_rng(seed)
    market = random_market(seed, hours=hours)
    raw = market.slot_raw.copy()
    filled = market.slot_pair >= 0
    raw[..., SLOT_FEATURES.index("profit_24h_proj")] = np.where(
        filled, rng.normal(0.03, 0.05, filled.shape), 0.0
    )
    raw[..., SLOT_FEATURES.index("round_trip_cost_percent")] = np.where(filled, 0.24, 0.0)
    trail = np.repeat(rng.normal(5e-5, 1e-4, (hours // 12 + 1, len(market.pair_long))), 12, axis=0)[:hours]
    return replace(market, slot_raw=raw, trail24=trail)


def eager(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Take the highest valid action in odd hours, hold in even ones."""
    last = mask.shape[1] - 1 - np.argmax(mask[:, ::-1], axis=1)
    return last if t % 2 else np.zeros(len(mask), np.int64)


@pytest.fixture(scope="module")
def market() -> MarketArrays:
    return lively_market()


@pytest.fixture(scope="module")
def folder(market: MarketArrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("backtest")
    seen = [TrainedWindow(name="train", start=START - timedelta(days=30), end=START)]
    run_backtest(
        market,
        (0, HOURS - 1),
        eager,
        RULES,
        PRESETS,
        out_dir=out,
        random_runs=6,
        trained_on=seen,
        version="v1",
    )
    return out


@pytest.fixture(scope="module")
def summary(folder: Path) -> BacktestSummary:
    return BacktestSummary.model_validate_json((folder / "backtest.json").read_text("utf-8"))


def test_the_files_are_there_and_nothing_else(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "backtest.json",
        "cash_flows.parquet",
        "equity.parquet",
        "trades.csv",
        "trades.parquet",
    ]


def test_capital_and_flows_and_what_is_open_give_the_nlv_for_every_preset_and_policy(
    folder: Path, summary: BacktestSummary
) -> None:
    flows = pd.read_parquet(folder / "cash_flows.parquet")
    equity = pd.read_parquet(folder / "equity.parquet")
    for preset in PRESETS:
        for policy in ("agent", "greedy", "flip", "random", "cash"):
            mine = flows[(flows["preset"] == preset) & (flows["policy"] == policy)]
            curve = equity[(equity["preset"] == preset) & (equity["policy"] == policy) & (equity["run"] == 0)]
            assert (len(mine) > 0) == (policy != "cash")
            last = curve.iloc[-1]
            total = RULES.initial_capital + mine["amount"].sum() + last["unrealised"] - last["closing_costs"]
            assert total == pytest.approx(last["nlv"], abs=1e-6)
            booked = mine.sort_values("time")["amount"].cumsum().to_numpy()
            until = np.searchsorted(mine["time"].sort_values(), curve["time"], side="right")
            balance = RULES.initial_capital + np.concatenate([[0.0], booked])[until]
            np.testing.assert_allclose(balance, curve["balance"], atol=1e-6)
            nlv = curve["balance"] + curve["unrealised"] - curve["closing_costs"]
            np.testing.assert_allclose(nlv, curve["nlv"], atol=1e-6)


def test_rewards_add_up_to_the_return(market: MarketArrays, summary: BacktestSummary) -> None:
    sim = VectorSim(market, np.zeros((HOURS, 10, 20), np.float32), RULES, 1)
    for preset, config in PRESETS.items():
        sim.reset(np.array([0]), np.array([0]), np.array([HOURS - 1]), ConfigArrays.of([config]))
        total = 0.0
        for t in range(HOURS - 1):
            total += float(sim.step(eager(t, sim.private(), sim.mask())).reward[0])
        result = summary.result(preset, "agent")
        assert result is not None
        assert result.trades > 0
        assert result.return_pct == pytest.approx(total, abs=1e-9)


def test_the_split_adds_up_to_the_change_of_nlv_and_agrees_with_the_flows(
    folder: Path, summary: BacktestSummary
) -> None:
    flows = pd.read_parquet(folder / "cash_flows.parquet")
    sums = flows.groupby(["preset", "policy", "kind"])["amount"].sum()
    for result in summary.results:
        assert result.split.total == pytest.approx(result.final_nlv - RULES.initial_capital, abs=1e-6)
        assert result.return_pct == pytest.approx(result.split.total / RULES.initial_capital * 100, abs=1e-9)
        if result.policy in ("agent", "greedy"):
            told = result.split
            parts = dict(zip(KINDS, (told.fees, told.funding, told.price, told.slippage, told.liquidation,
                                     told.penalty), strict=True))  # fmt: skip
            for kind, value in parts.items():
                assert value == pytest.approx(sums.get((result.preset, result.policy, kind), 0.0), abs=1e-6)


def test_the_flow_table_has_its_columns_and_meanings(folder: Path, market: MarketArrays) -> None:
    flows = pd.read_parquet(folder / "cash_flows.parquet")
    assert flows.columns.tolist() == FLOW_COLUMNS
    assert str(flows["time"].dtype) == "datetime64[us, UTC]"
    assert set(flows["kind"]) <= set(KINDS)
    assert set(flows["side"]) == {"long", "short"}
    assert (flows["venue"] == flows["venue"].str.lower()).all()
    fees = flows[flows["kind"] == "fee"]
    assert (fees["rate"] == fees["venue"].map(RULES.fee)).all()
    np.testing.assert_allclose(-fees["quantity"] * fees["price"] * fees["rate"], fees["amount"], rtol=1e-12)


def test_every_settlement_of_a_held_leg_has_its_row_also_when_nothing_is_paid(tmp_path: Path) -> None:
    long, short = ("AUSDT", "binance"), ("AUSDT", "hyperliquid")
    events = [(row, name, 0.0 if name == long else 1e-4) for row in range(1, 10) for name in (long, short)]
    market = Builder(
        prices={long: [100.0] * 10, short: [100.0] * 10}, events=events, intervals={long: 1, short: 1}
    ).build()
    enter = next(i for i in range(2) if market.symbols and market.pair_long[market.slot_pair[0, i]] == 0)

    def once(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.where(t == 0, 21 + enter, np.zeros(len(mask), np.int64))

    run_backtest(
        market, (0, 9), once, RULES, {"moderate": PRESETS["moderate"]}, out_dir=tmp_path, random_runs=0
    )
    flows = pd.read_parquet(tmp_path / "cash_flows.parquet")
    funding = flows[(flows["policy"] == "agent") & (flows["kind"] == "funding")]
    assert funding["side"].value_counts().to_dict() == {"long": 8, "short": 8}  # filled at 1, so 2..9
    assert (funding.loc[funding["side"] == "long", "amount"] == 0.0).all()
    assert (funding.loc[funding["side"] == "short", "amount"] > 0.0).all()


def test_positions_have_one_name_in_all_tables_and_flows_belong_to_their_trade(folder: Path) -> None:
    flows, trades = pd.read_parquet(folder / "cash_flows.parquet"), pd.read_parquet(folder / "trades.parquet")
    assert trades["position_id"].is_unique
    assert set(flows["position_id"]) == set(trades["position_id"])
    assert (flows.groupby("position_id")["preset"].nunique() == 1).all()
    assert (flows.groupby("position_id")["policy"].nunique() == 1).all()
    closed = trades[trades["reason"] != "end"].set_index("position_id")
    sums = flows.groupby("position_id")["amount"].sum()
    np.testing.assert_allclose(closed["net_pnl"], sums[closed.index], atol=1e-9)
    spans = flows.merge(trades[["position_id", "opened", "closed"]], on="position_id")
    assert (spans["time"] >= spans["opened"]).all()
    assert (spans["time"] <= spans["closed"]).all()


def test_what_is_open_at_the_end_is_listed_so_and_books_no_flow(
    folder: Path, summary: BacktestSummary
) -> None:
    flows, trades = pd.read_parquet(folder / "cash_flows.parquet"), pd.read_parquet(folder / "trades.parquet")
    still = trades[trades["reason"] == "end"]
    assert len(still) > 0
    ends = flows[flows["position_id"].isin(still["position_id"])]
    assert set(ends["kind"]) <= {"fee", "slippage", "funding"}
    fees = ends[ends["kind"] == "fee"].groupby("position_id").size()
    assert (fees == 2).all()  # those of the entry
    for result in summary.results:
        if result.policy in ("agent", "greedy", "cash"):
            mine = trades[(trades["preset"] == result.preset) & (trades["policy"] == result.policy)]
            assert result.trades == len(mine)
            assert result.open_at_end == (mine["reason"] == "end").sum()


def test_counts_of_exits_agree_with_the_trades(folder: Path, summary: BacktestSummary) -> None:
    trades = pd.read_parquet(folder / "trades.parquet")
    seen = set()
    for result in summary.results:
        if result.policy in ("agent", "greedy"):
            mine = trades[(trades["preset"] == result.preset) & (trades["policy"] == result.policy)]
            told = {"liquidation": result.liquidations, "stale": result.stale_exits,
                    "stop_loss": result.stop_losses, "buffer": result.buffer_exits}  # fmt: skip
            for reason, count in told.items():
                assert count == (mine["reason"] == reason).sum(), reason
                seen |= {reason} if count else set()
    assert {"stop_loss", "stale"} <= seen


def test_turnover_and_estimates_of_recorded_runs_agree_with_their_tables(
    folder: Path, summary: BacktestSummary
) -> None:
    flows, trades = pd.read_parquet(folder / "cash_flows.parquet"), pd.read_parquet(folder / "trades.parquet")
    for result in summary.results:
        if result.policy in ("agent", "greedy"):
            fees = flows[(flows["preset"] == result.preset) & (flows["policy"] == result.policy)]
            fees = fees[fees["kind"] == "fee"]
            turned = (fees["quantity"] * fees["price"]).sum() / RULES.initial_capital
            assert result.turnover == pytest.approx(turned)
            mine = trades[(trades["preset"] == result.preset) & (trades["policy"] == result.policy)]
            assert result.estimated_settlements == mine["estimated_settlements"].sum()


def test_estimated_and_odd_settlements_of_held_legs_are_counted(market: MarketArrays, tmp_path: Path) -> None:
    every = np.ones(len(market.settlements.row), np.bool_)
    marked = replace(market, settlements=replace(market.settlements, estimated=every, off_boundary=every))
    told = run_backtest(marked, (0, HOURS - 1), eager, RULES, PRESETS, out_dir=tmp_path, random_runs=1)
    flows = pd.read_parquet(tmp_path / "cash_flows.parquet")
    for policy in ("agent", "greedy", "random"):
        result = told.result("moderate", policy)
        funding = flows[
            (flows["kind"] == "funding") & (flows["policy"] == policy) & (flows["preset"] == "moderate")
        ]
        assert result is not None
        assert result.estimated_settlements == len(funding) > 0
        assert result.off_boundary_settlements == len(funding)


def test_returns_are_told_under_both_boundaries_of_funding(tmp_path: Path) -> None:
    """In at row 1, out at row 3, 1x: 50 coins at 100 on each leg; the short earns 1, 2 and 4 in a thousand.

    (1, 3] holds the settlements of rows 2 and 3: 5,000 x 0.006 = 30, 0.30 % of 10,000. [1, 3) holds those
    of rows 1 and 2: 5,000 x 0.003 = 15.
    """
    names = ("X", "a"), ("X", "b")
    events = [(1, names[1], 1e-3), (2, names[1], 2e-3), (3, names[1], 4e-3)]
    built = Builder({name: [100.0] * 6 for name in names}, events=events).build()
    free = MarketRules(slippage=False, default_taker_fee=0.0)
    config = TradingConfig(leverage=1, target_utilization=1, max_positions=1, stop_loss=0)
    plan = {0: 21, 2: 31}

    def planned(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.full(len(mask), plan.get(t, 0))

    for boundary, own in (("close", 0.30), ("open", 0.15)):
        rules = free.model_copy(update={"funding_boundary": boundary})
        told = run_backtest(built, (0, 5), planned, rules, {"p": config}, out_dir=tmp_path, random_runs=2)
        agent = told.result("p", "agent")
        assert agent is not None
        assert agent.return_pct == pytest.approx(own)
        assert agent.return_pct_by_boundary == pytest.approx({"close": 0.30, "open": 0.15})
        assert agent.return_pct == agent.return_pct_by_boundary[boundary]
        flows = pd.read_parquet(tmp_path / "cash_flows.parquet")
        booked = flows[(flows["policy"] == "agent") & (flows["kind"] == "funding")]["amount"]
        assert booked.sum() == pytest.approx(100 * own)
        for policy, judged in (("greedy", True), ("flip", False), ("random", False), ("cash", False)):
            assert bool(told.result("p", policy).return_pct_by_boundary) == judged


def test_equity_starts_with_the_capital_and_has_every_hour(folder: Path) -> None:
    equity = pd.read_parquet(folder / "equity.parquet")
    groups = equity.groupby(["preset", "policy", "run"])
    assert (groups["nlv"].first() == RULES.initial_capital).all()
    assert (groups["time"].first() == START).all()
    assert set(groups.size()) == {HOURS}
    assert groups.ngroups == 3 * (4 + 6)
    for _, curve in groups:
        steps = curve["time"].diff().dropna()
        assert (steps == pd.Timedelta(hours=1)).all()
        peak = curve["nlv"].cummax()
        np.testing.assert_allclose(curve["drawdown"], 1 - curve["nlv"] / peak, atol=1e-12)


def test_random_is_the_mean_of_its_runs_with_their_percentiles(
    folder: Path, summary: BacktestSummary
) -> None:
    equity = pd.read_parquet(folder / "equity.parquet")
    mine = equity[(equity["preset"] == "aggressive") & (equity["policy"] == "random")]
    ends = mine.groupby("run")["nlv"].last() / RULES.initial_capital * 100 - 100
    told = summary.result("aggressive", "random")
    assert told is not None
    assert told.runs == 6
    assert ends.nunique() == 6
    assert told.return_pct == pytest.approx(ends.mean())
    assert told.return_p5_pct == pytest.approx(np.percentile(ends, 5))
    assert told.return_p95_pct == pytest.approx(np.percentile(ends, 95))
    agent = summary.result("aggressive", "agent")
    assert agent is not None
    assert agent.random_runs_beaten == (ends < agent.return_pct).sum()


def test_a_random_run_does_not_depend_on_how_many_there_are() -> None:
    mask = np.ones((9, 36), bool)
    private = np.zeros((9, 75), np.float32)
    few, many = random_actor(4, 30, 3, seed=1), random_actor(4, 30, 9, seed=1)
    other = random_actor(4, 30, 9, seed=2)
    drawn = [many(t, private, mask) for t in range(4, 34)]
    assert [few(t, private[:3], mask[:3]).tolist() for t in range(4, 34)] == [d[:3].tolist() for d in drawn]
    assert [other(t, private, mask).tolist() for t in range(4, 34)] != [d.tolist() for d in drawn]


def test_cash_stays_what_it_is(summary: BacktestSummary) -> None:
    for preset in PRESETS:
        result = summary.result(preset, "cash")
        assert result is not None
        assert (result.return_pct, result.trades, result.max_drawdown_pct) == (0.0, 0.0, 0.0)


def test_no_policy_ever_sends_an_invalid_action(summary: BacktestSummary) -> None:
    assert {result.invalid for result in summary.results} == {0.0}


def test_an_invalid_action_is_counted(market: MarketArrays, tmp_path: Path) -> None:
    def stubborn(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.full(len(mask), 35)

    one = {"moderate": PRESETS["moderate"]}
    told = run_backtest(market, (0, 10), stubborn, RULES, one, out_dir=tmp_path, random_runs=0).result(
        "moderate", "agent"
    )
    assert told is not None
    assert (told.invalid, told.trades) == (10, 0)


def test_the_same_backtest_writes_the_same_bytes(market: MarketArrays, folder: Path, tmp_path: Path) -> None:
    seen = [TrainedWindow(name="train", start=START - timedelta(days=30), end=START)]
    run_backtest(
        market,
        (0, HOURS - 1),
        eager,
        RULES,
        PRESETS,
        out_dir=tmp_path,
        random_runs=6,
        trained_on=seen,
        version="v1",
    )
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_trained_policy_decides_one_state_at_a_time_and_the_same_beside_others(
    market: MarketArrays,
) -> None:
    torch.manual_seed(5)
    policy = Policy()
    with torch.no_grad():  # an untrained policy holds for ever; this one is in two minds
        policy.kind.bias.zero_()
        policy.kind.weight.normal_(0.0, 0.3)
    actor = agent_actor(policy, Scaler.fit(market.slot_raw), market)
    window, aggressive, moderate = (20, 60), PRESETS["aggressive"], PRESETS["moderate"]
    alone = replay(market, window, RULES, [Group("a", "agent", aggressive, 1, actor)])
    beside = replay(
        market,
        window,
        RULES,
        [
            Group("m", "agent", moderate, 1, actor),
            Group("a", "greedy", aggressive, 1, greedy_actor(market)),
            Group("a", "agent", aggressive, 1, actor),
        ],
    )
    assert alone.state.serials[0] > 0
    assert alone.curves.nlv[:, 0].tolist() == beside.curves.nlv[:, 2].tolist()


def test_the_window_is_what_is_replayed(market: MarketArrays, tmp_path: Path) -> None:
    asked: list[int] = []

    def watching(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
        asked.append(t)
        return np.zeros(len(mask), np.int64)

    one = {"moderate": PRESETS["moderate"]}
    told = run_backtest(market, (7, 30), watching, RULES, one, out_dir=tmp_path, random_runs=0)
    assert asked == 2 * list(range(7, 30))  # once under either boundary of funding
    assert (told.start, told.end, told.hours) == (START + timedelta(hours=7), START + timedelta(hours=30), 23)


@pytest.mark.parametrize(("gone", "overlap"), [(0, 0), (-1, 0), (1, 1), (5, 5)])
def test_a_window_that_overlaps_training_or_validation_is_in_sample(
    market: MarketArrays, tmp_path: Path, gone: int, overlap: int
) -> None:
    begin = START + timedelta(hours=40)
    seen = [
        TrainedWindow(name="train", start=START, end=START + timedelta(hours=10)),
        TrainedWindow(
            name="validation", start=START + timedelta(hours=20), end=begin + timedelta(hours=gone)
        ),
    ]
    one = {"moderate": PRESETS["moderate"]}
    told = run_backtest(market, (40, 50), eager, RULES, one, out_dir=tmp_path, random_runs=0, trained_on=seen)
    assert (told.in_sample, told.overlap_hours) == (overlap > 0, overlap)


def test_without_known_training_hours_nothing_is_called_out_of_sample(
    market: MarketArrays, tmp_path: Path
) -> None:
    one = {"moderate": PRESETS["moderate"]}
    told = run_backtest(market, (0, 5), eager, RULES, one, out_dir=tmp_path, random_runs=0)
    assert told.in_sample is None
    baselines = run_backtest(market, (0, 5), None, RULES, one, out_dir=tmp_path, random_runs=0)
    assert baselines.in_sample is False
    assert baselines.result("moderate", "agent") is None


def test_a_run_that_the_drawdown_limit_ends_stops_there(market: MarketArrays) -> None:
    wild = TradingConfig(
        leverage=10, target_utilization=1.0, max_positions=5, stop_loss=0, liquidation_buffer=0.05
    )
    rules = MarketRules(drawdown_limit=0.05)
    told: Replay = replay(
        market,
        (0, HOURS - 1),
        rules,
        [
            Group("wild", "random", wild, 4, random_actor(0, HOURS, 4, 0)),
            Group("wild", "cash", wild, 1, cash_actor()),
        ],
    )
    lived = told.curves.hours
    assert (lived[:4] < HOURS - 1).all()
    assert lived[4] == HOURS - 1
    equity = told.equity()
    for run in range(4):
        mine = equity[(equity["policy"] == "random") & (equity["run"] == run)]
        assert len(mine) == lived[run] + 1
        assert mine["drawdown"].iloc[-1] > 0.05
        assert mine["drawdown"].iloc[:-1].max() <= 0.05
        assert (told.curves.nlv[lived[run] :, run] == mine["nlv"].iloc[-1]).all()


def test_windows_are_hours_from_start_up_to_and_without_end(market: MarketArrays) -> None:
    assert window_rows(market) == (0, HOURS - 1)
    assert window_rows(market, START + timedelta(hours=3), START + timedelta(hours=9)) == (3, 8)
    assert window_rows(
        market, START + timedelta(hours=2, minutes=20), START + timedelta(hours=8, minutes=20)
    ) == (3, 8)
    naive = (START + timedelta(hours=3)).replace(tzinfo=None)
    assert window_rows(market, naive) == (3, HOURS - 1)
    assert window_rows(market, end=START_MS + 5 * 3_600_000) == (0, 4)


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (
            -1,
            None,
            "starts at 2025-08-31 23:00 UTC, before the data. The data covers 2025-09-01 00:00 UTC to",
        ),
        (None, HOURS + 1, "ends at 2025-09-06 01:00 UTC, after the data"),
        (9, 9, "ends (2025-09-01 09:00 UTC) before it starts"),
        (9, 3, "before it starts"),
        (9, 10, "holds no hour to trade in"),
        (HOURS + 10, HOURS + 20, "after the data"),
    ],
)
def test_a_window_outside_the_data_is_refused_in_words(
    market: MarketArrays, start: int | None, end: int | None, words: str
) -> None:
    a, b = (None if h is None else START + timedelta(hours=h) for h in (start, end))
    with pytest.raises(DataError) as caught:
        window_rows(market, a, b)
    assert words in str(caught.value)


@pytest.mark.parametrize("rows", [(-1, 5), (5, 5), (6, 5), (0, HOURS)])
def test_rows_outside_the_market_are_refused(
    market: MarketArrays, tmp_path: Path, rows: tuple[int, int]
) -> None:
    with pytest.raises(DataError):
        run_backtest(market, rows, None, RULES, PRESETS, out_dir=tmp_path, random_runs=0)
    assert list(tmp_path.iterdir()) == []
