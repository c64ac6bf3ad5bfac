"""N episodes stepped together; the order of events within a step is the specification.

One step t -> t + 1: accept the order; funding in (t, t + 1]; liquidation; the order fills; mark;
stale exit, stop-loss, buffer exit; NLV; reward; termination. With fill delay 0 the order fills right
after it is accepted, at t's quotes; with delay 2 it waits a step, reserves nothing, and is checked as a fill.
If several closings apply to one position: liquidation > the agent's exit > stale > stop-loss > buffer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rl.market.arrays import F64, I64, Bool, MarketArrays
from rl.sim import quotes as Q
from rl.sim.books import Books, FlowRecorder, free_cash, sum_slots
from rl.sim.margin import TOLERANCE
from rl.sim.mask import HOLD, action_mask
from rl.sim.observe import Valuation, drawdown, private_observation, value
from rl.sim.orders import Orders, accept, exchange_waiting, fill
from rl.sim.state import (
    BUFFER_EXITS,
    STALE_EXITS,
    STOP_EXITS,
    ConfigArrays,
    SimState,
)
from schemas.trading import OBSERVATION_SIZE, MarketRules


@dataclass(frozen=True)
class StepResult:
    """What one step brought to N episodes.

    Attributes:
        reward: (N,) 100 x change of NLV / initial capital; float64, 0 for episodes that had ended.
        terminated: (N,) the drawdown limit was passed in this step.
        truncated: (N,) the episode ran out of time in this step.
        nlv: (N,) equity after the step.
    """

    reward: F64
    terminated: Bool
    truncated: Bool
    nlv: F64


class HourRule(Protocol):
    """What an hour does to the positions that are held through it, before orders fill."""

    def __call__(self, books: Books, state: SimState, held: Bool, block: F64) -> None:
        """Change the books.

        Args:
            books: The rules of booking.
            state: The books; `t` is the hour's end, `mark` still that of its beginning.
            held: (N, 5) positions that were held through the hour.
            block: (N, 5, 2, 10) a copy of Quotes.legs of their legs at the hour's end.
        """
        ...


def ordinary_hour(books: Books, state: SimState, held: Bool, block: F64) -> None:
    """Book the hour's funding, then its liquidations."""
    books.fund(state, held, block)
    books.liquidate(state, held, block)


