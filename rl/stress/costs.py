"""Stresses that the market's rules can say: higher fees, later fills, the other funding boundary."""

from __future__ import annotations

from typing import Final

from schemas.trading import MarketRules

FEE_FACTOR: Final = 2.0
LATEST_FILL: Final = 2  # hours from decision to fill that the simulator knows at most


def higher_fees(rules: MarketRules) -> MarketRules:
    """Return the rules with every taker fee doubled.

    The market's slots still tell the round-trip cost by the old table: the stress is to have been wrong
    about fees, and not to be told of it.
    """
    return rules.model_copy(
        update={
            "taker_fee": {venue: FEE_FACTOR * fee for venue, fee in rules.taker_fee.items()},
            "default_taker_fee": FEE_FACTOR * rules.default_taker_fee,
        }
    )


def later_fills(rules: MarketRules) -> MarketRules:
    """Return the rules with fills an hour later still, which is two hours after a decision at most."""
    return rules.model_copy(update={"fill_delay_steps": min(rules.fill_delay_steps + 1, LATEST_FILL)})


def reversed_boundary(rules: MarketRules) -> MarketRules:
    """Return the rules under which a settlement on a fill belongs to the other position."""
    other = "open" if rules.funding_boundary == "close" else "close"
    return rules.model_copy(update={"funding_boundary": other})
