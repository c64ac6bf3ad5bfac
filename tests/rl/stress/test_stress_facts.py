"""Where a profit came from, what each venue would have lacked, and how much capital the edge carries."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rl.stress.capacity import capacity
from rl.stress.concentration import concentration
from rl.stress.subject import Subject, positions
from rl.stress.transfers import _free, _level, transfers
from schemas.stress import Capacity, Transfers
from tests.rl.stress.two_coins import CONFIG, RULES, Price, Rate, flat, paying, planned, stressed, tables


def subject(price: Price = flat, rate: Rate = paying) -> Subject:
    from rl.market.assemble import assemble
    from rl.market.build import build_days

    market = assemble(list(build_days(*tables(price, rate))), RULES)
    return Subject(market, (0, market.n_hours - 1), RULES, "one", CONFIG, planned)


# -- concentration ---------------------------------------------------------------------------------------


def test_every_split_adds_up_to_the_profit_and_begins_with_the_largest_part() -> None:
    of = subject(rate=lambda s, v, h: {"AAA": 1.0, "BBB": 2.0}[s] * paying(s, v, h))
    told = of.play()
    found = concentration(told, 10_000.0)
    profit = told.curves.nlv[-1, 0] - 10_000.0
    for parts in (found.symbols, found.venues, found.weeks):
        assert sum(part.profit for part in parts) == pytest.approx(profit)
        assert sum(part.share or 0.0 for part in parts) == pytest.approx(1.0)
        assert [part.profit for part in parts] == sorted((p.profit for p in parts), reverse=True)
    assert [part.name for part in found.symbols] == ["BBB", "AAA"]
    assert [part.name for part in found.venues] == ["long bybit, short binance"]
    # 1 March 2025 is a Saturday, and the run ends on Sunday evening.
    assert [part.name for part in found.weeks] == ["2025-W09"]


def test_weeks_begin_on_monday() -> None:
    of = subject()
    told = of.play()
    told.curves.time_ms[:] += 24 * 3_600_000  # from Sunday on
    weeks = concentration(told, 10_000.0).weeks
    assert {part.name for part in weeks} == {"2025-W09", "2025-W10"}
    late = told.curves.nlv[-1, 0] - told.curves.nlv[23, 0]
    assert {part.name: part.profit for part in weeks}["2025-W10"] == pytest.approx(late)


def test_there_is_no_share_of_a_loss() -> None:
    found = concentration(subject(rate=lambda s, v, h: 0.0).play(), 10_000.0)
    assert found.symbols and all(part.share is None and part.profit < 0 for part in found.symbols)


# -- transfers -------------------------------------------------------------------------------------------


def needs(of: Subject) -> Transfers:
    told = of.play()
    held = positions(told, of.market)
    return transfers(told, held, of.market, window=of.window, capital=10_000.0, leverage=CONFIG.leverage)


def test_a_calm_run_lacks_nothing_at_any_venue() -> None:
    found = needs(subject())
    assert [need.venue for need in found.venues] == ["binance", "bybit"]
    assert all(
        need.starts_with == 5_000.0 and need.lacks == 0.0 and need.when is None for need in found.venues
    )
    assert (found.count, found.total) == (0, 0.0)
    assert found.sentence == "With 5,000 at each of 2 venues none would have lacked anything."


def test_a_venue_lacks_what_its_margins_exceed_its_balance_by() -> None:
    """A capital of 7,000 puts 3,500 at each venue, where two margins of about 2,000 are wanted from 10:00 on.

    By hand, at 10:00: both margins and the costs of both fills are gone, and binance has paid the first hour
    of AAA.
    """
    of = subject()
    told = of.play()
    held = positions(told, of.market)
    bbb = held[1].quantity * 100.0  # sized after AAA had cost its fees
    found = transfers(told, held, of.market, window=of.window, capital=7_000.0, leverage=CONFIG.leverage)
    at = {need.venue: need for need in found.venues}
    binance = (2_000 + bbb) * (1 + 0.0005 + 0.0001) - 20 * 100 * 0.0003 - 3_500
    bybit = (2_000 + bbb) * (1 + 0.00055 + 0.0001) - 3_500
    assert at["binance"].lacks == pytest.approx(binance, abs=1e-6)
    assert at["bybit"].lacks == pytest.approx(bybit, abs=1e-6)
    assert {f"{need.when:%d %H:%M}" for need in found.venues} == {"01 10:00"}
    assert found.sentence.startswith(f"With 3,500 at each of 2 venues, bybit would have lacked {bybit:,.0f}")


def test_a_transfer_levels_who_lacks_with_who_has_most() -> None:
    hours = np.array(
        [[100.0, 100.0, 100.0], [-50.0, 150.0, 200.0], [-60.0, 150.0, 200.0], [-300.0, 0.0, 300.0]]
    )
    # Hour 1: 0 lacks 50, 2 has 200: 125 moves, 75 and 75. Hour 2: 65 and 75. Hour 3: -175, 0, 175: 175.
    assert _level(hours, 1e-9) == [125.0, 175.0]


def test_margin_that_funding_has_eaten_is_not_locked_any_more() -> None:
    """A payment comes out of the leg's margin: balance and margin fall alike, and nothing is lacking."""
    costly = subject(rate=lambda s, v, h: -0.004 if v == "binance" else 0.0)  # the short pays 8 an hour
    told = costly.play()
    held = positions(told, costly.market)
    found = transfers(told, held, costly.market, window=costly.window, capital=8_100.0, leverage=1.0)
    assert {need.venue: need.lacks for need in found.venues}["binance"] == 0.0


