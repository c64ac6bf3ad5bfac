"""Live progress of a training: a line that changes in the terminal, a line now and then on the run's page.

A sign that turns bad is told once, with what to do about it, and once more when it no longer is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, Final

from schemas.health import HealthReport, SignName
from tasks import ui
from tasks.live import TrainingPage

PAGE_EVERY_S: Final = 30.0
PATIENCE: Final = 3  # updates that a sign must stay as it is before it is told


class TrainingProgress:
    """Told after every update; see `rl.train.train` for what it is told.

    Args:
        page: The run's page, if it is to show curves while they grow.
    """

    def __init__(self, page: TrainingPage | None = None) -> None:
        self._page = page
        self._logged = time.monotonic()
        self._validation = math.nan
        self._alarms = Alarms()

    def __call__(self, now: Mapping[str, Any]) -> None:
        """Say how far the training is."""
        if not math.isnan(now["eval_return"]):
            self._validation = now["eval_return"]
        text = self.line(now)
        ui.say(text, transient=True)
        if self._page is not None:
            self._page(now, text)
        if time.monotonic() - self._logged >= PAGE_EVERY_S:
            ui.note(text)
            self._logged = time.monotonic()
        for text in self._alarms.heard(now.get("health")):
            ui.say(text)

    def line(self, now: Mapping[str, Any]) -> str:
        """Return one line: episodes, reward, losses, speed, time left."""
        parts = [
            f"Training: {now['episodes']:,.0f} of {now['num_episodes']:,} episodes",
            f"update {now['update']:.0f}/{now['updates']}",
            f"mean(100) {_number(now['mean_100'], '+.2f')} %",
            f"validation {_number(self._validation, '+.2f')} %",
            f"entropy {_number(now['entropy'], '.2f')}",
            f"KL {_number(now['kl'], '.3f')}",
            f"{now['steps_per_second']:,.0f} steps/s",
            f"ETA {duration(now['eta_seconds'])}",
        ]
        return ", ".join(parts)


class Alarms:
    """What of a training's signs is worth a line: a sign that turned bad, or is so no longer."""

    def __init__(self) -> None:
        self._told: set[SignName] = set()
        self._waiting: dict[SignName, int] = {}

    def heard(self, report: HealthReport | None) -> list[str]:
        """Return the lines that an update's report gives rise to; mostly none.

        Args:
            report: Every sign after this update.
        """
        lines = []
        for sign in report.signs if report is not None else ():
            bad = sign.verdict == "bad"
            if bad == (sign.name in self._told):
                self._waiting.pop(sign.name, None)
                continue
            self._waiting[sign.name] = self._waiting.get(sign.name, 0) + 1
            if self._waiting[sign.name] < PATIENCE:
                continue
            del self._waiting[sign.name]
            if bad:
                self._told.add(sign.name)
                lines.append(f"Bad sign, {sign.name}: {sign.reading}. {sign.advice}")
            else:
                self._told.remove(sign.name)
                lines.append(f"No longer bad, {sign.name}: {sign.reading}.")
        return lines


def duration(seconds: float) -> str:
    """Return a span of time as a person says it: 42 s, 3:07 min, 1:12 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def _number(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)
