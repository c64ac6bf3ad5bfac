"""What is not a number stops training and is named."""

import numpy as np
import pytest
import torch

from rl.finite import (
    ActingDiverged,
    TrainingDiverged,
    check_decision,
    check_minibatch,
    check_rollout,
    check_weights,
)
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


@pytest.mark.parametrize("what", ["observation 17", "log-probability", "value"])
def test_a_bad_decision_is_named_before_an_action_is_drawn_from_it(what: str) -> None:
    given = {"observation 17": torch.zeros(2, 75), "log-probability": torch.full((2, 36), -1e9),
             "value": torch.zeros(2)}  # fmt: skip
    check_decision(*given.values())
    if what == "value":
        given[what][1] = float("inf")
    else:
        given[what][1, 17] = float("nan")
    with pytest.raises(ActingDiverged, match=f"^{what}: "):
        check_decision(*given.values())


@pytest.mark.parametrize(
    ("what", "where"), [("reward", "reward"), ("value", "next_value"), ("value", "final_value")]
)
def test_a_bad_rollout_is_named(what: str, where: str) -> None:
    rollout = Rollout(3, 2, 75, 36, CPU)
    check_rollout(rollout)
    getattr(rollout, where)[..., 1] = np.nan
    with pytest.raises(ActingDiverged, match=f"^{what}: "):
        check_rollout(rollout)
