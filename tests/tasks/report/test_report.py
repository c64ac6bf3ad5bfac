"""The report says what the backtest says, to a person, without asking anybody for anything."""

from __future__ import annotations

import re
import warnings
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from rl.judge.gates import basic_gates, conclude
from schemas.audit import AuditedTime, AuditReport
from schemas.backtest import BacktestSummary
from schemas.health import HealthReport, Sign
from schemas.promotion import Gate, PromotionPolicy
from schemas.trading import MarketRules
from tasks.report import Fact, Lineage, write_report
from tasks.report.canvas import NARROW, WIDE, plain
from tests.tasks.report.conftest import Make

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$\\frac{1}{0}$",
    "{{ 7 * 7 }}",
    "=cmd|' /C calc'!A0",
    "https://evil.example/x.png",
    "币安人生",
    "a\nb\x00c",
    "",
)


class Page(HTMLParser):
    """The tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in {"src", "srcset", "href", "action", "data", "poster", "background"}:
                self.links.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split()).replace("\u00a0", " ").replace("\u2212", "-")


def passed(summary: BacktestSummary) -> AuditReport:
    """An audit of the backtest's version that found nothing."""
    time = AuditedTime(time=summary.start, part="test", findings=())
    return AuditReport(
        data_hash=summary.data_hash, version=summary.version, with_history=True, seed=0, presets=(),
        deciders=(), times=(time,),
    )  # fmt: skip


def render(
    folder: Path, preset: str = "moderate", policy: PromotionPolicy | None = None
) -> tuple[str, Page, list[Gate]]:
    summary = BacktestSummary.model_validate_json((folder / "backtest.json").read_text())
    gates = basic_gates(summary, preset, policy or PromotionPolicy(), passed(summary))
    decision = conclude(summary.version or "none", "challenger", preset, gates)
    path = write_report(
        folder, folder, preset=preset, decisions=[decision], quality=[Fact("Rows", "38,697")],
        lineage=[Lineage("Data", "ingest/3f9a1c20aa11bb22"), Lineage("Version", summary.version or "")],
        command="carryflow backtest v-3f9a1c20 --data data/sample",
    )  # fmt: skip
    text = path.read_text("utf-8")
    return text, Page(text), gates


