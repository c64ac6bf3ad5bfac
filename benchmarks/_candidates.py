"""Synthetic candidates for the decision function: returns with heavy tails, memory, quiet and wild weeks.

Several trials share a market, and the best of them on the very window that is judged is the candidate. The
ledger, the evidence, the basic gates and the decision are the ones a run uses; the gates that look at other
things than returns (audit, trades, stress) are let hold, so that only the evidence stands in the way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from rl.judge.champion import Reigning, decide_champion
from rl.judge.daily import Daily
from rl.judge.evidence import build_evidence
from rl.judge.gates import basic_gates
from rl.judge.metrics import DAY_MS, drawdown, return_pct
from rl.judge.sharpe import sharpe_ratio
from rl.judge.trials import count_trials
from schemas.audit import AuditedTime, AuditReport, GarbageFinding
from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit
from schemas.evidence import DAYS_PER_YEAR
from schemas.promotion import Gate, PromotionDecision, PromotionPolicy
from schemas.trading import PRESETS, MarketRules

START: Final = datetime(2025, 3, 1, tzinfo=UTC)
CAPITAL: Final = 10_000.0
DAILY_DEVIATION: Final = 0.001
SETTLE: Final = 30  # days drawn before the first, so that memory has no beginning
PRESET: Final = "moderate"
SURVIVED: Final = Gate(name="stress", value=0.0, threshold=0.0, verdict="pass", reason="Let hold.")

DAYS: Final = (36, 45, 60, 90, 180)
TRIALS: Final = (1, 2, 5, 10, 45, 100)
MEMORY: Final = (0.0, 0.2, 0.4)
TAILS: Final = (3.0, 5.0)  # degrees of freedom of Student's t
CRASHES: Final = (0.0, 0.3)  # how much wider the losing side is than the winning one
ALIKE: Final = (0.0, 0.5, 0.9)  # correlation of the trials of one window
WEEKS, WILD = 0.9, 0.13  # memory and news of the logarithm of the market's deviation: quiet weeks, wild weeks


@dataclass(frozen=True)
class World:
    """What a window of synthetic returns is like.

    Attributes:
        days: Whole days.
        trials: How many were tried on it.
        memory: First autocorrelation of daily returns.
        tails: Degrees of freedom.
        crashes: 0 is symmetric.
        alike: Correlation between the trials' returns.
        edge: Annual Sharpe ratio of every trial over cash.
        rival: That of the reigning champion; None where there is none.
    """

    days: int
    trials: int
    memory: float
    tails: float
    crashes: float
    alike: float
    edge: float = 0.0
    rival: float | None = None


def worlds(
    rng: np.random.Generator,
    edge: float = 0.0,
    rival: float | None = None,
    trials: Sequence[int] = TRIALS,
) -> Iterator[World]:
    """Draw worlds without end."""
    while True:
        yield World(
            int(rng.choice(DAYS)), int(rng.choice(trials)), float(rng.choice(MEMORY)),
            float(rng.choice(TAILS)), float(rng.choice(CRASHES)), float(rng.choice(ALIKE)), edge, rival,
        )  # fmt: skip


def noise(world: World, curves: int, rng: np.random.Generator) -> np.ndarray:
    """Return (curves, D) returns of mean 0 and variance 1, correlated as the trials of a window are."""
    days = world.days + SETTLE
    own = rng.standard_t(world.tails, (curves + 1, days))
    own = np.where(own < 0.0, own * (1.0 + world.crashes), own / (1.0 + world.crashes))
    mean, deviation = _moments(world.tails, world.crashes)
    own = (own - mean) / deviation
    shocks = math.sqrt(world.alike) * own[0] + math.sqrt(1.0 - world.alike) * own[1:]
    news = WILD * rng.standard_normal(days)
    wild = np.zeros(days)
    for day in range(1, days):
        wild[day] = WEEKS * wild[day - 1] + news[day]
    shocks *= np.exp(wild - WILD**2 / (1.0 - WEEKS**2))
    told = np.zeros_like(shocks)
    told[:, 0] = shocks[:, 0]
    for day in range(1, days):
        told[:, day] = world.memory * told[:, day - 1] + math.sqrt(1.0 - world.memory**2) * shocks[:, day]
    return told[:, SETTLE:]


def _moments(tails: float, crashes: float) -> tuple[float, float]:
    """Return mean and deviation of a t variable whose losing side is wider, its winning side narrower."""
    density = math.gamma((tails + 1.0) / 2.0) / math.gamma(tails / 2.0) / math.sqrt(tails * math.pi)
    wide, narrow = 1.0 + crashes, 1.0 / (1.0 + crashes)
    mean = density * tails / (tails - 1.0) * (narrow - wide)
    square = tails / (tails - 2.0) * (narrow**2 + wide**2) / 2.0
    return mean, math.sqrt(square - mean**2)


def curve(returns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the times of the midnights, UTC epoch ms, and the NLV then."""
    first = round(START.timestamp() * 1000)
    time_ms = first + DAY_MS * np.arange(len(returns) + 1, dtype=np.int64)
    return time_ms, CAPITAL * np.concatenate([[1.0], np.cumprod(1.0 + DAILY_DEVIATION * returns)])


