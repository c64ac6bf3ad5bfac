"""Drift: are recent rows still those a policy was trained on, feature by feature?

The population stability index over about ten bins that held a tenth of the training rows each (Siddiqi 2006,
"Credit Risk Scorecards": under 0.1 stable, above 0.25 a major shift), and the two-sample Kolmogorov-Smirnov
statistic on a hundred. No p-values: rows of one hour are alike and hours overlap, so that any test that takes
them for independent finds a difference in every pair of weeks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import numpy as np

from rl.market.arrays import F64, I64
from rl.quality.day import INTERVAL_AT, LEG_SPREAD, RATE_AT, DayFacts
from rl.quality.sketch import Sketch, empty, sketch, tops_of, values_of
from schemas.drift import Distribution, DriftReport, FeatureDrift, Reference

FINE_BINS: Final = 100  # the Kolmogorov-Smirnov statistic is looked at where they end
COARSE_SHARE: Final = 0.1  # of the training rows, in a bin of the stability index
EMPTY: Final = 0.5  # rows that every bin of the stability index is given
MOST_NAMES: Final = 30
MOST_VENUES: Final = 12  # judged each by itself, if they have this share of the legs
SMALLEST_VENUE: Final = 0.01
FEWEST_HOURS: Final = 24  # with rows; of less than a day an hour of the day is a drift
_HOUR_S: Final = 3600

# What a policy sees of a row; APRs are 1095 times the profits and are not judged twice.
FEATURES: Final = (
    "fund_profit_8h", "fund_profit_24h_proj", "fund_profit_3d_proj", LEG_SPREAD, "spread_30_sample_avg",
    "price_spread_24h_avg", "price_spread_3d_avg", "spread_volatility_stddev", "volume_24h",
    "bid_ask_spread_percent", "orderbook_depth_usd", "estimated_profit_percentage",
)  # fmt: skip
# Shown and not judged: a scanner that wrote 60 rows an hour and now writes 62 is as far off as can be.
PER_HOUR: Final = "rows_per_hour"
VENUES: Final = "venues"


def make_reference(facts: DayFacts, data: str, first: int, end: int) -> Reference:
    """Keep what drift needs of the rows of a train window.

    Args:
        facts: Opportunity rows of these hours.
        data: Hash of the data set.
        first: First hour, in hours since 1970.
        end: First hour after it.
    """
    nothing = empty(facts.rows)
    names = [f"{kind}{venue}" for venue in _largest(facts.venues) for kind in (RATE_AT, INTERVAL_AT)]
    features = {name: by_value(facts.sketches.get(name, nothing)) for name in (*names, *FEATURES)}
    features[PER_HOUR] = by_value(offered(facts, first, end))
    features[VENUES] = by_name(facts.venues)
    return Reference(data=data, start=_time(first), end=_time(end), rows=facts.rows, features=features)


def measure_drift(
    facts: DayFacts,
    data: str,
    first: int,
    end: int,
    against: Reference | None,
    champion: str = "",
    *,
    unknown: str = "",
) -> DriftReport:
    """Hold recent rows against a reference.

    Args:
        facts: Opportunity rows of the recent hours.
        data: Hash of their data set.
        first: First hour, in hours since 1970.
        end: First hour after it.
        against: What of the training data is kept; None where that is not known.
        champion: The version that was trained on it; empty where it is the data set's own train window.
        unknown: Why there is nothing to hold them against, in a sentence.
    """
    nothing = empty(facts.rows)
    found = []
    for name, known in ({} if against is None else against.features).items():
        if name == VENUES:
            found.append(_by_name(name, known, facts.venues))
        else:
            recent = offered(facts, first, end) if name == PER_HOUR else facts.sketches.get(name, nothing)
            found.append(_by_value(name, known, recent))
    hours = len(facts.hours)
    if hours < FEWEST_HOURS and not unknown:
        unknown = f"The recent window has {hours} hours with rows, and {FEWEST_HOURS} are needed."
    return DriftReport(
        data=data, start=_time(first), end=_time(end), hours=hours, rows=facts.rows, champion=champion,
        against=against, unknown=unknown, features=tuple(found),
    )  # fmt: skip


def offered(facts: DayFacts, first: int, end: int) -> Sketch:
    """Return the rows of each hour of [first, end); an hour without any counts as 0."""
    counts = [facts.hours.get(hour, 0) for hour in range(first, end)]
    return sketch(np.array(counts, dtype=np.float64))


def _largest(venues: Mapping[str, int]) -> list[str]:
    """Return the venues whose rates are judged each by itself."""
    total = sum(venues.values())
    ranked = sorted(venues, key=lambda name: (-venues[name], name))[:MOST_VENUES]
    return [name for name in ranked if venues[name] >= SMALLEST_VENUE * total]


def by_value(values: Sketch) -> Distribution:
    """Bin a feature at its percentiles.

    A value that is more than a hundredth of all has a bin of its own, so that what moves to either side of
    it is seen: the interval of a venue that always paid every 8 hours, the rate that half of all coins have.
    """
    if not values.known:
        return Distribution(edges=(0.0,), counts=(0, 0), missing=values.nulls)
    n, total = values.known, np.cumsum(values.counts)
    ranks = np.ceil(np.arange(1, FINE_BINS) / FINE_BINS * n)
    ends = set(values.keys[np.searchsorted(total, ranks)].tolist())
    heavy = values.keys[values.counts * FINE_BINS >= n]
    keys = np.array(sorted(ends | set(heavy.tolist()) | set((heavy - 1).tolist())), dtype=np.int64)
    edges = tops_of(keys)
    return Distribution(
        edges=tuple(edges.tolist()),
        counts=tuple(_counts(values, edges).tolist()),
        missing=values.nulls,
        middle=values.quantile(0.5),
    )


def by_name(counts: Mapping[str, int]) -> Distribution:
    """Count names, the most frequent ones each, the others together."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept, others = ranked[:MOST_NAMES], ranked[MOST_NAMES:]
    return Distribution(
        names=tuple(name for name, _ in kept),
        counts=(*(rows for _, rows in kept), sum(rows for _, rows in others)),
    )


