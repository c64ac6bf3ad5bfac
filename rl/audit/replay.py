"""Replays that are compared: what was observed, allowed, decided, ordered and booked at every hour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from rl.audit.rebuild import Build
from rl.backtest import agent_actor, greedy_actor
from rl.baselines import HOLD, random_valid
from rl.market.arrays import F64, I64, Bool
from rl.policy import MarketCode, Policy
from rl.replay import Actor
from rl.sim.env import VectorSim
from rl.sim.orders import accept
from rl.sim.state import ENTRY, ConfigArrays, SimState
from schemas.trading import MarketRules, TradingConfig

HOLD_SHARE: Final = 0.9  # of the random actions: acting every hour spends the capital in a few days

Decider = Callable[[Build, int, int], Actor]
"""Makes an actor of (what was built, the first row of the replay, the last row it may decide at)."""

# Numbers that are pairs, and instruments: their indices depend on which names a data set holds.
PAIRS: Final = ("order pair", "pair", "waiting pair")
LEGS: Final = ("leg",)


@dataclass(frozen=True)
class Trace:
    """K hours of N runs, as arrays (K, N, ...); pairs and legs are indices of the build's own market."""

    runs: tuple[tuple[str, str], ...]  # decider, preset
    observation: NDArray[np.float32]
    mask: Bool
    action: I64
    orders: dict[str, NDArray]
    books: dict[str, NDArray]


def make_deciders(policy: Policy | None, seed: int) -> dict[str, Decider]:
    """Return who decides in an audit: the policy if there is one, greedy, and chance.

    Chance goes where a policy that holds never looks: into positions, their exits and their end.

    Args:
        policy: On the CPU.
        seed: Of the random actions.
    """
    deciders: dict[str, Decider] = {}
    if policy is not None:
        known = cast(Policy, _Remembering(policy))
        deciders["agent"] = lambda build, first, last: agent_actor(known, build.scaler, build.market)
    deciders["greedy"] = lambda build, first, last: greedy_actor(build.market)
    deciders["random"] = lambda build, first, last: _chance(seed, first, last)
    return deciders


def replay(
    build: Build,
    window: tuple[int, int],
    rules: MarketRules,
    presets: Mapping[str, TradingConfig],
    deciders: Mapping[str, Decider],
) -> Trace:
    """Replay rows of a market, deciding at each, and write down everything up to the last decision.

    The step that follows that decision is not made: its quotes come later.

    Args:
        build: The market, its scaler and its layout.
        window: First row, and last row, at which decisions are made.
        rules: Fees, spreads, staleness, delay.
        presets: Risk profiles by name.
        deciders: Who decides; each has one run under each preset.
    """
    first, last = window
    runs = tuple((decider, preset) for decider in deciders for preset in presets)
    n = len(runs)
    sim = VectorSim(build.market, build.slots, rules, n, quotes=build.quotes)
    # Episodes end one row later than they are followed, so that the last hour is one to decide at.
    everyone = np.arange(n)
    configs = ConfigArrays.of([presets[preset] for _, preset in runs])
    sim.reset(everyone, np.full(n, first), np.full(n, last + 1), configs)
    actors = [make(build, first, last) for make in deciders.values()]
    hours: list[dict[str, NDArray]] = []
    for t in range(first, last + 1):
        observation, private, mask = sim.observe(), sim.private(), sim.mask()
        action = np.full(n, HOLD, np.int64)
        for i, actor in enumerate(actors):
            own = slice(i * len(presets), (i + 1) * len(presets))
            action[own] = actor(t, private[own], mask[own])
        hours.append(
            {"observation": observation, "mask": mask.copy(), "action": action}
            | {f"order {name}": column for name, column in _orders(sim, action).items()}
            | {f"book {name}": column for name, column in _books(sim).items()}
        )
        if t < last:
            sim.step(action)
    kept = {name: np.stack([hour[name] for hour in hours]) for name in hours[0]}

    def group(prefix: str) -> dict[str, NDArray]:
        return {name.removeprefix("book "): kept[name] for name in kept if name.startswith(prefix)}

    return Trace(runs, kept["observation"], kept["mask"], kept["action"], group("order "), group("book "))


def _orders(sim: VectorSim, action: I64) -> dict[str, NDArray]:
    """Return what is accepted of the actions and at what size, by run; the simulator stays as it is."""
    copy = sim.state.take(np.arange(sim.n))
    orders = accept(copy, sim.quotes, sim.mask(), action, ~copy.done)
    names = ("kind", "pair", "slot", "serial", "quantity")
    found = {name: np.full(sim.n, -1.0 if name == "quantity" else -1) for name in names}
    entry = orders.kind == ENTRY
    found["kind"][orders.env] = orders.kind
    found["pair"][orders.env] = np.where(entry, orders.pair, -1)
    found["slot"][orders.env] = np.where(entry, -1, orders.slot)
    found["serial"][orders.env] = np.where(entry, -1, orders.serial)
    found["quantity"][orders.env] = np.where(entry, orders.quantity, -1.0)  # that of an exit is not read
    return found


def _books(sim: VectorSim) -> dict[str, NDArray]:
    """Return every number that the simulator remembers; names of empty slots are -1."""
    state: SimState = sim.state
    books = state.to_arrays() | {"free cash": sim.free.copy()}
    for name in ("t", "end"):  # rows of the grid, not numbers of the books
        del books[name]
    books["pair"] = np.where(state.active, state.pair, -1)
    books["leg"] = np.where(state.active[:, :, None], state.leg, -1)
    books["waiting pair"] = np.where(state.order_kind == ENTRY, books.pop("order_pair"), -1)
    return books


def _chance(seed: int, first: int, last: int) -> Actor:
    """Hold mostly, else take any valid action; an hour's draw does not depend on how many hours follow."""
    draws = np.random.default_rng([seed, first]).random((last + 1 - first, 2))

    def act(t: int, private: NDArray[np.float32], mask: Bool) -> I64:
        waits, which = draws[t - first]
        if waits < HOLD_SHARE:
            return np.full(len(mask), HOLD, np.int64)
        spread: F64 = np.full(len(mask), which)
        return random_valid(mask, spread)

    return act


class _Remembering:
    """A policy that does not compute twice what it has computed from the very same bits.

    A network of fixed weights gives the same bits for the same input at the same shape on one thread, and a
    decision is made of nothing else. So an equal decision costs nothing in the second replay, while one
    that is asked of anything else is computed: the caller is audited as before.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._codes: dict[bytes, MarketCode] = {}
        self._of_code: dict[int, bytes] = {}  # codes are kept, so an id stays that of one code
        self._heads: dict[tuple[bytes, bytes, bytes], tuple[torch.Tensor, torch.Tensor]] = {}

    def encode(self, slots: torch.Tensor) -> MarketCode:
        """See `Policy.encode`."""
        key = slots.numpy().tobytes()
        if key not in self._codes:
            code = self._policy.encode(slots)
            self._codes[key], self._of_code[id(code)] = code, key
        return self._codes[key]

    def heads(
        self, code: MarketCode, private: torch.Tensor, mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `Policy.heads`."""
        key = (self._of_code[id(code)], private.numpy().tobytes(), mask.numpy().tobytes())
        if key not in self._heads:
            self._heads[key] = self._policy.heads(code, private, mask)
        return self._heads[key]
