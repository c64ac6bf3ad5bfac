"""The pool of processes behind `--runner process`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

from prefect.task_runners import ProcessPoolTaskRunner

from flows import worker
from flows.runners import local_cores


class PoolEngine:
    """Prefect's pool of processes as an `Engine`."""

    def __init__(self, runner: ProcessPoolTaskRunner, width: int) -> None:
        self._runner, self.width = runner, width

    def submit(self, task: Any, parameters: Mapping[str, Any]) -> Any:
        """Begin a call in a free process, or queue it."""
        return self._runner.submit(task, dict(parameters))

    def done(self, future: Any) -> bool:
        """Say whether a call has ended."""
        return bool(future.wrapped_future.done())

    def in_words(self, error: BaseException) -> str:
        """Say that a process was killed; which one of those at work is not known."""
        if isinstance(error, BrokenProcessPool):
            return "one of the worker processes was killed; if memory ran out, ask for fewer --workers."
        return ""


@contextmanager
def process_pool(width: int) -> Iterator[PoolEngine]:
    """Open a pool; left by an error, its processes are killed: a training that goes on would be waited for.

    Args:
        width: Processes.
    """
    before = set(multiprocessing.active_children())
    threads = max(1, local_cores() // width)
    with ProcessPoolTaskRunner(width, initializer=worker.begin, initargs=(threads,)) as runner:
        try:
            yield PoolEngine(runner, width)
        except BaseException:
            _kill(set(multiprocessing.active_children()) - before)
            raise


def _kill(processes: set[BaseProcess]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.join(5.0)
