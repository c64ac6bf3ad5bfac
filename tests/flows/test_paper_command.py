"""`carryflow paper-trade` and `carryflow paper`: what they answer, and what they refuse; and the flow."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tasks.locks import owner
from tasks.registry import Registry
from tests.flows.conftest import Answer
from tests.tasks.paper_made import GrowingFolder, kept_version, trader

Type = Callable[..., Answer]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from rl.market.synthetic import write_sample

    folder = tmp_path_factory.mktemp("market") / "sample"
    write_sample(folder, days=2, rows_per_hour=12, seed=0)
    return folder


@pytest.fixture
def live(source: Path, tmp_path: Path) -> GrowingFolder:
    return GrowingFolder(source, tmp_path / "live")


@pytest.fixture
def version(artifacts: Path, tmp_path: Path) -> str:
    version = kept_version(artifacts, "b", trader(1), tmp_path)
    Registry(artifacts, "b").move("challenger", version, reason="to follow")
    return version


def test_hours_are_decided_shown_and_checked(carryflow: Type, live: GrowingFolder, version: str) -> None:
    hours = live.hours
    live.reach(hours[20])
    first = carryflow("paper-trade", "--data", live.target, "--book", "b")
    assert first.code == 0, first.err
    assert "The champion of book b points at no version: there is nothing to follow." in first.out
    assert "challenger, moderate" in first.out and version in first.out
    live.reach(hours[30])
    more = json.loads(carryflow("paper-trade", "--data", live.target, "--book", "b", "--json").out)
    assert more["portfolios"][0]["hours"] == 10
    shown = carryflow("paper", "--book", "b")
    assert shown.code == 0
    assert "Paper portfolios of book b" in shown.out and "Decided at the newest hour" in shown.out
    assert json.loads(carryflow("paper", "--book", "b", "--json").out)["portfolios"][0]["decided"] == 11
    checked = carryflow("paper", "--book", "b", "--check", "--data", live.target)
    assert checked.code == 0
    assert "equal" in checked.out and "DIFFERS" not in checked.out
    (told,) = json.loads(carryflow("paper", "--book", "b", "--check", "--data", live.target, "--json").out)
    assert told["hours"] == 11 and told["difference"] is None


def test_the_page_of_the_portfolios_is_written_where_asked_and_opened(
    carryflow: Type,
    live: GrowingFolder,
    version: str,
    artifacts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import webbrowser

    live.reach(live.hours[20])
    carryflow("paper-trade", "--data", live.target, "--book", "b")
    live.reach(live.hours[24])
    carryflow("paper-trade", "--data", live.target, "--book", "b")
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "get", lambda: None)
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    own = tmp_path / "own.html"
    assert f"Report: {own}" in carryflow("paper", "--book", "b", "--html", own).out
    usual = artifacts / "reports" / "b" / "paper.html"
    assert not usual.exists() and opened == []
    assert carryflow("paper", "--book", "b", "--open").code == 0
    assert opened == [usual.absolute().as_uri()]
    for page in (own, usual):
        text = page.read_text(encoding="utf-8")
        assert "On paper: challenger, moderate" in text and version in text
        assert "The last 5 decisions" in text and 'src="data:image/png;base64,' in text
    machine = carryflow("paper", "--book", "b", "--json", "--html", own)
    assert json.loads(machine.out)["book"] == "b", "JSON stays JSON"
    refused = carryflow("paper", "--book", "b", "--html", tmp_path / "no" / "p.html")
    assert refused.code == 2 and "lies in a folder that does not exist." in refused.err
    assert carryflow("paper", "--book", "b", "--check", "--data", live.target, "--html", own).code == 2
    other = carryflow("paper", "--book", "c", "--html", tmp_path / "c.html")
    assert other.code == 0 and "Nothing was traded on paper in book c yet" in other.out
    assert not (tmp_path / "c.html").exists()


def test_the_readiness_report_tells_where_paper_trading_stands(
    carryflow: Type,
    live: GrowingFolder,
    version: str,
    artifacts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # no data: the report is short
    assert "Paper trading: nothing yet" in carryflow("status", "--book", "b").out
    live.reach(live.hours[20])
    carryflow("paper-trade", "--data", live.target, "--book", "b")
    late = set(live.rows("opportunities", live.hours[18], live.hours[20])[:3])
    live.reach(live.hours[22], late)
    carryflow("paper-trade", "--data", live.target, "--book", "b")
    live.reach(live.hours[24])
    carryflow("paper-trade", "--data", live.target, "--book", "b")
    [told] = json.loads(carryflow("paper", "--book", "b", "--json").out)["portfolios"]
    [kept] = json.loads(carryflow("status", "--book", "b", "--json").out)["paper"]
    assert kept == told
    words = carryflow("status", "--book", "b").out.partition("Paper trading:")[2].splitlines()
    assert words[1].split()[:3] == ["portfolio", "equity", "return"]
    assert words[3].split() == [
        "challenger,", "moderate", f"{told['nlv']:,.2f}", f"{told['return_pct']:,.2f}",
        str(len(told["open"])), *told["hour"][:16].split("T"),
        str(told["late_rows"]["opportunities"] + told["late_rows"]["history"]),
    ]  # fmt: skip
    ledger = artifacts / "books" / "b" / "paper" / "challenger-moderate" / "ledger.jsonl"
    ledger.write_bytes(ledger.read_bytes()[:-5])
    broken = carryflow("status", "--book", "b")
    assert broken.code == 1 and "was altered: it is not what was written." in broken.out


def test_a_difference_without_a_late_row_is_a_defect_and_late_rows_explain_one(
    carryflow: Type, live: GrowingFolder, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = live.hours
    for until in (hours[20], hours[26]):
        live.reach(until)
        assert carryflow("paper-trade", "--data", live.target, "--book", "b").code == 0
    with monkeypatch.context() as patch:
        patch.setattr("rl.paper_replay.figures_of", lambda sim: {"nlv": 1.0})
        wrong = carryflow("paper", "--book", "b", "--check", "--data", live.target)
    assert wrong.code == 1
    assert "DIFFERS" in wrong.out and "nlv is 1.0, not" in wrong.out
    live.reach(hours[26], set(live.rows("opportunities", hours[20] - timedelta(days=1), hours[22])[:40]))
    other = carryflow("paper", "--book", "b", "--check", "--data", live.target)
    assert other.code == 0, "the rows are not those that were decided on, and it says so"


def test_a_book_without_versions_holds_and_that_is_no_error(
    carryflow: Type, live: GrowingFolder, artifacts: Path
) -> None:
    live.reach(live.hours[20])
    answer = carryflow("paper-trade", "--data", live.target, "--book", "b")
    assert answer.code == 0
    assert answer.out == (
        "Book b has no version yet, so there is nothing to follow: `carryflow run` trains one.\n"
    )
    assert not (artifacts / "books" / "b" / "paper").exists(), "a mistyped name leaves nothing behind"
    shown = carryflow("paper", "--book", "b")
    assert shown.code == 0
    assert "Nothing was traded on paper in book b yet" in shown.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["paper-trade", "--data", "nowhere", "--book", "b"], "nowhere"),
        (["paper-trade", "--data", "{data}", "--book", "../b"], "book"),
        (["paper-trade", "--data", "{data}", "--preset", "brave"], "brave"),
        (["paper", "--book", "../b"], "book"),
        (["paper", "--check"], "--check and --data go together."),
        (["paper", "--data", "{data}"], "--check and --data go together."),
        (["paper", "--book", "b", "--check", "--data", "{data}"], "nothing was traded on paper yet."),
    ],
)
def test_mistakes_get_one_sentence_and_exit_code_two(
    carryflow: Type, live: GrowingFolder, artifacts: Path, words: list[str], said: str
) -> None:
    live.reach(live.hours[2])
    answer = carryflow(*(word.format(data=live.target) for word in words))
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert not (artifacts / "books" / "b" / "paper").exists()


def test_the_help_says_when_and_how_often(carryflow: Type) -> None:
    told = carryflow("paper-trade", "--help").out
    assert "Run it every hour" in told and "docs/paper.md" in told


def test_the_flow_trades_in_its_turn_and_shows_the_portfolios(
    live: GrowingFolder, version: str, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flows.paper_trade as module
    from schemas.params import Advanced
    from tasks import ui

    holders, pages = [], {}

    def call(step: Any, *args: Any, **kwargs: Any) -> Any:
        holders.append(owner(artifacts / "books" / "b" / "locks" / "paper.lock"))
        made = step.fn(*args, **kwargs)
        return getattr(made, "data", made)

    monkeypatch.setattr(module, "call", call)
    monkeypatch.setattr(ui, "in_run", lambda: True)
    monkeypatch.setattr(ui, "note", lambda text: None)
    monkeypatch.setattr("tasks.ui.markdown", lambda key, text, description: pages.update({key: text}))
    advanced = Advanced.model_validate({"rules": {"initial_capital": 500.0}})
    for number in (20, 32):
        live.reach(live.hours[number])
        found = module.paper_trade.fn(str(live.target), book="b", presets=("moderate",), advanced=advanced)
    assert [holder is not None and holder.purpose for holder in holders] == ["paper-trade"] * 4
    (portfolio,) = found["paper"]["portfolios"]
    assert portfolio["hours"] == 12 and 400.0 < portfolio["nlv"] < 600.0
    page = pages["paper"]
    assert "![Return on paper](data:image/png;base64," in page
    assert (
        "## Open positions" in page
        and "## Decided at the newest hour" in page
        and "## The last fills" in page
    )
    assert json.loads(json.dumps(found)) == found
    whole = artifacts / "reports" / "b" / "paper.html"
    assert f"The whole page: `{whole}`" in page and whole.is_file()
