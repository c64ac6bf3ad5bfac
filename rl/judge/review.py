"""The reigning champion looked at again: is it still fit to reign, on the hours a candidate is judged by?"""

from __future__ import annotations

from datetime import UTC

import numpy as np
import pandas as pd

from rl.judge.champion import judge_reigning
from rl.judge.daily import daily_of
from rl.judge.evidence import build_evidence
from rl.judge.trials import Trials
from schemas.backtest import BacktestSummary
from schemas.promotion import PromotionPolicy, RetirementDecision


def review_champion(
    backtest: BacktestSummary, equity: pd.DataFrame, preset: str, policy: PromotionPolicy
) -> RetirementDecision | None:
    """Judge the champion that a backtest was run beside; None where no champion reigns.

    Its returns count from the first hour that it was neither trained nor chosen on; a drawdown or a
    liquidation counts wherever it happened. What cannot be replayed is not fit to reign: nobody knows what it
    would do.

    Args:
        backtest: Of a candidate on recent hours, the champion among its rungs.
        equity: Its table of curves: preset, policy, run, time (UTC), nlv.
        preset: The risk profile.
        policy: The thresholds, confidence, and what cash earns.
    """
    reigning = backtest.rival("champion")
    if reigning is None:
        return None
    daily = daily_of(equity, preset, "champion")
    evidence = None
    if daily is not None:
        seen_until = [window.end.astimezone(UTC).replace(tzinfo=None) for window in reigning.trained_on]
        unseen = daily.since(np.datetime64(max(seen_until)) if seen_until else None)
        if len(unseen.days) > 1:
            evidence = build_evidence(unseen, policy, Trials(), source="replayed window")
    return judge_reigning(
        reigning.version,
        backtest.result(preset, "champion"),
        backtest.initial_capital,
        preset,
        evidence,
        policy,
    )
