"""Where steps run that do not depend on each other: here one after the other, in a pool of processes, on Ray.

Tasks carry refs and small configs, the store carries everything else, so a result does not tell who made it.
"""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from schemas.errors import UserError
from schemas.manifest import Ref
from schemas.params import RunnerName
from tasks import leases
from tasks.extras import refuse_runner
from tasks.step import call
from tasks.store import resolve_root

_LOOK_EVERY_S: Final = 0.1  # how often somebody who waits looks; a signal is heard in between


@dataclass(frozen=True)
class Call:
    """One call of a task: what it is given, and its name on the run's page."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    name: str


class Engine(Protocol):
    """What runs tasks beside this process.

    Attributes:
        width: Calls at once.
    """

    width: int

    def submit(self, task: Any, parameters: Mapping[str, Any]) -> Any:
        """Begin a call, and return Prefect's future of it."""

    def done(self, future: Any) -> bool:
        """Say whether a call has ended, without waiting."""

    def in_words(self, error: BaseException) -> str:
        """Say what an error means that is the engine's own and not the task's; else return an empty text."""


class Pending:
    """A call in flight, or one that has ended.

    Attributes:
        name: Of the call.
        task_run_id: Prefect's; None where it ran in this process.
    """

    def __init__(
        self,
        name: str,
        *,
        value: Any = None,
        error: BaseException | None = None,
        engine: Engine | None = None,
        future: Any = None,
    ) -> None:
        self.name = name
        self._value, self._error = value, error
        self._engine, self._future = engine, future
        self.task_run_id = None if future is None else future.task_run_id

    @property
    def done(self) -> bool:
        """Whether it has ended; does not wait."""
        return self._engine is None or self._engine.done(self._future)

    def result(self) -> Any:
        """Wait for the call to end, and return its value.

        Raises:
            Exception: What the task raised; a `UserError` with the call's name in front. Where the process
                that ran it was killed, a `UserError` that says so.
        """
        if self._engine is not None:
            engine, future = self._engine, self._future
            while not engine.done(future):
                time.sleep(_LOOK_EVERY_S)
            self._engine = None
            try:
                self._value = future.result()
                if isinstance(self._value, Ref):
                    # Whoever made it lets go of it with its process; this one goes on with it.
                    leases.pin(resolve_root(), str(self._value))
            except Exception as error:  # noqa: BLE001  raised below, under the call's name
                words = engine.in_words(error)
                self._error = UserError(words, remedy=_REPEAT) if words else error
        if self._error is not None:
            raise named(self._error, self.name) from self._error
        return self._value


_REPEAT: Final = "Repeating the command goes on where each training stopped."


class FanOut:
    """Calls tasks side by side, as many at once as `width`.

    Args:
        engine: What runs them; None is this process, one after the other.
    """

    def __init__(self, engine: Engine | None = None) -> None:
        self._engine = engine
        self.width = 1 if engine is None else engine.width
        self.names: dict[Any, str] = {}  # of the calls, by Prefect's id of the task run

    def submit(self, task: Any, call_: Call) -> Pending:
        """Begin a call. In this process it has ended when this returns, with a value or an error.

        Args:
            task: A task of `flows.steps`.
            call_: What it is given.
        """
        own = task.with_options(task_run_name=call_.name)
        if self._engine is None:
            try:
                return Pending(call_.name, value=call(own, *call_.args, **call_.kwargs))
            except Exception as error:  # noqa: BLE001  it is raised by whoever asks for the result
                return Pending(call_.name, error=error)
        bound = inspect.signature(task.fn).bind(*call_.args, **call_.kwargs)
        bound.apply_defaults()
        pending = Pending(call_.name, engine=self._engine, future=self._engine.submit(own, bound.arguments))
        self.names[pending.task_run_id] = call_.name
        return pending

    def first(self, flights: Collection[Pending]) -> Pending:
        """Wait until one of several calls has ended, and return it.

        Raises:
            ValueError: There are none.
        """
        if not flights:
            raise ValueError("nothing is in flight")
        while True:
            for pending in flights:
                if pending.done:
                    return pending
            time.sleep(_LOOK_EVERY_S)

    def map(self, task: Any, calls: Sequence[Call]) -> list[Any]:
        """Call a task for each set of arguments, and return the values in the order of the calls.

        Raises:
            Exception: The first error in that order, after the other calls have ended.
        """
        flights = [self.submit(task, one) for one in calls]
        values, errors = [], []
        for pending in flights:
            try:
                values.append(pending.result())
            except Exception as error:  # noqa: BLE001  raised below
                errors.append(error)
        if errors:
            raise errors[0]
        return values


def named(error: BaseException, name: str) -> BaseException:
    """Return a mistake of the user with the name of the call that met it; anything else as it is."""
    if not isinstance(error, UserError):
        return error
    return type(error)(error.what, f"{name}: {error.where}" if error.where else name, error.remedy)


def abreast(workers: int, threads: int, cores: int) -> int:
    """Return how many calls run at once.

    Args:
        workers: As asked for; 0 is as many as the cores carry.
        threads: Threads that each call computes with.
        cores: What there is.
    """
    return workers or max(1, cores // threads)


def local_cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def fan_out(runner: RunnerName, workers: int = 0, *, threads: int = 1) -> Iterator[FanOut]:
    """Open the place where tasks run side by side, for the length of a `with` block inside a flow.

    Left by an error or a signal, it ends every process it started; trainings keep their resume state.

    Args:
        runner: "inline" is this process, one call after the other; "process" a pool of processes; "ray" the
            cluster that RAY_ADDRESS names, else one on this machine for the length of the block.
        workers: Calls at once; 0 is as many as there are cores, of the whole cluster on Ray.
        threads: Threads that each call computes with, so that as many cores are counted for it.

    Raises:
        ConfigError: The runner is not installed, or its cluster cannot be reached.
    """
    refuse_runner(runner)
    if runner == "inline":
        yield FanOut()
        return
    from flows.follow import follow_lines, shared_server

    opened = _process(workers, threads) if runner == "process" else _ray(workers, threads)
    with shared_server(), opened as engine:
        fan = FanOut(engine)
        with follow_lines(fan.names):
            yield fan


def _process(workers: int, threads: int) -> AbstractContextManager[Engine]:
    from flows.pool import process_pool

    return process_pool(abreast(workers, threads, local_cores()))


def _ray(workers: int, threads: int) -> AbstractContextManager[Engine]:
    from flows.cluster import ray_cluster

    return ray_cluster(workers, threads)
