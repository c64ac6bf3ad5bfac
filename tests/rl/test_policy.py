"""The policy: exact masking, pointers, initial behaviour, hours without offers."""

import numpy as np
import pytest
import torch
from torch import Tensor

from rl.policy import (
    FIRST_EXIT,
    INITIAL_SIZE,
    INTERVAL_FEATURE,
    INVALID,
    Policy,
    action_log_probabilities,
    count_parameters,
    kind_masses,
    masked_log_softmax,
    spread_of,
)
from rl.rollout import gather, sample

POLICY = Policy(seed=3)


def random_slots(hours: int, filled: int = 10, seed: int = 0) -> Tensor:
    """Scaled slots of which the first `filled` hold an opportunity."""
    slots = torch.randn(hours, 10, 20, generator=torch.Generator().manual_seed(seed))
    slots[:, :, INTERVAL_FEATURE] = 0.88
    slots[:, filled:] = 0.0
    return slots


def random_private(n: int, seed: int = 0, held: int = 2) -> Tensor:
    """Private features with the first `held` position slots filled."""
    private = torch.rand(n, 75, generator=torch.Generator().manual_seed(seed))
    positions = private[:, 15:].view(n, 5, 12)
    positions[:, :held, 0] = 1.0
    positions[:, held:] = 0.0
    return private


def random_mask(n: int, seed: int = 0, p: float = 0.4) -> Tensor:
    mask = torch.rand(n, 36, generator=torch.Generator().manual_seed(seed)) < p
    mask[:, 0] = True
    return mask


def judge(policy: Policy, slots: Tensor, private: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """One state per hour."""
    logp, value = policy.heads(policy.encode(slots), private.unsqueeze(1), mask.unsqueeze(1))
    return logp.squeeze(1), value.squeeze(1)


def lively(seed: int = 0) -> Policy:
    """A policy whose heads say something: at first they are nearly constant."""
    policy = Policy(seed)
    with torch.no_grad():
        for head in (policy.kind, policy.pointer, policy.exit_score):
            head.weight.mul_(50.0)
    return policy


def test_parameter_count_is_within_one_percent_of_792_000() -> None:
    assert abs(count_parameters(POLICY) - 792_000) <= 7_920


def test_most_parameters_are_used_once_per_hour() -> None:
    of_the_hour = ("embed", "blocks", "norm", "code", "summary", "hour")
    hourly = sum(p.numel() for name, p in POLICY.named_parameters() if name.startswith(of_the_hour))
    assert hourly > 0.6 * count_parameters(POLICY)


def test_the_same_seed_gives_the_same_weights() -> None:
    a, b, c = Policy(5), Policy(5), Policy(6)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(a.parameters(), c.parameters(), strict=True))


def test_weights_begin_orthogonal_biases_at_zero_and_heads_small() -> None:
    gains = {"kind": 0.01, "pointer": 0.01, "exit_score": 0.01, "value": 1.0}
    onto_stream = {f"blocks.{i}.{name}" for i in range(2) for name in ("out", "down")}
    layers = {name: m for name, m in POLICY.named_modules() if isinstance(m, torch.nn.Linear)}
    assert gains.keys() | onto_stream < layers.keys()
    for name, layer in layers.items():
        gain = gains.get(name, 0.5 if name in onto_stream else 2**0.5)
        w = layer.weight.detach().double()
        gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
        off = (gram / gain**2 - torch.eye(gram.shape[0], dtype=torch.float64)).abs().max()
        assert float(off) < 1e-5, name
        if name != "kind" and layer.bias is not None:
            assert (layer.bias == 0).all(), name