def test_the_wallets_together_hold_the_free_cash_of_the_simulator_at_every_hour() -> None:
    """Also where funding has eaten into margins, and after they were given back."""
    of = subject(rate=lambda s, v, h: {"binance": -0.004, "bybit": 0.001}[v] if h % 3 else 0.0)
    told = of.play()
    held = positions(told, of.market)
    free = _free(told, held, of.market, ["binance", "bybit"], of.window, CONFIG.leverage)
    assert (told.curves.positions[:, 0] == 2).any() and told.curves.positions[-1, 0] == 0
    np.testing.assert_allclose(free.sum(axis=1) + 10_000.0, told.curves.free_cash[:, 0], atol=1e-8)


def test_an_idle_run_needs_no_wallets() -> None:
    of = subject()
    idle = Subject(
        of.market, of.window, RULES, "one", CONFIG, lambda market: lambda t, p, m: np.zeros(len(m), int)
    )
    assert needs(idle).sentence == "Nothing was traded, so no venue lacked anything."


# -- capacity --------------------------------------------------------------------------------------------


def test_the_capital_at_which_impact_has_eaten_the_edge_is_the_one_worked_out_by_hand() -> None:
    """Net of fees the run makes r = 0.26 %; impact takes 8 fills x 0.2 c x 0.01 x 0.2 c / depth of capital c.

    0.0026 c = 0.0032 c^2 / depth: with a depth of 1,000,000 the edge is gone at about 812,000.
    """
    found = stressed(depth=1e6).capacity
    plain = stressed().plain.return_pct / 100
    expected = plain * 1e6 / (8 * 0.2 * 0.01 * 0.2)
    assert found.edge_gone_at is not None
    assert expected / 1.02 < found.edge_gone_at < expected * 1.1 * 1.02
    assert (found.fills, found.fills_with_depth) == (4, 4)
    assert found.median_of_depth == pytest.approx(0.002, rel=1e-3)
    assert "nothing is earned any more from a capital of about 8" in found.sentence
    below = [p.return_pct for p in found.points if p.capital < found.edge_gone_at]
    assert all(value > 0 for value in below)


def test_a_depth_that_is_not_known_is_said_and_not_invented() -> None:
    found = stressed().capacity
    assert (found.fills, found.fills_with_depth, found.edge_gone_at, found.points) == (4, 0, None, ())
    assert found.sentence.startswith("The depth of the order book is unknown at all of the 4 fills")


def some_depth(returns: float) -> Capacity:
    of = subject()
    told = of.play()
    of.market.depth[:12] = 50_000.0  # known at the entries, not at the exits
    held = positions(told, of.market)
    return capacity(
        held, of.market, capital=10_000.0, impact_k=0.01, return_at=lambda c: returns - math.log(c)
    )


def test_a_depth_that_is_known_for_some_fills_makes_the_limit_an_upper_one() -> None:
    found = some_depth(math.log(3e6))
    assert (found.fills, found.fills_with_depth) == (4, 2)
    assert found.edge_gone_at is not None and 3e6 <= found.edge_gone_at <= 3.3e6
    assert "The depth is unknown at 2 of 4 fills, which have no impact here" in found.sentence


def test_an_edge_that_is_gone_already_and_one_that_never_goes_are_told_apart() -> None:
    gone = some_depth(0.0)
    assert gone.edge_gone_at == 10_000.0
    assert "with impact nothing is earned at 10,000 already" in gone.sentence
    never = some_depth(1e9)
    assert never.edge_gone_at is None and "at no capital did impact eat the profit" in never.sentence
