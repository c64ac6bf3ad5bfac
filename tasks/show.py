"""What each step puts on its run's page: markdown with pictures that need nothing from outside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from rl.judge.words import evidence_words
from schemas.audit import AUDIT, AuditReport
from schemas.backtest import BacktestSummary, PolicyResult
from schemas.certify import CERTIFICATE, Certificate, Verdict
from schemas.checkpoint import TRAINING, TrainingResult
from schemas.evidence import Evidence
from schemas.health import HealthReport
from schemas.judgement import EVIDENCE, Judgement
from schemas.promotion import PromotionDecision
from schemas.stress import STRESS, StressReport
from tasks import ui
from tasks.cache import Cached
from tasks.live import CURVES, training_title
from tasks.progress import duration
from tasks.quality import quality_sections
from tasks.verdicts import read_gates

PICTURES = (  # in the report's order
    "evidence", "equity", "drawdown", "profit", "exposure", "trades", "stress", "presets",
)  # fmt: skip
STRESS_HEADER: Final = (
    "stress", "return %", "change", "carry %", "drawdown %", "trades", "liquidated",
)  # fmt: skip
CERTIFICATE_HEADER: Final = (
    "market", "profile", "policy", "greedy", "informed", "share %", "bar", "trades", "liquidated", "verdict",
)  # fmt: skip


def quality(dataset: Cached) -> None:
    """Show what was found in the data."""
    report = json.loads((dataset.path / "quality.json").read_text(encoding="utf-8"))
    parts = ["# Data quality"]
    for section in quality_sections(report):
        parts += [f"## {section.title}", ui.table(section.header, section.rows)]
    ui.markdown("data-quality", "\n\n".join(parts), "What was found in the data and done about it")


def training(model: Cached) -> None:
    """Show how the training went, and its curves."""
    trained = TrainingResult.model_validate_json((model.path / TRAINING).read_text(encoding="utf-8"))
    facts: list[list[Any]] = [
        ["version", model.manifest.summary.get("version")],
        ["episodes", trained.episodes],
        ["finished", trained.finished],
        ["ended by", trained.reason],
        ["updates", trained.updates],
        ["steps", trained.steps],
        ["steps per second", trained.steps_per_second],
        ["parameters", trained.parameters],
        ["best on validation (%)", trained.best.validation_pct],
        ["greedy on validation (%)", next(iter(trained.greedy_validation_pct.values()), None)],
        ["at episode", trained.best.episodes],
    ]
    name = ui.step_detail()
    parts = [f"# {training_title(name)}", ui.table(["what", "value"], facts)]
    if trained.health is not None:
        parts += ["## Signs", signs_markdown(trained.health)]
    parts.append(ui.picture(model.path / "curves.png", "Curves"))
    ui.markdown(ui.key(f"{CURVES} {name}"), "\n\n".join(parts), "How the training went")


def signs_markdown(health: HealthReport) -> str:
    """Return the signs of a training as a table, and what to do as lines of text, which the page wraps."""
    rows = [[sign.name, sign.verdict, sign.reading] for sign in health.signs]
    advice = [f"- **{sign.name}** ({sign.verdict}): {sign.advice}" for sign in health.to_mend]
    return "\n\n".join(filter(None, (ui.table(["sign", "verdict", "reading"], rows), "\n".join(advice))))


def backtest(tested: Cached) -> None:
    """Show a backtest's numbers; its pictures come with the judgement."""
    ui.markdown("backtest", backtest_markdown(read_backtest(tested)), "Every policy under every preset")


def audit(audited: Cached) -> None:
    """Show what a causality audit compared, and the first number that comes from the future, if any."""
    report = AuditReport.model_validate_json((audited.path / AUDIT).read_text(encoding="utf-8"))
    rows = [
        [f"{time.time:%Y-%m-%d %H:%M:%S}", time.part, f.kind, f.compared, *(f.differences[:1] or ("same",))]
        for time in report.times
        for f in time.findings
    ]  # fmt: skip
    said = report.first_difference
    text = "\n\n".join(
        [
            f"# Causality audit: {'passed' if report.holds else 'FAILED'}",
            said or "Garbage after each of these times changed nothing that was known by then.",
            ui.table(["time (UTC)", "part", "garbage after it", "numbers compared", "found"], rows),
        ]
    )
    ui.markdown("audit", text, "Whether anything depends on what comes later")


