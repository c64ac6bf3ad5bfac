"""Numbers that are not numbers stop training; shares and entropies say what the policy has become."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from rl.policy import FIRST_EXIT, kind_masses
from rl.rollout import Rollout
from schemas.errors import UserError


class TrainingDiverged(UserError):
    """A NaN or an infinity appeared; `where` names the tensor."""


def check_minibatch(policy: nn.Module, values: Mapping[str, Tensor]) -> None:
    """Stop before the optimizer's step where a loss or a gradient is not finite.

    The weights are then still finite. Called with gradients in place.

    Raises:
        TrainingDiverged: It names the first such gradient, or else the loss.
    """
    if bool(torch.stack([v.detach().float() for v in values.values()]).isfinite().all()):
        return
    bad = [name for name, value in values.items() if not bool(value.isfinite())]
    for name, parameter in policy.named_parameters():
        if parameter.grad is not None and not bool(parameter.grad.isfinite().all()):
            raise _diverged(f"gradient of {name}", f"{' and '.join(bad)} not finite either")
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
    """Stop where the simulator or the policy gave something that is not finite.

    Raises:
        TrainingDiverged: It names what.
    """
    if not bool(rollout.private.isfinite().all()):
        feature = int((~rollout.private.isfinite()).flatten(0, 1).any(0).nonzero()[0])
        raise _diverged(f"observation {feature}", "as the simulator gave it")
    if not np.isfinite(rollout.reward).all():
        raise _diverged("reward", "as the simulator gave it")
    if not bool(rollout.value.isfinite().all()) or not np.isfinite(rollout.final_value).all():
        raise _diverged("value", "in a rollout")


def _diverged(tensor: str, circumstance: str) -> TrainingDiverged:
    return TrainingDiverged(
        f"training stopped: a number that is not finite, {circumstance}.",
        tensor,
        "Lower the learning rate, and check the data for absurd prices or rates.",
    )


@torch.no_grad()
def behaviour(rollout: Rollout) -> dict[str, float]:
    """Say what the policy does, over a rollout.

    Returns:
        share_hold, share_enter, share_exit of the actions taken; entropy_kind over hold, enter and exit, and
        entropy_entry of slot and size given an entry (weighted by the probability of entering), nats.
    """
    action = rollout.action
    logp = rollout.all_logp.flatten(0, 1)
    kinds = kind_masses(logp)
    tiny = torch.finfo(kinds.dtype).tiny
    kind_entropy = -(kinds * kinds.clamp(min=tiny).log()).sum(1)
    entries = logp[:, 1:FIRST_EXIT]
    enter = kinds[:, 1]
    # H(entry | enter) x P(enter) = -sum p log p + P(enter) log P(enter)
    spread = -(entries.exp() * entries).sum(1) + enter * enter.clamp(min=tiny).log()
    return {
        "share_hold": float((action == 0).float().mean()),
        "share_enter": float(((action > 0) & (action < FIRST_EXIT)).float().mean()),
        "share_exit": float((action >= FIRST_EXIT).float().mean()),
        "entropy_kind": float(kind_entropy.mean()),
        "entropy_entry": float(spread.sum() / enter.sum().clamp(min=tiny)),
    }