def test_a_new_policy_mostly_holds_and_hardly_exits() -> None:
    with torch.no_grad():
        logp, _ = judge(POLICY, random_slots(64), random_private(64), torch.ones(64, 36, dtype=torch.bool))
    hold, enter, leave = kind_masses(logp).mean(0).tolist()
    assert hold == pytest.approx(0.90, abs=0.02)
    assert enter == pytest.approx(0.08, abs=0.02)
    assert leave == pytest.approx(0.02, abs=0.01)
    entries = (logp[:, 1:FIRST_EXIT].exp() / kind_masses(logp)[:, 1:2]).view(-1, 3, 10)
    assert float(entries.sum(1).max()) < 2.0 / 10, "no slot is preferred at first"
    sizes = entries.sum(2).mean(0)
    assert sizes.tolist() == pytest.approx(list(INITIAL_SIZE), abs=0.02), "and mostly the full size is taken"


def test_probabilities_sum_to_one_over_valid_actions() -> None:
    mask = random_mask(500)
    logp, _ = judge(lively(), random_slots(500), random_private(500), mask)
    assert torch.allclose(logp.exp().sum(1), torch.ones(500), atol=1e-5)
    assert (logp[~mask] == INVALID).all()
    assert (logp[mask] > INVALID / 2).all()


def test_masked_actions_get_no_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    mask = random_mask(200, p=0.2)
    logits = [
        torch.randn(200, *shape, generator=generator, requires_grad=True)
        for shape in ((3,), (10,), (3, 10), (5,))
    ]
    logp = action_log_probabilities(*logits, mask)
    probability = torch.where(mask, logp.exp(), 0.0)
    (logp[mask].square().sum() + (probability * logp).sum()).backward()
    kind, slot, size, leave = (x.grad for x in logits)
    entries = mask[:, 1:FIRST_EXIT].view(200, 3, 10)
    valid_slot, valid_exit = entries.any(1), mask[:, FIRST_EXIT:]
    assert (slot[~valid_slot] == 0).all()
    assert (size[~entries] == 0).all()
    assert (leave[~valid_exit] == 0).all()
    assert (kind[:, 1][~valid_slot.any(1)] == 0).all()
    assert (kind[:, 2][~valid_exit.any(1)] == 0).all()
    assert (slot[valid_slot.sum(1) > 1] != 0).any(), "the test must see gradients where there are some"


def test_entropy_counts_valid_actions_only() -> None:
    mask = torch.zeros(2, 36, dtype=torch.bool)
    mask[0, [0, 3, 14]] = True  # hold, and two entries
    mask[1, [0, 31, 33, 34]] = True
    zeros = [torch.zeros(2, *shape) for shape in ((3,), (10,), (3, 10), (5,))]
    logp = action_log_probabilities(*zeros, mask)
    entropy = -(logp.exp() * logp).sum(1)
    # hold 1/2 and two entries of 1/4; hold 1/2 and three exits of 1/6
    expected = [0.5 * np.log(2) + 0.5 * np.log(4), 0.5 * np.log(2) + 0.5 * np.log(6)]
    assert entropy.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("only", [0, 7, 22, 33])
def test_one_valid_action_has_log_probability_zero(only: int) -> None:
    mask = torch.zeros(4, 36, dtype=torch.bool)
    mask[:, only] = True
    logp, _ = judge(lively(), random_slots(4), random_private(4), mask)
    assert (logp[:, only] == 0.0).all()
    assert (-(logp.exp() * logp).sum(1) == 0.0).all()


def test_no_illegal_action_in_a_million_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    policy, drawn, illegal = lively(), 0, 0
    for seed in range(5):
        mask = random_mask(1000, seed=seed, p=0.15)
        logp, _ = judge(policy, random_slots(1000, seed=seed), random_private(1000, seed), mask)
        for _ in range(200):
            action = sample(logp.detach(), generator)
            illegal += int((~mask.gather(1, action[:, None])).sum())
            drawn += 1000
    assert drawn == 1_000_000
    assert illegal == 0


