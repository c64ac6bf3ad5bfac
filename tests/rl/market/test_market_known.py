"""Markets with known answers are what they say: clean rows, booked carry, little bounce, jumps that hurt."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rl.baselines import ENTER_LARGE, HOLD
from rl.market.arrays import SLOT_FEATURES, MarketArrays
from rl.market.known import DAY, MARKETS, RATE_NOISE, Known, generate
from rl.market.known_rows import EAST, EAST_NOISE, START, Script, clean_rows
from rl.sim.env import VectorSim
from rl.sim.state import BUFFER_EXITS, LIQUIDATIONS, STALE_EXITS, STOP_EXITS, VOIDS
from schemas.columns import TIME_COLUMN
from schemas.ingest import build_dataset, discover
from schemas.tables import SCHEMAS
from schemas.trading import TradingConfig
from tests.rl.known_play import Trade, by_plan, side_by_side

DAYS, SEED = 30, 7
every_market = pytest.mark.parametrize("name", list(MARKETS))
COST = SLOT_FEATURES.index("round_trip_cost_percent")
NOW = SLOT_FEATURES.index("profit_8h")


@cache
def market_of(name: str, seed: int = SEED) -> Known:
    return generate(name, DAYS, seed)


def script_of(name: str, days: int = DAYS, seed: int = SEED) -> tuple[Script, np.random.Generator]:
    rng = np.random.default_rng((seed, list(MARKETS).index(name)))
    return MARKETS[name](days * DAY, rng), rng


def coins_of(market: MarketArrays) -> np.ndarray:
    """(P,) coin of each pair."""
    return np.array([int(market.symbols[i].removeprefix("COIN")) for i in market.pair_long])


def bits(market: MarketArrays) -> list[bytes]:
    return [
        np.ascontiguousarray(x).tobytes() for x in (market.mark, market.slot_raw, market.settlements.rate)
    ]


@every_market
def test_the_same_arguments_make_the_same_market_and_another_seed_or_length_another_one(name: str) -> None:
    one, same, other = generate(name, 6, 3), generate(name, 6, 3), generate(name, 6, 4)
    assert bits(one.market) == bits(same.market)
    assert np.array_equal(one.carry, same.carry)
    assert not np.array_equal(one.market.mark, other.market.mark)
    longer = generate(name, 7, 3).market
    assert not np.array_equal(one.market.mark, longer.mark[: one.market.n_hours])
    others = [generate(kind, 6, 3).market.mark for kind in MARKETS if kind != name]
    assert not any(np.array_equal(one.market.mark, mark) for mark in others)


@every_market
def test_the_rows_are_clean_and_go_through_the_ingest_as_they_are(name: str, tmp_path: Path) -> None:
    tables = dict(zip(("opportunities", "history"), clean_rows(*script_of(name, days=4)), strict=True))
    (tmp_path / "raw").mkdir()
    for table, frame in tables.items():
        SCHEMAS[table].validate(frame)
        frame.to_csv(tmp_path / "raw" / f"{table}.csv", index=False)
    found = build_dataset(discover(tmp_path / "raw"), tmp_path / "clean")
    assert (found.quarantined, found.duplicates) == (0, 0)
    for table, frame in tables.items():
        days = sorted((tmp_path / "clean" / table).glob("*.parquet"))
        clean = pd.concat([pd.read_parquet(day) for day in days], ignore_index=True)[list(frame.columns)]
        keys = [TIME_COLUMN[table], "symbol", *(c for c in frame.columns if c.endswith("exchange"))]
        pd.testing.assert_frame_equal(
            clean.sort_values(keys, ignore_index=True),
            frame.sort_values(keys, ignore_index=True),
            check_dtype=False,
        )


@pytest.mark.parametrize("name", ["persistent edge", "decoy", "leverage trap"])
def test_the_hidden_carry_is_what_the_simulator_books(name: str) -> None:
    known = market_of(name)
    market, carry = known.market, known.carry
    profile = TradingConfig(leverage=1.0, max_positions=1, stop_loss=0.0)
    checked = 0
    for pair in np.nonzero((carry > 0.0).any(axis=0))[0].tolist():
        first, until = spell(carry[:, pair])
        # Decided two hours before the first settlement, or as soon as it is on offer; filled an hour later.
        decided = next(t for t in range(max(first - 2, 0), until) if pair in market.slot_pair[t])
        told = side_by_side(known, [profile], [by_plan([Trade(pair, decided, until)])])
        s = told.state
        booked = dict(zip(("fee", "funding", "price", "slippage"), s.booked[0, :4], strict=True))
        opened, closed = decided + 1, until + 1
        leg = quantity_of(known, pair, profile, opened)
        legs = (market.pair_long[pair], market.pair_short[pair])
        west = next(i for i in legs if market.venues[i] != EAST)
        held = slice(opened + 1, closed + 1)
        expected = leg * (market.mark[held, west] * carry[held, pair]).sum()
        # Noise of each hour's rate in the west, and of what the east settles every 8 hours.
        hours = closed - opened
        noise = RATE_NOISE / 8.0 * np.sqrt(hours) + EAST_NOISE * np.sqrt(hours / 8.0 + 1.0)
        worth = leg * market.mark[held, west].max()
        assert booked["funding"] == pytest.approx(expected, abs=4.0 * noise * worth)
        assert expected > 8.0 * noise * worth  # the noise does not decide
        paid = leg * (market.mark[opened, west] + market.mark[closed, west]) * 0.0012
        assert booked["fee"] + booked["slippage"] == pytest.approx(-paid, rel=1e-3)
        assert abs(booked["price"]) < paid / 4.0
        checked += 1
    assert checked >= 2


def spell(paid: np.ndarray) -> tuple[int, int]:
    """First and last hour of the first spell of a column of carry."""
    first = int(np.argmax(paid > 0.0))
    gone = np.nonzero(paid[first:] <= 0.0)[0]
    return first, first + int(gone[0]) - 1 if gone.size else len(paid) - 3


def quantity_of(known: Known, pair: int, profile: TradingConfig, opened: int) -> float:
    """Coins on each leg of a large position, decided an hour before it opens, of a flat trader."""
    market = known.market
    price = market.mark[opened - 1, [market.pair_long[pair], market.pair_short[pair]]].mean()
    return profile.target_utilization * 10_000.0 / 2.0 * profile.leverage / float(price)


@every_market
@pytest.mark.parametrize("seed", [SEED, 1000])
def test_the_spreads_of_any_two_fills_differ_by_less_than_a_quarter_of_a_round_trip(
    name: str, seed: int
) -> None:
    market = market_of(name, seed).market
    spread = np.log(market.mark[:, market.pair_short]) - np.log(market.mark[:, market.pair_long])
    offered = market.slot_pair >= 0
    assert np.allclose(market.slot_raw[..., COST][offered], 0.24)
    assert 100.0 * (spread.max(axis=0) - spread.min(axis=0)).max() < 0.24 / 4.0


@pytest.mark.parametrize(
    ("name", "most"), [("no edge", 0), ("persistent edge", 3), ("decoy", 2), ("leverage trap", 3)]
)
def test_at_most_so_many_coins_pay_at_a_time_and_each_in_one_direction(name: str, most: int) -> None:
    for seed in range(3):
        script, _ = script_of(name, days=120, seed=seed)
        assert (script.carry != 0.0).sum(axis=1).max(initial=0) == most
    known = market_of(name)
    assert (known.carry > 0.0).sum(axis=1).max() <= most
    coins = coins_of(known.market)
    for coin in range(coins.max() + 1):
        assert np.array_equal(*(known.carry[:, coins == coin] * [1.0, -1.0]).T)


def test_what_the_decoys_show_is_never_settled() -> None:
    market = market_of("decoy").market
    coins = coins_of(market)
    decoys = coins >= 4
    slots = market.slot_pair
    shown = np.where((slots >= 0) & decoys[slots], np.abs(market.slot_raw[..., NOW]), 0.0)
    paying = np.where((slots >= 0) & ~decoys[slots], np.abs(market.slot_raw[..., NOW]), 0.0)
    # Percent per 8 h. In most hours a decoy shows more than whatever pays.
    assert (shown.max(axis=1) > 2.0 * paying.max(axis=1)).mean() > 0.5
    events = market.settlements
    theirs = np.array([int(market.symbols[i].removeprefix("COIN")) >= 4 for i in events.instrument])
    assert theirs.sum() > 3 * DAYS * DAY
    settled = (
        100.0
        * events.rate
        * np.where(np.array([market.venues[i] == EAST for i in events.instrument]), 1.0, 8.0)
    )
    assert np.abs(settled[theirs]).max() < 6.0 * 100.0 * RATE_NOISE < shown[shown > 0.1].min()
    assert not market_of("decoy").carry[:, decoys].any()


def held_throughout(known: Known, wanted: list[tuple[int, float]]) -> np.ndarray:
    """Counters (N, 9) of traders who enter a pair, at some leverage, in the first days and never leave it."""
    entered: dict[int, int] = {}

    def act(t: int, sim: VectorSim, env: int) -> int:
        offers = sim.market.slot_pair[t].tolist()
        if env in entered or wanted[env][0] not in offers:
            return HOLD
        entered[env] = t
        return ENTER_LARGE + offers.index(wanted[env][0])

    profiles = [
        TradingConfig(
            leverage=leverage, target_utilization=0.5, max_positions=1, stop_loss=0.0, liquidation_buffer=0.05
        )
        for _, leverage in wanted
    ]
    told = side_by_side(known, profiles, [act] * len(wanted))
    assert (told.trades == 1).all() and max(entered.values()) < 3 * DAY
    return told.state.counts


@pytest.mark.parametrize("seed", [SEED, 1000, 1001])
def test_jumps_liquidate_a_wild_pair_at_ten_times_and_neither_the_calm_one_nor_anyone_at_one(
    seed: int,
) -> None:
    known = market_of("leverage trap", seed)
    wild = coins_of(known.market) < 2
    assert known.safe_leverage.tolist() == np.where(wild, 3.0, np.inf).tolist()
    pairs = range(len(wild))
    ten, one, safe = (
        held_throughout(known, list(zip(pairs, leverage, strict=True)))
        for leverage in (
            [10.0] * len(wild),
            [1.0] * len(wild),
            np.minimum(known.safe_leverage, 10.0).tolist(),
        )
    )
    assert ten[:, LIQUIDATIONS].tolist() == wild.astype(int).tolist()
    assert not safe[:, LIQUIDATIONS].any()
    forced = [VOIDS, LIQUIDATIONS, STALE_EXITS, STOP_EXITS, BUFFER_EXITS]
    assert not one[:, forced].any()
    assert not ten[~wild][:, forced].any()


@every_market
def test_no_row_depends_on_a_later_hour_of_its_script(name: str) -> None:
    script, rng = script_of(name, days=6)
    now = 77
    state = rng.bit_generator.state
    garbage = np.random.default_rng(1)

    def spoilt(table: np.ndarray) -> np.ndarray:
        later = np.arange(len(table))[:, None] > now
        return np.where(later, table + garbage.normal(0.0, 1e-3, table.shape), table)

    other = replace(
        script,
        **{field: spoilt(getattr(script, field)) for field in ("carry", "noise", "glimpse", "log_price")},
    )
    clean = clean_rows(script, rng)
    rng.bit_generator.state = state
    dirty = clean_rows(other, rng)
    for one, two, column in zip(clean, dirty, ("entry_time", "timestamp"), strict=True):
        until = START + pd.Timedelta(hours=now)
        pd.testing.assert_frame_equal(one[one[column] <= until], two[two[column] <= until], check_exact=True)
        assert not one.equals(two)


@every_market
def test_averages_are_over_the_hours_up_to_their_row(name: str) -> None:
    script, rng = script_of(name, days=6)
    rows, _ = clean_rows(script, rng)
    net = 100.0 * (script.carry + script.noise)
    for hours, column in ((24, "fund_profit_24h_proj"), (72, "fund_profit_3d_proj")):
        for t in (0, 5, 23, 24, 100, len(net) - 1):
            at = (rows["entry_time"] == START + pd.Timedelta(hours=t)) & (rows["long_exchange"] == EAST)
            wanted = net[max(t - hours + 1, 0) : t + 1].mean(axis=0)
            np.testing.assert_allclose(rows.loc[at].sort_values("symbol")[column], wanted, atol=1e-12)
