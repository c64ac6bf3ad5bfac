"""What is not a number stops training and is named."""

import numpy as np
import pytest
import torch

from rl.finite import TrainingDiverged, check_minibatch, check_rollout, check_weights
from rl.policy import Policy
from rl.rollout import Rollout
from tests.rl.classic import CPU


def with_gradients() -> Policy:
    policy = Policy(0)
    for parameter in policy.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return policy


def test_a_bad_gradient_is_named() -> None:
    policy = with_gradients()
    fine = {"value loss": torch.tensor(1.0), "gradient norm": torch.tensor(2.0)}
    check_minibatch(policy, fine)
    policy.trunk_in.weight.grad[3, 4] = float("nan")
    with pytest.raises(TrainingDiverged, match=r"^gradient of trunk_in\.weight: training stopped"):
        check_minibatch(policy, fine | {"gradient norm": torch.tensor(float("nan"))})


def test_a_bad_loss_is_named() -> None:
    bad = {"policy loss": torch.tensor(1.0), "value loss": torch.tensor(float("inf"))}
    with pytest.raises(TrainingDiverged, match=r"^value loss: training stopped"):
        check_minibatch(with_gradients(), bad)


def test_a_bad_weight_is_named() -> None:
    policy = Policy(0)
    check_weights(policy)
    with torch.no_grad():
        policy.kind.bias[1] = float("inf")
    with pytest.raises(TrainingDiverged, match=r"weight kind\.bias"):
        check_weights(policy)


@pytest.mark.parametrize("what", ["observation 17", "reward", "value"])
def test_a_bad_rollout_is_named(what: str) -> None:
    rollout = Rollout(3, 2, 75, 36, CPU)
    check_rollout(rollout)
    if what == "reward":
        rollout.reward[1, 1] = np.nan
    elif what == "value":
        rollout.value[1, 1] = float("inf")
    else:
        rollout.private[1, 1, 17] = float("nan")
    with pytest.raises(TrainingDiverged, match=f"^{what}: "):
        check_rollout(rollout)