class VectorSim:
    """N independent episodes on one market; an ended episode stands still until it is reset.

    Args:
        market: The market.
        slots: (T, 10, 20) float32 scaled opportunity features, the market part of the observation.
        rules: Fees, spreads, staleness, delay.
        n: Number of episodes.
        recorder: Hears of every flow; slows the simulator, for backtests.
        quotes: The market laid out under the same rules, to share between simulators.
        hour: What an hour does to open positions; a stress puts a worse one here.
    """

    def __init__(
        self,
        market: MarketArrays,
        slots: NDArray[np.float32],
        rules: MarketRules,
        n: int,
        recorder: FlowRecorder | None = None,
        quotes: Q.Quotes | None = None,
        hour: HourRule = ordinary_hour,
    ) -> None:
        self.market = market
        self.slots = slots
        self.rules = rules
        self.n = n
        self.quotes = quotes if quotes is not None else Q.lay_out(market, rules)
        self.books = Books(self.quotes, rules, recorder)
        self.recorder = recorder
        self.hour = hour
        self.state = SimState.empty(n)
        self._mask: Bool | None = None
        self._held = np.zeros((n, max(market.n_instruments, 1)), np.bool_)
        self._revalue()

    # -- looking -----------------------------------------------------------------------------------

    @property
    def t(self) -> I64:
        """(N,) current rows of the hourly grid."""
        return self.state.t

    @property
    def free(self) -> F64:
        """(N,) free cash."""
        return self._free

    def mask(self) -> Bool:
        """Return (N, 36): which actions would be accepted now; an ended episode may only hold."""
        if self._mask is None:
            mask = action_mask(self.state, self.quotes, self._held, self._free, self.books.impact_k)
            mask[self.state.done, HOLD + 1 :] = False
            self._mask = mask
        return self._mask

    def private(self) -> NDArray[np.float32]:
        """Return (N, 75): config, portfolio and positions."""
        return private_observation(self.state, self._val, self.quotes, self._free)

    def observe(self) -> NDArray[np.float32]:
        """Return the whole observation, (N, 275)."""
        market = self.slots[self.state.t].reshape(self.n, -1)
        out = np.empty((self.n, OBSERVATION_SIZE), np.float32)
        out[:, : -market.shape[1]] = self.private()
        out[:, -market.shape[1] :] = market
        return out

    def valuation(self) -> Valuation:
        """What open positions are worth now."""
        return self._val

    # -- starting ----------------------------------------------------------------------------------

    def reset(self, idx: NDArray[np.integer], start: I64, end: I64, config: ConfigArrays) -> None:
        """Start episodes flat with the initial capital.

        Args:
            idx: (K,) which episodes.
            start: (K,) first rows.
            end: (K,) last rows; the episode has end - start steps.
            config: K risk profiles.
        """
        fresh = SimState.empty(len(idx))
        fresh.t[:], fresh.end[:], fresh.done[:] = start, end, np.asarray(start) >= np.asarray(end)
        for money in (fresh.balance, fresh.initial, fresh.nlv, fresh.peak):
            money[:] = self.rules.initial_capital
        fresh.configure(np.arange(len(idx)), config)
        self.put(idx, fresh)

    def put(self, idx: NDArray[np.integer], rows: SimState) -> None:
        """Place episodes as they are, e.g. after a burn-in or from a checkpoint."""
        self.state.put(idx, rows)
        self._revalue()

    # -- stepping ----------------------------------------------------------------------------------

    def step(self, action: NDArray[np.integer]) -> StepResult:
        """Advance every episode that has not ended by one hour.

        Args:
            action: (N,) 0..35; an action the mask forbids acts as hold and is counted.
        """
        return self.advance(self.accept(action))

    def accept(self, action: NDArray[np.integer]) -> Orders:
        """Turn actions into orders by the quotes of the present hour: the first half of a step.

        Args:
            action: (N,) as of `step`.
        """
        s = self.state
        return accept(s, self.quotes, self.mask(), np.asarray(action, np.int64), ~s.done)

    def advance(self, orders: Orders) -> StepResult:
        """Let an hour pass, with what was ordered at its beginning: the second half of a step.

        Args:
            orders: From `accept` at this hour.
        """
        s, rules = self.state, self.rules
        moved = ~s.done
        before = s.nlv.copy()
        if rules.fill_delay_steps == 0:
            fill(s, self.books, orders)
        s.t += moved
        held = s.active & moved[:, None]
        block = self.quotes.legs[s.t[:, None, None], s.leg]
        self.hour(self.books, s, held, block)
        s.mark = np.where(s.active[:, :, None], block[..., Q.MARK], 1.0)
        if rules.fill_delay_steps == 1:
            fill(s, self.books, orders)
        elif rules.fill_delay_steps == 2:
            fill(s, self.books, exchange_waiting(s, orders))
        self._revalue()
        if self._forced_exits(moved):
            self._revalue()
        s.nlv = np.where(moved, s.balance + sum_slots(self._val.unrealised - self._val.closing), s.nlv)
        s.peak = np.maximum(s.peak, s.nlv)
        down = drawdown(s)
        s.max_drawdown = np.maximum(s.max_drawdown, down)
        terminated = moved & (down > rules.drawdown_limit * (1 + TOLERANCE))
        truncated = moved & ~terminated & (s.t >= s.end)
        s.done |= terminated | truncated
        if self.recorder is not None:
            gross = sum_slots(np.where(s.active, self._val.notional, 0.0))
            self.recorder.hour(s, moved, self._free, gross)
        reward = np.where(moved, 100.0 * (s.nlv - before) / s.initial, 0.0)
        return StepResult(reward=reward, terminated=terminated, truncated=truncated, nlv=s.nlv.copy())

    def _forced_exits(self, moved: Bool) -> bool:
        """Close stale positions, then those below their stop-loss, then those below their buffer."""
        s, val = self.state, self._val
        live = s.active & moved[:, None]
        age = val.block[..., Q.AGE]
        stale = live & Q.is_stale(age, self.rules).any(axis=2)
        limit = s.stop_loss[:, None]
        loss = val.share / val.notional
        stop = live & ~stale & (limit < 0) & (loss < limit - TOLERANCE * np.abs(limit))
        near = live & ~stale & ~stop & (val.distance < s.buffer[:, None] * (1 - TOLERANCE))
        if not (stale.any() or stop.any() or near.any()):
            return False
        for which, counter, reason in (
            (stale, STALE_EXITS, "stale"),
            (stop, STOP_EXITS, "stop_loss"),
            (near, BUFFER_EXITS, "buffer"),
        ):
            env, slot = np.nonzero(which)
            if env.size:
                np.add.at(s.counts[:, counter], env, 1)
                self.books.close(s, env, slot, s.mark[env, slot], age[env, slot], reason)
        return True

    def _revalue(self) -> None:
        """Recompute what depends on the books: valuation, free cash, held instruments; forget the mask."""
        s = self.state
        self._val = value(s, self.quotes, self.books.impact_k)
        self._free = free_cash(s)
        self._held[:] = False
        env, slot = np.nonzero(s.active)
        self._held[env, s.leg[env, slot, 0]] = True
        self._held[env, s.leg[env, slot, 1]] = True
        self._mask = None
