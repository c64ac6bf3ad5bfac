"""Proximal policy optimisation (Schulman et al. 2017) with masked actions, readable top to bottom.

The algorithm knows nothing of trading; what it asks of a policy stands in `rl.rollout`.

Shapes: T steps of N environments; A actions; F private features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rl.market.arrays import F64, Bool
from rl.rollout import ActorCritic, Rollout
from rl.workers import Workers
from schemas.training import TrainingConfig

MIN_DEVIATION = 1e-6


def gae(
    reward: F64,
    value: F64,
    final_value: F64,
    next_value: F64,
    terminated: Bool,
    truncated: Bool,
    gamma: float,
    lam: float,
) -> tuple[F64, F64]:
    """Generalised advantage estimation (Schulman et al. 2016).

    A terminated episode is worth nothing afterwards. A truncated one is worth V(final observation). Neither
    lets the next episode's advantages flow back into it.

    Args:
        reward: (T, N) scaled rewards.
        value: (T, N) V of the observation acted on.
        final_value: (T, N) V of the final observation where truncated.
        next_value: (N,) V of the observation after the last step.
        terminated: (T, N).
        truncated: (T, N).
        gamma: Discount per step.
        lam: Lambda.

    Returns:
        Advantages and returns (advantage + value), (T, N) each.
    """
    advantage = np.zeros_like(reward)
    trace = np.zeros_like(next_value)
    following = next_value
    for t in reversed(range(reward.shape[0])):
        after = np.where(truncated[t], final_value[t], following)
        after = np.where(terminated[t], 0.0, after)
        goes_on = ~terminated[t] & ~truncated[t]
        trace = reward[t] + gamma * after - value[t] + gamma * lam * np.where(goes_on, trace, 0.0)
        advantage[t] = trace
        following = value[t]
    return advantage, advantage + value


class RewardScaler:
    """Divides rewards by the running deviation of discounted returns, without shifting them.

    Attributes:
        running: (N,) discounted sum of each environment's rewards so far in its episode.
        count: Number of returns seen.
        mean: Their mean.
        spread: Sum of squared differences from the mean.
    """

    def __init__(self, n: int, gamma: float) -> None:
        self.gamma = gamma
        self.running: F64 = np.zeros(n)
        self.count, self.mean, self.spread = 0.0, 0.0, 0.0

    @property
    def deviation(self) -> float:
        """Standard deviation of the discounted returns seen so far."""
        return max(float(np.sqrt(self.spread / self.count)) if self.count else 1.0, MIN_DEVIATION)

    def observe(self, reward: F64, terminated: Bool, truncated: Bool) -> None:
        """Add a rollout's (T, N) rewards; an episode's sum starts again after its last step."""
        seen = np.empty_like(reward)
        for t in range(reward.shape[0]):
            self.running = self.running * self.gamma + reward[t]
            seen[t] = self.running
            self.running = np.where(terminated[t] | truncated[t], 0.0, self.running)
        count, mean = float(seen.size), float(seen.mean())
        spread = float(((seen - mean) ** 2).sum())
        total = self.count + count
        apart = mean - self.mean
        self.spread += spread + apart * apart * self.count * count / total
        self.mean += apart * count / total
        self.count = total


def minibatches(groups: int, members: int, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Deal groups of `members` states, which share a context, into random minibatches of `batch_size` states.

    A group stays together, so that its context is encoded once an epoch; it is never larger than a minibatch
    unless it alone fills one.
    """
    order = torch.randperm(groups, generator=generator)
    yield from order.tensor_split(max(1, -(-groups * members // batch_size)))


@dataclass(frozen=True)
class UpdateStatistics:
    """Means over the minibatches of an update, what they started from, and how far they went.

    Attributes:
        policy_loss: Clipped surrogate.
        value_loss: Half the mean squared error of scaled returns.
        entropy: Over valid actions, nats.
        kl: k3 estimate of KL(old || new) at the last minibatch: how far the update went.
        clip_fraction: Share of states whose ratio left the clip range.
        grad_norm: Before clipping.
        explained_variance: Of the returns by the values of the rollout; NaN where returns do not vary.
        ratio_error: Largest |ratio - 1| in the first minibatch: whether acting and learning agree.
    """

    policy_loss: float
    value_loss: float
    entropy: float
    kl: float
    clip_fraction: float
    grad_norm: float
    explained_variance: float
    ratio_error: float


def explained_variance(value: F64, returns: F64) -> float:
    """1 - Var(returns - value) / Var(returns)."""
    spread = float(returns.var())
    return float("nan") if spread == 0.0 else 1.0 - float((returns - value).var()) / spread


def update(
    policy: ActorCritic,
    optimizer: torch.optim.Optimizer,
    contexts: Tensor,
    rollout: Rollout,
    advantage: F64,
    returns: F64,
    training: TrainingConfig,
    generator: torch.Generator,
    check: Callable[[Any, dict[str, Tensor]], None] | None = None,
    workers: Workers | None = None,
) -> UpdateStatistics:
    """Improve the policy on one rollout.

    Args:
        policy: What learns.
        optimizer: Over its parameters.
        contexts: (all contexts, ...).
        rollout: What `collect` filled.
        advantage: (T, N); normalised here over the rollout.
        returns: (T, N) targets of the value.
        training: Epochs, minibatch, coefficients.
        generator: Draws the minibatches.
        check: Called with the losses and the gradient norm of each minibatch before the optimizer's step.
        workers: Share a minibatch between threads; by default one does it all.
    """
    device = rollout.private.device
    parameters = list(policy.parameters())
    context = rollout.context.flatten()
    private, mask, action, old = (
        rollout.grouped(x) for x in (rollout.private, rollout.mask, rollout.action, rollout.logp)
    )
    scaled = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    gain = rollout.grouped(torch.from_numpy(scaled.astype(np.float32)).to(device))
    target = rollout.grouped(torch.from_numpy(returns.astype(np.float32)).to(device))

    def learn(batch: Tensor, share: float) -> tuple[Sequence[Tensor | None], Tensor]:
        """Return the gradient of some groups' loss and what is told of them, as shares of the whole."""
        code = policy.encode(contexts.index_select(0, context.index_select(0, batch)))
        logp, value = policy.heads(code, private.index_select(0, batch), mask.index_select(0, batch))
        chosen = logp.gather(-1, action.index_select(0, batch).unsqueeze(-1)).squeeze(-1)
        log_ratio = chosen - old.index_select(0, batch)
        ratio = log_ratio.exp()
        a = gain.index_select(0, batch)
        clipped = ratio.clamp(1.0 - training.clip, 1.0 + training.clip)
        policy_loss = -torch.minimum(ratio * a, clipped * a).mean()
        value_loss = 0.5 * F.mse_loss(value, target.index_select(0, batch))
        entropy = -(logp.exp() * logp).sum(-1).mean()  # a masked action adds 0 x (huge) = 0
        bonus = training.entropy_coef * policy.spread(logp).mean()
        loss = policy_loss + training.value_coef * value_loss - bonus
        gradient = torch.autograd.grad(share * loss, parameters, allow_unused=True)
        with torch.no_grad():
            kl = (ratio - 1.0 - log_ratio).mean()
            outside = ((ratio - 1.0).abs() > training.clip).float().mean()
            told = share * torch.stack((policy_loss, value_loss, entropy, kl, outside))
            return gradient, torch.cat((told, (ratio - 1.0).abs().max().reshape(1)))

    rows: list[Tensor] = []
    for _ in range(training.n_epochs):
        for batch in minibatches(context.numel(), rollout.members, training.batch_size, generator):
            told = _accumulate(learn, batch.to(device), parameters, workers)
            norm = nn.utils.clip_grad_norm_(parameters, training.max_grad_norm)
            if check is not None:
                named = dict(zip(("policy loss", "value loss", "entropy"), told[:3], strict=True))
                check(policy, named | {"gradient norm": norm})
            rows.append(torch.cat((told, norm.detach().reshape(1))))
            if told[3] > training.max_kl:  # clipping bounds what is gained by going further, not how far
                return _summed_up(rows, rollout, returns)
            optimizer.step()
    return _summed_up(rows, rollout, returns)


def _summed_up(rows: list[Tensor], rollout: Rollout, returns: F64) -> UpdateStatistics:
    table = torch.stack(rows).double().cpu()
    means = table.mean(0).tolist()
    return UpdateStatistics(
        policy_loss=means[0],
        value_loss=means[1],
        entropy=means[2],
        kl=float(table[-1, 3]),
        clip_fraction=means[4],
        grad_norm=means[6],
        explained_variance=explained_variance(rollout.value.double().cpu().numpy(), returns),
        ratio_error=float(table[0, 5]),
    )


def _accumulate(
    learn: Callable[[Tensor, float], tuple[Sequence[Tensor | None], Tensor]],
    batch: Tensor,
    parameters: list[nn.Parameter],
    workers: Workers | None,
) -> Tensor:
    """Leave a minibatch's gradient in the parameters and return what is told of it.

    The groups are dealt evenly to the workers; what they find is added in the order of the workers, whoever
    was ready first.
    """
    parts = [part for part in batch.tensor_split(workers.count if workers else 1) if part.numel()]
    shares = [part.numel() / batch.numel() for part in parts]
    found = list(workers.map(learn, parts, shares) if workers else map(learn, parts, shares))
    for i, parameter in enumerate(parameters):
        known = [part for gradient, _ in found if (part := gradient[i]) is not None]
        parameter.grad = sum(known[1:], start=known[0]) if known else None
    told = torch.stack([row for _, row in found])
    # Shares of means add up to a mean; of the errors of ratios the largest counts.
    return torch.cat((told[:, :-1].sum(0), told[:, -1:].amax(0)))