def stress(stressed: Cached) -> None:
    """Show what became of the policy under every stress, and what its profit rests on."""
    report = StressReport.model_validate_json((stressed.path / STRESS).read_text(encoding="utf-8"))
    ui.markdown("stress", stress_markdown(report), "The same window with one thing made worse at a time")


def stress_markdown(report: StressReport) -> str:
    """Return a stress report as markdown; sentences are lines of text, which the page wraps."""
    split = report.concentration
    parts = [("coin", split.symbols), ("venue (carry)", split.venues), ("week", split.weeks)]
    shares = [
        [kind, part.name, part.profit, None if part.share is None else 100.0 * part.share]
        for kind, found in parts
        for part in found
    ]
    said = [report.placebo.sentence, report.capacity.sentence, report.transfers.sentence]
    return "\n\n".join(
        [
            f"# Stress\n\nVersion `{report.version}` under {report.preset}, {report.start:%Y-%m-%d %H:%M} to "
            f"{report.end:%Y-%m-%d %H:%M} UTC.",
            ui.table(list(STRESS_HEADER), stress_rows(report)),
            "\n".join(f"- **{o.name}**: {o.sentence}" for o in report.outcomes),
            "\n".join(f"- {sentence}" for sentence in said if sentence),
            "## Where the profit came from",
            ui.table(["by", "which", "profit", "share %"], shares),
        ]
    )


def stress_rows(report: StressReport) -> list[list[Any]]:
    """Return the plain run and every stress, under STRESS_HEADER."""
    return [
        [o.name, o.return_pct, o.change_pct, o.carry_pct, o.max_drawdown_pct, o.trades, o.liquidations]
        for o in (report.plain, *report.outcomes)
    ]


def certificate(certified: Cached) -> None:
    """Show what a policy trained on a known-answer market did beside greedy and the informed optimum."""
    found = Certificate.model_validate_json((certified.path / CERTIFICATE).read_text(encoding="utf-8"))
    text = "\n\n".join(
        [
            f"# Known-answer market, {found.market}: {'passed' if found.holds else 'FAILED'}",
            certificate_facts(found),
            "Mean return on unseen markets (%). Greedy goes by projected APR, on the decoy by current.",
            ui.table(list(CERTIFICATE_HEADER), [certificate_row(verdict) for verdict in found.verdicts]),
        ]
    )
    ui.markdown(f"certify-{found.market.replace(' ', '-')}", text, "Whether the trainer learns what is known")


def certificate_row(verdict: Verdict) -> list[Any]:
    """Return what was measured against a bar, under CERTIFICATE_HEADER; mean returns in percent."""
    bar, share = verdict.bar, verdict.share
    return [
        bar.market,
        bar.profile,
        verdict.policy.mean_pct,
        verdict.greedy.mean_pct,
        verdict.informed.mean_pct,
        None if share is None else 100.0 * share,
        bar.wording,
        sum(verdict.policy.trades),
        sum(verdict.policy.liquidations),
        "pass" if verdict.holds else "FAIL",
    ]


def certificate_facts(found: Certificate) -> str:
    """Return a line on the training behind a certificate."""
    cut = "" if found.finished else ", cut short by the time budget: asking again goes on"
    return (
        f"{found.market}: {found.episodes:,} episodes, {found.steps:,} steps, seed {found.seed}, "
        f"{duration(found.seconds)}{cut}"
    )


