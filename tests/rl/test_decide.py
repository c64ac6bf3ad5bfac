"""The deterministic decision: kind, then slot, then size; the same bits wherever it is made."""

import numpy as np
import pytest
import torch

from rl.decide import choose, decide, encode_hour, one_thread
from rl.policy import INITIAL_KIND, Policy
from tests.rl.test_policy import lively, random_mask, random_private, random_slots


def distribution(**mass: float) -> np.ndarray:
    """Build 36 probabilities from `a<action>=p`."""
    p = np.zeros(36)
    for name, value in mass.items():
        p[int(name[1:])] = value
    return p


def test_many_entries_that_share_the_mass_beat_a_likelier_hold() -> None:
    p = np.zeros(36)
    p[0], p[1:31] = 0.4, 0.6 / 30
    assert choose(p) == 1


def test_a_kind_is_taken_once_it_is_as_likely_as_not_within_eight_hours() -> None:
    still_unlikely, likely = 0.082, 0.084  # (1 - 0.0830)^8 = 1/2
    assert (1 - still_unlikely) ** 8 > 0.5 > (1 - likely) ** 8
    assert choose(distribution(a0=1 - still_unlikely, a7=still_unlikely)) == 0
    assert choose(distribution(a0=1 - likely, a7=likely)) == 7
    assert choose(distribution(a0=1 - still_unlikely, a33=still_unlikely)) == 0
    assert choose(distribution(a0=1 - likely, a33=likely)) == 33


def test_an_untrained_policy_holds_whatever_is_masked() -> None:
    hold, enter, leave = INITIAL_KIND
    assert choose(distribution(a0=hold, a7=enter, a33=leave)) == 0
    assert choose(distribution(a0=hold / (1 - leave), a7=enter / (1 - leave))) == 0
    assert choose(distribution(a0=hold / (1 - enter), a33=leave / (1 - enter))) == 0


def test_of_an_entry_and_an_exit_that_are_both_due_the_likelier_is_taken() -> None:
    assert choose(distribution(a0=0.5, a4=0.2, a31=0.3)) == 31
    assert choose(distribution(a0=0.5, a4=0.3, a31=0.2)) == 4


def test_the_slot_of_most_mass_is_chosen_before_the_size() -> None:
    # Slot 2 has 0.5 over three sizes; slot 7's medium has the single largest probability.
    p = distribution(a0=0.1, a3=0.18, a13=0.15, a23=0.17, a18=0.4)
    assert choose(p) == 3
    assert choose(distribution(a0=0.1, a3=0.1, a13=0.1, a23=0.3, a18=0.4)) == 23


def test_exits_are_judged_together_and_then_apart() -> None:
    assert choose(distribution(a0=0.85, a31=0.05, a33=0.06, a35=0.04)) == 33


def test_ties_go_to_the_lowest_index() -> None:
    assert choose(distribution(a5=0.25, a9=0.25, a31=0.5)) == 5
    assert choose(distribution(a4=0.5, a14=0.5)) == 4
    assert choose(distribution(a32=0.5, a34=0.5)) == 32


def test_decisions_are_valid_and_probabilities_sum_to_one() -> None:
    policy = lively()
    with torch.no_grad():
        policy.kind.bias.zero_()  # a new policy would hold everywhere
    slots, private = random_slots(60).numpy(), random_private(60).numpy()
    mask = random_mask(60, p=0.2).numpy()
    taken = set()
    for i in range(60):
        row = slice(i, i + 1)
        decision = decide(policy, slots[row], private[row], mask[row])
        assert mask[i, decision.action]
        assert decision.probabilities.sum() == pytest.approx(1.0, abs=1e-6)
        assert (decision.probabilities[~mask[i]] == 0).all()
        taken.add(decision.action)
    assert len(taken) > 5, "the test must see different decisions"


def test_the_same_input_gives_the_same_bits_whatever_the_threads() -> None:
    policy = lively()
    slots, private = random_slots(1).numpy(), random_private(1).numpy()
    mask = random_mask(1).numpy()
    threads = torch.get_num_threads()
    results = set()
    try:
        for n in (1, 2, 1, 2):
            torch.set_num_threads(n)
            decision = decide(policy, slots, private, mask)
            results.add((decision.action, decision.value, decision.probabilities.tobytes()))
            assert torch.get_num_threads() == n, "the caller's threads are restored"
    finally:
        torch.set_num_threads(threads)
    assert len(results) == 1


def test_a_shared_hour_gives_the_same_bits_as_an_hour_encoded_anew() -> None:
    policy = lively()
    slots, private, mask = random_slots(1).numpy(), random_private(3).numpy(), random_mask(3).numpy()
    code = encode_hour(policy, slots)
    for i in range(3):
        state = private[i : i + 1], mask[i : i + 1]
        alone, shared = decide(policy, slots, *state), decide(policy, slots, *state, code)
        assert alone.probabilities.tobytes() == shared.probabilities.tobytes()
        assert alone.value == shared.value


def test_a_batch_is_refused() -> None:
    slots, private, mask = random_slots(2).numpy(), random_private(2).numpy(), random_mask(2).numpy()
    with pytest.raises(ValueError, match="a decision takes private of shape"):
        decide(Policy(0), slots[:1], private, mask[:1])
    with pytest.raises(ValueError, match="a decision takes slots of shape"):
        decide(Policy(0), slots, private[:1], mask[:1])


def test_one_thread_restores_after_an_error() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError), one_thread():
            assert torch.get_num_threads() == 1
            raise RuntimeError
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