def test_the_page_holds_everything_a_reader_asks_for(make_backtest: Make) -> None:
    folder = make_backtest()
    _, page, gates = render(folder)
    assert "Better than cash and greedy: the policy returned +0.84 % net of all costs." in page.text
    assert "ahead of greedy, which returned +0.47 %" in page.text
    assert "better than 8 of 8 random runs" in page.text
    assert "insufficient evidence: 16 whole days" in page.text
    for gate in gates:
        assert gate.name in page.text
        assert gate.reason in page.text
    for words in (
        "conservative",
        "moderate (judged)",
        "aggressive",
        "38,697",
        "ingest/3f9a1c20aa11bb22",
        "carryflow backtest v-3f9a1c20 --data data/sample",
        "all 7 gates hold",
        "01 May 2025, 00:00",
    ):
        assert words in page.text, words
    # The decision, the ladder, the lineage and the command; not twice in the lineage.
    assert page.text.count("v-3f9a1c20") == 4
    assert "IN-SAMPLE" not in page.text
    drawn = {path.stem for path in folder.glob("*.png")}
    assert drawn == {"equity", "drawdown", "profit", "exposure", "presets", "trades"}
    assert all((folder / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in drawn)
    assert page.tags.count("img") == 12
    assert not list(folder.glob(".*"))  # no temporary file is left


def test_the_return_under_the_other_boundary_of_funding_stands_beside_it(make_backtest: Make) -> None:
    _, page, _ = render(make_backtest())
    told = page.text.split("Settlements exactly on a fill", 1)[1].split("Gates", 1)[0]
    assert "(open, close], used here [open, close) policy +0.84 +0.77 greedy +0.47 +0.40" in told
    opened = make_backtest(rules=MarketRules(funding_boundary="open"), agent_pct=None)
    told = render(opened)[1].text.split("Settlements exactly on a fill", 1)[1].split("Gates", 1)[0]
    assert "(open, close] [open, close), used here greedy +0.47 +0.40 " in told


def test_without_a_decision_the_page_says_so_if_all_gates_hold(make_backtest: Make, tmp_path: Path) -> None:
    folder = make_backtest()
    gates = render(folder)[2]
    held = write_report(folder, tmp_path, preset="moderate", gates=gates).read_text("utf-8")
    assert "All 7 gates hold." in held
    fails = gates[0].model_copy(update={"verdict": "fail"})
    text = write_report(folder, tmp_path, preset="moderate", gates=[fails, *gates[1:]]).read_text("utf-8")
    assert "gates hold." not in text


def test_the_signs_of_the_training_stand_in_the_page_with_advice(make_backtest: Make, tmp_path: Path) -> None:
    folder = make_backtest()
    signs = (
        Sign(
            name="KL",
            value=0.1234567,
            verdict="bad",
            reading="0.123 an update",
            advice="Less <b>of</b> --n-epochs.",
        ),
        Sign(name="mean of 100 episodes", value=-0.2, verdict="watch", reading="flat: -0.20 +- 0.10 %"),
        Sign(name="clip fraction", value=0.2, verdict="good", reading="0.200 of the states"),
        Sign(name="validation", value=None, verdict="unknown", reading="not evaluated yet"),
    )
    path = write_report(folder, tmp_path, preset="moderate", health=HealthReport(signs=signs))
    text = path.read_text("utf-8")
    told = Page(text).text.split("How the training went", 1)[1]
    assert "KL 0.123 bad 0.123 an update. Less <b>of</b> --n-epochs ." in told
    assert "mean of 100 episodes -0.2 watch flat: -0.20 \u00b1 0.10 %." in told
    assert "validation unknown not evaluated yet." in told
    badges = re.findall(r'<span class="badge (\w+)">(bad|watch|good|unknown)</span>', text)
    assert badges == [("bad", "bad"), ("warn", "watch"), ("good", "good"), ("neutral", "unknown")]
    without = write_report(folder, tmp_path, preset="moderate").read_text("utf-8")
    assert "How the training went" not in without


def test_the_page_makes_no_request(make_backtest: Make) -> None:
    text, page, _ = render(make_backtest())
    assert not re.search(r"https?:|//[a-z]", re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text))
    assert all(link.startswith("data:") for link in page.links)
    assert not {"script", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in text
    assert "@import" not in text
    assert "url(" not in text


def test_hostile_names_are_only_text(make_backtest: Make) -> None:
    folder = make_backtest(symbols=HOSTILE, version="<b>v</b>", presets=("moderate", "<i>$x</i>"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that the pictures' font lacks would warn
        text, page, _ = render(folder)
    assert not {"script", "b", "i"} & set(page.tags[page.tags.index("body") :]) - {"b"}
    assert page.tags.count("img") == 12
    assert page.handlers == []
    assert all(link.startswith("data:") for link in page.links)
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in page.text
    assert "&lt;b&gt;v&lt;/b&gt;" in text
    assert "<b>v</b>" not in text


def test_a_losing_policy_is_told_so_first_and_refused(make_backtest: Make) -> None:
    _, page, _ = render(make_backtest(agent_pct=-0.31))
    assert page.text.index("No better than cash") < page.text.index("The ladder")
    assert (
        "Not promoted, because the policy returned -0.31 % net of all costs, no better than cash" in page.text
    )


def test_an_in_sample_backtest_is_stamped(make_backtest: Make) -> None:
    _, page, _ = render(make_backtest(in_sample=True))
    assert page.text.index("IN-SAMPLE") < page.text.index("The ladder")
    assert "120 of this window's hours were seen in training or validation" in page.text
    _, unknown, _ = render(make_backtest(in_sample=None))
    assert "UNKNOWN SAMPLE" in unknown.text


def test_baselines_alone_and_no_trades_and_one_preset_make_a_page(make_backtest: Make) -> None:
    folder = make_backtest(agent_pct=None, version=None, presets=("custom",))
    (folder / "presets.png").unlink(missing_ok=True)
    _, page, _ = render(folder, preset="custom")
    assert "Baselines only: no policy was judged." in page.text
    assert "Trades of greedy, custom" in page.text
    assert not (folder / "presets.png").exists()
    _, idle, _ = render(make_backtest(symbols=()))
    assert "None were made." in idle.text


def test_few_trades_are_listed_whole_and_of_many_the_best_and_worst(make_backtest: Make) -> None:
    few = tuple(f"S{i:02d}" for i in range(12))
    _, page, _ = render(make_backtest(symbols=few))
    assert all(symbol in page.text for symbol in few)
    assert "Best" not in page.text
    many = tuple(f"S{i:02d}" for i in range(40))
    folder = make_backtest(symbols=many)
    _, page, _ = render(folder)
    trades = pd.read_parquet(folder / "trades.parquet")
    own = trades[(trades["preset"] == "moderate") & (trades["policy"] == "agent")].sort_values("net_pnl")
    shown = [symbol for symbol in many if symbol in page.text]
    assert sorted(shown) == sorted([*own["symbol"].head(6), *own["symbol"].tail(6)])
    assert page.text.index("Best 6") < page.text.index("Worst 6")


def test_the_numbers_of_a_trade_add_up_to_its_result(make_backtest: Make) -> None:
    folder = make_backtest(symbols=("AAA", "BBB"))
    trades = pd.read_parquet(folder / "trades.parquet")
    trades["net_pnl"] -= 3.21  # the cost of closing what is open
    trades.to_parquet(folder / "trades.parquet")
    text, _, _ = render(folder)
    rows = re.findall(r"<tr>\s*<td>(AAA|BBB)</td>(.*?)</tr>", text, re.S)
    assert len(rows) == 2
    for _, cells in rows:
        numbers = [
            float(n.replace("\u2212", "-").replace(",", ""))
            for n in re.findall(r">([+\u2212]?[\d,.]+)<", cells)
        ]
        net, _hours, funding, price, costs, penalty = numbers[:6]
        assert net == pytest.approx(funding + price + costs + penalty, abs=0.021)


def test_the_same_backtest_gives_the_same_page(make_backtest: Make) -> None:
    folder = make_backtest(symbols=("AAA",), presets=("moderate",))
    assert render(folder)[0] == render(folder)[0]


def test_every_picture_is_drawn_for_a_phone_too(make_backtest: Make) -> None:
    text, _, _ = render(make_backtest())
    assert text.count('<img class="desk"') == text.count('<img class="phone"') == 6
    assert "width=device-width" in text
    assert "@media print" in text
    assert WIDE.width > 2 * NARROW.width


@pytest.mark.parametrize(
    ("name", "drawn"),
    [("BTCUSDT", "BTCUSDT"), ("币安", "□□"), ("a\x00b\n", "a□b□"), ("x" * 40, "x" * 15 + "…"), ("", "")],
)
def test_names_in_pictures_are_letters_the_font_has(name: str, drawn: str) -> None:
    assert plain(name) == drawn
