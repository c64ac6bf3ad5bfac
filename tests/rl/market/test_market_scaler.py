"""The scaler: fitted on filled slots, null is 0, empty is all zeros."""

import json

import numpy as np
import pytest

from rl.market.arrays import SLOT_FEATURES
from rl.market.assemble import assemble
from rl.market.build import build_days
from rl.market.scaler import Scaler
from schemas.trading import MarketRules
from tests.rl.market.market_frames import random_offers

PROFIT = SLOT_FEATURES.index("profit_8h")


def slots(*profits):
    """One hour whose first slots hold offers with these profits; None is an empty slot."""
    raw = np.zeros((1, 10, 20))
    for slot, profit in enumerate(profits):
        if profit is not None:
            raw[0, slot] = 1.0
            raw[0, slot, PROFIT] = profit
    return raw


def test_scale_by_hand():
    scaler = Scaler.fit(slots(-1.0, 4.0, np.nan, None, -2.0))
    assert scaler.median[PROFIT] == 2.0  # of 1, 4, 2: neither the null nor the empty slot counts
    scaled = scaler.scale(slots(3.0, -2.0, np.nan, None))
    np.testing.assert_allclose(
        scaled[0, :4, PROFIT], [np.arcsinh(1.5), np.arcsinh(-1.0), 0.0, 0.0], rtol=1e-6
    )
    assert scaled.dtype == np.float32 and scaled.shape == (1, 10, 20)
    assert not scaled[0, 3:].any()


def test_values_are_clipped_at_ten():
    scaled = Scaler.fit(slots(1.0)).scale(slots(1e9, -1e9))
    assert scaled[0, :2, PROFIT].tolist() == [10.0, -10.0]


@pytest.mark.parametrize("profits", [(0.0, 0.0, 5.0), (np.nan, np.nan), ()])
def test_a_median_of_zero_or_of_nothing_is_one(profits):
    assert Scaler.fit(slots(*profits)).median[PROFIT] == 1.0


def test_an_even_number_of_values_has_the_mean_of_the_middle_two_as_median():
    assert Scaler.fit(slots(1.0, 2.0, 4.0, 9.0)).median[PROFIT] == 3.0


def test_filled_slots_show_their_intervals_and_empty_ones_are_zero():
    market = assemble(list(build_days(random_offers(np.random.default_rng(3), hours=60))), MarketRules())
    scaled = Scaler.fit(market.slot_raw[:20]).scale(market.slot_raw)
    full = market.slot_pair >= 0
    assert full.any() and not full.all()
    for name in ("long_interval_8", "short_interval_8"):
        assert (scaled[full][:, SLOT_FEATURES.index(name)] > 0).all()
    assert not scaled[~full].any()
    assert np.isfinite(scaled).all()


def test_nothing_outside_the_rows_it_is_given_moves_the_scale():
    raw = assemble(
        list(build_days(random_offers(np.random.default_rng(3), hours=60))), MarketRules()
    ).slot_raw
    worse = raw.copy()
    worse[30:] *= 100.0
    assert Scaler.fit(raw[:30]).to_json() == Scaler.fit(worse[:30]).to_json()


def test_json_brings_every_bit_back():
    scaler = Scaler(np.random.default_rng(0).lognormal(0, 10, 20))
    again = Scaler.from_json(scaler.to_json())
    assert again.median.tobytes() == scaler.median.tobytes()
    assert list(json.loads(scaler.to_json())["median_abs"]) == list(SLOT_FEATURES)


@pytest.mark.parametrize("text", ["{}", "[]", "nonsense", '{"median_abs": {"profit_8h": 1}}'])
def test_what_is_no_scaler_is_refused(text):
    with pytest.raises(ValueError):
        Scaler.from_json(text)
