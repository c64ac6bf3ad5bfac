"""Real processes against a real Prefect server: each started in a session of its own, and ended as one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.e2e.helpers import PROJECT, SCRIPT, Api, Done, Run, Start, end, free_port, run_words

if TYPE_CHECKING:
    from tests.e2e.desk import Desk


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Prefect home that nobody else uses."""
    return tmp_path_factory.mktemp("prefect-home")


@pytest.fixture(scope="session")
def clean_environment(prefect_home: Path) -> dict[str, str]:
    """The environment of a child: this project first on the path, no Prefect settings of the machine."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "CARRYFLOW_", "COV_"))}
    return kept | {
        "PREFECT_HOME": str(prefect_home),
        "PYTHONPATH": str(PROJECT),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="session")
def server(clean_environment: dict[str, str], prefect_home: Path) -> Iterator[Api]:
    """A real server on a free port, ended afterwards."""
    port = free_port()
    log = prefect_home / "server.log"
    environment = clean_environment | {
        "PREFECT_SERVER_API_PORT": str(port),
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_UI_ENABLED": "false",
    }
    words = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(
            words, env=environment, stdout=out, stderr=out, start_new_session=True, cwd=prefect_home
        )
        url = f"http://127.0.0.1:{port}/api"
        try:
            _wait_until_healthy(url, process, log)
            yield Api(url, clean_environment | {"PREFECT_API_URL": url})
        finally:
            end(process)


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180.0
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=5.0).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise RuntimeError(f"the Prefect server did not start:\n{log.read_text(errors='replace')}")


@pytest.fixture
def start(server: Api) -> Iterator[Start]:
    """Start the command line in a session of its own; whatever is left of it afterwards is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(
        *words: object, root: Path, project: Path = PROJECT, **environment: str
    ) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *map(str, words)],
            env=server.environment
            | {"CARRYFLOW_ARTIFACTS": str(root), "PYTHONPATH": str(project)}
            | environment,
            cwd=project,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        with process:
            end(process, grace=0.5)


@pytest.fixture
def run(start: Start) -> Run:
    """Run the command line to its end."""

    def finish(*words: object, root: Path, project: Path = PROJECT, code: int = 0) -> Done:
        began = time.monotonic()
        process = start(*words, root=root, project=project)
        out, err = process.communicate(timeout=280)
        done = Done(process.returncode, out, err, time.monotonic() - began)
        assert done.code == code, f"{words} ended with {done.code}\n{done.out}\n{done.err}"
        return done

    return finish


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A whole desk, shared by the tests that operate one; its worker is started by the first who wants it."""
    from tests.e2e.desk import open_desk

    with open_desk(tmp_path_factory.mktemp("desk"), CARRYFLOW_PLANTED="planted-secret-of-the-desk") as opened:
        yield opened


@pytest.fixture(scope="session")
def finished_root(server: Api, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """An artifact root after one whole run, and how that run ended. Copy it before you change it."""
    root = tmp_path_factory.mktemp("finished") / "artifacts"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *run_words(sample)],
        env=server.environment | {"CARRYFLOW_ARTIFACTS": str(root)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return root, Done(0, done.stdout, done.stderr, time.monotonic() - began)


@pytest.fixture
def root(finished_root: tuple[Path, Done], tmp_path: Path) -> Path:
    """A copy of the finished root, to be changed."""
    copy = tmp_path / "artifacts"
    shutil.copytree(finished_root[0], copy)
    return copy
