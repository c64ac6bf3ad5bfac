"""What the evidence says, for the page: its intervals as a picture, and every figure in words."""

from __future__ import annotations

from dataclasses import dataclass

from rl.judge.gates import counted, percent
from rl.judge.words import in_words
from schemas.evidence import Comparison, Evidence, Interval
from tasks.report.bars import GAIN, LOSS
from tasks.report.canvas import (
    INK,
    MUTED,
    SMALL,
    Size,
    clean,
    minus,
    new_figure,
    percent_axis,
    set_title,
    to_png,
)


@dataclass(frozen=True)
class Said:
    """One figure of the evidence."""

    label: str
    words: str


def compared(evidence: Evidence) -> dict[str, Interval]:
    """Return every interval there is, by what was compared, percent a year."""
    found = {"over cash": evidence.over_cash}
    if evidence.recipe is not None:
        found[f"{evidence.seeds} seeds over cash"] = evidence.recipe
    if evidence.over_greedy is not None:
        found["over greedy"] = evidence.over_greedy.excess
    if evidence.over_champion is not None:
        found["over the champion"] = evidence.over_champion.excess
    return {name: interval.annual() for name, interval in found.items() if interval is not None}


def forest_picture(evidence: Evidence, size: Size) -> bytes:
    """Draw each mean with its interval; one that reaches nothing is grey."""
    rows = compared(evidence)
    figure = new_figure(size, 0.42 * len(rows) + 0.95)
    ax = figure.subplots()
    for i, interval in enumerate(rows.values()):
        colour = GAIN if interval.low > 0 else LOSS if interval.high < 0 else "#8a7440"
        ax.plot([interval.low, interval.high], [-i, -i], color=colour, linewidth=2.4, solid_capstyle="butt")
        ax.plot(interval.mean, -i, marker="D", markersize=6, color=colour, markeredgecolor="white")
        low, high, mean = (minus(percent(v)) for v in (interval.low, interval.high, interval.mean))
        text = f"{mean}  [{low}, {high}]"
        if size.narrow:
            text = text.replace(" %", "")
        ax.annotate(
            text, (interval.mean, -i), xytext=(0, 7), textcoords="offset points", ha="center",
            fontsize=SMALL, color=INK, annotation_clip=False, zorder=5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
    ax.axvline(0.0, color=INK, linewidth=0.9)
    ax.set_yticks([-i for i in range(len(rows))], list(rows))
    ax.set_ylim(-len(rows) + 0.5, 0.75)
    clean(ax, grid="x")
    ax.tick_params(axis="y", labelcolor=INK)
    percent_axis(ax, "x")
    ax.margins(x=0.22 if size.narrow else 0.12)
    confidence = f"{100 * evidence.confidence:g} % intervals"
    set_title(
        ax, f"Mean return, percent a year, {confidence}" if not size.narrow else f"% a year, {confidence}"
    )
    if all(v.low <= 0 <= v.high for v in rows.values()):
        ax.set_xlabel("none of them excludes zero", fontsize=SMALL, color=MUTED)
    return to_png(figure)


def said(evidence: Evidence) -> list[Said]:
    """Tell every figure of the evidence in words."""
    when = (
        f", {evidence.start:%d %b %Y} to {evidence.end:%d %b %Y}" if evidence.start and evidence.end else ""
    )
    source = "the walk-forward's joined curve" if evidence.source == "walk-forward" else "the test window"
    told = [
        Said("Days", f"{counted(evidence.days, 'whole UTC day')} of {source}{when}"),
        Said("Blocks", _blocks(evidence)),
        Said("Return over " + _cash(evidence), _interval(evidence.over_cash, evidence)),
        Said("Seeds", _seeds(evidence)),
        Said("Return over greedy", _comparison(evidence.over_greedy, evidence, "Greedy was not replayed.")),
        Said(
            "Return over the champion",
            _comparison(evidence.over_champion, evidence, "No champion reigns."),
        ),
        Said("Sharpe ratio", _sharpe(evidence)),
        Said("Deflated Sharpe ratio", _deflated(evidence)),
        Said("Minimum track record", _record(evidence)),
        Said(
            "Trials",
            f"{counted(evidence.trials, 'distinct trial')} opened on overlapping windows, this one included",
        ),
    ]
    return told


def _cash(evidence: Evidence) -> str:
    return "cash" if evidence.cash_apr == 0 else f"cash at {evidence.cash_apr:g} %"


def _blocks(evidence: Evidence) -> str:
    blocks = f"{counted(evidence.blocks, 'block')} of {24 * evidence.block_days} h."
    if evidence.persistence <= 0:
        return f"{blocks} The days do not remember each other."
    return (
        f"{blocks} A day tells something of the next (autocorrelation {evidence.persistence:.2f}), so they "
        f"tell as much as {counted(round(evidence.effective_days), 'independent day')}."
    )


def _interval(interval: Interval | None, evidence: Evidence) -> str:
    if interval is None:
        return "No interval: too few days."
    return _judged(interval, evidence)


def _judged(interval: Interval, evidence: Evidence) -> str:
    words = in_words(interval, evidence.confidence)
    if interval.low > 0:
        return f"{words}: above nothing"
    if interval.high < 0:
        return f"{words}: below nothing"
    return f"{words}: it may be nothing"


def _seeds(evidence: Evidence) -> str:
    if evidence.recipe is None:
        return "One: how the recipe does with another seed is not known."
    return (
        f"{counted(evidence.seeds, 'seed')} of the recipe; their inter-quartile mean over {_cash(evidence)}: "
        f"{_judged(evidence.recipe, evidence)}"
    )


def _comparison(found: Comparison | None, evidence: Evidence, absent: str) -> str:
    if found is None:
        return absent
    if found.excess is None:
        return f"No interval: too few days ({found.days})."
    days = f"Over {counted(found.days, 'day')} that both have and neither was trained on"
    return f"{days}: {_judged(found.excess, evidence)}"


def _sharpe(evidence: Evidence) -> str:
    if evidence.sharpe is None:
        return f"Not claimed: {evidence.insufficient or 'the returns do not vary'}"
    words = f"{evidence.sharpe:.2f} a year, of daily returns over {_cash(evidence)}"
    if evidence.sharpe_of_luck is None:
        return words
    seen = {
        "trials": "as the ratios of these trials spread",
        "sampling": "as chance spreads the ratio of one",
        None: "",
    }[evidence.variance_source]
    return (
        f"{words}. By luck alone the best of {counted(evidence.trials, 'worthless trial')} would show "
        f"{evidence.sharpe_of_luck:.2f}{', ' + seen if seen else ''}."
    )


def _deflated(evidence: Evidence) -> str:
    if evidence.deflated_sharpe is None:
        return "Not claimed."
    return f"{evidence.deflated_sharpe:.3f}, the probability that the ratio is above that of luck"


def _record(evidence: Evidence) -> str:
    if evidence.sharpe is None:
        return "Not claimed."
    if evidence.minimum_days is None:
        return "No number of days would do: the ratio is not above that of luck."
    verdict = "there are" if evidence.days >= evidence.minimum_days else "there are only"
    needed = f"{evidence.minimum_days:,.0f} days at this ratio until it would be believed"
    return f"{needed}; {verdict} {evidence.days}"
