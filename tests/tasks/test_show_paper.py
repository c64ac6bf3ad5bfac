"""What a run of paper trading puts on its page."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.paper import LateRows, PaperFill, PaperLine, PaperPortfolio, PaperPosition, PaperRun
from schemas.prediction import Choice
from tasks.report.canvas import NARROW
from tasks.report.paper import paper_picture
from tasks.report.paper_page import Told, write_paper
from tasks.show_paper import paper_markdown
from tests.tasks.report.browser import CHROMIUM, WHY_NOT, blank, look

START = datetime(2025, 9, 1, tzinfo=UTC)
HOLD = Choice(action=0, name="hold", kind="hold", probability=0.9)
FILL = PaperFill(
    kind="open", position_id=0, symbol="A|B", long_venue="binance", short_venue="bybit", quantity=2.0,
    price=(100.0, 101.0), reason="entry",
)  # fmt: skip
HELD = PaperPosition(
    slot=0, serial=0, symbol="A|B", long_exchange="binance", short_exchange="bybit", opened=START,
    quantity=2.0, flows=1.25, costs=0.1, entry=(100.0, 101.0), margin=(50.0, 50.0),
    maintenance=(0.005, 0.005), maintenance_amount=(0.0, 0.0), mark=(102.0, 103.0), sums={}, estimated=0,
)  # fmt: skip


def lines(*nlv: float, moved: int = -1) -> list[PaperLine]:
    return [
        PaperLine(
            hour=START + timedelta(hours=i), alias="challenger", preset="moderate", segment=1, version="v",
            begins="challenger was moved" if i in (0, moved) else None, fills=(FILL,) if i == 1 else (),
            nlv=value, drawdown=0.0, balance=value, free_cash=value, unrealised=0.0, closing_costs=0.0,
            positions=0, gross_notional=0.0, decision=HOLD,
        )
        for i, value in enumerate(nlv)
    ]  # fmt: skip


def portfolio() -> PaperPortfolio:
    return PaperPortfolio(
        alias="challenger", preset="moderate", version="0123456789ab", segment=1, hour=START, hours=1,
        since=START, decided=3, nlv=10_100.0, return_pct=1.0, drawdown=0.02, funding=12.5, costs=-3.0,
        trades=4, ended=False, late_rows=LateRows(history=7),
        held="no fresh data: nothing arrived in this hour", decision=HOLD, order=None, open=(HELD,),
    )  # fmt: skip


def test_the_page_tells_equity_positions_decisions_fills_and_late_rows() -> None:
    done = PaperRun(book="desk", said=("7 late rows.",), portfolios=(portfolio(),))
    text = paper_markdown(done, {"challenger, moderate": lines(1e4, 1.01e4)}, "![p](data:)")
    assert "- 7 late rows." in text and "![p](data:)" in text
    assert "| 0123456789ab | 2025-09-01 00:00 | 3 | 10,100 | 1 | 2 | 12.5 | -3 | 4 | 1 | 7 |" in text
    assert (
        "| challenger, moderate | A\\|B binance / bybit | 2025-09-01 00:00 | 2 | 100 | 101 | 102 | 103 |"
        in text
    )
    assert "no fresh data: nothing arrived in this hour" in text
    assert "| 2025-09-01 01:00 | challenger, moderate | open | A\\|B | binance / bybit |" in text


def told(symbol: str, hours: int = 60) -> Told:
    fill = FILL.model_copy(update={"symbol": symbol})
    held = HELD.model_copy(update={"symbol": symbol})
    nlv = [1e4 * (1 + 0.0001 * i) for i in range(hours)]
    ledger = [
        line.model_copy(
            update={
                "fills": (fill,) if i == 57 else (),
                "decision": HOLD.model_copy(update={"name": f"enter {symbol}"}),
                "late_rows": LateRows(history=2) if i == 58 else LateRows(),
            }
        )
        for i, line in enumerate(lines(*nlv, moved=40))
    ]  # fmt: skip
    stands = portfolio().model_copy(update={"open": (held,), "decided": hours})
    return Told("challenger, moderate", stands, ledger)


def test_the_whole_page_tells_moves_the_last_fifty_decisions_and_late_rows(tmp_path: Path) -> None:
    text = write_paper(tmp_path / "p.html", "desk", [told("BTC")], START).read_text(encoding="utf-8")
    assert "On paper: challenger, moderate +1.00\u00a0% in 60 hours." in text
    assert text.count('<td class="left wraps">enter BTC') == 50
    assert text.count("challenger was moved") == 2
    assert "7 late rows of history" in text and "open BTC <small>binance / bybit, entry</small>" in text
    assert "default-src 'none'" in text and "<script" not in text


@pytest.mark.parametrize(
    "symbol", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "A|B", "[x](javascript:1)"]
)
def test_a_hostile_symbol_is_text_on_the_page(tmp_path: Path, symbol: str) -> None:
    text = write_paper(tmp_path / "p.html", "<b>desk", [told(symbol)], START).read_text(encoding="utf-8")
    assert html.escape(symbol) in text
    for tag in ("<script", "<img src=x", "<b>desk"):
        assert tag not in text


@pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
@pytest.mark.parametrize("width", [400, 1200])
def test_the_page_fits_a_phone_and_a_desk(tmp_path: Path, width: int) -> None:
    two = [told("BTC"), told("VERYLONGSYMBOLNAME" * 4)]
    two[1] = Told(
        "champion, conservative",
        two[1].stands,
        [line.model_copy(update={"alias": "champion"}) for line in two[1].lines],
    )
    seen = look(write_paper(tmp_path / "p.html", "desk", two, START), tmp_path, width)
    assert seen.overhang == 0 and seen.loaded == [True]
    [(_, at)] = seen.pictures
    assert not blank(seen.cut(at))


def test_without_portfolios_the_page_says_why() -> None:
    text = paper_markdown(PaperRun(book="desk", said=("Nothing to follow.",)), {})
    assert "Nothing to follow." in text and "Open positions" not in text


def test_the_picture_shows_equity_and_where_the_alias_moved() -> None:
    flat = paper_picture({"challenger, moderate": lines(1e4, 1e4, 1e4)})
    assert flat.startswith(b"\x89PNG")
    assert paper_picture({"challenger, moderate": lines(1e4, 1e4, 1e4)}) == flat, "the same every time"
    once, twice = (paper_picture({"challenger, moderate": lines(1e4, 1e4, 1e4, moved=i)}) for i in (1, 2))
    assert len({flat, once, twice}) == 3, "a tick where it moved"
    assert paper_picture({"challenger, moderate": lines(1e4, 1.1e4, 1e4)}, NARROW) != flat
