"""A made-up market to learn on, test with and show: `write_sample`.

The files look like what scanners and venues give, with their troubles: bounce, late rows, gaps, duplicates,
listings, changing funding intervals, a coin that loses three quarters in an hour. A few differentials last
long enough to pay their costs; most do not.

No row depends on anything after it: a longer market begins with the bytes of a shorter one.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from rl.market.arrays import HOUR_MS, Bool
from rl.market.synthetic_scanner import COLUMNS, iso, join, outages, plain, scan
from rl.market.synthetic_universe import VENUES, WARM_UP_HOURS, Streams, build_universe
from rl.market.synthetic_world import World, build_world
from schemas.errors import ConfigError

OPPORTUNITIES: Final = "opportunities.csv"
HISTORY: Final = "market_history.csv"
DEFAULT_START: Final = "2025-09-01T00:00:00Z"
MAX_ROWS: Final = 1_000_000

_HISTORY_COLUMNS: Final = (
    "timestamp", "exchange", "symbol", "price", "funding_rate", "funding_interval_hours", "high", "low",
)  # fmt: skip
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SampleSummary(BaseModel):
    """What was written, and where."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    opportunities: Path
    history: Path
    opportunity_rows: int = Field(
        description="Rows of the scanner's file, duplicates and broken ones included."
    )
    history_rows: int
    symbols: int = Field(description="Coins of the market; some are listed later than the last row.")
    days: int
    rows_per_hour: int
    seed: int
    first: str = Field(description="First hour, UTC.")
    end: str = Field(description="Hour after the last, UTC.")


def write_sample(
    out: Path, *, days: int = 30, rows_per_hour: int = 54, seed: int = 0, start: str = DEFAULT_START
) -> SampleSummary:
    """Write `opportunities.csv` and `market_history.csv`, the same bytes for the same arguments.

    Args:
        out: Folder to write to; made if it does not exist.
        days: Days of 24 hours, at least 1.
        rows_per_hour: Rows of the scanner's file per hour, on average; also sets how many coins there are.
        seed: Seed of everything random.
        start: First hour, ISO 8601; without a zone it is UTC.

    Raises:
        ConfigError: An argument is out of range, or a file of that name exists that is no sample.
    """
    first = _validate(out, days, rows_per_hour, seed, start)
    streams = Streams(seed)
    first_hour = int((first - _EPOCH) / timedelta(hours=1)) - WARM_UP_HOURS
    universe = build_universe(rows_per_hour, streams, first_hour)
    world = build_world(universe, streams, first_hour, WARM_UP_HOURS + 24 * days)
    columns = scan(world, streams, rows_per_hour)
    history = _history(world, streams)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _write(
            {
                out / HISTORY: join([[name] for name in _HISTORY_COLUMNS]) + join(history),
                out / OPPORTUNITIES: join([[name] for name in COLUMNS]) + join(list(columns.values())),
            }
        )
    except OSError as error:
        raise ConfigError(
            f"The sample cannot be written: {error.strerror}.", str(out), "Choose another folder."
        ) from error
    return SampleSummary(
        opportunities=out / OPPORTUNITIES,
        history=out / HISTORY,
        opportunity_rows=len(columns["symbol"]),
        history_rows=len(history[0]),
        symbols=len(universe.symbols),
        days=days,
        rows_per_hour=rows_per_hour,
        seed=seed,
        first=first.strftime("%Y-%m-%dT%H:%M:%SZ"),
        end=(first + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _validate(out: Path, days: int, rows_per_hour: int, seed: int, start: str) -> datetime:
    """Check every argument before anything is computed; return the first hour."""
    for name, value, least, most in (
        ("days", days, 1, 366),
        ("rows_per_hour", rows_per_hour, 1, 2000),
        ("seed", seed, 0, 2**63 - 1),
    ):
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ConfigError(
                f"{name} is {value!r}, not a whole number from {least} to {most}.", remedy="Change it."
            )
    if days * 24 * rows_per_hour > MAX_ROWS:
        raise ConfigError(
            f"{days} days of {rows_per_hour} rows an hour are more than {MAX_ROWS:,} rows.",
            remedy="Ask for fewer days or fewer rows an hour.",
        )
    try:
        first = datetime.fromisoformat(start)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"start is {start!r}, not an ISO 8601 time.", remedy=f"Write it like {DEFAULT_START}."
        ) from error
    first = first.replace(tzinfo=UTC) if first.tzinfo is None else first.astimezone(UTC)
    if (first.minute, first.second, first.microsecond) != (0, 0, 0) or not 1971 <= first.year <= 2200:
        raise ConfigError(
            f"start is {start!r}, not a whole hour of the years 1971 to 2200.",
            remedy=f"Write it like {DEFAULT_START}.",
        )
    if out.exists() and not out.is_dir():
        raise ConfigError("The sample needs a folder, and this is a file.", str(out), "Choose another name.")
    for name, header in ((OPPORTUNITIES, COLUMNS), (HISTORY, _HISTORY_COLUMNS)):
        _refuse_to_overwrite(out / name, header)
    return first


def _refuse_to_overwrite(path: Path, header: tuple[str, ...]) -> None:
    """Keep somebody's real data from being replaced by a made-up market."""
    if not path.exists():
        return
    expected = f"{','.join(header)}\n".encode()
    try:
        with path.open("rb") as file:
            ours = file.read(len(expected)) == expected
    except OSError:
        ours = False
    if not ours:
        raise ConfigError(
            "Something of this name exists that was not made here; it is kept.",
            str(path),
            "Choose another folder for the sample.",
        )


def _write(files: dict[Path, str]) -> None:
    """Put files in their places whole; none before all of them have been written."""
    temporary = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in files}
    try:
        for path, text in files.items():
            temporary[path].write_bytes(text.encode())
        for path in files:
            temporary[path].replace(path)
    finally:
        for path in files:
            temporary[path].unlink(missing_ok=True)


