"""The tear sheet's sections say what was found, or that nothing was."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from rl.judge.gates import conclude
from schemas.backtest import BacktestSummary, PresetBounds, Rival
from schemas.evidence import Comparison, Evidence
from schemas.promotion import Alias, Gate, RetirementDecision
from schemas.stress import Concentration, Share, StressReport
from tasks.report import Lineage, write_report
from tasks.report.daily import daily_rows, total
from tasks.report.forest import compared, said
from tasks.report.ladder import rungs
from tasks.report.stress import MOST_PARTS, parts
from tasks.show import PICTURES
from tests.tasks.report.conftest import CAPITAL, HOURS, Make, made_evidence, made_stress
from tests.tasks.report.test_report import HOSTILE, Page

SECTIONS = (
    "The ladder", "What it proves", "Equity and drawdown", "Where the return came from", "Day by day",
    "Exposure", "Trades of the policy", "Stress", "Gates", "Data quality", "Lineage", "Make it again",
)  # fmt: skip


def gate(name: str, verdict: str = "pass", threshold: float | None = 0.0) -> Gate:
    return Gate(name=name, value=1.25, threshold=threshold, verdict=verdict, reason=f"Why {name}.")  # type: ignore[arg-type]


def sheet(
    folder: Path, evidence: Evidence | None = None, stress: StressReport | None = None, **more: object
) -> Page:
    path = write_report(folder, folder, preset="moderate", evidence=evidence, stress=stress, **more)  # type: ignore[arg-type]
    return Page(path.read_text("utf-8"))


def changed(folder: Path, **update: object) -> BacktestSummary:
    path = folder / "backtest.json"
    summary = BacktestSummary.model_validate_json(path.read_text()).model_copy(update=update)
    path.write_text(summary.model_dump_json())
    return summary


def row(page_text: str, name: str) -> str:
    """The text of the ladder's row that begins with a name."""
    table = page_text.split('class="numbers ladder"', 1)[1].split("</table>", 1)[0]
    found = [Page(part).text for part in table.split("<tr")[2:]]
    cleaned = [re.sub(r"^[^>]*>\s*", "", text) for text in found]
    return next(text for text in cleaned if text.startswith(name))


def test_the_sheet_has_every_section_in_the_order_a_sceptic_reads(make_backtest: Make) -> None:
    from tasks.report import Fact

    folder = make_backtest()
    page = sheet(
        folder, made_evidence(), made_stress(), gates=[gate("beats cash")], quality=[Fact("Rows", "38,697")],
        lineage=[Lineage("Features", "features/aa01")], command="carryflow backtest v",
    )  # fmt: skip
    body = page.text[page.text.index("judged under moderate") :]
    places = [body.index(f"{section}") for section in SECTIONS]
    assert places == sorted(places)
    assert body.index("Better than cash and greedy") < places[0]
    assert {path.stem for path in folder.glob("*.png")} == set(PICTURES), "the run's page shows them all"


def test_without_evidence_stress_and_gates_the_sheet_says_so(make_backtest: Make) -> None:
    page = sheet(make_backtest())
    assert "No evidence was worked out" in page.text
    assert "no return here has an interval" in page.text
    assert "No stress was tried" in page.text
    assert "No gate was applied." in page.text
    assert "No bound was worked out" in page.text


def test_the_daily_rows_add_up_to_the_return_and_to_their_parts(make_backtest: Make) -> None:
    folder = make_backtest()
    tables = [pd.read_parquet(folder / f"{n}.parquet") for n in ("equity", "cash_flows", "trades")]
    summary = BacktestSummary.model_validate_json((folder / "backtest.json").read_text())
    rows = daily_rows(*tables, "moderate", "agent")
    agent = summary.result("moderate", "agent")
    whole = total(rows)
    assert agent is not None
    assert whole is not None
    assert 100 * whole.change / CAPITAL == pytest.approx(agent.return_pct)
    assert whole.hours == HOURS
    assert rows[-1].nlv == pytest.approx(agent.final_nlv)
    for day in [*rows, whole]:
        assert day.change == pytest.approx(day.funding + day.costs + day.price)
    # The window begins at 7:00: the first day has 17 hours, the marks of 8:00 to 24:00.
    assert [day.hours for day in rows[:2]] == [17, 24]
    curve = tables[0].query("preset == 'moderate' and policy == 'agent'").set_index("time")["nlv"]
    assert rows[0].nlv == pytest.approx(curve[pd.Timestamp("2025-07-09T00:00Z")])
    assert sum(day.opened for day in rows) == agent.trades


