"""Bars stamped at their open, moved to the row that ends their hour.

A bar moves to the next row of its instrument, which may stand in a later day: what waits is handed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pandas as pd
import pyarrow as pa

_KEY: Final = ["exchange", "symbol", "timestamp"]
_BAR: Final = [*_KEY, "high", "low"]


@dataclass(frozen=True)
class Moved:
    """A day whose bars have moved.

    Attributes:
        rows: The day.
        waiting: The newest bar of each instrument, which waits for its next row.
        counts: Bars that moved, and those that did over more than an hour.
    """

    rows: pa.Table
    waiting: pd.DataFrame
    counts: dict[str, int]


def nothing_waits() -> pd.DataFrame:
    """Return the state before the first day."""
    return pd.DataFrame({name: [] for name in _BAR})


def move_bars(rows: pa.Table, waiting: pd.DataFrame) -> Moved:
    """Give each row the high and low of the row before it, whose hour ends no later than this row.

    Price and funding rate belong to the stamp itself and stay. Over a gap the bar waits for the next
    row: a liquidation found late is better than one never found.

    Args:
        rows: A day of a history, in order.
        waiting: What the day before handed on.
    """
    decoded = {name: rows[name].cast(pa.string()) for name in ("exchange", "symbol")}
    frame = pa.table({**decoded, **{name: rows[name] for name in ("timestamp", "high", "low")}}).to_pandas()
    today = frame.drop_duplicates(subset=_KEY, keep="last")
    bars = pd.concat([waiting[_BAR], today[_BAR]], ignore_index=True) if len(waiting) else today[_BAR]
    bars = bars.sort_values(_KEY, ignore_index=True)
    before = bars.groupby(["exchange", "symbol"])[["timestamp", "high", "low"]].shift()
    moved = before[["high", "low"]].notna().any(axis=1)
    waited = moved & (bars["timestamp"] - before["timestamp"] > pd.Timedelta(hours=1))
    shifted = bars[_KEY].assign(high=before["high"], low=before["low"])
    mine = frame[_KEY].merge(shifted, on=_KEY, how="left")
    for name in ("high", "low"):
        at = rows.column_names.index(name)
        rows = rows.set_column(at, name, pa.array(mine[name].to_numpy(dtype="float64")))
    newest = bars.drop_duplicates(subset=["exchange", "symbol"], keep="last").reset_index(drop=True)
    counts = {"bars_shifted": int(moved.sum()), "bars_shifted_over_a_gap": int(waited.sum())}
    return Moved(rows, newest, counts)


def state_bytes(waiting: pd.DataFrame) -> bytes:
    """Return what waits as the bytes of an Arrow file; equal states have equal bytes."""
    types = {"timestamp": pa.timestamp("us", tz="UTC"), "high": pa.float64(), "low": pa.float64()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in _BAR])
    table = pa.Table.from_pandas(waiting[_BAR], schema=schema, preserve_index=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table.replace_schema_metadata(None).combine_chunks())
    return bytes(sink.getvalue().to_pybytes())


def read_state(content: bytes) -> pd.DataFrame:
    """Read what `state_bytes` made."""
    return pa.ipc.open_file(pa.BufferReader(content)).read_all().to_pandas()  # type: ignore[no-any-return]
