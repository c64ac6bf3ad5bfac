"""What is under audit: the functions that make of clean rows what an agent looks at.

The functions are the pipeline's own. A test hands in one that leaks, to see it caught.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rl.audit.garbage import Tables
from rl.market.arrays import MarketArrays
from rl.market.assemble import assemble
from rl.market.build import DayFeatures, build_days
from rl.market.scaler import Scaler
from rl.market.splits import Window
from rl.sim.quotes import Quotes, lay_out
from schemas.trading import MarketRules


def fit_scaler(market: MarketArrays, train: Window) -> Scaler:
    """Fit the scaler on the rows of train, as the features step does."""
    first, stop = train.rows(market.start_ms)
    return Scaler.fit(market.slot_raw[first:stop])


@dataclass(frozen=True)
class Pipeline:
    """The functions that are audited.

    Attributes:
        build: Clean rows -> features by day.
        assemble: Days -> one market.
        fit: A market and its train window -> a scaler.
        lay_out: A market -> what the simulator reads.
    """

    build: Callable[[pd.DataFrame, pd.DataFrame | None], Iterable[DayFeatures]] = build_days
    assemble: Callable[[list[DayFeatures], MarketRules], MarketArrays] = assemble
    fit: Callable[[MarketArrays, Window], Scaler] = fit_scaler
    lay_out: Callable[[MarketArrays, MarketRules], Quotes] = lay_out


@dataclass(frozen=True)
class Build:
    """Everything an agent and the simulator look at.

    Attributes:
        market: The market.
        scaler: Fitted on its train hours.
        slots: (T, 10, 20) float32, scaled opportunity features.
        quotes: The market laid out for the simulator.
    """

    market: MarketArrays
    scaler: Scaler
    slots: NDArray[np.float32]
    quotes: Quotes


def rebuild(pipeline: Pipeline, tables: Tables, train: Window, rules: MarketRules) -> Build:
    """Build everything from the first row on.

    There is no shortcut: no hour is shared with another build, though most of them cannot differ. Eighty-six
    days of a large data set take half a second, and a proof that shares what it should prove is none.

    Args:
        pipeline: The functions to build with.
        tables: Clean rows.
        train: The hours the scaler is fitted on; fixed, whatever hours the rows cover.
        rules: What venues charge, and when a quote is stale.
    """
    market = pipeline.assemble(list(pipeline.build(tables.opportunities, tables.history)), rules)
    scaler = pipeline.fit(market, train)
    return Build(market, scaler, scaler.scale(market.slot_raw), pipeline.lay_out(market, rules))
