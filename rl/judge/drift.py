"""The drift gate: whether the feed is still the one that a policy was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rl.judge.gates import counted
from schemas.drift import DriftLimits, DriftReport, DriftVerdict, FeatureDrift
from schemas.promotion import Gate

NAME: Final = "drift"
_NAMED: Final = 3


def verdict_of(found: FeatureDrift, limits: DriftLimits) -> DriftVerdict:
    """Return what a feature's numbers mean."""
    if found.psi is None:
        return "not known"
    if found.judged and _excess(found, limits)[0] > 1.0:
        return "beyond"
    if found.psi > limits.major_psi:
        return "major"
    return "watch" if found.psi > limits.watch_psi else "steady"


def ranked(report: DriftReport, limits: DriftLimits) -> list[FeatureDrift]:
    """Return the features, the one farthest from the reference first; those not judged come last."""
    return sorted(report.features, key=lambda one: (not one.judged, -_excess(one, limits)[0], one.feature))


def drift_words(report: DriftReport, limits: DriftLimits) -> str:
    """Say in a sentence or two how far recent rows are from the reference."""
    if report.against is None or report.unknown:
        return f"Drift is not known. {report.unknown}"
    judged = [one for one in ranked(report, limits) if one.judged and one.psi is not None]
    beyond = [one.feature for one in judged if verdict_of(one, limits) == "beyond"]
    moved = [one for one in judged if verdict_of(one, limits) in ("beyond", "major")]
    far = f"by a major shift (PSI above {limits.major_psi:g}) against {against_words(report)}"
    of = f"Of {counted(len(judged), 'feature')} of the {counted(report.hours, 'newest hour')}"
    if not moved:
        return f"{of}, none moved {far}."
    told = f"{of}, {len(moved)} moved {far}"
    if not beyond:
        return f"{told}, none of them beyond the limits."
    more = f" and {len(beyond) - _NAMED} more" if len(beyond) > _NAMED else ""
    return f"{told}, and beyond the limits: {', '.join(beyond[:_NAMED])}{more}."


def against_words(report: DriftReport) -> str:
    """Say what recent rows are compared with."""
    if report.champion:
        return f"the training data of the champion {report.champion}"
    return "the data set's own train window"


def drift_gates(
    report: DriftReport | None, limits: DriftLimits, *, data: str, reigning: tuple[str, str] | None
) -> Sequence[Gate]:
    """Return the gate, or none where drift is told and does not block.

    Args:
        report: What was measured; without it the gate does not hold.
        limits: How far is too far.
        data: Hash of the data set that is judged.
        reigning: The champion to be replaced and the hash of the data it was trained on; None where there is
            none, or the candidate itself reigns.
    """
    if not limits.blocks:
        return []
    if report is None or report.data != data:
        return [_unknown("The newest rows of this data set were not compared with training data.", limits)]
    if report.champion and (reigning is None or report.champion != reigning[0]):
        return [_unknown(
            f"The newest rows were compared with the training data of {report.champion}, which is not the "
            f"champion any more. Run again.", limits)]  # fmt: skip
    if not report.champion and reigning is not None and reigning[1] != data:
        return [_unknown(
            f"The newest rows were not compared with the training data of the champion {reigning[0]}. "
            f"Run again.", limits)]  # fmt: skip
    if report.against is None or report.unknown:
        return [_unknown(drift_words(report, limits), limits)]
    return [_judge(report, limits)]


def _judge(report: DriftReport, limits: DriftLimits) -> Gate:
    judged = [one for one in ranked(report, limits) if one.judged and one.psi is not None]
    if not judged:
        return _unknown("Drift is not known: no feature has a value on both sides.", limits)
    worst = judged[0]
    excess, value, threshold, what = _excess(worst, limits)
    holds = excess <= 1.0
    note = f" ({worst.note})" if worst.note else ""
    reason = (
        f"{drift_words(report, limits)} The farthest is {worst.feature}{note}: {what} of {value:.2f}, "
        f"{'within' if holds else 'above'} the {threshold:g} allowed."
    )
    if not holds:
        reason += (
            " Look at the feed before anything is promoted: a unit, an interval, a venue or a column changed,"
            " or the market did as it never has."
        )
    return Gate(
        name=NAME, value=value, threshold=threshold, verdict="pass" if holds else "fail", reason=reason
    )


def _excess(found: FeatureDrift, limits: DriftLimits) -> tuple[float, float, float, str]:
    """Return the statistic nearest to, or farthest beyond, its limit: its share of it, value, limit, name."""
    told = [(found.psi, limits.max_psi, "a PSI"), (found.ks, limits.max_ks, "a KS distance")]
    return max(
        ((value / limit, value, limit, name) for value, limit, name in told if value is not None),
        default=(-1.0, 0.0, limits.max_psi, "a PSI"),
    )


def _unknown(reason: str, limits: DriftLimits) -> Gate:
    return Gate(name=NAME, value=None, threshold=limits.max_psi, verdict="fail", reason=reason)
