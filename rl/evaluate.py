"""What a policy earns on a window when it decides alone: the number that chooses among checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rl.decide import HOLD, decide, encode_hour, one_thread
from rl.market.arrays import MarketArrays
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
        sim, n = self.sim, len(self.configs)
        first, last = self.window
        sim.reset(
            np.arange(n), np.full(n, first), np.full(n, last), ConfigArrays.of(list(self.configs.values()))
        )
        action = np.zeros(n, np.int64)
        with one_thread():
            while not sim.state.done.all():
                private, mask = sim.private(), sim.mask()
                action[:] = HOLD
                undecided = np.nonzero(mask.sum(1) > 1)[0]  # an ended run, or one that may only hold, is not
                if undecided.size:
                    t = int(sim.t[undecided[0]])  # all that go on stand at the same hour
                    slots = sim.slots[t : t + 1]
                    code = encode_hour(policy, slots)
                    for i in undecided:
                        chosen = decide(policy, slots, private[i : i + 1], mask[i : i + 1], code)
                        action[i] = chosen.action
                sim.step(action)
        earned = 100.0 * (sim.state.nlv / sim.state.initial - 1.0)
        return dict(zip(self.configs, earned.tolist(), strict=True))
