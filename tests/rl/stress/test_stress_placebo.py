"""The placebo: what was settled stays, whose it was does not, and an edge in choosing coins is gone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rl.backtest import greedy_actor
from rl.baselines import ENTER_LARGE, EXIT
from rl.market.arrays import MarketArrays
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.market.known import MARKETS
from rl.market.known_rows import clean_rows
from rl.replay import Actor
from rl.sim.state import FUNDING
from rl.stress.placebo import PROJECTIONS, common_funding, deal_rates, retold
from rl.stress.placebo_run import placebo
from rl.stress.subject import ActorOf, Subject
from schemas.stress import Placebo, StressSettings
from schemas.trading import PRESETS, MarketRules
from tests.rl.market.market_frames import offer, offers, random_history, random_offers, stamp, stamps
from tests.rl.stress.two_coins import CONFIG, planned, tables

RULES = MarketRules()
SETTINGS = StressSettings(placebo_runs=2)


def known_rows(name: str, days: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of a known-answer market, as `rl.market.known.generate` would build them."""
    rng = np.random.default_rng((seed, list(MARKETS).index(name)))
    return clean_rows(MARKETS[name](24 * days, rng), rng)


def tried(rows: tuple[pd.DataFrame, pd.DataFrame], actor_of: ActorOf, rules: MarketRules = RULES) -> Placebo:
    market = assemble(list(build_days(*rows)), rules)
    subject = Subject(market, (96, market.n_hours - 1), rules, "moderate", PRESETS["moderate"], actor_of)
    return placebo(subject, subject.play(), *rows, SETTINGS)


# -- dealing ---------------------------------------------------------------------------------------------


def by_hour_and_interval(history: pd.DataFrame) -> dict:
    settled = history.dropna(subset=["funding_rate"])
    groups = settled.groupby(["timestamp", "funding_interval_hours"])["funding_rate"]
    return {key: sorted(values.tolist()) for key, values in groups}


@pytest.mark.parametrize("seed", range(4))
def test_dealing_keeps_the_rates_of_every_hour_and_interval_and_moves_nothing_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    history = random_history(rng, symbols=6)
    dealt = deal_rates(history, rng)
    assert by_hour_and_interval(dealt.history) == by_hour_and_interval(history)
    rest = [column for column in history.columns if column != "funding_rate"]
    pd.testing.assert_frame_equal(dealt.history[rest], history[rest])
    empty = history["funding_rate"].isna()
    assert (dealt.history["funding_rate"].isna() == empty).all()
    changed = (dealt.history["funding_rate"] != history["funding_rate"]) & ~empty
    assert 0 < changed.sum() <= dealt.moved <= dealt.settled == (~empty).sum()


def test_each_hour_is_dealt_anew_and_each_seed_deals_otherwise() -> None:
    hours = [f"{hour:02d}:00" for hour in range(24)]
    rows = [stamp(h, "west", f"C{c}", rate=float(c), interval=1.0) for h in hours for c in range(6)]
    one, other = (deal_rates(stamps(*rows), np.random.default_rng(seed)).history for seed in (0, 1))
    order = one["funding_rate"].to_numpy().reshape(24, 6)
    assert len({tuple(hour) for hour in order}) > 20
    assert (order != other["funding_rate"].to_numpy().reshape(24, 6)).any()
    # Every coin gets every rate about as often: 24 draws of one in six.
    assert abs(order.mean(axis=0) - 2.5).max() < 1.5


