"""What a policy earns on a window when it decides alone: the number that chooses among checkpoints.

And what greedy earns there: the number that a policy has to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from rl.baselines import greedy
from rl.decide import HOLD, decide, encode_hour, one_thread
from rl.market.arrays import I64, Bool, MarketArrays
from rl.policy import Policy
from rl.sim.env import VectorSim
from rl.sim.quotes import Quotes
from rl.sim.state import ConfigArrays
from schemas.trading import MarketRules, TradingConfig


class Evaluator:
    """Replays one window, from flat, with deterministic decisions.

    Args:
        market: The market.
        slots: (T, 10, 20) float32 scaled opportunity features.
        rules: Fees, spreads, staleness, delay.
        window: First and last row, both included.
        configs: Risk profiles by name, replayed side by side.
        quotes: The market laid out under the same rules.
    """

    def __init__(
        self,
        market: MarketArrays,
        slots: NDArray[np.float32],
        rules: MarketRules,
        window: tuple[int, int],
        configs: Mapping[str, TradingConfig],
        quotes: Quotes | None = None,
    ) -> None:
        self.window, self.configs = window, dict(configs)
        self.sim = VectorSim(market, slots, rules, len(self.configs), quotes=quotes)

    def returns(self, policy: Policy) -> dict[str, float]:
        """Return the return of each risk profile over the window, percent of initial capital.

        Args:
            policy: On the CPU.
        """
        action = np.zeros(len(self.configs), np.int64)

        def act(t: int, private: NDArray[np.float32], mask: Bool) -> I64:
            action[:] = HOLD
            # An ended run, one that may only hold, and one to whom nothing arrived are not asked.
            undecided = np.nonzero(mask.sum(1) > 1)[0]
            if undecided.size and self.sim.market.arrived[t]:
                slots = self.sim.slots[t : t + 1]
                code = encode_hour(policy, slots)
                for i in undecided:
                    chosen = decide(policy, slots, private[i : i + 1], mask[i : i + 1], code)
                    action[i] = chosen.action
            return action

        with one_thread():
            return self._replay(act)

    def greedy(self) -> dict[str, float]:
        """Return what the greedy baseline earns instead, by risk profile, percent."""
        raw = self.sim.market.slot_raw
        return self._replay(lambda t, private, mask: greedy(raw[t], private, mask))

    def _replay(self, act: Callable[[int, NDArray[np.float32], Bool], I64]) -> dict[str, float]:
        sim, n = self.sim, len(self.configs)
        first, last = self.window
        sim.reset(
            np.arange(n), np.full(n, first), np.full(n, last), ConfigArrays.of(list(self.configs.values()))
        )
        while not sim.state.done.all():
            t = int(sim.t[~sim.state.done][0])  # all that go on stand at the same hour
            sim.step(act(t, sim.private(), sim.mask()))
        earned = 100.0 * (sim.state.nlv / sim.state.initial - 1.0)
        return dict(zip(self.configs, earned.tolist(), strict=True))