def test_samples_follow_the_probabilities() -> None:
    generator = torch.Generator().manual_seed(1)
    p = torch.tensor([0.5, 0.0, 0.2, 0.3])
    logp = torch.where(p > 0, p.log(), INVALID).expand(200_000, 4)
    share = torch.bincount(sample(logp, generator), minlength=4) / 200_000
    assert share.tolist() == pytest.approx(p.tolist(), abs=0.005)
    assert share[1] == 0.0


def test_shuffling_opportunity_slots_shuffles_entries_and_nothing_else() -> None:
    order = torch.randperm(10, generator=torch.Generator().manual_seed(2))
    slots, private, mask = random_slots(50, filled=8), random_private(50), random_mask(50)
    shuffled = mask.clone()
    shuffled[:, 1:FIRST_EXIT] = mask[:, 1:FIRST_EXIT].view(50, 3, 10)[:, :, order].flatten(1)
    policy = lively()
    logp, value = judge(policy, slots, private, mask)
    other, other_value = judge(policy, slots[:, order], private, shuffled)
    expected = logp.clone()
    expected[:, 1:FIRST_EXIT] = logp[:, 1:FIRST_EXIT].view(50, 3, 10)[:, :, order].flatten(1)
    assert torch.allclose(other, expected, atol=2e-5)
    assert torch.allclose(other_value, value, atol=1e-5)
    assert not torch.allclose(logp, expected, atol=1e-3), "the logits must tell slots apart"


def test_shuffling_position_slots_shuffles_exits_and_nothing_else() -> None:
    order = torch.tensor([3, 1, 4, 0, 2])
    slots, private = random_slots(50), random_private(50, held=3)
    mask = torch.ones(50, 36, dtype=torch.bool)
    mask[:, FIRST_EXIT + 3 :] = False
    moved, moved_mask = private.clone(), mask.clone()
    moved[:, 15:] = private[:, 15:].view(50, 5, 12)[:, order].flatten(1)
    moved_mask[:, FIRST_EXIT:] = mask[:, FIRST_EXIT:][:, order]
    policy = lively()
    logp, value = judge(policy, slots, private, mask)
    other, other_value = judge(policy, slots, moved, moved_mask)
    expected = torch.cat((logp[:, :FIRST_EXIT], logp[:, FIRST_EXIT:][:, order]), 1)
    assert torch.allclose(other, expected, atol=2e-5)
    assert torch.allclose(other_value, value, atol=1e-5)
    assert not torch.allclose(logp, expected, atol=1e-3)


def test_an_empty_slot_changes_nothing() -> None:
    slots, private, mask = random_slots(20, filled=4), random_private(20), random_mask(20)
    # A slot whose interval is 0 is empty whatever else stands in it.
    littered = slots.clone()
    littered[:, 4:] = 3.0
    littered[:, 4:, INTERVAL_FEATURE] = 0.0
    mask[:, 1:FIRST_EXIT].view(20, 3, 10)[:, :, 4:] = False
    a, b = judge(POLICY, slots, private, mask), judge(POLICY, littered, private, mask)
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])


def test_nothing_can_be_read_from_an_empty_slot() -> None:
    policy = lively()
    torch.nn.init.ones_(policy.code.bias)
    tokens = policy.encode(random_slots(20, filled=4)).tokens
    assert (tokens[:, 4:] == 0).all()
    assert (tokens[:, :4] != 0).any(2).all()


def test_an_idle_position_slot_changes_nothing() -> None:
    private = random_private(20, held=2)
    littered = private.clone()
    littered[:, 15:].view(20, 5, 12)[:, 2:, 1:] = 3.0
    slots, mask = random_slots(20), random_mask(20)
    mask[:, FIRST_EXIT + 2 :] = False
    a, b = judge(lively(), slots, private, mask), judge(lively(), slots, littered, mask)
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])


