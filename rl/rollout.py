"""Acting: what the algorithm asks of a policy and of environments, and how a rollout is collected.

Any policy that splits into `encode` (what depends on a shared context, here the market hour) and `heads`
(what depends on the state) runs through it. A context is encoded once per policy version in a rollout and
once per minibatch in an update: unique -> encode -> gather.

Shapes: T steps of N environments; A actions; F private features; H distinct contexts; B states.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl.market.arrays import F64, I64, Bool

Code = tuple[Tensor, ...]


class ActorCritic(Protocol):
    """What the algorithm asks of a policy (an `nn.Module`)."""

    def encode(self, contexts: Tensor) -> Code:
        """Encode (H, ...) contexts into tensors of leading axis H."""
        ...

    def heads(self, code: Code, private: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-probabilities (B, A), hugely negative where masked, and values (B,)."""
        ...


class EnvironmentStep(Protocol):
    """What one step of N environments tells; resets are already done."""

    @property
    def reward(self) -> F64:
        """(N,) reward of the step."""
        ...

    @property
    def terminated(self) -> Bool:
        """(N,) the episode ended and nothing comes after."""
        ...

    @property
    def truncated(self) -> Bool:
        """(N,) the episode was cut: its value goes on from the final observation."""
        ...

    @property
    def final_private(self) -> NDArray[np.float32]:
        """(N, F) observation before any reset."""
        ...

    @property
    def final_t(self) -> I64:
        """(N,) context before any reset."""
        ...

    @property
    def finished(self) -> list[Any]:
        """Summaries of the episodes that ended."""
        ...


class Environments(Protocol):
    """N environments that reset themselves within the step that ends an episode."""

    def plan(self, steps: int) -> I64:
        """Return (steps + 1, N) contexts of the coming steps, whatever the actions."""
        ...

    def private(self) -> NDArray[np.float32]:
        """Return (N, F) private observations."""
        ...

    def mask(self) -> Bool:
        """Return (N, A) valid actions."""
        ...

    def step(self, action: I64) -> EnvironmentStep:
        """Step all environments."""
        ...


def gather(code: Code, index: Tensor) -> Code:
    """Give each state the code of its context; `index_select`, whose gradient is reproducible on threads."""
    return tuple(part.index_select(0, index) for part in code)