def test_other_intervals_and_other_stamps_are_not_mixed() -> None:
    rows = [
        stamp("08:00", "west", "A", rate=1.0, interval=1.0),
        stamp("08:00", "east", "A", rate=2.0, interval=8.0),
        stamp("09:00", "west", "A", rate=3.0, interval=1.0),
        stamp("09:00:00.000001", "west", "B", rate=4.0, interval=1.0),
    ]
    dealt = deal_rates(stamps(*rows), np.random.default_rng(0))
    assert dealt.history["funding_rate"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert (dealt.moved, dealt.settled) == (0, 4)


# -- rows told anew --------------------------------------------------------------------------------------


def test_under_the_true_rates_the_rows_of_a_known_market_say_what_they_said() -> None:
    """Up to the noise of the east, which settles every eighth hour only and is told in between."""
    opportunities, history = known_rows("persistent edge", 12, 0)
    again = retold(opportunities, history)
    for profit, apr, window in PROJECTIONS:
        if window:
            apart = (again[profit] - opportunities[profit]).abs()
            assert apart.max() < 100 * 3e-5  # percent; a spell is 3e-2 to 8e-2
        np.testing.assert_allclose(again[apr], 1095 * again[profit])
    same = ["entry_time", "symbol", "entry_long_price", "volume_24h", "spread_30_sample_avg"]
    pd.testing.assert_frame_equal(again[same], opportunities[same])


def test_rates_and_projections_by_hand() -> None:
    # East settles 0.008 at 0:00 and 0.016 at 8:00, per 8 h; west 0.001 an hour from 9:00 on.
    past = [
        stamp("00:00", "east", rate=0.008), stamp("08:00", "east", rate=0.016),
        *(stamp(f"{hour:02d}:00", "west", rate=0.001, interval=1.0) for hour in range(9, 12)),
    ]  # fmt: skip
    row = offer("11:30", long="west", short="east", long_funding_interval_hours=1.0,
                short_funding_interval_hours=4.0, estimated_profit_percentage=7.0)  # fmt: skip
    [told] = retold(offers(row), stamps(*past)).to_dict("records")
    assert told["short_funding_rate"] == pytest.approx(0.008)  # 0.016 per 8 h, of 4 hours
    assert told["long_funding_rate"] == pytest.approx(0.001)
    assert told["fund_profit_8h"] == pytest.approx(100 * (0.016 - 0.008))
    # Twelve hours are known of east, 0:00 to 11:00: eight at 0.008 and four at 0.016; three of west.
    east = (8 * 0.008 + 4 * 0.016) / 12
    assert told["fund_profit_24h_proj"] == pytest.approx(100 * (east - 0.008))
    assert told["fund_profit_3d_proj"] == pytest.approx(100 * (east - 0.008))
    assert told["fund_apr_24h_proj"] == pytest.approx(1095 * told["fund_profit_24h_proj"])
    assert np.isnan(told["estimated_profit_percentage"])


def test_a_row_knows_nothing_that_is_settled_after_it() -> None:
    rng = np.random.default_rng(3)
    opportunities, history = random_offers(rng), random_history(rng, symbols=5)
    cut = opportunities["entry_time"].iloc[len(opportunities) // 2]
    early = opportunities[opportunities["entry_time"] <= cut]
    known = history["timestamp"] <= cut
    later = history.assign(funding_rate=history["funding_rate"].where(known, 0.04))
    pd.testing.assert_frame_equal(retold(early, history), retold(early, later))


def test_a_row_with_a_leg_that_the_history_does_not_know_is_left_out() -> None:
    rows = offers(offer("08:00", "AAA", "east", "west"), offer("08:00", "AAA", "east", "nowhere"))
    again = retold(rows, stamps(stamp("00:00", "east", rate=0.001), stamp("00:00", "west", rate=0.001)))
    assert again["short_exchange"].tolist() == ["west"]


def test_under_the_true_rates_real_rows_say_what_they_said(real_data) -> None:
    """Shown rates exactly, projections to the digits of the file wherever 72 hours are known."""
    from benchmarks._data import read

    opportunities, history = read(real_data)
    again = retold(opportunities, history)
    assert len(again) == len(opportunities)
    for side in ("long", "short"):
        assert (again[f"{side}_funding_rate"] == opportunities[f"{side}_funding_rate"]).all()
    for profit, _, _ in PROJECTIONS:
        apart = (again[profit] - opportunities[profit]).abs()
        assert (apart < 1e-6).mean() > 0.98  # percent; the first hours of a listing differ


# -- the common part -------------------------------------------------------------------------------------


def test_the_common_part_is_funding_at_the_mean_rate_of_the_hour_and_interval() -> None:
    rows = tables(rate=lambda s, v, h: {"AAA": 0.0006, "BBB": 0.0002}[s] if v == "binance" else 0.0)
    market = assemble(list(build_days(*rows)), RULES)
    told = Subject(market, (0, market.n_hours - 1), RULES, "one", CONFIG, planned).play()
    # The four instruments have a mean of 0.0002: longs pay what shorts get.
    assert common_funding(told.flows, rows[1]) == pytest.approx(0.0, abs=1e-9)
    short = told.flows[told.flows["side"] == "short"]
    earned = short[short["kind"] == "funding"]
    assert common_funding(short, rows[1]) == pytest.approx((earned["quantity"] * 100 * 0.0002).sum())
    # What the history lacks was not dealt: it is common as it is.
    assert common_funding(short, rows[1].iloc[:0]) == pytest.approx(earned["amount"].sum())


# -- what becomes of an edge -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 2])
def test_the_edge_of_greedy_on_a_persistent_market_disappears(seed: int) -> None:
    found = tried(known_rows("persistent edge", 30, seed), greedy_actor)
    assert found.plain is not None and found.beyond_pct is not None
    assert found.plain.beyond_pct > 1.0
    assert found.beyond_pct < 0.0
    assert all(run.beyond_pct < 0.0 for run in found.runs)
    assert len({run.return_pct for run in found.runs}) == len(found.runs)  # each is dealt otherwise
    assert (found.dealt, len(found.runs)) == (found.settled, 2)


def test_a_policy_that_sees_the_next_settlement_is_not_fooled_and_is_found_out() -> None:
    """It goes for the coin that will pay most in the coming hours, which no honest policy can know here."""

    def seer(market: MarketArrays) -> Actor:
        events = market.settlements
        hourly = np.zeros((market.n_hours + 25, market.n_instruments))
        np.add.at(hourly, (events.row, events.instrument), events.rate)
        ahead = np.stack([hourly[t + 2 : t + 10].sum(axis=0) for t in range(market.n_hours)])
        net = ahead[:, market.pair_short] - ahead[:, market.pair_long]

        def act(t: int, private: np.ndarray, mask: np.ndarray) -> np.ndarray:
            pairs = market.slot_pair[t]
            worth = np.where((pairs >= 0) & mask[0, ENTER_LARGE:EXIT], net[t, pairs], -np.inf)
            if mask[0, EXIT] and private[0, 15 + 2] * 72 >= 8:
                return np.full(len(mask), EXIT)
            return np.full(len(mask), ENTER_LARGE + int(worth.argmax()) if worth.max() > 0.0 else 0)

        return act

    free = MarketRules(slippage=False, taker_fee={}, default_taker_fee=0.0)
    rows = known_rows("persistent edge", 20, 2)
    found = tried(rows, seer, free)
    honest = tried(rows, greedy_actor, free)
    assert found.beyond_pct is not None and honest.beyond_pct is not None
    assert min(run.beyond_pct for run in found.runs) > 0.1
    assert max(run.beyond_pct for run in honest.runs) < 0.1


def test_the_placebo_market_is_built_of_the_dealt_rates() -> None:
    """What greedy is paid there comes from them: its funding is the sum over its own settlements."""
    opportunities, history = known_rows("persistent edge", 20, 0)
    dealt = deal_rates(history, np.random.default_rng(0)).history
    market = assemble(list(build_days(retold(opportunities, dealt), dealt)), RULES)
    true = assemble(list(build_days(opportunities, history)), RULES)
    assert (market.symbols, market.venues) == (true.symbols, true.venues)
    np.testing.assert_array_equal(market.mark, true.mark)
    subject = Subject(market, (96, market.n_hours - 1), RULES, "m", PRESETS["moderate"], greedy_actor)
    told = subject.play()
    paid = told.flows[told.flows["kind"] == "funding"]
    assert len(paid) > 20
    rate = dealt.set_index(["timestamp", "symbol", "exchange"])["funding_rate"]
    at = pd.MultiIndex.from_frame(paid[["time", "symbol", "venue"]])
    np.testing.assert_array_equal(rate.reindex(at).to_numpy(), paid["rate"].to_numpy())
    assert paid["amount"].sum() == pytest.approx(told.state.booked[0, FUNDING])


def test_what_the_policy_sees_on_the_placebo_is_made_of_the_dealt_rates() -> None:
    """Slots, projections and trailing rates: not one of them knows the true rates any more."""
    seen: list[MarketArrays] = []

    def watching(market: MarketArrays) -> Actor:
        seen.append(market)
        return greedy_actor(market)

    opportunities, history = known_rows("persistent edge", 8, 0)
    tried((opportunities, history), watching)
    true, *placebos = seen
    assert len(placebos) == SETTINGS.placebo_runs
    for number, market in enumerate(placebos):
        dealt = deal_rates(history, np.random.default_rng([SETTINGS.seed, number])).history
        expected = assemble(list(build_days(retold(opportunities, dealt), dealt)), RULES)
        for name in ("slot_pair", "slot_raw", "slot_score", "trail24", "rate"):
            np.testing.assert_array_equal(getattr(market, name), getattr(expected, name))
        assert (market.slot_pair != true.slot_pair).any()
        assert np.nanmax(np.abs(market.trail24 - true.trail24)) > 1e-4


# -- where there is none ---------------------------------------------------------------------------------


def test_without_a_history_there_is_no_placebo_and_that_is_said() -> None:
    rows = tables()
    market = assemble(list(build_days(*rows)), RULES)
    subject = Subject(market, (0, market.n_hours - 1), RULES, "one", CONFIG, planned)
    told = subject.play()
    found = placebo(subject, told, rows[0], None, SETTINGS)
    assert found.beyond_pct is None and "no market history" in found.sentence
    alone = rows[1][(rows[1]["exchange"] == "binance") & (rows[1]["symbol"] == "AAA")]
    found = placebo(subject, told, rows[0], alone, SETTINGS)
    assert found.beyond_pct is None and "No two instruments" in found.sentence
    elsewhere = rows[1].assign(exchange=rows[1]["exchange"].astype(str) + "-eu")
    found = placebo(subject, told, rows[0], elsewhere, SETTINGS)
    assert found.beyond_pct is None and "none of the pairs on offer" in found.sentence
