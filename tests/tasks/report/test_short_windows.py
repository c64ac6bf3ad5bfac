"""A window of any length is drawn without a warning, with a few readable marks of time."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from tasks.report.canvas import NARROW, WIDE, Size, date_axis, new_figure
from tests.tasks.report.conftest import START, Make
from tests.tasks.report.test_report import render


@pytest.mark.parametrize("hours", [40, 48, 60])
def test_a_report_on_two_days_is_drawn_without_a_warning(make_backtest: Make, hours: int) -> None:
    folder = make_backtest()
    end = START + timedelta(hours=hours)
    equity = pd.read_parquet(folder / "equity.parquet")
    equity[equity["time"] <= end].to_parquet(folder / "equity.parquet")
    trades = pd.read_parquet(folder / "trades.parquet")
    trades[trades["closed"] <= end].to_parquet(folder / "trades.parquet")
    _, page, _ = render(folder)  # warnings are errors
    assert page.tags.count("img") == 12


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_length_has_marks_and_none_has_too_many(size: Size) -> None:
    for hours in (1, 2, 3, 12, 30, 37, 47, 48, 49, 60, 71, 72, 100, 24 * 14, 24 * 86, 24 * 365 * 2 + 500):
        ax = new_figure(size, 2.0).add_subplot()
        ax.plot([START, START + timedelta(hours=hours)], [0.0, 1.0])
        ax.margins(x=0)
        date_axis(ax, size)
        low, high = ax.get_xlim()
        marks = [tick for tick in ax.get_xticks() if low <= tick <= high]
        assert 2 <= len(marks) <= (7 if size.narrow else 10), f"{hours} h: {len(marks)} marks"
