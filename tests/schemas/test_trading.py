"""Margin tables that make no sense are refused in words."""

import pytest
from pydantic import ValidationError

from schemas.trading import MarginTier, MarketRules


def rules(*rows: tuple[float, float]) -> MarketRules:
    return MarketRules.model_validate(
        {"margin_tiers": {"binance": [{"above": above, "rate": rate} for above, rate in rows]}}
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ((), "applies above 0"),
        (((100, 0.01),), "applies above 0"),
        (((0, 0.01), (100, 0.02), (100, 0.03)), "rise in notional"),
        (((0, 0.01), (100, 0.005)), "do not fall in rate"),
        (((0, 0.1),), "less than 0.1"),  # at 10x a position would open beneath its maintenance margin
        (((0, -0.01),), "greater than or equal to 0"),
        (((0, 0.01), (float("inf"), 0.02)), "finite"),
    ],
)
def test_a_margin_table_that_makes_no_sense_is_refused(rows: tuple, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        rules(*rows)


def test_a_margin_table_survives_json() -> None:
    made = rules((0, 0.004), (50_000, 0.005), (600_000, 0.01))
    assert MarketRules.model_validate_json(made.model_dump_json()) == made
    assert made.tiers("binance")[1] == MarginTier(above=50_000, rate=0.005)
    assert made.tiers("okx") == (MarginTier(above=0, rate=0.005),)
