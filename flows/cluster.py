"""Ray behind `--runner ray`: the cluster that RAY_ADDRESS names, or one on this machine while it is needed.

Where a process or a machine dies, Ray begins its calls anew elsewhere. A training then goes on from its
resume state.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

# These are read when Ray is imported. Nothing is reported to anybody.
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # devices stay as they are
if not os.environ.get("RAY_ADDRESS"):
    # A cluster of our own is this machine's alone. Ray turns 127.0.0.1 into an address that others reach
    # unless it is told that there are no clusters here, which is what this switch does on any system.
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    # Its workers are the work that was asked for; at Ray's niceness of 15 they starve beside anything else.
    os.environ.setdefault("RAY_worker_niceness", "0")

import ray
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL
from prefect_ray import RayTaskRunner
from prefect_ray.context import remote_options

from flows import worker
from flows.runners import abreast, local_cores
from schemas.errors import ConfigError
from tasks.cache import versions
from tasks.files import canonical_json, sha256_text
from tasks.fingerprint import code_fingerprint
from tasks.store import resolve_root

_RETRIES: Final = 3  # times a call is begun anew whose process or machine died
_SAY_S: Final = 10.0  # a server that does not answer holds nothing up for longer
_ANSWER_S: Final = 5.0
_STORE_BYTES: Final = 100 * 2**20  # refs and small configs are all that passes
_HANDED_ON: Final = ("CARRYFLOW_", "PREFECT_", "GOMP_", "DO_NOT_TRACK", *worker.THREADS)


class RayRunner(RayTaskRunner):
    """Prefect's runner, whose calls are those of the flow's program and leave nothing unsaid."""

    code: str = ""  # of the flow's process

    @staticmethod
    def _run_prefect_task(*upstream: Any, parameters: dict[str, Any], **kwargs: Any) -> Any:
        if program() != parameters["code"]:
            raise ConfigError(
                f"{socket.gethostname()} has another version of the program or of its libraries.",
                "--runner ray",
                "Install the same on every machine of the cluster.",
            )
        try:
            return RayTaskRunner._run_prefect_task(*upstream, parameters=parameters["own"], **kwargs)
        finally:
            _say_all()

    def submit(self, task: Any, parameters: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Begin a call; see Prefect."""
        return super().submit(task, {"own": parameters, "code": self.code}, *args, **kwargs)


def _say_all() -> None:
    """Send what is still to be told to the server: Ray may end the process once it has the result."""
    for service in (EventsWorker, APILogWorker):
        service.drain_all(timeout=_SAY_S, at_exit=False)


@cache
def program() -> str:
    """Return a hash of the code and the libraries that trainings and replays run here."""
    code = code_fingerprint("tasks.training", "tasks.backtest")
    return sha256_text(canonical_json({"code": code, "versions": versions()}))


class RayEngine:
    """A cluster as an `Engine`."""

    def __init__(self, runner: RayRunner, width: int) -> None:
        self._runner, self.width = runner, width

    def submit(self, task: Any, parameters: Mapping[str, Any]) -> Any:
        """Begin a call where there are cores, or queue it."""
        return self._runner.submit(task, dict(parameters))

    def done(self, future: Any) -> bool:
        """Say whether a call has ended."""
        return bool(ray.wait([future.wrapped_future], timeout=0)[0])

    def in_words(self, error: BaseException) -> str:
        """Say that processes died, or the cluster did."""
        if isinstance(error, ray.exceptions.RayTaskError):
            return ""  # it was raised by what was called
        if isinstance(error, ray.exceptions.RayError):
            kind = type(error).__name__
            return f"Ray gave it up ({kind}): its process or its machine died, often for want of memory."
        return ""


@contextmanager
def ray_cluster(workers: int, threads: int) -> Iterator[RayEngine]:
    """Join the cluster of RAY_ADDRESS, or make one on this machine, and leave or end it afterwards.

    Args:
        workers: Calls at once; 0 is as many as its cores carry.
        threads: Cores that each call takes.

    Raises:
        ConfigError: There is no cluster at that address.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    known: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": "error",
        "runtime_env": {"env_vars": _environment()},
    }
    folder = None
    if address:
        _refuse_nobody(address)
    else:
        workers = abreast(workers, threads, local_cores())
        folder = tempfile.mkdtemp(prefix="carryflow-ray-")
        known |= {
            "num_cpus": workers * threads,
            "include_dashboard": False,
            "object_store_memory": _STORE_BYTES,
            "_temp_dir": folder,
        }
    runner = RayRunner(address or None, known)
    runner.code = program()
    try:
        with _connected(runner):
            cores = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
            width = workers or max(1, sum(one // threads for one in cores))
            # A machine with fewer cores than a training has threads would never be given one.
            with remote_options(num_cpus=min(threads, max(cores)), max_retries=_RETRIES):
                yield RayEngine(runner, width)
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _connected(runner: RayRunner) -> Iterator[None]:
    """Enter the runner; signals stay whose they were, since Ray takes SIGTERM for itself."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        runner.__enter__()
    finally:
        _take_back(before)
    try:
        yield
    finally:
        runner.__exit__(None, None, None)


def _take_back(handler: Any) -> None:
    if signal.getsignal(signal.SIGTERM) is not handler and handler is not None:
        signal.signal(signal.SIGTERM, handler)


def _refuse_nobody(address: str) -> None:
    """Refuse an address where nobody listens; Ray itself would try for minutes.

    Raises:
        ConfigError: It says so, or that this is no address.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise ConfigError(f"{address!r} is not host:port.", "RAY_ADDRESS", "Name the head of the cluster.")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"there is no Ray cluster at {address} ({error}).",
            "RAY_ADDRESS",
            "Start one there, or unset the variable to use this machine.",
        ) from error


def _environment() -> dict[str, str]:
    """Return the variables that workers on any machine have to find."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(_HANDED_ON)}
    if "://" not in kept.get("CARRYFLOW_ARTIFACTS", ""):
        kept["CARRYFLOW_ARTIFACTS"] = str(resolve_root())  # absolute: their current folder is another one
    if url := PREFECT_API_URL.value():
        kept["PREFECT_API_URL"] = url  # of the server this process started for itself, if it did
    return kept
