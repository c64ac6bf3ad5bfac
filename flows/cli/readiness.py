"""The readiness report as a person reads it."""

from __future__ import annotations

import textwrap

from flows.cli.terminal import heading, print_table
from flows.cli.versions import print_awaiting
from rl.judge.gates import counted
from schemas.health import HealthLimits, watched
from schemas.readiness import DataFacts, Readiness, TestFacts
from tasks.progress import duration
from tasks.show_paper import STATUS_HEADER, status_row
from tasks.store import resolve_root

_REQUIRED = (
    "entry_time", "symbol", "long_exchange", "short_exchange", "entry_long_price", "entry_short_price",
    "long_funding_rate", "short_funding_rate",
)  # fmt: skip


def print_report(report: Readiness) -> None:
    """Print the whole report, the verdict first and last."""
    verdict = "READY TO TRAIN" if report.ready else "NOT READY"
    print(f"Training status report, {report.generated[:16].replace('T', ' ')} UTC")
    print(f"Status: {verdict}")
    for reason in report.reasons:
        print(f"  - {reason}")
    if report.data is not None:
        _print_data(report.data)
    heading("Parts")
    print(f"Environment: {report.observation}-dim observation, {report.actions} actions")
    network = f"{report.parameters:,} parameters" if report.parameters else "not built"
    print(f"Network: {network}")
    for name, value in report.environment.items():
        print(f"{name}: {value}")
    if report.training is not None:
        heading("Training test (10 episodes of one day, drawn risk profiles)")
        _print_test(report.training)
        print(f"Checkpoints written and read again: {', '.join(report.training.checkpoints)}")
    if report.inference is not None:
        heading("Inference test (5 episodes with that model)")
        _print_test(report.inference)
    if report.pace is not None:
        pace = report.pace
        heading("Expected training time, default recipe, measured now")
        print(f"{pace.steps_per_second:,.0f} steps/s, {pace.episodes_per_minute:,.1f} episodes a minute "
              f"of {pace.episode_hours} hours each")  # fmt: skip
        print(f"1,000 episodes: {duration(60 * pace.minutes_for_1000)}")
        print(f"2,000 episodes: {duration(60 * pace.minutes_for_2000)}")
    _print_book(report)
    heading("What to type next")
    for what, command in report.commands:
        print(f"# {what}\n{command}")
    print_signs()
    print(f"\n{verdict}" + ("" if report.ready else f": {report.reasons[0]}"))


def print_signs() -> None:
    """Print what to watch in a training, when it is good, and what to do when it is not."""
    heading("What to watch")
    for sign in watched(HealthLimits()):
        print(f"{sign.name}: {sign.good}")
        for case in sign.cases:
            text = f"  {case.verdict}: {case.when}. {case.advice}"
            print(textwrap.fill(text, 100, subsequent_indent="    ", break_on_hyphens=False))


def _print_data(data: DataFacts) -> None:
    heading("Data")
    print(f"Data: {data.path}")
    print(f"Size: {data.opportunity_rows:,} opportunities, {data.history_rows:,} history rows")
    print(f"Dates: {data.first[:10]} to {data.last[:10]} ({data.days} days, {data.hours:,} hours)")
    print(f"Quarantined {data.quarantined:,} rows, dropped {data.duplicates:,} exact duplicates")
    missing = [column for column in _REQUIRED if column not in data.columns]
    print(f"Required columns: {'all present' if not missing else 'missing ' + ', '.join(missing)}")
    print(textwrap.fill(f"Columns: {', '.join(data.columns)}", 100, subsequent_indent="  "))
    if data.absent_columns:
        print(f"Optional columns that are absent: {', '.join(data.absent_columns)}")
    if data.warning:
        print(f"Warning: {data.warning}")


def _print_test(test: TestFacts) -> None:
    learned = any(episode.entropy is not None for episode in test.episodes)
    header = ["episode", "reward %", "length"] + (["policy loss", "value loss", "entropy"] if learned else [])
    rows = []
    for number, episode in enumerate(test.episodes, start=1):
        row: list[object] = [number, episode.reward_pct, episode.length]
        if learned:
            row += [_short(episode.policy_loss), _short(episode.value_loss), _short(episode.entropy)]
        rows.append(row)
    print_table(header, rows)
    print(f"Mean reward: {test.mean_pct:.2f} +- {test.deviation_pct:.2f} % ({test.seconds:.1f} s)")


def _print_book(report: Readiness) -> None:
    heading(f"Book {report.book}: {counted(report.versions, 'version')}")
    for alias, version in report.aliases.items():
        print(f"{alias}: {version or 'none (which means hold)'}")
    print_awaiting(report.awaiting, report.book, resolve_root())
    _print_paper(report)
    if report.last_runs:
        rows = [
            [
                str(run.get("time", ""))[:19].replace("T", " "),
                run.get("kind", ""),
                run.get("version", "-"),
                run.get("purpose", ""),
                str(run.get("flow_run", "") or "-"),
            ]
            for run in report.last_runs
        ]
        print("\nLast runs:")
        print_table(["time (UTC)", "what", "version", "purpose", "flow run"], rows)
    heading("Disk (MB)")
    print(", ".join(f"{part} {size:,.1f}" for part, size in report.disk.items()))


def _print_paper(report: Readiness) -> None:
    if not report.paper:
        print("Paper trading: nothing yet")
        return
    print("\nPaper trading:")
    print_table(STATUS_HEADER, [status_row(one) for one in report.paper])


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
