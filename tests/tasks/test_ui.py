"""What is shown: progress to whoever listens, tables and pictures that need nothing from outside."""

from __future__ import annotations

import base64
import math
from pathlib import Path

import pytest

from schemas.health import HealthReport, Sign
from tasks import ui
from tasks.progress import TrainingProgress, duration

ROW = {
    "episodes": 512.0,
    "num_episodes": 2000,
    "update": 7.0,
    "updates": 40,
    "mean_100": 1.234,
    "eval_return": math.nan,
    "entropy": 0.5,
    "kl": 0.004,
    "steps_per_second": 1234.5,
    "eta_seconds": 187.0,
}


@pytest.fixture
def heard():
    lines: list[tuple[str, bool]] = []
    ui.set_terminal(lambda text, transient: lines.append((text, transient)))
    yield lines
    ui.set_terminal(None)


def test_training_says_how_far_it_is_and_how_long_it_takes(heard: list[tuple[str, bool]]) -> None:
    progress = TrainingProgress()
    progress(ROW)
    [(line, transient)] = heard
    assert transient
    for part in ("512 of 2,000 episodes", "update 7/40", "+1.23 %", "1,234 steps/s", "ETA 3:07 min"):
        assert part in line


def test_the_last_validation_stays_in_sight(heard: list[tuple[str, bool]]) -> None:
    progress = TrainingProgress()
    progress(ROW)
    progress(ROW | {"eval_return": 2.5})
    progress(ROW)
    assert ["validation - %" in heard[0][0], "validation +2.50 %" in heard[2][0]] == [True, True]


def report(verdict: str) -> HealthReport:
    advice = "Lower --learning-rate." if verdict == "bad" else ""
    sign = Sign(name="KL", value=0.2, verdict=verdict, reading="0.200 an update", advice=advice)
    other = Sign(name="actions", value=0.0, verdict="watch", reading="never enters", advice="Wait.")
    return HealthReport(signs=(sign, other))


def test_a_sign_that_turns_bad_is_told_once_with_advice_and_again_when_it_has_changed(
    heard: list[tuple[str, bool]],
) -> None:
    progress = TrainingProgress()
    for verdict in ["good"] * 3 + ["bad"] * 20 + ["good"] * 20 + ["bad"] * 3:
        progress(ROW | {"health": report(verdict)})
    bad = "Bad sign, KL: 0.200 an update. Lower --learning-rate."
    told = [text for text, transient in heard if not transient]
    assert told == [bad, "No longer bad, KL: 0.200 an update.", bad]


def test_a_sign_that_wavers_at_its_limit_is_not_told_at_every_turn(heard: list[tuple[str, bool]]) -> None:
    progress = TrainingProgress()
    for _ in range(20):
        for verdict in ("bad", "bad", "good"):
            progress(ROW | {"health": report(verdict)})
    assert all(transient for _, transient in heard)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (3599, "59:59 min"), (4320, "1:12 h")],
)
def test_durations_read_as_a_person_says_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_without_a_listener_or_a_run_nothing_happens() -> None:
    ui.say("anything")
    ui.markdown("key", "text", "description")
    assert not ui.in_run()


def test_a_table_keeps_its_columns_whatever_is_in_a_cell() -> None:
    text = ui.table(["a", "b"], [["x|y", 1234.5678], [None, "two\nlines"], [True, 3]])
    assert text.splitlines() == [
        "| a | b |",
        "|---|---|",
        "| x\\|y | 1,235 |",
        "|  | two lines |",
        "| yes | 3 |",
    ]


def test_a_picture_travels_inside_the_text(tmp_path: Path) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(b"\x89PNG")
    encoded = base64.b64encode(path.read_bytes()).decode()
    assert ui.picture(path, "P") == f"![P](data:image/png;base64,{encoded})"
    assert ui.picture(tmp_path / "none.png", "P") == ""


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[x](javascript:alert(1))",
        "![x](https://evil.example/x.png)", "<javascript:alert(1)>", "![x](data:image/svg+xml,<svg>)",
        "![x](data:image/png;base64,AAAA onerror=alert(1))",
    ],
)  # fmt: skip
def test_a_hostile_name_is_text_and_no_page_on_the_runs_page(name: str) -> None:
    from markdown_it import MarkdownIt

    shown = ui.harmless(ui.table(["symbol"], [[name]]) + f"\n\n- {name}: fine")
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(shown)
    for tag in ("<script", "<img", "<a ", "<svg"):
        assert tag not in html


def test_our_own_pictures_stay_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"png")
    shown = ui.picture(tmp_path / "a.png", "Curves")
    assert ui.harmless(shown) == shown
