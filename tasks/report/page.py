"""From a backtest's files to a page a person reads: one HTML file that asks nobody for anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

from rl.judge.verdict import verdict
from schemas.backtest import POLICIES, RIVALS, BacktestSummary, PolicyName
from schemas.evidence import Evidence
from schemas.health import HealthReport
from schemas.promotion import Alias, Gate, PromotionDecision, RetirementDecision
from schemas.stress import StressReport
from tasks.report import forest
from tasks.report.daily import SHOWN_OPEN, daily_rows, total
from tasks.report.html import environment, write
from tasks.report.ladder import rungs
from tasks.report.pictures import backtest_pictures, draw
from tasks.report.stress import parts

FEW_TRADES: Final = 12  # shown whole; of more, the best and the worst six
FEW_MISSED: Final = 2  # missed gates whose reasons stand under the verdict; of more, the first one's


@dataclass(frozen=True)
class Fact:
    """A line of the data-quality summary."""

    label: str
    value: str
    level: Literal["ok", "warn"] = "ok"


@dataclass(frozen=True)
class Lineage:
    """Where something came from: an artifact, a file, a version; `reference` is a ref or a hash."""

    what: str
    reference: str


@dataclass(frozen=True)
class Judged:
    """What one alias asked, and what was decided.

    Attributes:
        alias: Which.
        gates: Every gate, those that hold included.
        decision: The decision, where one was made.
        told: Its reason in a sentence or two; empty without a decision.
    """

    alias: Alias
    gates: tuple[Gate, ...]
    decision: PromotionDecision | None
    told: str

    @property
    def missed(self) -> list[Gate]:
        """Return the gates that do not hold."""
        return [gate for gate in self.gates if gate.verdict == "fail"]


def write_report(
    backtest_dir: Path,
    out_dir: Path,
    *,
    preset: str,
    gates: Sequence[Gate] = (),
    champion_gates: Sequence[Gate] = (),
    review: RetirementDecision | None = None,
    decisions: Sequence[PromotionDecision] = (),
    evidence: Evidence | None = None,
    stress: StressReport | None = None,
    quality: Sequence[Fact] = (),
    quality_page: str = "",
    health: HealthReport | None = None,
    lineage: Sequence[Lineage] = (),
    command: str = "",
    title: str = "Backtest",
) -> Path:
    """Render report.html and its pictures from a backtest's files.

    The page holds its pictures and its style, and a policy that forbids it any request. Text from files
    (symbols, venues, names) is escaped.

    Args:
        backtest_dir: Folder with backtest.json, equity.parquet, trades.parquet and cash_flows.parquet.
        out_dir: Where report.html and the PNG files go; may be the same folder.
        preset: The risk profile that is judged; the others are shown beside it.
        gates: Every gate of the challenger that was applied.
        champion_gates: Every gate of the champion that was applied.
        review: Whether the reigning champion is still fit to reign, where one was replayed.
        decisions: What promotion made of them, by alias, if it was asked; a decision brings its own gates.
        evidence: What the returns prove; without it the page says that nothing is.
        stress: What became of the result under stress; without it the page says that nothing was tried.
        quality: The data-quality summary.
        quality_page: Name of the data-quality report that lies beside this one, if there is one.
        health: The signs of the training that made the policy, if it is known.
        lineage: What this backtest was made from.
        command: The command line that makes it again.
        title: What is backtested, for the page's title.

    Returns:
        The path of report.html.
    """
    summary = BacktestSummary.model_validate_json((backtest_dir / "backtest.json").read_text("utf-8"))
    equity, trades, flows = (
        pd.read_parquet(backtest_dir / f"{name}.parquet") for name in ("equity", "trades", "cash_flows")
    )
    subject: PolicyName = "agent" if summary.result(preset, "agent") is not None else "greedy"
    own = trades[(trades["preset"] == preset) & (trades["policy"] == subject)]
    judged = _by_alias({"challenger": gates, "champion": champion_gates}, decisions)
    best, worst = _notable(own)
    days = daily_rows(equity, flows, trades, preset, subject)
    result = summary.result(preset, subject)
    asked = next((told.gates for told in judged if told.alias == "champion"), ())
    page = (
        environment()
        .get_template("report.html")
        .render(
            title=title,
            summary=summary,
            preset=preset,
            subject=subject,
            verdict=verdict(summary, preset, evidence, asked),
            result=result,
            greedy=summary.result(preset, "greedy"),
            ladder=rungs(summary, preset, evidence),
            sharpe_note="" if result is None else result.sharpe_note,
            evidence=evidence,
            said=[] if evidence is None else forest.said(evidence),
            table=[
                (name, [r for p in POLICIES if (r := summary.result(name, p))]) for name in summary.presets
            ],
            pictures=draw(
                backtest_pictures(summary, equity, own, preset, subject, evidence, stress), out_dir
            ),
            days=days,
            sums=total(days),
            shown_open=SHOWN_OPEN,
            closed_by=set(own["reason"]),
            n_trades=len(own),
            best=best,
            worst=worst,
            stress=stress,
            parts=parts,
            judged=judged,
            review=review,
            quality=list(quality),
            quality_page=quality_page,
            health=health,
            lineage=[item for item in lineage if item.reference != summary.version],  # it has its own line
            command=command,
        )
    )
    path = out_dir / "report.html"
    write(path, page.encode("utf-8"))
    return path


def _by_alias(applied: dict[Alias, Sequence[Gate]], decisions: Sequence[PromotionDecision]) -> list[Judged]:
    """Return what every alias asked for which gates were applied, the challenger's first."""
    made = {decision.alias: decision for decision in decisions}
    found = []
    for alias in reversed(RIVALS):
        decision = made.get(alias)
        gates = tuple(applied[alias]) if decision is None else decision.gates
        if gates or decision is not None:
            found.append(Judged(alias, gates, decision, "" if decision is None else _told(decision)))
    return found


def _told(decision: PromotionDecision) -> str:
    """Return a decision's reason; of many missed gates the first one's, and the names of the others."""
    missed = [gate for gate in decision.gates if gate.verdict == "fail"]
    if len(missed) <= FEW_MISSED:
        return decision.reason
    first, others = missed[0], [gate.name for gate in missed[1:]]
    named = ", ".join(others[:-1]) + f" and {others[-1]}"
    return f"Not promoted. {first.reason} {len(others)} more gates are missed: {named}."


def _notable(trades: pd.DataFrame) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return all trades, best first, where they are few; else the best and the worst of them."""
    # What closing an open position would cost is in its net result, so it belongs to its costs.
    told = trades["funding"] + trades["price_pnl"] + trades["liquidation"] + trades["penalty"]
    trades = trades.assign(costs=trades["net_pnl"] - told)
    ranked = trades.sort_values(["net_pnl", "position_id"], ascending=[False, True], kind="stable")
    rows: list[dict[str, Any]] = [{str(k): v for k, v in row.items()} for row in ranked.to_dict("records")]
    if len(rows) <= FEW_TRADES:
        return rows, []
    half = FEW_TRADES // 2
    return rows[:half], rows[-half:]