def test_the_printed_days_add_up_to_the_printed_sum(make_backtest: Make) -> None:
    text = (write_report(f := make_backtest(), f, preset="moderate")).read_text("utf-8")
    table = text.split('class="numbers daily"', 1)[1].split("</table>", 1)[0]

    def numbers(part: str) -> list[list[float]]:
        rows = re.findall(r"<tr>(.*?)</tr>", part, re.S)
        cells = [re.findall(r"<td>(?:<span[^>]*>)?([+\u2212\d.,]+)<", row)[-8:] for row in rows]
        return [[float(c.replace("\u2212", "-").replace(",", "")) for c in row] for row in cells]

    body, foot = table.split("<tfoot>")
    days, (sums,) = numbers(body.split("<tbody>")[1]), numbers(foot)
    assert len(days) == 17
    for column in range(5):  # return, change, funding, costs, price
        assert sum(day[column] for day in days) == pytest.approx(sums[column], abs=0.005 * len(days))
    assert "<details>" in text, "seventeen days open at a click"


def test_the_ladder_has_a_row_per_rung_with_what_it_is_held_against(make_backtest: Make) -> None:
    folder = make_backtest()
    bound = PresetBounds(
        preset="moderate", bound_pct=6.0, plan_pct=5.5, funding_bound_pct=2.0, funding_plan_pct=1.8,
        skill={"agent": 0.2418},
    )  # fmt: skip
    rival = Rival(policy="champion", version="v-old", missing="its weights are gone")
    changed(folder, bounds=(bound,), rivals=(rival,))
    text = write_report(folder, folder, preset="moderate", evidence=made_evidence()).read_text("utf-8")
    assert row(text, "cash").endswith(
        "+18.25 [ +3.65 , +32.85 ]".replace("[ ", "[").replace(" ,", ",").replace(" ]", "]")
    )
    assert row(text, "cash at 4 %").startswith("cash at 4 % what idle capital could earn +0.18 0.00 0")
    assert "-18.90 -23.45 to -14.35" in row(text, "random") or "to" in row(text, "random")
    assert "[-3.65, +18.25]" in row(text, "greedy")
    assert "its weights are gone" in row(text, "champion")
    assert "24 %" in row(text, "policy")
    assert "insufficient evidence" in row(text, "policy")
    assert "+2.00" in row(text, "funding bound")
    assert "+6.00" in row(text, "bound")


def test_skill_that_is_not_defined_is_called_so(make_backtest: Make) -> None:
    bound = PresetBounds(
        preset="moderate", bound_pct=6.0, plan_pct=5.5, funding_bound_pct=0.1, funding_plan_pct=0.1,
        skill={"agent": None},
    )  # fmt: skip
    summary = changed(make_backtest(), bounds=(bound,))
    told = {rung.name: rung.skill for rung in rungs(summary, "moderate", None)}
    assert told["policy"] == "not defined"


def test_a_champion_that_has_seen_the_window_is_marked(make_backtest: Make) -> None:
    folder = make_backtest()
    summary = BacktestSummary.model_validate_json((folder / "backtest.json").read_text())
    agent = summary.result("moderate", "agent")
    assert agent is not None
    summary = changed(
        folder, results=(*summary.results, agent.model_copy(update={"policy": "champion"})),
        rivals=(Rival(policy="champion", version="v-old", overlap_hours=72),),
    )  # fmt: skip
    told = {rung.name: rung.note for rung in rungs(summary, "moderate", None)}
    assert told["champion"] == "v-old, has seen 72 of these hours"


def test_every_figure_of_the_evidence_is_told_in_words(make_backtest: Make) -> None:
    page = sheet(make_backtest(), made_evidence())
    for words in (
        "30 whole UTC days of the test window, 09 Jul 2025 to 08 Aug 2025",
        "30 blocks of 24 h",
        "as much as 20 independent days",
        "+18.25 % a year, between +3.65 % and +32.85 % with 95 % confidence: above nothing",
        "3 seeds of the recipe",
        "between -3.65 % and +18.25 % with 95 % confidence: it may be nothing",
        "No champion reigns.",
        "3.10 a year, of daily returns over cash.",
        "By luck alone the best of 12 worthless trials would show 1.40",
        "0.810, the probability",
        "412 days at this ratio until it would be believed; there are only 30",
        "12 distinct trials opened on overlapping windows",
    ):
        assert words in page.text, words


def test_too_little_evidence_is_told_before_its_figures_and_in_the_headline(make_backtest: Make) -> None:
    few = "insufficient evidence: 3 blocks of 24 h, 20 are needed"
    page = sheet(
        make_backtest(),
        made_evidence(
            days=3, blocks=3, over_cash=None, recipe=None, over_greedy=Comparison(excess=None, days=3,
            block_days=1, blocks=3), sharpe=None, trial_variance=None, variance_source=None,
            sharpe_of_luck=None, deflated_sharpe=None, minimum_days=None, insufficient=few,
        ),
    )  # fmt: skip
    assert f"Better than cash and greedy, but with {few}; the policy returned +0.84 %" in page.text
    proves = page.text.split("What it proves", 1)[1]
    assert proves.index("Insufficient evidence: 3 blocks") < proves.index("Days")
    assert "No interval: too few days (3)." in proves
    assert "Not claimed: insufficient evidence" in proves


