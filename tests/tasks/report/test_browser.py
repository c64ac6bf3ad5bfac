"""The sheet as a browser shows it: no blank chart, nothing beside a phone's edge, everything on paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.report import write_report
from tasks.report.canvas import WIDE, clean, new_figure, set_title, to_png
from tests.tasks.report.browser import CHROMIUM, WHY_NOT, blank, look, print_pdf, read_png
from tests.tasks.report.conftest import Make, made_evidence, made_stress

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)


def sheet(folder: Path) -> Path:
    return write_report(
        folder, folder, preset="moderate", evidence=made_evidence(), stress=made_stress(),
        command="carryflow backtest v-3f9a1c20 --data " + "a-long-folder/" * 12,
    )  # fmt: skip


@needs_chromium
@pytest.mark.parametrize("width", [1200, 400], ids=["desk", "phone"])
def test_every_chart_is_drawn_and_nothing_sticks_out(make_backtest: Make, tmp_path: Path, width: int) -> None:
    seen = look(sheet(make_backtest()), tmp_path, width)
    assert len(seen.pictures) == 8
    assert all(seen.loaded)
    for alt, at in seen.pictures:
        assert at[2] > 0.8 * min(width, 1036), f"{alt} is only {at[2]} pixels wide"
        assert not blank(seen.cut(at)), f"{alt} is blank"
    assert seen.overhang == 0
    assert seen.image.shape[1] == width


@needs_chromium
def test_a_chart_that_cannot_be_decoded_is_found(make_backtest: Make, tmp_path: Path) -> None:
    page = sheet(make_backtest())
    text = page.read_text("utf-8")
    start = text.index("data:image/png;base64,", text.index("<img"))
    page.write_text(text[:start] + "data:image/png;base64,AAAA" + text[text.index('"', start) :], "utf-8")
    seen = look(page, tmp_path, 1200)
    assert seen.loaded.count(False) == 1
    assert blank(seen.cut(seen.pictures[seen.loaded.index(False)][1]))


@needs_chromium
def test_on_paper_a_closed_daily_table_is_there(make_backtest: Make, tmp_path: Path) -> None:
    page = sheet(make_backtest())
    assert "<details>" in page.read_text("utf-8")
    closed = page.read_text("utf-8")
    opened = tmp_path / "opened.html"
    opened.write_text(closed.replace("<details>", "<details open>"), "utf-8")
    without = tmp_path / "without.html"
    without.write_text(closed.replace("details::details-content", "nothing"), "utf-8")
    pages = [print_pdf(path, tmp_path).count(b"/Type /Page\n") for path in (page, opened, without)]
    assert pages[0] == pages[1]
    sizes = [len(print_pdf(path, tmp_path)) for path in (page, opened, without)]
    assert abs(sizes[0] - sizes[1]) < 0.5 * abs(sizes[0] - sizes[2]), "closed, it would be left out"


def test_an_empty_chart_is_called_blank_and_one_with_a_line_is_not() -> None:
    def drawn(line: bool) -> bytes:
        figure = new_figure(WIDE, 3.0)
        ax = figure.subplots()
        clean(ax)
        set_title(ax, "Return net of all costs")
        ax.set(xlim=(0, 9), ylim=(0, 9))
        if line:
            ax.plot(range(10), color="#0f6b6b", linewidth=2.0)
        return to_png(figure)

    assert blank(np.ones((300, 900, 3)))
    assert blank(np.zeros((0, 0, 3)))
    assert blank(read_png(drawn(line=False))), "axes and letters are no data"
    assert not blank(read_png(drawn(line=True)))
