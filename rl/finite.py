"""What is not finite stops training, before it reaches the weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from rl.rollout import Rollout
from schemas.errors import UserError


class TrainingDiverged(UserError):
    """A NaN or an infinity appeared; `where` names the tensor."""


class ActingDiverged(TrainingDiverged):
    """It appeared while acting: whatever spoiled the policy came in an earlier update."""


def check_decision(private: Tensor, logp: Tensor, value: Tensor) -> None:
    """Stop before an action is drawn from what is no distribution.

    Args:
        private: (N, F) observations.
        logp: (N, A) log-probabilities; those of masked actions are hugely negative, and finite.
        value: (N,).

    Raises:
        ActingDiverged: It names the observation, or else what the policy made of it.
    """
    bad = ~private.isfinite()
    if bool(bad.any()):
        name = f"observation {int(bad.any(0).nonzero()[0])}"
        raise _diverged(name, "as the simulator gave it", ActingDiverged)
    for name, tensor in (("log-probability", logp), ("value", value)):
        if not bool(tensor.isfinite().all()):
            raise _diverged(name, "as the policy gave it", ActingDiverged)


def check_minibatch(policy: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Stop before the optimizer's step where a loss or a gradient is not finite.

    The weights are then still finite. Called with gradients in place.

    Raises:
        TrainingDiverged: It names the first such gradient, or else the loss.
    """
    if bool(torch.stack([v.detach().float() for v in values.values()]).isfinite().all()):
        return
    bad = [name for name, value in values.items() if not bool(value.isfinite())]
    others = " and ".join(filter(None, (", ".join(bad[:-1]), bad[-1])))
    for name, parameter in policy.named_parameters():
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            raise _diverged(f"gradient of {name}", f"and {others} with it")
    raise _diverged(bad[0], "while every gradient is finite")


def check_weights(policy: nn.Module) -> None:
    """Stop where a weight is not finite.

    Raises:
        TrainingDiverged: It names the weight.
    """
    for name, parameter in policy.named_parameters():
        if not bool(parameter.detach().isfinite().all()):
            raise _diverged(f"weight {name}", "after an update")


def check_rollout(rollout: Rollout) -> None:
    """Stop where a rollout brought something that is not finite; its decisions were checked before.

    Raises:
        ActingDiverged: It names what.
    """
    if not np.isfinite(rollout.reward).all():
        raise _diverged("reward", "as the simulator gave it", ActingDiverged)
    if not np.isfinite(rollout.next_value).all() or not np.isfinite(rollout.final_value).all():
        raise _diverged("value", "at the end of a rollout", ActingDiverged)


def _diverged(
    tensor: str, circumstance: str, kind: type[TrainingDiverged] = TrainingDiverged
) -> TrainingDiverged:
    return kind(
        f"training stopped: a number that is not finite, {circumstance}.",
        tensor,
        "Lower the learning rate, and check the data for absurd prices or rates.",
    )
