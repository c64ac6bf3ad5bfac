"""The pages' common ground: how templates write numbers, and how a file gets its place."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from tasks.report import canvas


def environment() -> jinja2.Environment:
    """Return what renders the templates of this folder; whatever comes from data is escaped."""
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
        "tone": lambda value: "positive" if value >= 0.005 else "negative" if value <= -0.005 else "quiet",
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


def write(path: Path, content: bytes) -> None:
    """Put a file in its place whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
