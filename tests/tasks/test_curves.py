"""The training curves: every sign has its picture, with its limits and with greedy beside the policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rl.trainer import METRIC_COLUMNS
from schemas.health import HealthLimits
from tasks.curves import draw_curves, training_figure

LIMITS = HealthLimits()


def metrics(*, own: bool = False, **columns: float) -> pd.DataFrame:
    """Thirty updates of a policy trained for every profile, or for its own."""
    frame = pd.DataFrame({name: np.full(30, 0.2) for name in METRIC_COLUMNS}).assign(**columns)
    frame["episodes"] = np.arange(1, 31) * 40.0
    presets = [
        name for name in METRIC_COLUMNS if name in ("eval_conservative", "eval_moderate", "eval_aggressive")
    ]
    frame.loc[np.arange(30) % 5 != 0, ["eval_return", *presets]] = np.nan
    return frame.assign(**dict.fromkeys(presets, np.nan)) if own else frame


def panel(frame: pd.DataFrame, title: str, greedy: dict[str, float] | None = None):
    """Return the axes of a panel."""
    return next(
        ax
        for ax in training_figure(frame, greedy or {}, LIMITS).axes
        if ax.get_title(loc="left").startswith(title)
    )


def levels(ax) -> set[float]:
    """Heights of the lines that run straight through."""
    return {float(line.get_ydata()[0]) for line in ax.lines if len(line.get_xdata()) == 2}


@pytest.mark.parametrize(
    ("title", "columns", "limits"),
    [
        ("Entropy", {"entropy_kind": 0.2, "entropy_entry": 3.0}, {LIMITS.stuck_entropy}),
        ("KL", {"kl": np.linspace(0, 0.2, 30)}, {LIMITS.good_kl, LIMITS.bad_kl}),
        ("Clip fraction", {"clip_fraction": np.linspace(0, 0.4, 30)}, {LIMITS.low_clip, LIMITS.high_clip}),
    ],
)
def test_limits_are_drawn_where_they_are_in_sight(title: str, columns, limits: set[float]) -> None:
    assert levels(panel(metrics(**columns), title)) == limits


def test_a_limit_out_of_sight_is_told_and_does_not_flatten_the_curve() -> None:
    ax = panel(metrics(clip_fraction=np.linspace(0, 0.02, 30)), "Clip fraction")
    assert ax.get_ylim()[1] < 0.03
    assert [text.get_text() for text in ax.texts] == ["limit \u2191 0.1"]


def test_greedy_stands_beside_each_profile_in_its_colour() -> None:
    ax = panel(metrics(), "Return on validation", {"moderate": 0.5, "aggressive": 0.9, "conservative": 0.1})
    assert levels(ax) == {0.5, 0.9, 0.1}
    colours = {line.get_label(): line.get_color() for line in ax.lines}
    assert {line.get_color() for line in ax.lines if line.get_ydata()[0] == 0.9} == {colours["aggressive"]}


def test_a_policy_trained_for_one_profile_has_a_validation_curve_too() -> None:
    ax = panel(metrics(own=True), "Return on validation", {"own": 0.5})
    assert not ax.texts
    assert levels(ax) == {0.5}
    assert any(len(line.get_xdata()) == 6 for line in ax.lines)


def test_a_picture_is_drawn_of_a_run_of_one_update_and_of_numbers_that_are_missing(tmp_path: Path) -> None:
    draw_curves(metrics().iloc[:1], tmp_path / "one.png")
    draw_curves(metrics(value_loss=np.nan, explained_variance=np.nan), tmp_path / "missing.png")
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("one.png", "missing.png"))
