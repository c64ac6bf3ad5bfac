"""What paper trading reads: data, as much of the market as an hour needs, and the versions that decide."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from schemas.manifest import Ref
from schemas.trading import MarketRules
from tasks.features import feature_days
from tasks.models import find_version
from tasks.paper_rows import DatasetRows
from tasks.registry import Registry
from tasks.store import Store, content_hash

if TYPE_CHECKING:
    from rl.market.arrays import MarketArrays
    from rl.paper import Follower
    from rl.paper_books import Desk

HOUR_MS: Final = 3_600_000


class PaperData:
    """A data set as paper trading reads it: its newest hour, its rows, and what is asked of its market."""

    def __init__(self, store: Store, dataset: Ref, now: datetime) -> None:
        from schemas.ingest.clean import LABEL_TOLERANCE_US

        self._dataset, source = dataset, store.local(dataset)
        manifest = store.manifest(dataset)
        self.content = content_hash(manifest)
        self.rows = DatasetRows(source, manifest)
        facts = json.loads((source / "dataset.json").read_text(encoding="utf-8"))
        last = -(-epoch_ms(datetime.fromisoformat(facts["last"]), up=True) // HOUR_MS) * HOUR_MS
        self.now_ms = epoch_ms(now)
        # History rows stamped a little past an hour are labels of it: until then not all of it has come.
        come = self.now_ms - LABEL_TOLERANCE_US // 1000
        self.newest_ms = min(last, come // HOUR_MS * HOUR_MS)
        self.newest = when(self.newest_ms)
        self._days: dict[str, Path] | None = None
        self._markets: dict[tuple[str, str], MarketArrays] = {}
        self._desks: dict[tuple[str, str], Desk] = {}

    def desk(self, since: datetime, rules: MarketRules) -> Desk:
        """Return the market from an hour on, or from before it, under some rules."""
        from rl.paper_books import Desk

        key = (f"{since:%Y-%m-%d}", rules.model_dump_json())
        if key not in self._desks:
            self._desks[key] = Desk.of(self._market(since, rules), rules)
        return self._desks[key]

    def _market(self, since: datetime, rules: MarketRules) -> MarketArrays:
        """Join the days from that of an hour on; more of them where the first hours of it had no offer.

        A day's features hold what was known before it, so that no earlier day is needed.
        """
        from rl.market.assemble import assemble

        if self._days is None:
            self._days = feature_days(self._dataset)
        names = list(self._days)
        first = max((i for i, name in enumerate(names) if name <= f"{since:%Y-%m-%d}"), default=0)
        folders = list(self._days.values())
        market = assemble(folders[first:], rules)
        while market.start_ms > epoch_ms(since) and first > 0:
            first -= 1
            market = assemble(folders[first:], rules)
        return market


@dataclass
class Versions:
    """The versions of a book, each loaded once."""

    store: Store
    book: str
    _loaded: dict[str, tuple[MarketRules, Follower]] = field(default_factory=dict)

    def get(self, version: str) -> tuple[MarketRules, Follower]:
        """Return a version's rules, and who decides.

        Raises:
            ArtifactError: It is not there, or was altered.
        """
        if version not in self._loaded:
            from rl.checkpoint import load_checkpoint
            from rl.paper import Follower

            record = Registry(self.store.root, self.book).resolve(version)
            checkpoint = load_checkpoint(find_version(self.store, record, self.book))
            follower = Follower(checkpoint.policy(), checkpoint.scaler())
            self._loaded[version] = checkpoint.info.rules, follower
        return self._loaded[version]


def epoch_ms(time: datetime, *, up: bool = False) -> int:
    """Return epoch milliseconds, rounded down, or up: what comes after an hour belongs to the next one."""
    micros = round(time.timestamp() * 1_000_000)
    return -(-micros // 1000) if up else micros // 1000


def when(ms: int) -> datetime:
    """Return the time of epoch milliseconds."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def told(time: datetime) -> str:
    """Return a time as sentences tell it."""
    return f"{time:%Y-%m-%d %H:%M} UTC"
