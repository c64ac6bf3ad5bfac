"""Versions that trade, and data folders that grow an hour at a time: what paper trading is tried on."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import torch

from rl.checkpoint import Checkpoint, save_checkpoint, weights_of
from rl.identity import version_of
from rl.market.arrays import SLOT_FEATURES
from rl.policy import Policy
from schemas.checkpoint import BEST_MODEL, CheckpointInfo, Progress, RewardScale
from schemas.trading import MarketRules
from schemas.training import TrainingConfig
from tasks.promotion import register
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import WINDOWS, backtested, judged, publish, trained

TIME = {"opportunities": "entry_time", "history": "timestamp"}


def trader(
    seed: int, rules: MarketRules | None = None, kinds: tuple[float, float, float] = (0, 0, 0)
) -> Checkpoint:
    """A policy nobody trained whose mind depends on what it sees: its heads are as wide as its trunk."""
    policy = Policy(seed=seed)
    with torch.no_grad():
        policy.kind.weight.mul_(200.0)
        policy.kind.bias.copy_(torch.tensor(kinds))
        policy.pointer.weight.mul_(50.0)
        policy.exit_score.weight.mul_(50.0)
    info = CheckpointInfo(
        progress=Progress(),
        preset="moderate",
        training=TrainingConfig(seed=seed, num_episodes=1),
        rules=rules or MarketRules(),
        scaler_median=tuple(0.01 * (1 + i) for i in range(len(SLOT_FEATURES))),
        reward_scale=RewardScale(),
        data_hash="d",
        windows=WINDOWS,
        torch=torch.__version__,
    )
    return Checkpoint(weights_of(policy), {}, {}, info)


def kept_version(root: Path, book: str, checkpoint: Checkpoint, tmp: Path) -> str:
    """Register a checkpoint as a run does, with a folder of its own in the book; no alias moves."""
    version = version_of(checkpoint)
    path = tmp / f"{version}.safetensors"
    save_checkpoint(path, checkpoint)
    store = Store(root)
    known = store.manifest(trained(root, version, seed=checkpoint.info.training.seed))
    shell = store.local(trained(root, version, seed=checkpoint.info.training.seed))
    model = publish(
        root,
        "train",
        {BEST_MODEL: path.read_bytes(), "training.json": (shell / "training.json").read_bytes()},
        known.summary,
        known.inputs,
        params=known.params,
        code=f"code of {version}",
    )
    tested = backtested(root, version)
    register(Registry(root, book), store, model, tested, judged(root, "pass", tested=tested, report=version))
    return version


class GrowingFolder:
    """A data folder with the rows up to a time, as a scanner and a recorder would have left them."""

    def __init__(self, source: Path, target: Path) -> None:
        self.target = target
        self.target.mkdir(parents=True, exist_ok=True)
        self._tables: dict[str, tuple[str, list[tuple[datetime, str]]]] = {}
        for path in sorted([*source.glob("*.csv"), *source.glob("*.csv.gz")]):
            table = "history" if "history" in path.name else "opportunities"
            with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
                header, *rows = file.read().splitlines()
            column = next(csv.reader([header])).index(TIME[table])
            self._tables[table] = header, [(_time(row.split(",")[column]), row) for row in rows]

    def forget(self, before: datetime) -> None:
        """Leave out what is stamped before a time, as a folder that was tidied up."""
        for table, (header, rows) in self._tables.items():
            self._tables[table] = header, [(time, row) for time, row in rows if time >= before]

    @property
    def hours(self) -> list[datetime]:
        """Full hours with a row at or within the hour before, in order."""
        return sorted({_up(time) for time, _ in self._tables["opportunities"][1]})

    def reach(self, until: datetime, missing: set[str] | None = None) -> Path:
        """Write the rows that are stamped by then and not missing, as one replaced copy."""
        for table, (header, rows) in self._tables.items():
            kept = [row for time, row in rows if time <= until and row not in (missing or ())]
            temporary = self.target / f".{table}"
            temporary.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
            temporary.replace(self.target / f"{table}.csv")
        return self.target

    def rows(self, table: str, first: datetime, last: datetime) -> list[str]:
        """Return the rows stamped in (first, last]; a scanner writes some twice, which are here once."""
        return list(dict.fromkeys(row for time, row in self._tables[table][1] if first < time <= last))


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _up(time: datetime) -> datetime:
    whole = time.replace(minute=0, second=0, microsecond=0)
    return whole if whole == time else whole + timedelta(hours=1)