def judgement(judged: Cached) -> None:
    """Show what is proven with every gate of either alias, and the report's pictures in its order."""
    gates = read_gates(judged.path)
    path = judged.path / EVIDENCE
    proven = Evidence.model_validate_json(path.read_text(encoding="utf-8")) if path.is_file() else None
    ui.markdown("evidence", evidence_markdown(gates, proven), "What the returns prove, and every gate")
    found = [ui.picture(judged.path / f"{name}.png", name) for name in PICTURES]
    text = "\n\n".join(["# Report", f"`{judged.path / 'report.html'}`", *filter(None, found)])
    ui.markdown("report", text, "The report's pictures")


def evidence_markdown(gates: Judgement, evidence: Evidence | None) -> str:
    """Return what is proven, and every gate of either alias, as markdown."""
    told = ["No policy was replayed, so nothing is proven."] if evidence is None else evidence_words(evidence)
    rows = [[g.name, " and ".join(whose), g.verdict, g.value, g.threshold] for g, whose in gates.asked()]
    return "\n\n".join(
        [
            "# Evidence",
            "\n".join(f"- {sentence}" for sentence in told),
            "## Gates",
            ui.table(["gate", "asked of", "verdict", "value", "threshold"], rows),
            "\n".join(f"- **{g.name}** ({g.verdict}): {g.reason}" for g, _ in gates.asked()),
            *([] if gates.review is None else ["## The reigning champion", gates.review.reason]),
        ]
    )


def promotion(decisions: Sequence[PromotionDecision], book: str) -> None:
    """Show the decision for each alias with every gate."""
    text = "\n\n".join(promotion_markdown(decision, book) for decision in decisions)
    ui.markdown("promotion", text, "The decision, and every gate")


def promotion_markdown(decision: PromotionDecision, book: str) -> str:
    """Return a decision as markdown; the reasons are lines of text, which the page wraps, not a column."""
    rows = [[g.name, g.verdict, g.value, g.threshold] for g in decision.gates]
    reasons = [f"- **{g.name}** ({g.verdict}): {g.reason}" for g in decision.gates]
    outcome = (
        "Promoted" if decision.promoted else "Awaiting approval" if decision.awaiting else "Not promoted"
    )
    approve = (
        f"carryflow registry promote {decision.version} --alias {decision.alias} --book {book} --reason ..."
    )
    return "\n\n".join(
        [
            f"# {decision.alias.capitalize()}: {outcome.lower()}",
            decision.reason,
            *([f"The report is on this run's page. Whoever approves types `{approve}`."]
              if decision.awaiting else []),
            f"Book `{book}`, version `{decision.version}`, judged under {decision.preset}.",
            ui.table(["gate", "verdict", "value", "threshold"], rows),
            "\n".join(reasons),
        ]
    )  # fmt: skip


def read_backtest(tested: Cached) -> BacktestSummary:
    """Return a backtest artifact's summary."""
    return BacktestSummary.model_validate_json((tested.path / "backtest.json").read_text(encoding="utf-8"))


def backtest_markdown(summary: BacktestSummary) -> str:
    """Return a backtest's numbers as markdown."""
    rows = [_result_row(result, summary.initial_capital) for result in summary.results]
    header = [
        "preset",
        "policy",
        "return %",
        "funding",
        "costs",
        "price",
        "drawdown %",
        "trades",
        "liquidations",
    ]
    stamp = "\n\n**IN-SAMPLE: the window overlaps what the policy was trained or chosen on.**"
    return (
        f"# Backtest\n\nVersion `{summary.version}`, {summary.start:%Y-%m-%d %H:%M} to "
        f"{summary.end:%Y-%m-%d %H:%M} UTC ({summary.hours} hours)."
        + (stamp if summary.in_sample else "")
        + "\n\n"
        + ui.table(header, rows)
        + "\n\nFunding, costs and price, lost margins included, add up to the return."
    )


def _result_row(r: PolicyResult, capital: float) -> list[Any]:
    split = r.split.told(capital)
    return [r.preset, r.policy, r.return_pct, *split, r.max_drawdown_pct, r.trades, r.liquidations]
