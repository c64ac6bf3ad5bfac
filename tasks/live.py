"""The page of a run while it trains: a progress bar, and the curves so far with the signs of health.

Each is one artifact that is written over, so that a page does not fill with pictures; the step's own artifact
takes the place of the curves when it is done. Drawing and sending happen in a thread beside the training,
which waits for neither: a server that does not answer costs it nothing but the picture.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

from schemas.health import HealthReport
from tasks import ui

BAR: Final = "training-progress"
CURVES: Final = "training"
DPI: Final = 64  # a third fewer pixels each way than the picture that stays


@dataclass(frozen=True)
class Pace:
    """How often a page is written, in seconds, and the share of the time that drawing may take."""

    bar: float = 5.0
    first_curves: float = 10.0
    curves: float = 30.0
    drawing: float = 0.01


class TrainingPage:
    """Told after every update; on the command line without Prefect it does nothing.

    Use it as a context: the thread ends with it.

    Args:
        earlier: Rows of metrics of a training that goes on, up to where it stopped.
        name: Which of a run's trainings; empty is what the task run's name says after its first word.
        last: Whether the curves are drawn once more at the end; else the step puts its own in their place.
        pace: How often.
    """

    def __init__(
        self,
        earlier: Sequence[Mapping[str, float]] = (),
        name: str = "",
        *,
        last: bool = False,
        pace: Pace | None = None,
    ) -> None:
        self.name = name or ui.step_detail()
        self._pace = pace or Pace()
        self._rows = [dict(row) for row in earlier]
        self._now: Mapping[str, Any] = {}
        self._text = ""
        self._drawn = 0  # updates on the newest picture
        self._end, self._kept = threading.Event(), threading.Lock()
        self._last, self._left, self._warned = last, False, False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        if ui.in_run():
            own = contextvars.copy_context()  # knows the run, its server and its log
            self._thread = threading.Thread(
                target=own.run, args=(self._follow,), daemon=True, name="training page"
            )
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        self._last = self._last and kind is None
        self._end.set()
        # Whoever cancels does not wait for a picture, and nobody for a server that was gone before.
        self._thread.join(1.0 if kind is not None or self._warned else 30.0)
        self._left = True

    def __call__(self, now: Mapping[str, Any], text: str) -> None:
        """Take note of an update.

        Args:
            now: What `rl.train.train` tells.
            text: The same as a line for people.
        """
        if self._thread is None:
            return
        row = {name: value for name, value in now.items() if isinstance(value, float)}
        with self._kept:
            while self._rows and self._rows[-1]["update"] >= row["update"]:
                self._rows.pop()  # an older state than the newest was gone on from
            self._rows.append(row)
            self._now, self._text = dict(now), text

    def _follow(self) -> None:
        """Write the page until the training ends, and once more then."""
        from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

        pace, began = self._pace, time.monotonic()
        due = began + pace.first_curves
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # the next picture is the next attempt
            self._show_bar()
            while not self._end.wait(pace.bar):
                self._show_bar()
                if time.monotonic() >= due and self._news():
                    spent = time.thread_time()
                    self._show_curves()
                    spent = time.thread_time() - spent
                    due = time.monotonic() + max(pace.curves, spent / pace.drawing)
            self._show_bar()
            if self._last and self._news():
                self._show_curves()

    def _news(self) -> bool:
        return len(self._rows) > max(self._drawn, 1)

    def _show_bar(self) -> None:
        with self._kept:
            now = self._now
        done, asked = now.get("episodes", 0.0), now.get("num_episodes", 0)
        percent = min(100.0, 100.0 * done / asked) if asked else 0.0
        told = f"{done:,.0f} of {asked:,} episodes" if asked else "begins"
        self._send("progress", self._key(BAR), round(percent, 1), f"{self._title}: {told}")

    def _show_curves(self) -> None:
        import pandas as pd

        from tasks.curves import curves_png

        with self._kept:
            rows, now, text = list(self._rows), self._now, self._text
        png = curves_png(pd.DataFrame(rows), dpi=DPI)
        self._drawn = len(rows)
        whole = now["episodes"] >= now["num_episodes"]
        page = live_markdown(self._title, text, png, now.get("health"), finished=whole)
        self._send("markdown", self._key(CURVES), ui.harmless(page), "How the training goes, so far")

    def _send(self, kind: ui.Kind, key: str, data: str | float, description: str) -> None:
        import httpx
        from prefect.exceptions import PrefectException

        if self._left:
            return
        try:
            ui.show_live(kind, key, data, description)
        except (httpx.HTTPError, PrefectException, OSError, RuntimeError) as error:
            if not self._warned:
                why = " ".join(str(error).split())[:200] or type(error).__name__
                ui.warn(
                    f"The run's page does not show how the training goes ({why}); it goes on all the same"
                )
            self._warned = True

    def _key(self, what: str) -> str:
        return ui.key(what.replace("training", f"training {self.name}", 1) if self.name else what)

    @property
    def _title(self) -> str:
        return training_title(self.name)


def training_title(name: str) -> str:
    """Return what a training's page is called."""
    return f"Training, {name}" if name else "Training"


def live_markdown(title: str, text: str, png: bytes, health: HealthReport | None, *, finished: bool) -> str:
    """Return the page of a training that goes on, as markdown.

    Args:
        title: What is trained.
        text: How far it is, as a line.
        png: The curves so far.
        health: Its signs, as they are by now.
        finished: Whether this is the end.
    """
    from tasks.show import signs_markdown

    stamp = f"Drawn at {datetime.now(UTC):%H:%M:%S} UTC"
    parts = [
        f"# {title}{'' if finished else ', so far'}",
        text.removeprefix("Training: "),
        f"{stamp}." if finished else f"{stamp}; drawn anew about twice a minute while it trains.",
        ui.png_picture(png, "Curves so far"),
    ]
    if health is not None:
        parts += ["## Signs, by now", signs_markdown(health)]
    return "\n\n".join(parts)