def test_the_intervals_of_the_picture_are_those_a_year() -> None:
    drawn = compared(made_evidence())
    assert list(drawn) == ["over cash", "3 seeds over cash", "over greedy"]
    assert drawn["over greedy"].low == pytest.approx(-3.65)
    assert compared(made_evidence(over_cash=None, recipe=None, over_greedy=None)) == {}
    assert "No number of days" in next(
        fact.words for fact in said(made_evidence(minimum_days=None)) if fact.label == "Minimum track record"
    )


def test_stress_capacity_transfers_placebo_and_shares_are_told(make_backtest: Make) -> None:
    page = sheet(make_backtest(), None, made_stress())
    told = page.text.split("Stress", 1)[1]
    for name in ("fees x2", "venue frozen", "size against depth"):
        assert name in told
    for words in (
        "With fees x2, the policy returned +0.84 % instead of +0.84 %.",
        "With permuted rates the policy made -1.20 %. 0 of 900 settled rates",
        "No pair has a known depth. By capital: 100,000 returns +0.30 %.",
        "3 transfers of 1,250 in all would have been needed.",
        "long binance, short hyperliquid +84.00 100 %",
        "2025-W28 +84.00 100 %",
        "3 others +36.00 75 %",
    ):
        assert words in told, words


def test_parts_of_a_profit_keep_their_sum() -> None:
    shares = tuple(Share(name=str(i), profit=10.0 - i, share=0.1) for i in range(12))
    shown = parts(shares)
    assert len(shown) == MOST_PARTS + 1
    assert sum(part.profit for part in shown) == pytest.approx(sum(part.profit for part in shares))
    lost = parts([part.model_copy(update={"share": None}) for part in shares])
    assert lost[-1].share is None


@pytest.mark.parametrize("alias", ["challenger", "champion"])
def test_each_decision_stands_under_the_verdict_and_all_its_gates_below(
    make_backtest: Make, alias: Alias
) -> None:
    gates = [gate("holds"), gate("first miss", "fail"), gate("second miss", "fail"), gate("third", "fail")]
    decision = conclude("v", alias, "moderate", gates)
    page = sheet(make_backtest(), decisions=[decision])
    head, below = page.text.split("The ladder", 1)
    assert (
        f"{alias.capitalize()}. Not promoted. Why first miss. 2 more gates are missed: second miss and third."
        in head
    )
    told = below.split("Gates", 1)[1]
    assert f"{alias.capitalize()}: 1 of 4 hold" in told
    assert "pass holds 1.25 0 Why holds." in told
    assert "fail third 1.25 0 Why third." in told


def test_the_gates_of_both_aliases_stand_apart(make_backtest: Make) -> None:
    page = sheet(
        make_backtest(), gates=[gate("basic")], champion_gates=[gate("basic"), gate("proof", "fail")]
    )
    assert "Challenger: 1 of 1 hold" in page.text
    assert "Champion: 1 of 2 hold" in page.text
    assert "Champion. 1 of 2 gates missed." in page.text.split("The ladder")[0]


def test_hostile_names_in_stress_and_gates_are_only_text(make_backtest: Make) -> None:
    evil = HOSTILE[0]
    stress = made_stress(
        concentration=Concentration(symbols=(Share(name=evil, profit=1.0, share=1.0),)),
        outcomes=tuple(o.model_copy(update={"sentence": HOSTILE[1]}) for o in made_stress().outcomes),
    )
    page = sheet(
        make_backtest(), made_evidence(insufficient=evil), stress, gates=[gate(evil), gate(HOSTILE[1])],
        lineage=[Lineage(evil, HOSTILE[1])], command=evil, title=evil,
    )  # fmt: skip
    assert "script" not in page.tags
    assert page.handlers == []
    assert all(link.startswith("data:") for link in page.links)
    assert page.text.count(evil) >= 5


@pytest.mark.parametrize(("retire", "title"), [(True, "can be retired"), (False, "stays")])
def test_the_reigning_champion_is_judged_beneath_the_gates(
    make_backtest: Make, retire: bool, title: str
) -> None:
    gates = (gate("not behind cash", "fail" if retire else "pass"),)
    review = RetirementDecision(
        version="fedcba987654", preset="moderate", retire=retire, reason="It was looked at.", gates=gates
    )
    found = sheet(make_backtest(), gates=[gate("basic")], review=review).text
    told = found.split("The reigning champion", 1)[1]
    assert told.strip().startswith(title)
    assert "It was looked at." in told and "Why not behind cash." in told
    assert "The reigning champion" not in sheet(make_backtest(), gates=[gate("basic")]).text
