"""The instruments and pairs of a stretch of hours, and where each row's lie among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from rl.market.arrays import I64
from rl.market.closing import KnownInstruments, KnownPairs
from rl.market.rows import HistoryRows, Names, OpportunityRows


@dataclass(frozen=True)
class Universe:
    """Names in canonical order, and indices into them.

    Attributes:
        symbols: (I,) symbol of each instrument; instruments are sorted by (symbol, venue).
        venues: (I,) venue of each instrument.
        pair_long: (P,) instrument of the long leg; pairs are sorted by (symbol, long venue, short venue).
        pair_short: (P,) instrument of the short leg.
        row_long: (N,) instrument of each opportunity row's long leg.
        row_short: (N,) of its short leg.
        row_pair: (N,) pair of each opportunity row.
        history: (M,) instrument of each history row.
        known: (I0,) instrument of each one in the closing state.
        known_pairs: (P0,) pair of each one in the closing state.
    """

    symbols: Names
    venues: Names
    pair_long: I64
    pair_short: I64
    row_long: I64
    row_short: I64
    row_pair: I64
    history: I64
    known: I64
    known_pairs: I64

    @property
    def n_instruments(self) -> int:
        """How many instruments are known by the end of the stretch."""
        return len(self.symbols)

    @property
    def n_pairs(self) -> int:
        """How many pairs are known by the end of the stretch."""
        return len(self.pair_long)


def universe(
    rows: OpportunityRows, history: HistoryRows, instruments: KnownInstruments, pairs: KnownPairs
) -> Universe:
    """Number everything that a closing state or a row names."""
    symbol, symbols = _number(rows.symbol, history.symbol, instruments.symbols, pairs.symbols)
    row_symbol, history_symbol, known_symbol, pair_symbol = symbol
    venue, venues = _number(
        rows.long_venue,
        rows.short_venue,
        history.venue,
        instruments.venues,
        pairs.long_venues,
        pairs.short_venues,
    )
    row_long, row_short, history_venue, known_venue, pair_long, pair_short = venue
    n = max(len(venues), 1)

    keys, instrument = _number(
        row_symbol * n + row_long, row_symbol * n + row_short, history_symbol * n + history_venue,
        known_symbol * n + known_venue,
    )  # fmt: skip
    pair_keys, pair = _number(
        (row_symbol * n + row_long) * n + row_short, (pair_symbol * n + pair_long) * n + pair_short
    )
    # A pair's key holds the keys of its legs.
    long_key, short_key = pair // n, pair // (n * n) * n + pair % n
    return Universe(
        symbols=symbols[instrument // n],
        venues=venues[instrument % n],
        pair_long=np.searchsorted(instrument, long_key),
        pair_short=np.searchsorted(instrument, short_key),
        row_long=keys[0],
        row_short=keys[1],
        row_pair=pair_keys[0],
        history=keys[2],
        known=keys[3],
        known_pairs=pair_keys[1],
    )


def _number(*columns: np.ndarray) -> tuple[list[I64], np.ndarray]:
    """Number the values of all columns together, in sorted order."""
    codes, values = pd.factorize(np.concatenate(columns), sort=True)
    edges = np.cumsum([len(column) for column in columns])[:-1]
    return np.split(codes.astype(np.int64), edges), np.asarray(values)