def test_an_hour_with_nothing_on_offer_gives_numbers_and_gradients() -> None:
    policy = Policy(0)
    slots = torch.cat((random_slots(2, filled=0), random_slots(2)))
    mask = torch.zeros(4, 36, dtype=torch.bool)
    mask[:, 0] = True
    mask[2:, 1:5] = True
    logp, value = judge(policy, slots, random_private(4, held=0), mask)
    assert logp[:2, 0].tolist() == [0.0, 0.0]
    (logp[mask].sum() + value.sum()).backward()
    assert value.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in policy.parameters())


def test_extreme_inputs_give_finite_outputs() -> None:
    slots = random_slots(4) * 10.0
    private = random_private(4) * 1e6
    logp, value = judge(POLICY, slots, private, random_mask(4))
    assert logp.isfinite().all()
    assert value.isfinite().all()


def test_states_that_share_an_hour_are_judged_as_each_beside_an_hour_of_its_own() -> None:
    slots, private, mask = random_slots(30), random_private(210), random_mask(210)
    policy = lively()
    logp, value = policy.heads(policy.encode(slots), private.view(30, 7, -1), mask.view(30, 7, -1))
    direct, direct_value = judge(policy, slots.repeat_interleave(7, 0), private, mask)
    assert torch.allclose(logp.flatten(0, 1), direct, atol=1e-5)
    assert torch.allclose(value.flatten(), direct_value, atol=1e-5)
    assert not torch.allclose(direct, judge(policy, slots.repeat(7, 1, 1), private, mask)[0], atol=1e-3)


def test_gather_repeats_rows_in_order() -> None:
    code = POLICY.encode(random_slots(3))
    taken = gather(code, torch.tensor([2, 0, 2]))
    for whole, rows in zip(code, taken, strict=True):
        assert torch.equal(rows, torch.stack((whole[2], whole[0], whole[2])))


def entropy_of(p: np.ndarray) -> float:
    p = p[p > 0]
    return float(-(p * np.log(p)).sum())


def test_the_bonus_is_paid_for_the_action_and_in_full_for_its_size() -> None:
    """Against the definition, one distribution at a time, in double precision."""
    logits = 3.0 * torch.randn(40, 36, generator=torch.Generator().manual_seed(0))
    mask = random_mask(40)
    mask[0, 1:FIRST_EXIT], mask[1, FIRST_EXIT:], mask[2, 1:] = False, False, False
    logp = torch.where(mask, masked_log_softmax(logits, mask), INVALID)
    for row, found in zip(logp.double().exp().numpy(), spread_of(logp), strict=True):
        entries = row[1:FIRST_EXIT].reshape(3, 10)
        slots = entries.sum(0)
        sizes = sum(
            slots[i] / slots.sum() * entropy_of(entries[:, i] / slots[i]) for i in np.flatnonzero(slots)
        )
        assert float(found) == pytest.approx(entropy_of(row) + sizes, abs=1e-5)


def test_the_bonus_speaks_for_the_size_however_rare_entries_are() -> None:
    pulls = []
    for enter in (0.3, 0.001):
        size = torch.tensor([2.0, 0.0, -2.0], requires_grad=True)
        entry = size.log_softmax(0) + float(np.log(enter))  # into slot 0 alone
        logp = torch.full((36,), INVALID)
        logp = logp.index_put((torch.tensor([0]),), torch.tensor(float(np.log1p(-enter))))
        logp = logp.index_put((torch.tensor([1, 11, 21]),), entry)
        spread_of(logp).backward()
        assert size.grad is not None
        # It counts once in full, and once as often as it occurs.
        pulls.append(size.grad / (1.0 + enter))
    assert torch.allclose(pulls[0], pulls[1], atol=1e-5)
    assert pulls[0].abs().max() > 0.05


def test_the_bonus_gives_masked_actions_no_gradient() -> None:
    mask = random_mask(20)
    logits = torch.randn(20, 36, generator=torch.Generator().manual_seed(2)).requires_grad_(True)
    spread_of(torch.where(mask, masked_log_softmax(logits, mask), INVALID)).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()
    assert (logits.grad[~mask] == 0).all()
