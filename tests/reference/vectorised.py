"""Drives the vectorised simulator and keeps everything it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from rl.market.arrays import MarketArrays
from rl.sim.env import VectorSim
from rl.sim.record import Recorder
from rl.sim.state import COUNTERS, ConfigArrays
from schemas.trading import N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES, MarketRules
from tests.reference.cases import Lane, pick


class FlowsOnly(Recorder):
    """A recorder that leaves out the equity table, which costs more than the rest of the step."""

    def hour(self, *_: object) -> None:
        pass


@dataclass
class Played:
    """What the vectorised simulator did in one lane."""

    actions: list[int] = field(default_factory=list)
    masks: list[np.ndarray] = field(default_factory=list)
    observations: list[np.ndarray] = field(default_factory=list)
    equity: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)
    flows: list[tuple[int, int, str, str, float]] = field(default_factory=list)
    frame: pd.DataFrame = field(default_factory=pd.DataFrame)  # the recorder's rows of this lane
    balance: float = 0.0
    terminated: bool = False
    truncated: bool = False


def play(
    market: MarketArrays,
    rules: MarketRules,
    lanes: Sequence[Lane],
    actions_of: Sequence[Sequence[int]] | None = None,
) -> list[Played]:
    """Drive the lanes together until all have ended, each by its own choices, or by actions given."""
    n = len(lanes)
    recorder = FlowsOnly(market, np.ones(n, bool))
    slots = np.zeros((market.n_hours, N_OPPORTUNITY_SLOTS, N_SLOT_FEATURES), np.float32)
    sim = VectorSim(market, slots, rules, n, recorder)
    starts, ends = np.array([lane.start for lane in lanes]), np.array([lane.end for lane in lanes])
    sim.reset(np.arange(n), starts, ends, ConfigArrays.of([lane.config for lane in lanes]))
    played = [Played(equity=[rules.initial_capital]) for _ in lanes]
    running = [True] * n
    for k in range(max(lane.end - lane.start for lane in lanes)):
        mask, private = sim.mask(), sim.private()
        actions = np.zeros(n, np.int64)
        for e, lane in enumerate(lanes):
            if running[e]:
                actions[e] = pick(lane.choices.get(k, 0), mask[e]) if actions_of is None else actions_of[e][k]
                played[e].actions.append(int(actions[e]))
                played[e].masks.append(mask[e].copy())
                played[e].observations.append(private[e].copy())
        result = sim.step(actions)
        private = sim.private()
        for e, out in enumerate(played):
            if not running[e]:
                continue
            out.equity.append(float(result.nlv[e]))
            out.rewards.append(float(result.reward[e]))
            counts = zip(COUNTERS, sim.state.counts[e].tolist(), strict=True)
            out.counts.append({name: int(value) for name, value in counts})
            out.balance = float(sim.state.balance[e])
            out.terminated, out.truncated = bool(result.terminated[e]), bool(result.truncated[e])
            if out.terminated or out.truncated:
                running[e] = False
                out.observations.append(private[e].copy())
    frame = recorder.flows_frame()
    frame = frame.astype(dict.fromkeys(("quantity", "price", "rate", "amount"), np.float64))  # if empty
    frame["time_ms"] = frame["time"].dt.tz_localize(None).to_numpy().astype("M8[us]").astype(np.int64) // 1000
    for e, out in enumerate(played):
        out.frame = frame[frame["env"] == e].reset_index(drop=True)
        columns = [out.frame[c] for c in ("time_ms", "position_id", "leg", "kind", "amount")]
        for ms, serial, leg, kind, amount in zip(*columns, strict=True):
            out.flows.append((int(ms), int(serial), ("long", "short")[int(leg)], str(kind), float(amount)))
    return played
