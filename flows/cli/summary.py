"""How a run ended, as a person reads it in the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.cli.terminal import heading, print_table
from rl.judge.words import evidence_words
from schemas.backtest import POLICIES, BacktestSummary, PolicyName
from schemas.checkpoint import TRAINING, TrainingResult
from schemas.evidence import Evidence
from schemas.health import HealthReport
from schemas.judgement import EVIDENCE
from schemas.manifest import Ref
from schemas.promotion import PromotionDecision
from schemas.stress import STRESS, StressReport
from tasks.progress import duration
from tasks.reports import publish_report, replay_name
from tasks.show import STRESS_HEADER, stress_rows
from tasks.show_seeds import SEED_HEADER, seed_rows, spread_words
from tasks.store import Store, resolve_root
from tasks.verdicts import read_gates

_NAMES: Mapping[PolicyName, str] = {
    "agent": "policy", "random": "random (mean)", "flip": "hold until flip"
}  # fmt: skip


def print_run(result: Mapping[str, Any], *, book: str, preset: str, seconds: float) -> None:
    """Print what `data_to_model` returned: backtest, stress, gates, evidence, both verdicts, the report."""
    summary = read_backtest(result["backtest"])
    print_results(summary, preset)
    print_stress(result["stress"])
    print_gates(result["judgement"], preset)
    print_evidence(result["judgement"])
    print_review(result["judgement"], book)
    decisions = [PromotionDecision.model_validate(told) for told in result["decisions"].values()]
    print()
    for decision in decisions:
        _fill(f"{decision.alias.capitalize()}: {decision.reason}", "  ")
    version = decisions[0].version
    report = publish_report(
        result["backtest"], result["judgement"], book=book, name=version, stressed=result["stress"]
    )
    print_training_facts(result["model"])
    print_seeds(result.get("seeds", []))
    print(f"Version: {version} (book {book})")
    print(f"Report: {shown_path(report)}")
    print(f"Took {duration(seconds)}.")


def print_seeds(trained: Sequence[Mapping[str, Any]]) -> None:
    """Print what several seeds of the recipe reached, the candidate first; nothing where there was one."""
    if not trained:
        return
    heading("Seeds")
    print_table(SEED_HEADER, seed_rows(trained, trained[0]["seed"]))
    print()
    _fill(spread_words(trained))


def print_backtest(result: Mapping[str, Any], *, book: str) -> Path:
    """Print what the `backtest` flow returned, and return where its report is."""
    summary = read_backtest(result["backtest"])
    presets = list(summary.presets)
    print_results(summary, "moderate" if "moderate" in presets else presets[0])
    if result["stress"]:
        print_stress(result["stress"])
    print_evidence(result["judgement"])
    print_review(result["judgement"], book)
    name = replay_name(summary)
    report = publish_report(
        result["backtest"], result["judgement"], book=book, name=name, stressed=result["stress"]
    )
    print(f"\nReport: {shown_path(report)}")
    return report


def print_gates(judged: str, preset: str) -> None:
    """Print every gate of a judgement once, with the aliases it is asked of; the verdicts give reasons."""
    heading(f"Gates ({preset})")
    found = read_gates(Store(resolve_root()).local(Ref.parse(judged)))
    print_table(
        ["gate", "asked of", "verdict", "measured", "threshold"],
        [[g.name, " and ".join(whose), g.verdict, g.value, g.threshold] for g, whose in found.asked()],
    )


def print_evidence(judged: str) -> None:
    """Print what a judgement says is proven."""
    path = Store(resolve_root()).local(Ref.parse(judged)) / EVIDENCE
    if not path.is_file():
        return
    heading("Evidence")
    for sentence in evidence_words(Evidence.model_validate_json(path.read_text(encoding="utf-8"))):
        _fill(sentence, "  ")


def print_review(judged: str, book: str) -> None:
    """Print whether the reigning champion is still fit to reign, and what to type if it is not."""
    review = read_gates(Store(resolve_root()).local(Ref.parse(judged))).review
    if review is None:
        return
    heading("The reigning champion")
    _fill(review.reason, "  ")
    if review.retire:
        print(f"  carryflow registry retire champion --book {book} --reason ...")


def print_stress(stressed: str) -> None:
    """Print what became of the policy under every stress, and what its profit rests on."""
    path = Store(resolve_root()).local(Ref.parse(stressed)) / STRESS
    report = StressReport.model_validate_json(path.read_text(encoding="utf-8"))
    heading(f"Stress ({report.preset})")
    print_table(STRESS_HEADER, stress_rows(report))
    print()
    for sentence in (report.placebo.sentence, report.capacity.sentence, report.transfers.sentence):
        if sentence:
            _fill(sentence)


def _fill(text: str, indent: str = "") -> None:
    print(textwrap.fill(text, 100, subsequent_indent=indent, break_on_hyphens=False))


def print_training(result: Mapping[str, Any], copied: list[Path], *, seconds: float) -> None:
    """Print what the `train` flow returned, and where the checkpoints are."""
    print_training_facts(result["model"])
    for path in copied:
        print(f"  {shown_path(path)}")
    print(f"Took {duration(seconds)}.")


def print_training_facts(model: str) -> None:
    """Print how a training ended, what to do about one that was cut short, and what was wrong with it."""
    facts = Store(resolve_root()).manifest(Ref.parse(model)).summary
    cut = "" if facts["finished"] else ", cut short by the time budget: the same command goes on"
    best = facts["validation_pct"]
    chosen = "" if best is None else f"; best on validation {best:+.2f} %"
    print(f"Trained {facts['episodes']:,} episodes ({facts['updates']:,} updates{cut}){chosen}.")
    path = Store(resolve_root()).local(Ref.parse(model)) / TRAINING
    health = TrainingResult.model_validate_json(path.read_text(encoding="utf-8")).health
    if health is not None:
        print_signs_to_mend(health)


def print_signs_to_mend(health: HealthReport) -> None:
    """Print the signs of a training that are not good, with what to do about them."""
    if not health.to_mend:
        known = sum(sign.verdict == "good" for sign in health.signs)
        print(f"Signs of the training: {known} good, {len(health.signs) - known} unknown.")
        return
    print("Signs of the training that are not good:")
    for sign in health.to_mend:
        text = f"  {sign.verdict}: {sign.name}, {sign.reading}. {sign.advice}"
        print(textwrap.fill(text, 100, subsequent_indent="    ", break_on_hyphens=False))


def print_results(summary: BacktestSummary, preset: str) -> None:
    """Print a backtest as one table, after the sentence that says the least flattering truth first."""
    from rl.judge.verdict import verdict

    heading(f"Backtest, {summary.start:%Y-%m-%d %H:%M} to {summary.end:%Y-%m-%d %H:%M} UTC")
    if summary.in_sample:
        print("IN-SAMPLE: the window overlaps what the policy was trained or chosen on.\n")
    rows = []
    for name in summary.presets:
        for policy in POLICIES:
            result = summary.result(name, policy)
            if result is not None:
                rows.append([
                    name, _NAMES.get(policy, policy), result.return_pct,
                    *result.split.told(summary.initial_capital), result.max_drawdown_pct,
                    float(result.trades), float(result.liquidations),
                ])  # fmt: skip
    header = [
        "preset",
        "policy",
        "return %",
        "funding",
        "costs",
        "price",
        "drawdown %",
        "trades",
        "liquidated",
    ]
    print_table(header, rows)
    print("\nFunding, costs and price, lost margins included, add up to the return.")
    said = verdict(summary, preset)
    print()
    for sentence in (f"{said.headline} ({preset})", *said.details):
        print(textwrap.fill(sentence, 100))


def read_backtest(ref: str) -> BacktestSummary:
    """Return the content of a backtest artifact."""
    folder = Store(resolve_root()).local(Ref.parse(ref))
    return BacktestSummary.model_validate_json((folder / "backtest.json").read_text(encoding="utf-8"))


def shown_path(path: Path) -> str:
    """Return a path as short as it can be typed from here."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
