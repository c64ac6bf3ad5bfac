"""Threads that share a minibatch, each computing alone.

Torch splits a multiplication between threads, which pays for large matrices; those of a minibatch are small,
and two threads were hardly faster than one. Here a thread takes its own part of the minibatch through forward
and backward pass; torch lets go of the interpreter's lock meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch

R = TypeVar("R")


class Workers:
    """A fixed number of threads; results come in the order of the work.

    Args:
        count: How many; the calling thread waits.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        # A thread's own setting: without it each would start threads of its own.
        self._pool = ThreadPoolExecutor(count, "worker", initializer=torch.set_num_threads, initargs=(1,))

    def map(self, work: Callable[..., R], *arguments: Iterable[Any]) -> Iterator[R]:
        """Do the work for every set of arguments, at once."""
        return self._pool.map(work, *arguments)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()
