"""A flow whose steps are called as they are: every one real, and without Prefect."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from schemas.manifest import Ref


@dataclass
class Steps:
    """Calls each step as Prefect would, and keeps what was called and whether it was there already."""

    seen: list[tuple[str, bool]] = field(default_factory=list)

    def __call__(self, step: Any, *args: Any, **kwargs: Any) -> Any:
        made = step.fn(*args, **kwargs)
        hit = not isinstance(made, Ref)
        self.seen.append((step.task_run_name or step.name, hit))
        return made.data if hit else made


def without_prefect(patch: pytest.MonkeyPatch, module: ModuleType) -> Steps:
    """Let a flow's module call its steps, and those it fans out, directly."""
    steps = Steps()
    patch.setattr(module, "call", steps)
    patch.setattr("flows.runners.call", steps)
    return steps
