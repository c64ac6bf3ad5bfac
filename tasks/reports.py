"""The newest result of each book where a person finds it: one folder with report, pictures and tables."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from schemas.backtest import BacktestSummary
from schemas.manifest import Ref
from schemas.trading import PRESETS, MarketRules
from tasks.files import canonical_json, sha256_text
from tasks.locks import gate
from tasks.store import Store, resolve_root

SOURCE = "SOURCE.txt"


def replay_name(summary: BacktestSummary) -> str:
    """Return the name of an ad hoc backtest's report: version, window, risk profile, unusual rules.

    The same asked again has the same name; another profile never replaces it.
    """
    parts = [
        summary.version or "baselines",
        f"{summary.start:%Y%m%dT%H}",
        f"{summary.end:%Y%m%dT%H}",
        "all" if len(summary.presets) == len(PRESETS) else "-".join(summary.presets),
    ]
    if own := summary.presets.get("custom"):
        parts += [
            f"leverage{own.leverage:g}",
            f"utilization{own.target_utilization:g}",
            f"positions{own.max_positions}",
            f"stop{abs(own.stop_loss):g}",
            f"buffer{own.liquidation_buffer:g}",
        ]
    if summary.rules != MarketRules():
        parts.append("rules" + sha256_text(canonical_json(summary.rules.model_dump(mode="json")))[:6])
    return "-".join(parts)


def publish_report(tested: str, judged: str, *, book: str, name: str, stressed: str = "") -> Path:
    """Lay a backtest's tables and its report into `reports/<book>/<name>/`.

    What lies there is a copy for people; the artifacts stay what programs read.

    Args:
        tested: Ref of the backtest.
        judged: Ref of its judgement.
        book: Whose.
        name: Such as a version.
        stressed: Ref of the stress tests of the same run; empty is none.

    Returns:
        The path of report.html.
    """
    return lay_out([Ref.parse(ref) for ref in (tested, stressed, judged) if ref], book=book, name=name)


def lay_out(artifacts: list[Ref], *, book: str, name: str) -> Path:
    """Copy the files of some artifacts into `reports/<book>/<name>/`, unless it already holds these.

    Args:
        artifacts: One of them has a report.html.
        book: Whose.
        name: What was in the folder of that name gives way in one step.

    Returns:
        The path of report.html.
    """
    root = resolve_root()
    store = Store(root)
    target = root / "reports" / book / name
    source = "".join(f"{ref}\n" for ref in artifacts)
    known = target / SOURCE
    # What is looked at with the gate shared is not taken away by `carryflow gc`, nor is what was used lately.
    with gate(store.gate), suppress(FileNotFoundError):
        if known.read_text(encoding="utf-8") == source:
            os.utime(target)
            return target / "report.html"
    _replace(target, [store.local(ref) for ref in artifacts], source, store.gate)
    return target / "report.html"


def _replace(target: Path, folders: list[Path], source: str, passage: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    fresh.chmod(0o755)
    try:
        for folder in folders:
            for path in folder.iterdir():
                if path.name != "manifest.json":
                    shutil.copyfile(path, fresh / path.name)
        (fresh / SOURCE).write_text(source, encoding="utf-8")
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        with gate(passage):
            if target.exists():
                target.replace(old / "old")
            fresh.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
