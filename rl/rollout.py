"""Acting: what the algorithm asks of a policy and of environments, and how a rollout is collected.

Any policy that splits into `encode` (what depends on a shared context, here the market hour) and `heads`
(what depends on the state) runs through it. Environments come in G groups of K that share their contexts, so
a context is encoded once per policy version in a rollout and once per minibatch in an update, for K states.

Shapes: T steps of N = G x K environments, group by group; A actions; F private features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rl.market.arrays import F64, I64, Bool

Code = tuple[Tensor, ...]


class ActorCritic(Protocol):
    """What the algorithm asks of a policy (an `nn.Module`)."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Everything that is learnt."""
        ...

    def encode(self, contexts: Tensor) -> Code:
        """Encode (H, ...) contexts into tensors of leading axis H."""
        ...

    def heads(self, code: Code, private: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Judge K states of each of H contexts.

        Args:
            code: Of H contexts.
            private: (H, K, F).
            mask: (H, K, A) valid actions.

        Returns:
            Log-probabilities (H, K, A), hugely negative where masked, and values (H, K).
        """
        ...

    def spread(self, logp: Tensor) -> Tensor:
        """Return (H, K) what the entropy bonus is paid for, nats, of (H, K, A) log-probabilities."""
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
        """Return (steps + 1, G) contexts of the coming steps, whatever the actions."""
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
    """Take the codes of some contexts; `index_select`, whose gradient is reproducible on threads."""
    return tuple(part.index_select(0, index) for part in code)


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
        members: K, environments of a group.
        context: (T, G) int64.
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
        final_private: (T, N, F) final observation where truncated, else of no meaning.
        next_private: (N, F) observation after the last step.
    """

    def __init__(
        self, steps: int, n: int, n_private: int, n_actions: int, device: torch.device, members: int = 1
    ) -> None:
        self.members = members
        self.context = torch.zeros(steps, n // members, dtype=torch.int64, device=device)
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
        self.final_private: NDArray[np.float32] = np.zeros((steps, n, n_private), np.float32)
        self.next_private: NDArray[np.float32] = np.zeros((n, n_private), np.float32)

    @property
    def shape(self) -> tuple[int, int]:
        """Steps and environments."""
        return int(self.action.shape[0]), int(self.action.shape[1])

    def grouped(self, x: Tensor) -> Tensor:
        """View (T, N, ...) as (T x G, K, ...): the states of a group at a step share their context."""
        return x.view(-1, self.members, *x.shape[2:])


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

    def judge(code: Code, private: NDArray[np.float32], mask: Bool) -> tuple[Tensor, Tensor]:
        shared = (-1, rollout.members, private.shape[1]), (-1, rollout.members, mask.shape[1])
        states, valid = (
            torch.from_numpy(x).to(device).view(shape)
            for x, shape in zip((private, mask), shared, strict=True)
        )
        logp, value = policy.heads(code, states, valid)
        return logp.flatten(0, 1), value.flatten()

    finished: list[Any] = []
    cut: list[tuple[int, I64, NDArray[np.float32], I64]] = []
    for t in range(steps):
        private, mask = environments.private(), environments.mask()
        logp, value = judge(gather(code, where[t]), private, mask)
        if check is not None:
            check(torch.from_numpy(private), logp, value)
        action = sample(logp.cpu(), generator)
        rollout.private[t], rollout.mask[t] = torch.from_numpy(private), torch.from_numpy(mask)
        rollout.all_logp[t], rollout.value[t], rollout.action[t] = logp, value, action
        step = environments.step(action.numpy())
        rollout.reward[t], rollout.terminated[t], rollout.truncated[t] = (
            step.reward,
            step.terminated,
            step.truncated,
        )
        groups = np.unique(np.nonzero(step.truncated & ~step.terminated)[0] // rollout.members)
        if groups.size:
            members = (groups[:, None] * rollout.members + np.arange(rollout.members)).ravel()
            cut.append((t, members, step.final_private[members], step.final_t[members[:: rollout.members]]))
        finished.extend(step.finished)
    rollout.logp.copy_(rollout.all_logp.gather(-1, rollout.action.unsqueeze(-1)).squeeze(-1))
    rollout.next_private = environments.private()
    after = judge(gather(code, where[steps]), rollout.next_private, environments.mask())[1]
    rollout.next_value = after.double().cpu().numpy()
    rollout.final_value[:] = 0.0
    if cut:
        rows = np.concatenate([np.full(c[1].size, c[0]) for c in cut])
        members, private = (np.concatenate([c[i] for c in cut]) for i in (1, 2))
        final = torch.from_numpy(np.concatenate([c[3] for c in cut])).to(device)
        any_action = np.ones((members.size, rollout.mask.shape[2]), np.bool_)
        final_code = policy.encode(contexts.index_select(0, final))
        worth = judge(final_code, private, any_action)[1].double().cpu().numpy()
        ended = rollout.truncated[rows, members] & ~rollout.terminated[rows, members]
        rollout.final_value[rows, members] = np.where(ended, worth, 0.0)
        rollout.final_private[rows, members] = private
    return finished
