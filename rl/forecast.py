"""What each slot will pay: dense targets for the encoder, wholly inside train.

A rollout tells of a few entries; the market tells of every pair in every hour. Forecasting the net funding
of each slot teaches the encoder what persists, whatever the policy does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rl.market.arrays import F64, MarketArrays
from rl.policy import HORIZONS, MarketCode


def realised_funding(market: MarketArrays, rows: tuple[int, int], hours: int) -> F64:
    """Return what each slot's pair paid in the `hours` hours after the fill of an order decided at t.

    Args:
        market: The market.
        rows: [a, b) of train; what ends after it is not looked at.
        hours: Length; the fill is at t + 1.

    Returns:
        (T, 10) net funding received, a fraction of a leg's notional; NaN for an empty slot, outside of train,
        and where the hours reach beyond it.
    """
    a, b = rows
    events = market.settlements
    paid = np.zeros((market.n_hours, max(market.n_instruments, 1)))
    seen = (events.row >= a) & (events.row < b)
    np.add.at(paid, (events.row[seen], events.instrument[seen]), events.rate[seen])
    total = np.cumsum(paid, axis=0)
    out = np.full(market.slot_pair.shape, np.nan)
    t = np.arange(a, b - 1 - hours)
    if t.size:
        ahead = total[t + 1 + hours] - total[t + 1]
        pair = market.slot_pair[t]
        row = np.arange(t.size)[:, None]
        net = ahead[row, market.pair_short[pair]] - ahead[row, market.pair_long[pair]]
        out[t] = np.where(pair >= 0, net, np.nan)
    return out


def forecast_loss(
    market: MarketArrays, rows: tuple[int, int], device: torch.device
) -> Callable[[MarketCode, Tensor], Tensor]:
    """Return the loss of a code's forecast, a function of (code of H hours, their rows (H,)).

    Targets are asinh(x / typical size), as features are.
    """
    realised = np.stack([realised_funding(market, rows, hours) for hours in HORIZONS], axis=2)
    size = (
        np.nanmedian(np.abs(realised), axis=(0, 1)) if np.isfinite(realised).any() else np.ones(len(HORIZONS))
    )
    scaled = np.arcsinh(realised / np.where(size > 0, size, 1.0)).astype(np.float32)
    known = torch.from_numpy(np.isfinite(scaled)).to(device)
    target = torch.from_numpy(np.nan_to_num(scaled)).to(device)

    def loss(code: MarketCode, hours: Tensor) -> Tensor:
        counted = known.index_select(0, hours)
        error = (code.forecast - target.index_select(0, hours)).square() * counted
        return error.sum() / counted.sum().clamp(min=1)

    return loss
