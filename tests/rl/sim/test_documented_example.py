"""The worked example of docs/simulator.md is what the simulator does: its tables are read and played."""

from pathlib import Path

import numpy as np
import pytest

from rl.sim.env import VectorSim
from rl.sim.margin import SIDE, liquidation_price
from rl.sim.record import Recorder
from rl.sim.state import FEE, FUNDING, PRICE, SLIPPAGE, ConfigArrays
from schemas.trading import MarginTier, MarketRules, TradingConfig
from tests.rl.sim.markets import Builder

PAGE = Path(__file__).parents[3] / "docs" / "simulator.md"
LONG, SHORT = ("XUSDT", "binance"), ("XUSDT", "bybit")
ACTIONS = {"enter, large": 21, "hold": 0, "exit": 31, "": 0}


def tables() -> list[list[dict[str, str]]]:
    """The tables of the section, as rows by column name."""
    section = PAGE.read_text("utf-8").split("## A position by hand", 1)[1].split("\n## ", 1)[0]
    found, block = [], []
    for line in [*section.splitlines(), ""]:
        if line.startswith("|"):
            block.append([cell.strip() for cell in line.strip("|").split("|")])
        elif block:
            found.append([dict(zip(block[0], row, strict=True)) for row in block[2:]])
            block = []
    return found


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_the_worked_example_of_the_documentation_is_what_the_simulator_does() -> None:
    given_rows, hours, books = tables()
    given = {row["given"]: number(row["value"]) for row in given_rows}
    events = [
        (row, name, number(hour[column]))
        for row, hour in enumerate(hours)
        for name, column in ((LONG, "long settles"), (SHORT, "short settles"))
        if hour[column]
    ]
    market = Builder(
        {LONG: [number(h["long quote"]) for h in hours], SHORT: [number(h["short quote"]) for h in hours]},
        events=events,
        half_spread=given["bid-ask spread"] / 2,
    ).build()
    rules = MarketRules(
        initial_capital=given["initial capital"],
        taker_fee={
            LONG[1]: given["taker fee of the long leg's venue"],
            SHORT[1]: given["taker fee of the short leg's venue"],
        },
        default_margin_tiers=(MarginTier(above=0, rate=given["maintenance margin rate"]),),
    )
    config = TradingConfig(
        leverage=given["leverage"],
        target_utilization=given["target utilization"],
        max_positions=int(given["max positions"]),
    )
    recorder = Recorder(market, np.ones(1, bool))
    sim = VectorSim(market, market.slot_raw.astype(np.float32), rules, 1, recorder)
    sim.reset(np.array([0]), np.array([0]), np.array([len(hours) - 1]), ConfigArrays.of([config]))
    before = sim.state.booked[0].copy()
    reward, checked = 0.0, 0
    for hour, told in zip(hours, books, strict=True):
        s, val = sim.state, sim.valuation()
        booked = s.booked[0] - before
        before = s.booked[0].copy()
        m = rules.default_margin_tiers[0].rate
        entered = bool(s.active[0, 0])
        triggers = (
            liquidation_price(s.margin[0, 0], s.quantity[0, :1], s.entry[0, 0], SIDE, m) if entered else None
        )
        shown = {
            "hour": float(s.t[0]),
            "fees": booked[FEE],
            "slippage": booked[SLIPPAGE],
            "funding": booked[FUNDING],
            "price": booked[PRICE],
            "balance": s.balance[0],
            "margin, long": s.margin[0, 0, 0],
            "margin, short": s.margin[0, 0, 1],
            "free cash": sim.free[0],
            "unrealised": val.unrealised[0].sum(),
            "closing costs": val.closing[0].sum(),
            "NLV": s.nlv[0],
            "reward": reward,
            "trigger, long": triggers[0] if triggers is not None else None,
            "trigger, short": triggers[1] if triggers is not None else None,
            "distance": float(sim.private()[0, 13]),
        }
        assert set(told) == set(shown)
        for column, value in shown.items():
            if value is None:
                assert told[column] == ""
                continue
            decimals = len(told[column].partition(".")[2])
            # A whole number in the table is exact; another is rounded to its last digit.
            allowed = 0.51 * 10**-decimals if decimals else 1e-6
            assert number(told[column]) == pytest.approx(value, abs=allowed), (told["hour"], column)
            checked += 1
        if not sim.state.done[0]:
            reward = float(sim.step(np.array([ACTIONS[hour["decision"]]])).reward[0])
    assert checked == 5 * 16 - 4
    assert recorder.trades_frame()["reason"].tolist() == ["exit"]
    assert recorder.trades_frame()["quantity"].tolist() == [40.0]


def test_numbers_in_its_sentences_follow_from_its_tables() -> None:
    _, hours, books = tables()
    rewards = sum(number(row["reward"]) for row in books)
    assert rewards == pytest.approx(0.7475, abs=2e-4)
    gained = number(books[-1]["NLV"]) - number(books[0]["NLV"])
    assert gained == pytest.approx(74.746, abs=1e-3)
    text = PAGE.read_text("utf-8")
    assert "0.7475 = 74.746 of 10,000 in percent" in " ".join(text.split())
    other = 40 * number(hours[1]["short quote"]) * number(hours[1]["short settles"])
    assert f"= {other:.3f}, and that of" in text
