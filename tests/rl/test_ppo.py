"""The update: ratio, clipping, reproducibility; and that the algorithm learns with another policy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from rl.policy import INVALID, Policy, masked_log_softmax
from rl.ppo import UpdateStatistics, gae, update
from rl.rollout import Rollout, collect, gather
from schemas.training import TrainingConfig
from tests.rl.classic import CPU, GymEnvironments, Learner, MaskedIdentity, SmallPolicy, Step
from tests.rl.test_policy import random_mask, random_private, random_slots

SLOTS = random_slots(40)


class Scripted:
    """Trading-shaped environments: hours by a clock, random private features, random masks and ends."""

    def __init__(self, groups: int, members: int, seed: int = 0) -> None:
        self.rng, self.n, self.actions = np.random.default_rng(seed), groups * members, 36
        self.clock, self.seen = np.arange(groups), 0
        self.finals: list[tuple[int, int, np.ndarray, int]] = []

    def plan(self, steps: int) -> np.ndarray:
        return (self.clock + np.arange(steps + 1)[:, None]) % 40

    def private(self) -> np.ndarray:
        return random_private(self.n, seed=self.seen).numpy()

    def mask(self) -> np.ndarray:
        return random_mask(self.n, seed=self.seen).numpy()

    def step(self, action: np.ndarray) -> Step:
        assert self.mask()[np.arange(self.n), action].all(), "a forbidden action was sent"
        ends = self.rng.random(self.n)
        terminated, truncated = ends < 0.05, ends > 0.9
        final = self.rng.random((self.n, 75)).astype(np.float32)
        hours = self.rng.integers(0, 40, self.clock.size).repeat(self.n // self.clock.size)
        for i in np.nonzero(truncated)[0]:
            self.finals.append((self.seen, int(i), final[i], int(hours[i])))
        self.clock, self.seen = (self.clock + 1) % 40, self.seen + 1
        return Step(self.rng.normal(size=self.n), terminated, truncated, final, hours, [])


def rolled_out(policy: torch.nn.Module, groups: int = 4, steps: int = 16) -> tuple[Rollout, Scripted]:
    members = 6
    rollout, envs = Rollout(steps, groups * members, 75, 36, CPU, members), Scripted(groups, members)
    collect(policy, SLOTS, envs, rollout, torch.Generator().manual_seed(0))
    return rollout, envs


def targets(rollout: Rollout) -> tuple[np.ndarray, np.ndarray]:
    value = rollout.value.double().numpy()
    ends = rollout.terminated, rollout.truncated
    return gae(rollout.reward, value, rollout.final_value, rollout.next_value, *ends, 0.99, 0.95)


def learn(policy: Policy, rollout: Rollout, **recipe: object) -> object:
    training = TrainingConfig(**{"batch_size": 128, "max_kl": 1e9, **recipe})
    optimizer = torch.optim.Adam(policy.parameters(), lr=training.learning_rate, eps=1e-5, fused=True)
    generator = torch.Generator().manual_seed(1)
    return update(policy, optimizer, SLOTS, rollout, *targets(rollout), training, generator)


def test_the_first_minibatch_has_ratio_one() -> None:
    policy = Policy(0)
    statistics = learn(policy, rolled_out(policy)[0], n_epochs=1)
    assert statistics.ratio_error < 1e-5


def test_the_ratio_check_would_notice_another_policy() -> None:
    rollout, _ = rolled_out(Policy(0))
    assert learn(Policy(1), rollout, n_epochs=1).ratio_error > 1e-3


def test_an_update_ends_where_the_policy_has_gone_too_far() -> None:
    rollout, far = rolled_out(Policy(0))[0], []
    for most in (0.05, 1e9):
        policy, steps = Policy(0), []
        training = TrainingConfig(batch_size=128, learning_rate=1e-2, n_epochs=8, max_kl=most)
        optimizer = torch.optim.Adam(policy.parameters(), lr=training.learning_rate, eps=1e-5)
        optimizer.register_step_post_hook(lambda *_, steps=steps: steps.append(1))
        given = targets(rollout)
        update(policy, optimizer, SLOTS, rollout, *given, training, torch.Generator().manual_seed(1))
        with torch.no_grad():
            code = policy.encode(SLOTS.index_select(0, rollout.context.flatten()))
            logp = policy.heads(code, rollout.grouped(rollout.private), rollout.grouped(rollout.mask))[0]
            old, new = rollout.grouped(rollout.all_logp), logp
            kl = float((old.exp() * (old - new)).nan_to_num().sum(-1).mean())
        far.append((len(steps), kl))
    assert far[1][0] == 8 * 3, "every minibatch"
    assert 1 <= far[0][0] < far[1][0]
    assert far[0][1] < far[1][1]


def test_the_kl_that_is_told_is_that_of_the_last_minibatch() -> None:
    rollout = rolled_out(Policy(0))[0]
    told = []
    for epochs in (1, 6):
        policy = Policy(0)
        told.append(learn(policy, rollout, n_epochs=epochs, learning_rate=1e-3).kl)
    assert 0.0 <= told[0] < told[1] / 2


def test_a_rollout_records_what_happened() -> None:
    policy = Policy(0)
    rollout, envs = rolled_out(policy)
    assert rollout.mask.gather(2, rollout.action[..., None]).all()
    again = rollout.all_logp.gather(2, rollout.action[..., None])[..., 0]
    assert torch.equal(rollout.logp, again)
    assert rollout.context[:, 0].tolist() == list(range(16))
    with torch.no_grad():
        everything = torch.ones(1, 36, dtype=torch.bool)
        for t, i, private, hour in envs.finals:
            code = policy.encode(SLOTS[hour : hour + 1])
            expected = policy.heads(code, torch.from_numpy(private)[None, None], everything[None])[1]
            assert rollout.final_value[t, i] == pytest.approx(float(expected), abs=1e-5)
    assert (rollout.final_value != 0).sum() == len(envs.finals) > 10
    assert (rollout.final_value[rollout.terminated] == 0).all()


def test_updates_are_reproducible_to_the_bit() -> None:
    weights = []
    for _ in range(2):
        policy = Policy(0)
        learn(policy, rolled_out(policy)[0], n_epochs=2)
        weights.append(torch.cat([p.flatten() for p in policy.parameters()]))
    assert torch.equal(*weights)


def test_the_gradient_of_a_shared_hour_is_reproducible_on_two_threads() -> None:
    # Without deterministic algorithms, which would hide an indexing whose gradient is a race.
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        policy, hours = Policy(0), torch.randint(0, 40, (4000,), generator=torch.Generator().manual_seed(0))
        private, mask = random_private(4000), random_mask(4000)
        results = set()
        for _ in range(6):
            policy.zero_grad()
            rows = gather(policy.encode(SLOTS), hours)
            logp, value = policy.heads(rows, private.unsqueeze(1), mask.unsqueeze(1))
            (logp.exp().square().sum() + value.square().sum()).backward()
            results.add(policy.embed.weight.grad.numpy().tobytes())
        assert len(results) == 1
    finally:
        torch.set_num_threads(threads)


class Bandit(torch.nn.Module):
    """Two actions, no inputs: the loss can be worked out by hand."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))
        self.v = torch.nn.Parameter(torch.tensor(0.5))

    def encode(self, contexts: Tensor) -> tuple[Tensor, ...]:
        return (contexts,)

    def heads(self, code: tuple[Tensor, ...], private: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        logp = masked_log_softmax(self.logits.expand(mask.shape), mask)
        return torch.where(mask, logp, INVALID), self.v.expand(mask.shape[:2])

    def spread(self, logp: Tensor) -> Tensor:
        return -(logp.exp() * logp).sum(-1)


OLD = [0.9, 0.1, 0.4, 0.5]  # probabilities of the actions taken, when they were taken
RETURNS = np.array([[1.0], [0.0], [2.0], [0.5]])


def step_by_hand(
    bandit: Bandit,
    advantage: list[float],
    *,
    value: float = 0.5,
    mask: Tensor | None = None,
) -> UpdateStatistics:
    """One update on four states in which the actions 0, 1, 0, 1 were taken."""
    rollout = Rollout(4, 1, 1, 2, CPU)
    rollout.mask[:] = True if mask is None else mask.view(4, 1, 2)
    rollout.action[:, 0] = torch.tensor([0, 1, 0, 1])
    rollout.logp[:, 0] = torch.tensor(OLD).log()
    rollout.value[:] = value
    training = TrainingConfig(n_epochs=1, batch_size=4, clip=0.2, entropy_coef=0.01, value_coef=0.5)
    optimizer = torch.optim.SGD(bandit.parameters(), lr=0.0)
    generator = torch.Generator().manual_seed(0)
    gain = np.array(advantage)[:, None]
    return update(bandit, optimizer, torch.zeros(1, 1), rollout, gain, RETURNS, training, generator)


def test_losses_and_diagnostics_are_those_of_the_paper() -> None:
    advantage = np.array([1.0, 2.0, -1.0, -2.0])
    got = step_by_hand(Bandit([0.3, -0.3]), advantage.tolist())

    p0 = np.exp(0.3) / (np.exp(0.3) + np.exp(-0.3))
    old = np.log(OLD)
    new = np.log([p0, 1 - p0, p0, 1 - p0])
    ratio = np.exp(new - old)
    a = advantage / advantage.std()
    surrogate = np.minimum(ratio * a, np.clip(ratio, 0.8, 1.2) * a)
    assert got.policy_loss == pytest.approx(-surrogate.mean(), rel=1e-5)
    assert got.value_loss == pytest.approx(0.5 * np.mean((0.5 - RETURNS) ** 2), rel=1e-5)
    assert got.entropy == pytest.approx(-(p0 * np.log(p0) + (1 - p0) * np.log(1 - p0)), rel=1e-5)
    assert got.kl == pytest.approx(np.mean(ratio - 1 - (new - old)), rel=1e-4)
    assert got.clip_fraction == np.mean(np.abs(ratio - 1) > 0.2)
    assert got.explained_variance == pytest.approx(0.0), "a constant value explains nothing"


def test_advantages_are_normalised() -> None:
    seen = [step_by_hand(Bandit([0.3, -0.3]), [50 * a + b for a in (1.0, 2.0, 4.0, -2.0)]) for b in (0, 700)]
    plain = step_by_hand(Bandit([0.3, -0.3]), [1.0, 2.0, 4.0, -2.0])
    for moved in seen:
        assert moved.policy_loss == pytest.approx(plain.policy_loss, rel=1e-5)
        assert moved.grad_norm == pytest.approx(plain.grad_norm, rel=1e-5)
    assert plain.policy_loss != pytest.approx(0.0, abs=1e-3)


def test_the_value_is_not_clipped_to_what_it_was() -> None:
    near, far = (step_by_hand(Bandit([0.3, -0.3]), [1.0, 2.0, -1.0, -2.0], value=v) for v in (0.5, 9.0))
    assert far.value_loss == near.value_loss == pytest.approx(0.5 * np.mean((0.5 - RETURNS) ** 2), rel=1e-5)
    assert far.grad_norm == near.grad_norm


def test_the_entropy_of_an_update_counts_valid_actions_only() -> None:
    mask = torch.tensor([[True, True], [False, True], [True, False], [False, True]])
    got = step_by_hand(Bandit([0.3, 0.3]), [1.0, 2.0, -1.0, -2.0], mask=mask)
    assert got.entropy == pytest.approx(np.log(2) / 4, rel=1e-6), "one state of four has a choice"


def test_gradient_norm_is_bounded() -> None:
    policy = Policy(0)
    rollout, _ = rolled_out(policy)
    seen = []

    def look(policy: torch.nn.Module, values: dict[str, Tensor]) -> None:
        grads = torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None])
        seen.append((float(values["gradient norm"]), float(grads.norm())))

    training = TrainingConfig(batch_size=128, n_epochs=1, max_grad_norm=0.1)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-4)
    advantage, returns = targets(rollout)
    generator = torch.Generator().manual_seed(0)
    update(policy, optimizer, SLOTS, rollout, advantage, returns, training, generator, look)
    assert all(after <= 0.1001 for _, after in seen)
    assert any(before > 0.1 for before, _ in seen)


CARTPOLE = TrainingConfig(
    rollout_steps=32, batch_size=128, n_epochs=6, learning_rate=1.5e-3, gamma=0.98, gae_lambda=0.95,
    entropy_coef=0.005, max_kl=1e9,
)  # fmt: skip


def test_the_same_code_learns_cartpole() -> None:
    environments = GymEnvironments("CartPole-v1", 16, seed=0)
    returns = Learner(environments, SmallPolicy(4, 2, seed=0), CARTPOLE).run(16_000)
    assert np.mean(returns[:50]) < 40
    assert np.mean(returns[-15:]) > 120


def test_masks_make_a_large_action_space_learnable() -> None:
    training = TrainingConfig(
        rollout_steps=128,
        batch_size=256,
        n_epochs=2,
        learning_rate=1e-2,
        gamma=0.1,
        clip=0.4,
        entropy_coef=0,
        max_kl=1e9,
    )
    environments = MaskedIdentity(16, seed=0)  # 2,048 steps a rollout, 55 of 70 actions forbidden
    returns = Learner(environments, SmallPolicy(70, 70, seed=0), training).run(8 * 2048)
    assert np.mean(returns[:16]) < 12, "untrained, about 100 / 15"
    assert np.mean(returns[-16:]) >= 90
