"""A held pair that left the opportunity list: marked and charged from the history, stale without one."""

from pathlib import Path

import pytest

from rl.backtest import run_backtest
from schemas.trading import MarketRules
from tasks.report import write_report
from tests.rl.market.market_frames import offer, stamp
from tests.rl.sim.held import FREE, ONE_TIMES, booked, by_plan, every_hour, hold, market_of

# AAA is on offer from 8:00 to 10:00, BBB to the end. In at 9:00, 50 coins on each leg at 100.
OFFERS = [
    *every_hour(offer, 8, 10, entry_short_price=100.0, short_funding_rate=0.002),
    *every_hour(offer, 8, 18, symbol="BBB"),
]
PLAN = {"08:00": "enter"}
# The history goes on: at 16:00 the short venue settles at -0.003, with its price at 104 since 12:00.
HISTORY = [
    *every_hour(stamp, 8, 18, venue="bybit"),
    *every_hour(stamp, 8, 11, venue="binance"),
    *every_hour(stamp, 12, 15, venue="binance", price=104.0),
    stamp("16:00", venue="binance", price=104.0, rate=-0.003),
    *every_hour(stamp, 17, 18, venue="binance", price=103.0),
]


def test_funding_that_turned_against_us_after_the_pair_left_the_list_is_charged_from_the_history() -> None:
    market = market_of(OFFERS, HISTORY)
    left = [market.symbols[market.pair_long[p]] for p in market.slot_pair[4] if p >= 0]
    assert "AAA" not in left
    told = hold(market, PLAN)
    # The short pays 50 x 104 x 0.003 = 15.60, out of its margin of 5,000; the last row had promised
    # it 0.002. The long leg's venue settles nothing: its newest known rate, 0.0001, is due: 0.50.
    assert booked(told) == [
        ("16:00", "long", pytest.approx(-0.5)),
        ("16:00", "short", pytest.approx(-15.6)),
    ]
    assert told.state.margin[0, 0, 1] == pytest.approx(5_000 - 15.6)
    # Marked every hour: the short is 4 down from 12:00, 3 from 17:00; then what was paid.
    at_13, at_18 = told.curves.nlv[5, 0], told.curves.nlv[10, 0]
    assert at_13 == pytest.approx(10_000 - 50 * 4)
    assert at_18 == pytest.approx(10_000 - 50 * 3 - 0.5 - 15.6)
    assert told.state.active[0, 0]


def test_without_a_history_the_pair_goes_stale_and_the_report_counts_it(tmp_path: Path) -> None:
    # The last quotes are of 10:00: three hours old at 13:00, which is allowed, and four at 14:00. Closed
    # there at 100 and 100 with 0.5 % of 5,000 on each leg, before any settlement.
    market = market_of(OFFERS)
    summary = run_backtest(
        market, (0, market.n_hours - 1), by_plan(market, "AAA", PLAN), FREE, {"moderate": ONE_TIMES},
        out_dir=tmp_path, random_runs=0,
    )  # fmt: skip
    agent = summary.result("moderate", "agent")
    assert agent is not None
    assert (agent.stale_exits, agent.open_at_end) == (1, 0)
    assert agent.split.penalty == pytest.approx(-2 * 50 * 100 * 0.005)
    assert agent.final_nlv == pytest.approx(10_000 - 50)
    page = write_report(tmp_path, tmp_path, preset="moderate").read_text("utf-8")
    table = page.split("Every policy under every preset", 1)[1]
    row = table.split('<tr class="agent">', 1)[1].split("</tr>", 1)[0]
    cells = [cell.split("</td>")[0] for cell in row.split("<td>")[1:]]
    assert cells[11] == "1"  # stale exits
    assert "stale quote" in page
    told = hold(market, PLAN)
    assert told.trades["closed"].dt.hour.tolist() == [14]
    assert told.trades["reason"].tolist() == ["stale"]


def test_until_it_is_stale_it_is_charged_the_last_known_rate_and_then_only_if_it_pays() -> None:
    # Hourly funding: the short earns 0.002 an hour (10.00) at 10:00 to 13:00; at 14:00 its quote is stale
    # and it earns nothing. The long leg pays 0.0001 (0.50) at 10:00 to 14:00, stale or not.
    hourly = {"long_funding_interval_hours": 1.0, "short_funding_interval_hours": 1.0}
    market = market_of([row | hourly if row["symbol"] == "AAA" else row for row in OFFERS])
    told = hold(market, PLAN, MarketRules(**(FREE.model_dump() | {"stale_penalty": 0.0})))
    long = [(clock, amount) for clock, leg, amount in booked(told) if leg == "long"]
    short = [(clock, amount) for clock, leg, amount in booked(told) if leg == "short"]
    assert long == [(f"{h}:00", pytest.approx(-0.5)) for h in range(10, 15)]
    assert short == [(f"{h}:00", pytest.approx(10.0)) for h in range(10, 14)] + [("14:00", 0.0)]
    assert told.estimated[0] == 10
    assert told.state.balance[0] == pytest.approx(10_000 + 40 - 2.5)
