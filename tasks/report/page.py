"""From a backtest's files to a page a person reads: one HTML file that asks nobody for anything."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from rl.judge.verdict import verdict
from schemas.backtest import POLICIES, BacktestSummary, PolicyName
from schemas.evidence import Evidence
from schemas.health import HealthReport
from schemas.promotion import Gate, PromotionDecision
from schemas.stress import StressReport
from tasks.report import bars, canvas, lines

FEW_TRADES: Final = 12  # shown whole; of more, the best and the worst six


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
class Picture:
    """A picture inside the page: PNG data URIs, wide and narrow, and what it shows in words."""

    name: str
    wide: str
    narrow: str
    alt: str
    width: int
    height: int


def write_report(
    backtest_dir: Path,
    out_dir: Path,
    *,
    preset: str,
    gates: Sequence[Gate] = (),
    champion_gates: Sequence[Gate] = (),
    evidence: Evidence | None = None,
    stress: StressReport | None = None,
    decision: PromotionDecision | None = None,
    decisions: Sequence[PromotionDecision] = (),
    quality: Sequence[Fact] = (),
    health: HealthReport | None = None,
    lineage: Sequence[Lineage] = (),
    command: str = "",
    title: str = "Backtest",
) -> Path:
    """Render report.html and its pictures from a backtest's files.

    The page holds its pictures and its style, and a policy that forbids it any request. Text from files
    (symbols, venues, names) is escaped.

    Args:
        backtest_dir: Folder with backtest.json, equity.parquet and trades.parquet.
        out_dir: Where report.html and the PNG files go; may be the same folder.
        preset: The risk profile that is judged; the others are shown beside it.
        gates: Every gate that was applied for the challenger.
        champion_gates: Every gate that was applied for the champion.
        evidence: What the returns prove.
        stress: The stress tests of the same run, if there are any.
        decision: What promotion made of the challenger's, if it was asked.
        decisions: What is decided already, for either alias.
        quality: The data-quality summary.
        health: The signs of the training that made the policy, if it is known.
        lineage: What this backtest was made from.
        command: The command line that makes it again.
        title: What is backtested, for the page's title.

    Returns:
        The path of report.html.
    """
    decision = decision or next((one for one in decisions if one.alias == "challenger"), None)
    summary = BacktestSummary.model_validate_json((backtest_dir / "backtest.json").read_text("utf-8"))
    equity = pd.read_parquet(backtest_dir / "equity.parquet")
    trades = pd.read_parquet(backtest_dir / "trades.parquet")
    subject: PolicyName = "agent" if summary.result(preset, "agent") is not None else "greedy"
    own = trades[(trades["preset"] == preset) & (trades["policy"] == subject)]
    shown = _draw(summary, equity, own, preset, subject, out_dir)
    best, worst = _notable(own)
    page = (
        _environment()
        .get_template("report.html")
        .render(
            title=title,
            summary=summary,
            preset=preset,
            subject=subject,
            verdict=verdict(summary, preset),
            result=summary.result(preset, subject),
            greedy=summary.result(preset, "greedy"),
            table=[
                (name, [r for p in POLICIES if (r := summary.result(name, p))]) for name in summary.presets
            ],
            pictures=shown,
            closed_by=set(own["reason"]),
            n_trades=len(own),
            best=best,
            worst=worst,
            gates=list(decision.gates) if decision is not None else list(gates),
            decision=decision,
            quality=list(quality),
            health=health,
            lineage=[item for item in lineage if item.reference != summary.version],  # it has its own line
            command=command,
        )
    )
    path = out_dir / "report.html"
    _write(path, page.encode("utf-8"))
    return path


def _draw(
    summary: BacktestSummary,
    equity: pd.DataFrame,
    own: pd.DataFrame,
    preset: str,
    subject: PolicyName,
    out: Path,
) -> dict[str, Picture]:
    """Draw every picture, write the wide ones beside the report, and return them for the page."""
    drawn: dict[str, tuple[canvas.Draw, str]] = {
        "equity": (
            lambda size: lines.equity_picture(summary, equity, preset, size),
            f"Return of every policy over the window under {preset}.",
        ),
        "drawdown": (
            lambda size: lines.drawdown_picture(equity, preset, size),
            f"Drawdown of the policy and of greedy under {preset}.",
        ),
        "profit": (
            lambda size: bars.profit_picture(summary, size),
            "Return split into price, funding, fees and slippage for every preset.",
        ),
    }
    if len(summary.presets) > 1:
        drawn["presets"] = (
            lambda size: lines.presets_picture(summary, equity, preset, size),
            "Return of every policy under every preset, on one scale.",
        )
    if len(own):
        drawn["trades"] = (
            lambda size: bars.trades_picture(summary, own, "Positions and their net result", size),
            f"Positions of {canvas.called(subject)} under {preset} from opening to closing.",
        )
    made = {}
    for name, (draw, alt) in drawn.items():
        wide, narrow = draw(canvas.WIDE), draw(canvas.NARROW)
        _write(out / f"{name}.png", wide)
        width, height = _png_size(wide)
        made[name] = Picture(name, _data_uri(wide), _data_uri(narrow), alt, width, height)
    return made


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


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "pct": _pct,
        "tidy": _tidy,
        "called": canvas.called,
        "share": lambda value: f"{100.0 * value:.0f} %",
        "number": _number,
        "money": _money,
        "measured": _measured,
        "flags": _flags,
        "when": lambda time: f"{time:%d %b %Y, %H:%M}",
        "short": lambda time: f"{time:%d %b %H:%M}",
        "of_capital": lambda value, capital: _pct(100.0 * value / capital),
    }
    style = (Path(__file__).parent / "report.css").read_text("utf-8")
    environment.globals["style"] = Markup(style)  # our own file: nothing in it comes from data
    return environment


def _pct(value: float) -> str:
    """Write a percentage without its sign word: +1.23; a true minus sign keeps columns even."""
    text = f"{round(value, 2) + 0.0:+.2f}"
    return text.replace("-", "\u2212") if float(text) else "0.00"


def _money(value: float) -> str:
    text = f"{round(value, 2) + 0.0:+,.2f}"
    return canvas.minus(text) if round(value, 2) else "0.00"


def _measured(value: float | None) -> str:
    """Write a number of any size with three digits that count."""
    return "" if value is None else canvas.minus(f"{value:.3g}")


def _flags(sentence: str) -> Markup:
    """Keep each flag of the command line on one line; everything else stays text."""
    return Markup(re.sub(r"--[a-z-]+", r'<span class="flag">\g<0></span>', str(escape(sentence))))


def _tidy(sentence: str) -> str:
    """Keep a number and its percent sign on one line, and write a true minus and plus-minus."""
    return re.sub(r"(?<![\w-])-(?=\d)", "\u2212", sentence).replace(" %", "\u00a0%").replace("+-", "\u00b1")


def _number(value: float) -> str:
    """Write a count: whole where it is whole, else one decimal (means over runs)."""
    if 0 < value < 0.05:
        return "<0.1"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _png_size(png: bytes) -> tuple[int, int]:
    """Return width and height from the header of a PNG, so that the page does not jump while it loads."""
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
