"""What a process does that works for a flow in another one: end with it, and leave it the keyboard.

Only the standard library is imported: numpy and torch read how many threads to start when they are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait
from typing import Final

THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def begin(threads: int) -> None:
    """Prepare a process of the pool; called in it before its first task.

    Args:
        threads: Threads for libraries that nobody tells how many, so that all workers together do not start
            more than there are cores. What a training computes with is its recipe's and stays.
    """
    limit_threads(threads)
    # A terminal sends Ctrl-C to the whole group. The flow's process answers it, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), name="parent-watch", daemon=True).start()


def limit_threads(threads: int) -> None:
    """Limit numerical libraries that are not loaded yet; what the environment says already stays."""
    for name in THREADS:
        os.environ.setdefault(name, str(threads))


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)
