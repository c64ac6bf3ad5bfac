"""One trial of a sweep with one seed: an ordinary training, ended early where it falls behind at a rung.

trial.json   every look at validation, how it ended, and the training that its models lie in

What becomes of it follows from its recipe, its seed and the bars it was given, whoever trains it and however
often that is killed: looks are written down as they are had, before the training is saved beyond them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rl.sweep.looks import Bar, missed
from schemas.manifest import Manifest, Ref
from schemas.sweep import TRIAL, Look, SeedRun, State
from schemas.trading import MarketRules, PresetName
from schemas.training import TrainingConfig
from tasks import ui
from tasks.cache import Cached, Partial, run_cached
from tasks.files import canonical_json, write_atomic
from tasks.locks import LockBusy, hold
from tasks.openings import SEARCH, record_tried
from tasks.store import Store, content_hash, resolve_root
from tasks.training import STEP as TRAIN_STEP
from tasks.training import train, training_key

STEP: Final = "trial"
MODULES: Final = ("tasks.trials",)
LOOKS: Final = "looks.json"


@dataclass(frozen=True)
class _Asked:
    """What is asked for, apart from what changes only how it comes about."""

    features: Ref
    manifest: Manifest
    training: TrainingConfig
    preset: PresetName
    rules: MarketRules
    book: str
    bars: tuple[Bar, ...]

    def params(self) -> dict[str, Any]:
        return {
            "training": self.training.model_dump(mode="json"),
            "preset": self.preset,
            "rules": self.rules.model_dump(mode="json"),
            "bars": [list(bar) for bar in self.bars],
        }

    @property
    def training_key(self) -> str:
        """Key of the training, whose work folder keeps the looks."""
        return training_key(self.manifest, training=self.training, preset=self.preset, rules=self.rules)


class Outclassed(Exception):
    """A training has fallen behind the bar of a rung."""


def trial(
    features: Ref,
    *,
    training: TrainingConfig,
    preset: PresetName,
    rules: MarketRules,
    book: str,
    bars: Sequence[Bar] = (),
    time_budget: float = 0.0,
    device: str = "cpu",
) -> Cached:
    """Train one trial, unless it is pruned on the way; either goes into the book's ledger.

    Args:
        features: What `features` made, with a split.
        training: Recipe, length and seed.
        preset: The risk profile that validation looks at.
        rules: What venues charge and how orders fill.
        book: Whose ledger.
        bars: By rung in episodes, rising: the return on validation its best look has to have reached.
        time_budget: Seconds; 0 is no limit. Cut short, it goes on when it is asked for again.
        device: Torch device.

    Raises:
        UserError: There is no such device, or a file is in the way.
    """
    root = resolve_root()
    store = Store(root)
    manifest = store.manifest(features)
    asked = _Asked(features, manifest, training, preset, rules, book, tuple(bars))

    def compute(folder: Path) -> Mapping[str, Any] | Partial:
        return _try(store, asked, folder, time_budget, device)

    found = run_cached(
        store,
        STEP,
        modules=MODULES,
        inputs={"features": content_hash(manifest)},
        params=asked.params(),
        compute=compute,
    )
    if found.partial:
        return found
    run = read_trial(found.path)
    if run.state != "complete":
        _discard(store, asked.training_key)
    record_tried(
        root,
        book,
        trial=run.trial,
        purpose=SEARCH,
        window=found.manifest.summary["test"],
        seed=training.seed,
        version=run.version,
        data=manifest.inputs["dataset"],
        artifact=str(found.ref),
        result={"state": run.state, "validation_pct": run.best_pct},
    )
    return found


def read_trial(folder: Path) -> SeedRun:
    """Return the content of `trial.json`."""
    return SeedRun.model_validate_json((folder / TRIAL).read_text(encoding="utf-8"))


def _try(
    store: Store, asked: _Asked, folder: Path, time_budget: float, device: str
) -> Mapping[str, Any] | Partial:
    from rl.finite import TrainingDiverged
    from rl.identity import trial_named
    from rl.market.splits import Splits
    from schemas.version import Windows

    source = store.local(asked.features)
    splits = Splits.model_validate_json((source / "splits.json").read_text(encoding="utf-8"))
    named = {name: getattr(splits, name) for name in ("train", "validation", "test")}
    windows = Windows(**{name: (w.start.isoformat(), w.end.isoformat()) for name, w in named.items()})
    watch = _Watch(store.workdir(asked.training_key) / LOOKS, asked.bars)
    state: State = "complete"
    made: Cached | None = None
    try:
        watch.check()
        made = train(
            asked.features,
            training=asked.training,
            preset=asked.preset,
            rules=asked.rules,
            book=asked.book,
            time_budget=time_budget,
            device=device,
            watch=watch,
        )
    except Outclassed:
        state = "pruned"
    except TrainingDiverged as error:
        ui.say(f"This trial diverged: {error.what}")
        state = "diverged"
    if made is not None and made.partial:
        facts = made.manifest.summary
        return Partial(reached=facts["updates"], summary={"episodes": facts["episodes"]})
    looks, of_the_whole = (watch.looks, {}) if made is None else _read(made)
    bar = None
    if (short := missed(looks, asked.bars)) is not None:
        # Also where the training was there already, whole: what a trial comes to is not a matter of luck.
        state, looks, bar, of_the_whole = "pruned", looks[: short[0]], short[1], {}
    run = SeedRun(
        seed=asked.training.seed,
        state=state,
        looks=tuple(looks),
        bar=bar,
        trial=trial_named(
            asked.manifest.inputs["dataset"], windows, asked.training, asked.rules, asked.preset
        ),
        **of_the_whole,
    )
    (folder / TRIAL).write_text(run.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return {
        "state": run.state,
        "validation_pct": run.best_pct,
        "validation": list(windows.validation),
        "test": list(windows.test),
    }


class _Watch:
    """Looks at a training after every update, and keeps what it sees where a killed process finds it."""

    def __init__(self, path: Path, bars: Sequence[Bar]) -> None:
        self.path, self.bars = path, bars
        self._known: dict[int, float] = {}
        if path.is_file():
            self._known = dict(json.loads(path.read_text(encoding="utf-8")))

    @property
    def looks(self) -> list[Look]:
        """What was seen so far, in the order of training."""
        return sorted(self._known.items())

    def check(self) -> None:
        """Raise `Outclassed` where a bar was missed."""
        if missed(self.looks, self.bars) is not None:
            raise Outclassed

    def __call__(self, now: Mapping[str, Any]) -> None:
        """Keep an evaluation, and hold it against the bars; nothing is saved of an update that ends it."""
        value = float(now["eval_return"])
        if value != value:  # not looked at in this update
            return
        self._known[int(now["episodes"])] = value
        write_atomic(self.path, canonical_json(self.looks))
        self.check()


def _read(made: Cached) -> tuple[list[Look], dict[str, Any]]:
    """Return the looks of a finished training, and what else is told of it."""
    import pandas as pd

    from schemas.checkpoint import METRICS, TRAINING, TrainingResult

    table = pd.read_parquet(made.path / METRICS, columns=["episodes", "eval_return"]).dropna()
    looks = [(int(episodes), float(value)) for episodes, value in table.itertuples(index=False)]
    result = TrainingResult.model_validate_json((made.path / TRAINING).read_text(encoding="utf-8"))
    return looks, {
        "version": made.manifest.summary["version"],
        "model": str(made.ref),
        "greedy_pct": next(iter(result.greedy_validation_pct.values()), None),
    }


def _discard(store: Store, key: str) -> None:
    """Remove the resume state of a training that nobody goes on with, unless somebody is at it."""
    with suppress(LockBusy), hold(store.lock_path(Ref(step=TRAIN_STEP, key=key)), purpose=STEP, timeout=0):
        store.discard_work(key)