def evaluate(
    policy: ActorCritic, contexts: Tensor, context: Tensor, private: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Encode the distinct contexts of B states once, and judge the states: log-probabilities and values."""
    distinct, where = torch.unique(context, return_inverse=True)
    code = policy.encode(contexts.index_select(0, distinct))
    return policy.heads(gather(code, where), private, mask)


def sample(logp: Tensor, generator: torch.Generator) -> Tensor:
    """Draw an action per row by inverting the cumulative distribution.

    A masked action has probability exactly 0, its step of the distribution is empty, and the first entry
    strictly above the draw is never it.

    Args:
        logp: (B, A) log-probabilities on the CPU.
        generator: Source of randomness, on the CPU whatever the device.
    """
    cumulative = logp.double().exp_().cumsum_(1)
    draw = torch.rand(logp.shape[0], 1, generator=generator, dtype=torch.float64) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, draw, right=True).squeeze(1)


class Rollout:
    """Preallocated (T, N) buffers of one rollout.

    Attributes:
        context: (T, N) int64.
        private: (T, N, F) float32.
        mask: (T, N, A) bool.
        action: (T, N) int64.
        logp: (T, N) log-probability of the action taken.
        all_logp: (T, N, A) log-probabilities of all.
        value: (T, N).
        reward: (T, N) float64, as the environments gave it.
        terminated: (T, N) bool.
        truncated: (T, N) bool.
        final_value: (T, N) value of the final observation where truncated, else 0.
        next_value: (N,) value of the observation after the last step.
    """

    def __init__(self, steps: int, n: int, n_private: int, n_actions: int, device: torch.device) -> None:
        self.context = torch.zeros(steps, n, dtype=torch.int64, device=device)
        self.private = torch.zeros(steps, n, n_private, device=device)
        self.mask = torch.zeros(steps, n, n_actions, dtype=torch.bool, device=device)
        self.action = torch.zeros(steps, n, dtype=torch.int64, device=device)
        self.logp = torch.zeros(steps, n, device=device)
        self.all_logp = torch.zeros(steps, n, n_actions, device=device)
        self.value = torch.zeros(steps, n, device=device)
        self.reward: F64 = np.zeros((steps, n))
        self.terminated: Bool = np.zeros((steps, n), np.bool_)
        self.truncated: Bool = np.zeros((steps, n), np.bool_)
        self.final_value: F64 = np.zeros((steps, n))
        self.next_value: F64 = np.zeros(n)

    @property
    def shape(self) -> tuple[int, int]:
        """Steps and environments."""
        return int(self.action.shape[0]), int(self.action.shape[1])


@torch.no_grad()
def collect(
    policy: ActorCritic,
    contexts: Tensor,
    environments: Environments,
    rollout: Rollout,
    generator: torch.Generator,
    check: Callable[[Tensor, Tensor, Tensor], None] | None = None,
) -> list[Any]:
    """Fill a rollout with T steps of every environment.

    Args:
        policy: Encodes each distinct context of the whole rollout once.
        contexts: (all contexts, ...) what `Environments.plan` indexes.
        environments: Stepped T times.
        rollout: Overwritten.
        generator: Draws the actions.
        check: Called with private observations, log-probabilities and values before each draw.

    Returns:
        Summaries of the episodes that ended.
    """
    steps = rollout.shape[0]
    device = rollout.private.device
    plan = torch.from_numpy(environments.plan(steps)).to(device)
    distinct, where = torch.unique(plan, return_inverse=True)
    code = policy.encode(contexts.index_select(0, distinct))
    rollout.context.copy_(plan[:-1])
    finished: list[Any] = []
    cut: list[tuple[int, I64, NDArray[np.float32], I64]] = []
    for t in range(steps):
        rollout.private[t] = torch.from_numpy(environments.private())
        rollout.mask[t] = torch.from_numpy(environments.mask())
        logp, value = policy.heads(gather(code, where[t]), rollout.private[t], rollout.mask[t])
        if check is not None:
            check(rollout.private[t], logp, value)
        action = sample(logp.cpu(), generator)
        rollout.all_logp[t], rollout.value[t] = logp, value
        rollout.action[t] = action
        step = environments.step(action.numpy())
        rollout.reward[t], rollout.terminated[t], rollout.truncated[t] = (
            step.reward,
            step.terminated,
            step.truncated,
        )
        env = np.nonzero(step.truncated & ~step.terminated)[0]
        if env.size:
            cut.append((t, env, step.final_private[env], step.final_t[env]))
        finished.extend(step.finished)
    rollout.logp.copy_(rollout.all_logp.gather(-1, rollout.action.unsqueeze(-1)).squeeze(-1))
    after = torch.from_numpy(environments.private()).to(device)
    valid = torch.from_numpy(environments.mask()).to(device)
    rollout.next_value = policy.heads(gather(code, where[steps]), after, valid)[1].double().cpu().numpy()
    rollout.final_value[:] = 0.0
    if cut:
        private = torch.from_numpy(np.concatenate([c[2] for c in cut])).to(device)
        context = torch.from_numpy(np.concatenate([c[3] for c in cut])).to(device)
        any_action = torch.ones(private.shape[0], rollout.mask.shape[2], dtype=torch.bool, device=device)
        values = evaluate(policy, contexts, context, private, any_action)[1].double().cpu().numpy()
        rows = np.concatenate([np.full(c[1].size, c[0]) for c in cut])
        rollout.final_value[rows, np.concatenate([c[1] for c in cut])] = values
    return finished
