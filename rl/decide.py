"""The deterministic decision, one function for validation, backtest, prediction, paper trading and audit.

One hour at shape (1, 10, 20), one state, one thread: a row alone and the same row inside a batch differ in
their last bits, and a decision has to be the same wherever it is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from rl.market.arrays import F64, Bool
from rl.policy import FIRST_EXIT, MarketCode, Policy
from schemas.trading import (
    N_ACTIONS,
    N_OPPORTUNITY_SLOTS,
    N_POSITION_SLOTS,
    N_PRIVATE,
    N_SLOT_FEATURES,
    SIZE_FRACTIONS,
)

HOLD: Final = 0
REACTION_HOURS: Final = 8  # the longest usual settlement interval


def _likely_within(hours: int) -> float:
    """Return the hourly probability at which something is as likely as not to happen within some hours."""
    return float(1.0 - 0.5 ** (1.0 / hours))


LIKELY: Final = _likely_within(REACTION_HOURS)  # 0.083, just above what an untrained policy enters with


@dataclass(frozen=True)
class Decision:
    """What the policy does in one state.

    Attributes:
        action: 0 hold, 1-10, 11-20, 21-30 enter slot small, medium, large, 31-35 exit.
        value: The critic's value, in units of the training run's scaled reward.
        probabilities: (36,) float64; 0 where invalid.
    """

    action: int
    value: float
    probabilities: F64


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, and restore the number of threads afterwards."""
    threads = torch.get_num_threads()
    if threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def choose(probabilities: F64) -> int:
    """Take the kind that would happen within eight hours, then the slot of most mass, then the size.

    A policy acts once an hour, and waiting an hour costs no more than an hour's carry. So nothing in training
    drives the probability of entering what pays for days above one half: at 0.2 an hour it is in on the same
    day. So the probability of a kind is read as a rate; of an entry and an exit that are both due the more
    probable one is taken. A flat maximum over 36 actions would hold for ever when many entries split the
    mass. Ties go to the lowest index.

    Args:
        probabilities: (36,) of a normalised distribution.
    """
    entries = probabilities[1:FIRST_EXIT].reshape(len(SIZE_FRACTIONS), N_OPPORTUNITY_SLOTS)
    exits = probabilities[FIRST_EXIT:]
    enter, leave = float(entries.sum()), float(exits.sum())
    if max(enter, leave) <= LIKELY:
        return HOLD
    if leave > enter:
        return FIRST_EXIT + int(np.argmax(exits))
    slot = int(np.argmax(entries.sum(axis=0)))
    return 1 + int(np.argmax(entries[:, slot])) * N_OPPORTUNITY_SLOTS + slot


def encode_hour(policy: Policy, slots: NDArray[np.float32]) -> MarketCode:
    """Encode one hour; several states of the hour may share it and get the same bits.

    Args:
        policy: On the CPU.
        slots: (1, 10, 20) float32, the hour's scaled opportunity slots.
    """
    _expect("slots", slots.shape, (1, N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES))
    with one_thread(), torch.inference_mode():
        return policy.encode(torch.tensor(slots, dtype=torch.float32))


def decide(
    policy: Policy,
    slots: NDArray[np.float32],
    private: NDArray[np.float32],
    mask: Bool,
    code: MarketCode | None = None,
) -> Decision:
    """Decide for one state.

    Args:
        policy: On the CPU.
        slots: (1, 10, 20) float32, the hour's scaled opportunity slots.
        private: (1, 75) float32, config, portfolio and positions.
        mask: (1, 36) bool, which actions would be accepted; hold always is.
        code: What `encode_hour` gave for these slots, where it is known already.

    Raises:
        ValueError: An input has another shape; a batch would not give the same bits.
    """
    _expect("private", private.shape, (1, N_PRIVATE))
    _expect("mask", mask.shape, (1, N_ACTIONS))
    with one_thread(), torch.inference_mode():
        logp, value = policy.heads(
            code if code is not None else encode_hour(policy, slots),
            torch.tensor(private, dtype=torch.float32)[None],
            torch.tensor(mask, dtype=torch.bool)[None],
        )
    probabilities: F64 = logp[0, 0].double().exp().numpy()
    return Decision(choose(probabilities), float(value[0, 0]), probabilities)


def _expect(name: str, given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if given != shape:
        raise ValueError(f"a decision takes {name} of shape {shape}, not {given}")


assert FIRST_EXIT + N_POSITION_SLOTS == N_ACTIONS
