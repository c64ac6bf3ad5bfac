"""Days of a data set add up to what all of its rows say, and a window holds the rows of its hours."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rl.quality import day as day_module
from rl.quality.day import DayFacts, add_up, describe_day, read_facts, write_facts
from rl.quality.profile import DayFile, of_hours, profile
from schemas.ingest import build_dataset, discover


@pytest.fixture(scope="module")
def built(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "dataset"
    build_dataset(discover(sample), out)
    return out


@pytest.fixture(scope="module")
def files(built: Path) -> list[DayFile]:
    return [DayFile(path.stem, path) for path in sorted((built / "opportunities").iterdir())]


@pytest.fixture(scope="module")
def rows(files: list[DayFile]) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(file.path) for file in files], ignore_index=True)


def whole(file: DayFile) -> DayFacts:
    return describe_day(file.path, "opportunities")


def equal(a: DayFacts, b: DayFacts) -> bool:
    names = ("rows", "columns", "venues", "seen", "symbols", "hours")
    sketches = a.sketches.keys() == b.sketches.keys() and all(
        np.array_equal(getattr(one, part), getattr(b.sketches[name], part))
        for name, one in a.sketches.items()
        for part in ("keys", "counts", "least")
    )
    return sketches and all(getattr(a, name) == getattr(b, name) for name in names)


def test_days_add_up_to_what_pandas_says_of_all_rows(files: list[DayFile], rows: pd.DataFrame) -> None:
    total = add_up([whole(file) for file in files])
    assert total.rows == len(rows)
    assert total.symbols == rows["symbol"].value_counts().sort_index().to_dict()
    legs = pd.concat([rows["long_exchange"], rows["short_exchange"]])
    assert total.venues == legs.value_counts().sort_index().to_dict()
    for name in rows.columns:
        assert total.columns[str(name)].nulls == rows[name].isna().sum(), name
    for name in rows.select_dtypes("float64"):
        kept = total.sketches[str(name)]
        assert (kept.low, kept.high) == (rows[name].min(), rows[name].max()), name
        assert kept.quantile(0.5) == pytest.approx(rows[name].quantile(0.5, "lower"), rel=0.011, abs=1e-9)
    rate = pd.concat(
        [
            800 * rows[f"{side}_funding_rate"] / rows[f"{side}_funding_interval_hours"]
            for side in ("long", "short")
        ]
    )[legs.to_numpy() == "bybit"]
    at_bybit = total.sketches["rate_8h@bybit"]
    assert (at_bybit.rows, at_bybit.high) == (len(rate), pytest.approx(rate.max()))


def test_small_batches_say_the_same(files: list[DayFile], monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = whole(files[0])
    monkeypatch.setattr(day_module, "_BATCH_ROWS", 37)
    assert equal(whole(files[0]), at_once)


def test_facts_come_back_as_they_were_written(files: list[DayFile], tmp_path: Path) -> None:
    facts = whole(files[0])
    write_facts(facts, tmp_path)
    assert equal(read_facts(tmp_path), facts)
    assert read_facts(tmp_path).sketches["volume_24h"].nulls == facts.sketches["volume_24h"].nulls


@pytest.mark.parametrize(("first", "end"), [(0, 24), (1, 48), (5, 6), (20, 100), (24, 49), (-5, 10_000)])
def test_a_window_holds_the_rows_of_its_hours(
    files: list[DayFile], rows: pd.DataFrame, first: int, end: int
) -> None:
    start = files[0].first_hour
    hour = rows["entry_time"].dt.ceil("h")
    mine = (hour >= pd.Timestamp(3600 * (start + first), unit="s", tz="UTC")) & (
        hour < pd.Timestamp(3600 * (start + end), unit="s", tz="UTC")
    )
    asked: list[str] = []

    def describe(file: DayFile) -> DayFacts:
        asked.append(file.day)
        return whole(file)

    facts = of_hours(files, start + first, start + end, describe)
    assert facts.rows == int(mine.sum())
    assert facts.symbols == rows["symbol"][mine].value_counts().sort_index().to_dict()
    assert set(asked) <= {file.day for file in files if first <= file.first_hour - start <= end - 25}


def test_few_days_show_symbols_by_hour_and_more_by_day(files: list[DayFile], rows: pd.DataFrame) -> None:
    [symbol] = rows["symbol"].value_counts().index[:1]
    long = profile(files, "opportunities", [symbol], whole)
    assert long.moments == long.days == tuple(file.day for file in files)
    assert sum(long.symbols[symbol]) == (rows["symbol"] == symbol).sum()
    short = profile(files[:2], "opportunities", [symbol], whole)
    assert len(short.moments) == 48 and short.moments[1].endswith("T01")
    assert sum(short.symbols[symbol]) == sum(long.symbols[symbol][:2])


def test_a_column_that_a_day_lacks_is_empty_there(files: list[DayFile], tmp_path: Path) -> None:
    first = pd.read_parquet(files[0].path)
    path = tmp_path / f"{files[1].day}.parquet"
    pd.read_parquet(files[1].path).drop(columns=["volume_24h"]).to_parquet(path)
    found = profile([files[0], DayFile(files[1].day, path)], "opportunities", [], whole)
    assert found.nulls["volume_24h"] == [first["volume_24h"].isna().mean(), 1.0]
    assert found.total.columns["volume_24h"].nulls == found.total.sketches["volume_24h"].nulls


def test_a_day_without_a_venue_has_no_rates_of_it_and_no_empty_ones(files: list[DayFile]) -> None:
    there = whole(files[0])
    both = add_up([DayFacts(rows=10), there]).sketches
    assert both["rate_8h@bybit"].rows == there.sketches["rate_8h@bybit"].rows
    assert both["volume_24h"].nulls == there.sketches["volume_24h"].nulls + 10


def test_a_name_of_megabytes_costs_its_own_length_once(files: list[DayFile], tmp_path: Path) -> None:
    rows = pd.read_parquet(files[0].path)
    rows["long_exchange"] = ["v" * 10_000_000, *rows["long_exchange"][1:]]
    path = tmp_path / f"{files[0].day}.parquet"
    rows.to_parquet(path)
    tracemalloc.start()
    found = describe_day(path, "opportunities")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(max(found.venues, key=len)) == 10_000_000
    assert peak < 200e6  # a table of fixed width would take the name's length for every row


def test_prices_as_large_as_numbers_go_have_no_spread_and_stop_nothing(
    files: list[DayFile], tmp_path: Path
) -> None:
    rows = pd.read_parquet(files[0].path).assign(entry_long_price=1.5e308, entry_short_price=1.6e308)
    path = tmp_path / f"{files[0].day}.parquet"
    rows.to_parquet(path)
    found = describe_day(path, "opportunities")
    assert found.sketches["leg_spread"].known == 0
    assert found.sketches["entry_long_price"].quantile(0.5) == 1.5e308
    write_facts(found, tmp_path)
    assert equal(read_facts(tmp_path), found)