def decide(world: World, rng: np.random.Generator, policy: PromotionPolicy) -> PromotionDecision:
    """Draw one window and let the decision function decide about the best of its trials."""
    drawn = noise(world, world.trials + 1, rng)
    mean = world.edge / math.sqrt(DAYS_PER_YEAR)
    returns = drawn[:-1] + mean
    scores = [sharpe_ratio(row) or 0.0 for row in returns]
    best = int(np.argmax(scores))
    end = START + timedelta(days=world.days)
    window = [START.isoformat(), end.isoformat()]
    ledger: list[dict[str, Any]] = [
        {
            "kind": "opening", "trial": f"t{i}", "window": window, "purpose": "promotion",
            "daily_sharpe": {PRESET: {"sharpe": score, "days": world.days}},
        }
        for i, score in enumerate(scores)
    ]  # fmt: skip
    time_ms, nlv = curve(returns[best])
    champion = reigning = None
    if world.rival is not None:
        champion = Daily.of(*curve(drawn[-1] + world.rival / math.sqrt(DAYS_PER_YEAR)))
        reigning = Reigning("champion", 10.0)
    evidence = build_evidence(
        Daily.of(time_ms, nlv),
        policy,
        count_trials(ledger, START, end, preset=PRESET, own=f"t{best}"),
        source="test window",
        greedy=Daily.of(*curve(drawn[-1] / 2.0 + mean / 4.0 if world.edge else np.zeros(world.days))),
        champion=champion,
        unseen_from=START,
        seed=int(rng.integers(2**31)),
    )
    summary = _backtest(nlv, end)
    basic = basic_gates(summary, PRESET, policy, _audit(summary))
    return decide_champion(
        "candidate", PRESET, basic, evidence, [SURVIVED], policy, drift=[], reigning=reigning
    )


def _backtest(nlv: np.ndarray, end: datetime) -> BacktestSummary:
    """Return a backtest that says of the curve what it is, and nothing else against it."""
    told = PolicyResult(
        preset=PRESET, policy="agent", runs=1, return_pct=return_pct(nlv, CAPITAL),
        max_drawdown_pct=float(100.0 * drawdown(nlv).max()), final_nlv=float(nlv[-1]), trades=50.0,
        split=ProfitSplit(funding=CAPITAL), hours=0,
    )  # fmt: skip
    hours = round((end - START).total_seconds() / 3600)
    return BacktestSummary(
        version="candidate", start=START, end=end, hours=hours, initial_capital=CAPITAL, in_sample=False,
        overlap_hours=0, seed=0, random_runs=0, presets={PRESET: PRESETS[PRESET]}, rules=MarketRules(),
        results=(told,),
    )  # fmt: skip


def _audit(summary: BacktestSummary) -> AuditReport:
    found = GarbageFinding(kind="no rows", last_hour=START, compared=1)
    return AuditReport(
        data_hash=summary.data_hash, version=summary.version, with_history=True, seed=0, presets=(PRESET,),
        deciders=("agent",), times=(AuditedTime(time=START, part="test", findings=(found,)),),
    )  # fmt: skip
