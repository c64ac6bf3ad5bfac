"""Threads that share a minibatch: the same bits every time, and the gradient of the whole."""

import threading

import pytest
import torch

from rl.policy import Policy
from rl.ppo import update
from rl.workers import Workers
from schemas.training import TrainingConfig
from tests.rl.test_ppo import SLOTS, rolled_out, targets


def learnt(workers: Workers | None, learning_rate: float = 1e-3) -> tuple[torch.Tensor, object]:
    """Make an update of several minibatches; return the weights and what was told."""
    policy = Policy(0)
    rollout, _ = rolled_out(policy)
    training = TrainingConfig(batch_size=100, n_epochs=2)
    optimizer = torch.optim.Adam(policy.parameters(), lr=learning_rate, eps=1e-5)
    generator = torch.Generator().manual_seed(1)
    told = update(
        policy, optimizer, SLOTS, rollout, *targets(rollout), training, generator, workers=workers
    )  # fmt: skip
    return torch.cat([p.detach().flatten() for p in policy.parameters()]), told


def test_the_same_number_of_workers_gives_the_same_bits() -> None:
    weights = []
    for _ in range(4):
        workers = Workers(2)
        weights.append(learnt(workers)[0])
        workers.close()
    assert all(torch.equal(weights[0], other) for other in weights[1:])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_workers_together_find_the_gradient_of_one(count: int) -> None:
    workers = Workers(count)
    together, told = learnt(workers, learning_rate=1e-5)
    alone, expected = learnt(None, learning_rate=1e-5)
    workers.close()
    assert torch.allclose(
        together, alone, atol=3e-6
    )  # Adam's steps are of 1e-5, whatever the gradient's size
    for name in ("policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "grad_norm"):
        assert getattr(told, name) == pytest.approx(getattr(expected, name), rel=1e-3, abs=1e-6), name
    assert told.ratio_error < 1e-5


def test_a_worker_computes_alone_and_its_error_is_raised() -> None:
    workers = Workers(2)
    threads = set(workers.map(lambda _: (torch.get_num_threads(), threading.current_thread().name), range(8)))
    assert {count for count, _ in threads} == {1}
    assert threading.current_thread().name not in {name for _, name in threads}

    def fail(_: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(workers.map(fail, range(2)))
    workers.close()


def test_results_come_in_the_order_of_the_work() -> None:
    workers = Workers(2)
    slow = threading.Event()

    def work(i: int) -> int:
        if i == 0:
            slow.wait(5)
        else:
            slow.set()
        return i

    assert list(workers.map(work, range(2))) == [0, 1]
    workers.close()
