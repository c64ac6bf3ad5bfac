"""The data-quality page after it was drawn: its name, and how old the newest row is.

That is told when somebody looks, because a page that is kept cannot know.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from schemas.trading import MarketRules

PAGE: Final = "quality.html"
AGE: Final = "<!-- how old the newest row is -->"


def told_at(page: str, newest: datetime, now: datetime) -> str:
    """Write into the data-quality page how old the newest row is at a moment.

    Args:
        page: The text of quality.html.
        newest: Time of the newest opportunity row.
        now: The moment that is meant.
    """
    line = f'<p class="{"caution" if is_stale(newest, now) else "details"}">{age_words(newest, now)}</p>'
    return page.replace(AGE, line)


def age_words(newest: datetime, now: datetime) -> str:
    """Say how old the newest row is, and whether that is too old to trade on."""
    hours = (now - newest).total_seconds() / 3600.0
    row, moment = f"The newest row is of {newest:%Y-%m-%d %H:%M} UTC", f"{now:%Y-%m-%d %H:%M}"
    if hours < 0:
        return f"{row}, {-hours:,.1f} hours after {moment}: a clock is wrong, or a time zone."
    age = f"{hours:,.1f} hours" if hours < 72 else f"{hours / 24:,.1f} days"
    most = MarketRules().max_quote_age_hours
    return f"{row}: {age} old at {moment}" + (
        f", older than the {most:g} h a quote is held for." if is_stale(newest, now) else "."
    )


def is_stale(newest: datetime, now: datetime) -> bool:
    """Whether the newest row is older than a quote may be by default."""
    return (now - newest).total_seconds() > 3600.0 * MarketRules().max_quote_age_hours
