"""From the tables of a backtest and of a walk-forward to what they prove: whose curve is weighed."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from rl.judge.daily import Daily, daily_of
from rl.judge.evidence import build_evidence
from rl.judge.trials import Trials
from rl.walk_forward import joined_daily
from schemas.backtest import BacktestSummary
from schemas.evidence import Evidence, Source
from schemas.promotion import PromotionPolicy


def weigh(
    backtest: BacktestSummary,
    equity: pd.DataFrame,
    preset: str,
    policy: PromotionPolicy,
    trials: Trials,
    *,
    source: Source,
    rival: str | None = None,
    joined: pd.DataFrame | None = None,
) -> Evidence | None:
    """Say what a backtest proves under one risk profile, or the walk-forward of its recipe.

    None where no policy was replayed.

    The reigning champion is compared with the version itself, on the days of the backtest that neither was
    trained or chosen on, also where the recipe is judged by its walk-forward.

    Args:
        backtest: Of the version.
        equity: Its table of curves: preset, policy, run, time (UTC), nlv.
        preset: The risk profile.
        policy: Confidence, blocks asked for, what cash earns.
        trials: What was tried on the hours that are weighed.
        source: What the curve is called.
        rival: The version that reigns, if it is another one.
        joined: What `rl.walk_forward.join` made of the same recipe, where there is one.
    """
    own = daily_of(equity, preset, "agent")
    if own is None:
        return None
    unseen_from = _unseen_from(backtest, rival)
    champion = None if unseen_from is None else daily_of(equity, preset, "champion")
    if joined is None:
        return build_evidence(
            own,
            policy,
            trials,
            source=source,
            greedy=daily_of(equity, preset, "greedy"),
            champion=champion,
            unseen_from=unseen_from,
        )
    walk = joined_daily(joined, preset)
    greedy = walk.baselines.get("greedy")
    return build_evidence(
        Daily(walk.days, walk.candidate),
        policy,
        trials,
        source=source,
        seeds=[Daily(walk.days, returns) for returns in walk.agent],
        greedy=None if greedy is None else Daily(walk.days, greedy),
        champion=champion,
        own=own,
        unseen_from=unseen_from,
    )


def _unseen_from(backtest: BacktestSummary, rival: str | None) -> datetime | None:
    """Return the first hour that neither version has seen; None where the rival's curve is not to be had."""
    known = backtest.rival("champion")
    if rival is None or known is None or known.version != rival or known.missing:
        return None
    if not (known.trained_on and backtest.trained_on):
        return None  # who knows what it has seen
    return max(window.end for window in (*known.trained_on, *backtest.trained_on))
