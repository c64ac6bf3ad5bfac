"""What is not a number stops training and is named."""

import numpy as np
import pytest
import torch

from rl.health import TrainingDiverged, behaviour, check_minibatch, check_rollout, check_weights
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


def test_behaviour_counts_kinds_and_splits_entropy() -> None:
    rollout = Rollout(1, 4, 75, 36, CPU)
    rollout.action[0] = torch.tensor([0, 5, 30, 31])
    p = torch.zeros(36)
    p[0], p[1], p[2], p[31] = 0.5, 0.2, 0.2, 0.1  # entering, two actions are equally likely
    rollout.all_logp[:] = torch.where(p > 0, p.log(), -1e9)
    seen = behaviour(rollout)
    assert [seen[f"share_{kind}"] for kind in ("hold", "enter", "exit")] == [0.25, 0.5, 0.25]
    kinds = np.array([0.5, 0.4, 0.1])
    assert seen["entropy_kind"] == pytest.approx(-(kinds * np.log(kinds)).sum(), abs=1e-5)
    assert seen["entropy_entry"] == pytest.approx(np.log(2), abs=1e-5)


def test_behaviour_where_entering_is_impossible() -> None:
    rollout = Rollout(1, 2, 75, 36, CPU)
    rollout.all_logp[:] = -1e9
    rollout.all_logp[..., 0] = 0.0
    seen = behaviour(rollout)
    assert seen["entropy_kind"] == 0.0
    assert seen["entropy_entry"] == 0.0