def _history(world: World, streams: Streams) -> list[list[str]]:
    """Return the columns of the market history as text: an hour's live instruments, hour by hour."""
    universe, n_hours = world.universe, world.n_hours
    shown = world.live & ~_unrecorded(world, streams)
    shown[:WARM_UP_HOURS] = False
    t, instrument = np.nonzero(shown)
    # A collector writes a venue's hour at once, and one time in ten up to two minutes late.
    draws = streams("collector").random((n_hours, len(VENUES), 2))[t, universe.venue[instrument]]
    late = np.where(draws[:, 0] < 0.1, 1.0 + draws[:, 1] ** 3 * 119_000.0, 0.0).astype(np.int64)
    venues = np.array([name.lower() for name in VENUES])
    price = plain(world.price[2 * t, instrument])
    # A row in two thousand says nothing that can be used.
    for row in np.flatnonzero(streams("slips").random((n_hours, len(universe.symbol)))[t, instrument] < 5e-4):
        price[int(row)] = "0.0" if row % 2 else ""
    return [
        iso((world.first_hour + t) * HOUR_MS + late),
        venues[universe.venue[instrument]].tolist(),
        np.array(universe.symbols)[universe.symbol[instrument]].tolist(),
        price,
        plain(world.settled[t, instrument]),
        [str(hours) for hours in world.interval[t, instrument].tolist()],
        plain(world.high[t, instrument]),
        plain(world.low[t, instrument]),
    ]


def _unrecorded(world: World, streams: Streams) -> Bool:
    """Return (T, I): rows that are missing although the instrument is quoted.

    The first outage silences the collector too; later ones only the scanner. Now and then one venue
    cannot be reached for one or two hours.
    """
    silent = outages(streams, world.n_hours)
    silent[WARM_UP_HOURS + 240 :] = False
    missing = np.repeat(silent[:, None], len(world.universe.symbol), axis=1)
    unreachable = streams("unreachable").random((world.n_hours, len(VENUES))) < 1.0 / 300.0
    unreachable[1:] |= unreachable[:-1].copy()
    return missing | unreachable[:, world.universe.venue]
