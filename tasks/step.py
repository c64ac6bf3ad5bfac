"""How a shell becomes a Prefect task, and how a flow calls one.

A shell is a plain function that returns a `Cached`; it does not know Prefect, so the command
line can use it without. Here it becomes a task that shows its result in the UI and, when
nothing had to be computed, ends in a state named "Cached".
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, ParamSpec

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from schemas.manifest import Ref
from tasks import ui
from tasks.cache import Cached

P = ParamSpec("P")

CACHED_NAME: Final = "Cached"


def as_task(
    shell: Callable[P, Cached], *, name: str, show: Callable[[Cached], None] | None = None
) -> Task[P, Any]:
    """Make a Prefect task of a cached shell.

    Prefect's own result cache stays off: the store is the only cache.

    Args:
        shell: Computes an artifact or finds it in the store.
        name: Name in the UI.
        show: Puts what the artifact says into the UI; runs on hits too, so every run page is complete.

    Returns:
        A task that returns the artifact's `Ref`, in a state named "Cached" if the store had it.
    """

    @functools.wraps(shell)
    def run(*args: P.args, **kwargs: P.kwargs) -> Ref | State[Ref]:
        cached = shell(*args, **kwargs)
        if show is not None:
            show(cached)
        if cached.hit:
            ui.say(f"{name}: unchanged")
            return Completed(name=CACHED_NAME, message=f"Unchanged: {cached.ref}", data=cached.ref)
        return cached.ref

    return uncached_task(run, name=name)


def uncached_task(function: Callable[P, Any], *, name: str) -> Task[P, Any]:
    """Make a Prefect task of a function that runs every time."""
    return task(
        name=name,
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=0,
        log_prints=False,
    )(function)


def call(step: Task[P, Any], *args: P.args, **kwargs: P.kwargs) -> Any:
    """Call a task from a flow and return its value; raise what it raised.

    A direct call of a task that returns a State returns that State, not its data, so every call
    asks for the state and unwraps it here.

    Args:
        step: The task.
        *args: Its positional arguments.
        **kwargs: Its keyword arguments.

    Raises:
        BaseException: Whatever the task raised.
    """
    state: State[Any] = step(*args, return_state=True, **kwargs)
    return state.result()
