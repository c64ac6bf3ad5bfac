"""Command lines that make a result again; where the data lies is left to the reader, who sees DATA."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from schemas.backtest import BacktestSummary, Ladder
from schemas.trading import PRESETS, MarketRules

_FLAGS = {  # of a risk profile that is no preset
    "leverage": "--max-leverage",
    "target_utilization": "--target-utilization",
    "max_positions": "--max-positions",
    "stop_loss": "--stop-loss-threshold",
    "liquidation_buffer": "--liquidation-buffer",
}


def differences(asked: Mapping[str, Any], usual: Mapping[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """List the values that are not the usual ones, by their path."""
    found: list[tuple[str, Any]] = []
    for name, value in asked.items():
        if value == usual.get(name):
            continue
        if isinstance(value, dict) and isinstance(usual.get(name), dict) and set(value) == set(usual[name]):
            found += differences(value, usual[name], f"{path}{name}.")
        else:
            found.append((f"{path}{name}", value))
    return found


def set_words(asked: Mapping[str, Any], usual: Mapping[str, Any], path: str = "") -> list[str]:
    """Return `--set` for every value that is not the usual one."""
    pairs = differences(asked, usual, path)
    return [word for name, value in pairs for word in ("--set", f"{name}={json.dumps(value)}")]


def replay_command(summary: BacktestSummary, book: str, *, stress: bool) -> str:
    """Return the command line that replays a backtest's version on its window.

    Args:
        summary: The backtest; of a version that the book knows.
        book: The book.
        stress: Whether its stress tests are wanted, too.
    """
    words = ["carryflow", "backtest", "--data", "DATA", "--model", str(summary.version), "--book", book]
    [*others] = [name for name in summary.presets if name not in PRESETS]
    if others:
        profile = summary.presets[others[0]].model_dump()
        words += [word for name, flag in _FLAGS.items() for word in (flag, f"{profile[name]:g}")]
    elif len(summary.presets) == 1:
        words += ["--preset", *summary.presets]
    words += ["--start", _hour(summary.start), "--end", _hour(summary.end + timedelta(hours=1))]
    words += ["--random-runs", str(summary.random_runs), "--seed", str(summary.seed)]
    if summary.ladder.cash_apr:
        words += ["--cash-apr", f"{summary.ladder.cash_apr:g}"]
    if stress:
        words.append("--stress")
    words += set_words(summary.rules.model_dump(mode="json"), MarketRules().model_dump(mode="json"), "rules.")
    usual = Ladder(cash_apr=summary.ladder.cash_apr)
    words += set_words(summary.ladder.model_dump(mode="json"), usual.model_dump(mode="json"), "ladder.")
    return shlex.join(words)


def _hour(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M}"