def stability_index(reference: I64, recent: I64) -> float:
    """Return the population stability index, sum of (b - a) ln(b / a) over the shares a, b of each bin.

    Every bin is given half a row on both sides. An empty one would make the index infinite; this way it
    says as much as the rows can tell: emptied of a tenth, 0.7 for ten thousand rows and 0.3 for a week of
    hours. A bin that is empty on both sides tells nothing and is left out.

    Args:
        reference: (B,) rows.
        recent: (B,) rows.
    """
    told = (reference + recent) > 0
    a, b = reference[told] + EMPTY, recent[told] + EMPTY
    a, b = a / a.sum(), b / b.sum()
    return float(np.sum((b - a) * np.log(b / a)))


def ks_statistic(reference: I64, recent: I64) -> float:
    """Return the largest distance of two cumulative shares over the same bins (B,).

    Of raw values it is at most larger by what a single bin holds.
    """
    a, b = np.cumsum(reference) / reference.sum(), np.cumsum(recent) / recent.sum()
    return float(np.abs(a - b).max())


def coarse(counts: I64) -> I64:
    """Join fine bins (B,) into groups of a tenth of the rows or more, and return each one's group (B,).

    A bin that is a tenth by itself stays alone, and what lies beside it is never joined across it.
    """
    n = int(counts.sum())
    group, held, alone = 0, 0, True
    groups = np.zeros(len(counts), dtype=np.int64)
    for place, count in enumerate(counts.tolist()):
        heavy = count >= COARSE_SHARE * n
        if place and (heavy or alone or held >= COARSE_SHARE * n):
            group, held = group + 1, 0
        groups[place] = group
        held, alone = held + count, heavy
    if not alone and group and held < COARSE_SHARE * n:  # a remainder goes to the group before it
        before = np.flatnonzero(groups == group - 1)
        if len(before) > 1 or counts[before[0]] < COARSE_SHARE * n:
            groups[groups == group] = group - 1
    return groups


def _by_value(name: str, known: Distribution, recent: Sketch) -> FeatureDrift:
    reference, now = np.array(known.counts), _counts(recent, np.array(known.edges))
    psi = ks = None
    note = ""
    if not known.known and not recent.known:
        note = "empty in both"
    elif known.rows and recent.rows:
        groups = coarse(reference)
        size = int(groups.max()) + 1
        psi = stability_index(
            np.append(np.bincount(groups, reference, size), known.missing),
            np.append(np.bincount(groups, now, size), recent.nulls),
        )
        if known.known and recent.known:
            ks = ks_statistic(reference, now)
        else:
            note = "empty until now" if recent.known else "empty now"
    return FeatureDrift(
        feature=name,
        psi=psi,
        ks=ks,
        missing=(_share(known.missing, known.rows), _share(recent.nulls, recent.rows)),
        middle=(known.middle, recent.quantile(0.5)),
        judged=name != PER_HOUR,
        note=note,
    )


def _by_name(name: str, known: Distribution, recent: Mapping[str, int]) -> FeatureDrift:
    now = [recent.get(one, 0) for one in known.names]
    others = sum(recent.values()) - sum(now)
    gone = [one for one, rows in zip(known.names, now, strict=True) if not rows]
    come = sorted(set(recent) - set(known.names)) if known.counts[-1] == 0 else []
    told = [f"{verb}: {', '.join(names[:5])}" for verb, names in (("gone", gone), ("new", come)) if names]
    psi = stability_index(np.array(known.counts), np.array([*now, others])) if known.rows and recent else None
    return FeatureDrift(
        feature=name, psi=psi, ks=None, missing=(0.0, 0.0), middle=(None, None), note="; ".join(told)
    )


def _counts(values: Sketch, edges: F64) -> I64:
    """Return the rows of a sketch in each bin that ends at the edges (E,), and beyond the last: (E + 1,)."""
    place = np.searchsorted(edges, values_of(values.keys))
    return np.bincount(place, values.counts, len(edges) + 1).astype(np.int64)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _time(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * _HOUR_S, UTC)
