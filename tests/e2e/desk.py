"""A desk of its own: `make server`, `make deploy` and `make worker`, a webhook on loopback, and their end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.desk.access import AUTH, FOLDER, URL, known_auth
from tests.e2e.helpers import EPISODES, PROJECT, TINY, end, free_port

BIN = Path(sys.executable).parent
PATIENCE_S = 240.0
DEAD_AFTER_S = 90.0  # a busy machine restarts the server in a minute
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass
class Desk:
    """Everything of it lies below one folder, by which its processes are known as well."""

    folder: Path
    port: int = field(default_factory=free_port)
    more: dict[str, str] = field(default_factory=dict)
    told: list[dict[str, str]] = field(default_factory=list)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)
    hook: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def root(self) -> Path:
        return self.folder / "artifacts"

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "CARRYFLOW_", "COV_"))}
        own = {
            "PREFECT_HOME": str(self.folder / "prefect"),
            FOLDER: str(self.folder / "access"),
            "CARRYFLOW_ARTIFACTS": str(self.root),
            "PYTHONPATH": str(PROJECT),
            "OMP_NUM_THREADS": "1",
        }
        return kept | own | self.more

    @property
    def auth(self) -> str:
        os.environ[FOLDER] = str(self.folder / "access")
        try:
            found = known_auth(self.url)
        finally:
            del os.environ[FOLDER]
        assert found is not None
        return found

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        own = {PREFECT_API_URL: self.url, PREFECT_API_AUTH_STRING: self.auth}
        with temporary_settings(own), get_client(sync_client=True) as client:
            yield client

    def make(self, *words: str, **environment: str) -> str:
        """Run a target to its end."""
        return self.say("make", "-s", *words, "STAMP=", f"BIN={BIN}", f"PORT={self.port}", **environment)

    def deploy(self, file: Path | None = None) -> str:
        """Deploy, with less patience for runs that died; `make deploy` has no word for that."""
        words = ["--dead-after", str(DEAD_AFTER_S), *(["--file", str(file)] if file else [])]
        return self.say(
            sys.executable,
            "-m",
            "flows.desk.deploy",
            *words,
            **{URL: self.url, "CARRYFLOW_NOTIFY_URL": self.hook},
        )

    def say(self, *words: str, code: int = 0, **environment: str) -> str:
        """Run a command to its end, and return all it said."""
        done = subprocess.run(
            words, env=self.environment | environment, cwd=PROJECT, text=True, timeout=PATIENCE_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    def prefect(self, *words: str, code: int = 0) -> str:
        """Type `prefect` as a person in a second terminal, after `. .prefect/server-PORT.env`."""
        known = {URL: self.url, AUTH: self.auth, "COLUMNS": "250"}
        return self.say(str(BIN / "prefect"), "--no-prompt", *words, code=code, **known)

    def start(self, target: str) -> subprocess.Popen[bytes]:
        """Start `make server` or `make worker` in a session of its own."""
        with (self.folder / f"{target}.log").open("ab") as log:
            process = subprocess.Popen(
                ["make", "-s", target, "STAMP=", f"BIN={BIN}", f"PORT={self.port}"],
                env=self.environment, cwd=PROJECT, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        if target == "server":
            self.wait(lambda: "already" in self._again(), "a server that answers")
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        """Return the worker, starting one where there is none."""
        for process in self.started:
            if "worker" in process.args and process.poll() is None:
                return process
        return self.start("worker")

    def _again(self) -> str:
        done = subprocess.run(
            [sys.executable, "-c", f"from flows.desk.server import _answers, make_access; import sys;"
             f"print('already' if _answers({self.port}, make_access({self.port})) else '')"],
            env=self.environment, cwd=PROJECT, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        """End a target and all it started."""
        end(process)
        self.started.remove(process)

    def log(self, target: str) -> str:
        return (self.folder / f"{target}.log").read_text(errors="replace")

    def processes(self, mark: str = "") -> dict[int, str]:
        """Return every living process that was started for this desk; its environment tells.

        Args:
            mark: What else has to be in its environment.
        """
        marks = {f"{FOLDER}={self.folder / 'access'}".encode(), *filter(None, [mark.encode()])}
        found = {}
        for proc in Path("/proc").iterdir():
            if proc.name.isdigit() and int(proc.name) != os.getpid():
                with suppress(OSError):
                    if marks <= set((proc / "environ").read_bytes().split(b"\0")):
                        found[int(proc.name)] = (proc / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def flow_processes(self, run: FlowRun) -> list[int]:
        """Return the processes of a flow run."""
        return list(self.processes(f"PREFECT__FLOW_RUN_ID={run.id}"))

    def request(self, deployment: str, **parameters: Any) -> FlowRun:
        """Ask for a run as the form of the UI does, and return it."""
        with self.client() as client:
            found = client.read_deployment_by_name(deployment)
            return client.create_flow_run_from_deployment(found.id, parameters=parameters)

    def run(self, run: FlowRun) -> FlowRun:
        """Return what is known of a run now."""
        with self.client() as client:
            return client.read_flow_run(run.id)

    def ended(self, run: FlowRun) -> FlowRun:
        """Wait for the end of a run."""
        self.wait(lambda: self.state(run) in ENDED, f"the end of {run.name}")
        return self.run(run)

    def state(self, run: FlowRun) -> str:
        kept = self.run(run).state
        return "" if kept is None else kept.type.value

    def tasks(self, run: FlowRun) -> dict[str, str]:
        """Return the states of a run's tasks by name; they are recorded a moment after the run."""
        from prefect.client.schemas.filters import FlowRunFilter

        before: dict[str, str] = {}
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with self.client() as client:
                rows = client.read_task_runs(
                    flow_run_filter=FlowRunFilter.model_validate({"id": {"any_": [run.id]}})
                )
            found = {row.name: row.state_name or "" for row in rows}
            if (found and found == before) or time.monotonic() > deadline:
                return found
            before = found
            time.sleep(2.0)

    def artifacts(self, run: FlowRun) -> dict[str, Any]:
        """Return a run's artifacts by key."""
        from prefect.client.schemas.filters import ArtifactFilter

        own = ArtifactFilter.model_validate({"flow_run_id": {"any_": [run.id]}})
        with self.client() as client:
            return {str(row.key): row for row in client.read_artifacts(artifact_filter=own)}

    def logs(self, run: FlowRun) -> str:
        from prefect.client.schemas.filters import LogFilter

        with self.client() as client:
            rows = client.read_logs(LogFilter.model_validate({"flow_run_id": {"any_": [run.id]}}), limit=200)
        return "\n".join(row.message for row in rows)

    def wait(self, until: Callable[[], bool], what: str, seconds: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, f"{what} never came\n{self._logs()}"
            time.sleep(0.5)

    def _logs(self) -> str:
        return "\n".join(p.read_text(errors="replace")[-3000:] for p in self.folder.glob("*.log"))

    def kill(self, process: subprocess.Popen[bytes], *others: int) -> None:
        """Kill a target's whole session, and others, as a power cut does."""
        os.killpg(process.pid, signal.SIGKILL)
        for pid in others:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(10)
        self.started.remove(process)


@contextmanager
def open_desk(folder: Path, **more: str) -> Iterator[Desk]:
    """A desk with a server and a webhook; its processes are gone afterwards, which is checked."""
    desk = Desk(folder, more=more)

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            desk.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    desk.hook = f"http://127.0.0.1:{listener.server_port}/planted-hook-secret"
    try:
        desk.start("server")
        yield desk
    finally:
        for process in reversed(desk.started):
            end(process)
        listener.shutdown()
        listener.server_close()
        thread.join()
    deadline = time.monotonic() + 20.0
    while (left := desk.processes()) and time.monotonic() < deadline:
        time.sleep(0.2)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"processes were left over: {left}"


def tiny(sample: Path, **more: Any) -> dict[str, Any]:
    """Return the parameters of a retrain that takes seconds."""
    asked = {"data": str(sample), "num_episodes": EPISODES, "advanced": {"audit_times": 2, "training": TINY}}
    return asked | more
