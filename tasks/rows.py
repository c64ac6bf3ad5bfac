"""The clean rows of a data set, all days in one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def clean_rows(source: Path) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Read every clean row of a data set, day after day.

    Args:
        source: The artifact of `ingest`.

    Returns:
        Opportunities and history, in data-set order; None is no history.
    """
    import pandas as pd

    from schemas.columns import TableName, names

    def read(table: TableName) -> pd.DataFrame | None:
        columns = list(names(table))
        days = [pd.read_parquet(path, columns=columns) for path in sorted((source / table).glob("*.parquet"))]
        return pd.concat(days, ignore_index=True) if days else None

    opportunities = read("opportunities")
    if opportunities is None:
        raise ValueError(f"{source} holds no opportunities")
    return opportunities, read("history")
