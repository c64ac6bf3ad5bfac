"""The page of a run while it trains, against a real server: written over in place, and never in the way."""

from __future__ import annotations

import base64
import io
import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
import pytest
from matplotlib.image import imread
from prefect import flow
from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from rl.health import judge
from rl.trainer import METRIC_COLUMNS
from tasks import ui
from tasks.live import Pace, TrainingPage
from tasks.progress import TrainingProgress
from tasks.step import call, uncached_task
from tests.e2e.helpers import Api

pytestmark = pytest.mark.prefect

AT_ONCE = Pace(bar=0.25, first_curves=0.0, curves=0.0, drawing=1.0)
ASKED = 80


@pytest.fixture
def api(server: Api) -> Iterator[Api]:
    with temporary_settings({PREFECT_API_URL: server.url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield server
        say_the_rest()


def say_the_rest() -> None:
    """Have Prefect's own threads send what they hold while there is a way to the server."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for worker in (EventsWorker, APILogWorker):
        worker.drain_all(timeout=30.0, at_exit=False)


def told(update: int) -> dict[str, Any]:
    """What a training tells after an update of eight episodes."""
    rows = [
        dict.fromkeys(METRIC_COLUMNS, 0.1) | {"update": float(k), "episodes": 8.0 * k}
        for k in range(1, update + 1)
    ]
    own = {"updates": ASKED // 8, "num_episodes": ASKED, "eta_seconds": 60.0, "eval_return": math.nan}
    return rows[-1] | own | {"health": judge(rows, 1.0)}


def in_a_run(train: Callable[[], Any], name: str = "train") -> tuple[str, Any]:
    """Run something as a task of a flow, and return the flow run's id and its result."""
    found = []

    @flow(name="live-page", persist_result=False)
    def whole() -> None:
        from prefect.runtime import flow_run

        found.append(str(flow_run.id))
        found.append(call(uncached_task(train, name="train").with_options(task_run_name=name)))

    whole()
    return found[0], found[1]


def shown(api: Api, run: str = "") -> dict[str, dict[str, Any]]:
    """Return a run's artifacts by key; each key once."""
    if not run:
        from prefect.runtime import flow_run

        run = str(flow_run.id)
    rows = api.post("/artifacts/filter", {"flow_runs": {"id": {"any_": [run]}}})
    assert len({row["key"] for row in rows}) == len(rows), "an artifact was made twice"
    return {row["key"]: row for row in rows}


def until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60.0
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def picture_in(text: str) -> Any:
    png = text.partition("data:image/png;base64,")[2].partition(")")[0]
    return imread(io.BytesIO(base64.b64decode(png)))


def test_while_it_trains_one_bar_and_one_picture_are_written_over_and_the_result_takes_their_place(
    api: Api,
) -> None:
    key = "training-fold-2-seed-1"

    def train() -> list[dict[str, dict[str, Any]]]:
        seen = []
        with TrainingPage(last=True, pace=AT_ONCE) as page:
            progress = TrainingProgress(page)
            until(lambda: f"{key}-progress" in shown(api))
            seen.append(shown(api))
            for update in range(1, 6):
                progress(told(update))
            until(lambda: "40 of 80" in shown(api).get(key, {}).get("data", ""))
            until(lambda: shown(api)[f"{key}-progress"]["data"] == 50.0)
            seen.append(shown(api))
            for update in range(6, 10):
                progress(told(update))
            until(lambda: "72 of 80" in shown(api)[key]["data"])
            seen.append(shown(api))
            progress(told(10))
        seen.append(shown(api))
        ui.markdown(key, "# The result", "How the training went")
        return seen

    run, (begun, half, late, whole) = in_a_run(train, "train fold 2, seed 1")
    end = shown(api, run)
    assert set(begun) == {f"{key}-progress"} and begun[f"{key}-progress"]["data"] == 0.0
    assert set(half) == set(late) == set(whole) == set(end) == {key, f"{key}-progress"}
    for name in (key, f"{key}-progress"):
        assert len({found[name]["id"] for found in (half, late, whole, end)}) == 1, "in place"
    assert half[key]["type"] == "markdown" and half[f"{key}-progress"]["type"] == "progress"
    assert half[key]["data"].startswith("# Training, fold 2, seed 1, so far\n")
    assert "Signs, by now" in half[key]["data"] and "| KL |" in half[key]["data"]
    assert picture_in(half[key]["data"]).shape[0] > 300
    assert (picture_in(half[key]["data"]) != picture_in(late[key]["data"])).any(), "drawn anew"
    assert whole[key]["data"].startswith("# Training, fold 2, seed 1\n"), "the last picture is of the whole"
    bar = end[f"{key}-progress"]
    assert (bar["data"], bar["description"]) == (100.0, "Training, fold 2, seed 1: 80 of 80 episodes")
    assert end[key]["data"] == "# The result"
    newest = api.post("/artifacts/latest/filter", {"artifacts": {"key": {"any_": [key]}}})
    assert [row["data"] for row in newest] == ["# The result"]


def test_pictures_do_not_go_through_the_servers_events(api: Api) -> None:
    def train() -> None:
        with TrainingPage(pace=AT_ONCE) as page:
            for update in (1, 2, 3):
                page(told(update), "so far")
                if update > 1:
                    until(lambda: "training" in shown(api))

    run, _ = in_a_run(train)
    assert set(shown(api, run)) == {"training", "training-progress"}
    until(
        lambda: bool(
            api.post("/events/filter", {"filter": {"event": {"prefix": ["prefect.artifact.created"]}}})[
                "events"
            ]
        )
    )
    found = api.post("/events/filter", {"filter": {"event": {"prefix": ["prefect.artifact.updated"]}}})
    assert found["events"] == []


def test_a_picture_deleted_in_the_ui_comes_again_and_the_result_stands(api: Api) -> None:
    def delete(key: str) -> str:
        found: str = shown(api)[key]["id"]
        until(lambda: httpx.delete(f"{api.url}/artifacts/{found}").status_code == 204)  # it may be locked
        return found

    def train() -> tuple[str, str]:
        with TrainingPage(pace=AT_ONCE) as page:
            page(told(1), "one")
            page(told(2), "two")
            until(lambda: "training" in shown(api))
            gone = delete("training")
            for update in (3, 4, 5):
                page(told(update), "more")
                time.sleep(0.1)
            until(lambda: "training" in shown(api))
        again = delete("training")
        ui.markdown("training", "# The result", "How the training went")
        return gone, again

    run, (gone, again) = in_a_run(train)
    assert shown(api, run)["training"]["data"] == "# The result"
    assert len({gone, again, shown(api, run)["training"]["id"]}) == 3


class Way:
    """The way to the server, which can be cut, or made to swallow what is sent."""

    def __init__(self, api: Api) -> None:
        self._to = httpx.URL(api.url)
        self._listen = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self.mode, self.asked = "open", 0
        self.url = f"http://127.0.0.1:{self._listen.getsockname()[1]}/api"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listen.accept()
                self._ends.append(client)
                if self.mode == "open":
                    server = socket.create_connection((self._to.host, self._to.port or 80))
                    self._ends.append(server)
                    for one, other in ((client, server), (server, client)):
                        threading.Thread(target=_pump, args=(one, other), daemon=True).start()
                    continue
                self.asked += 1
                if self.mode == "cut":
                    _hang_up(client)

    def turn(self, mode: str) -> None:
        """Make it `open`, `cut` or `silent`, and break off what is under way."""
        self.mode = mode
        while self._ends:
            _hang_up(self._ends.pop())

    def close(self) -> None:
        _hang_up(self._listen)
        self.turn("cut")


def _pump(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    _hang_up(other)


def _hang_up(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@pytest.fixture
def way(api: Api) -> Iterator[Way]:
    found = Way(api)
    with temporary_settings({PREFECT_API_URL: found.url}):
        yield found
        say_the_rest()
    found.close()


def test_a_server_that_is_gone_is_told_once_and_training_goes_on(
    api: Api, way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    def train() -> list[Any]:
        with TrainingPage(pace=AT_ONCE) as page:
            progress = TrainingProgress(page)
            progress(told(1))
            until(lambda: "training-progress" in shown(api))
            way.turn("cut")
            for update in range(2, 9):
                progress(told(update))
                until(partial(lambda asked: way.asked >= asked, update))
            bar = shown(api)["training-progress"]["data"]
            way.turn("open")
            progress(told(9))
            until(lambda: "72 of 80" in shown(api).get("training", {}).get("data", ""))
        return [update, bar]

    with caplog.at_level(logging.WARNING, "carryflow"):
        run, done = in_a_run(train)
    assert done in ([8, 0.0], [8, 10.0])
    [said] = [record.getMessage() for record in caplog.records if record.name == "carryflow"]
    assert said.startswith("The run's page does not show how the training goes (")
    assert said.endswith("); it goes on all the same") and "\n" not in said
    assert shown(api, run)["training-progress"]["data"] == 90.0, "it was shown again when the server was back"


def test_a_server_that_says_nothing_keeps_nobody_waiting_who_cancels(api: Api, way: Way) -> None:
    def train() -> int:
        with suppress(KeyboardInterrupt), TrainingPage(pace=AT_ONCE) as page:
            until(lambda: "training-progress" in shown(api))
            way.turn("silent")
            for update in range(1, 11):
                page(told(update), "")
            until(lambda: way.asked > 0)
            raise KeyboardInterrupt
        hanging = [thread.name for thread in threading.enumerate()]
        way.turn("open")
        return hanging.count("training page")

    _, hanging = in_a_run(train)
    assert hanging == 1, "its thread waits, the training does not"
    until(lambda: not any(t.name == "training page" for t in threading.enumerate()))


def test_without_a_run_there_is_no_page_and_no_thread() -> None:
    with TrainingPage(pace=AT_ONCE) as page:
        page(told(1), "")
        page(told(2), "")
        assert not any(t.name == "training page" for t in threading.enumerate())
