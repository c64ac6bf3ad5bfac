"""Training: the market of train and validation to checkpoints, the best of them chosen on validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.manifest import Manifest, Ref
from schemas.trading import MarketRules, PresetName
from schemas.training import TrainingConfig
from tasks import ui
from tasks.cache import Cached, Partial, cache_key, run_cached
from tasks.files import sha256_file
from tasks.live import TrainingPage
from tasks.models import find_model
from tasks.openings import record_trial
from tasks.progress import TrainingProgress
from tasks.store import Store, content_hash, resolve_root

STEP = "train"
MODULES = ("tasks.training",)
Watch = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class _Request:
    """What is asked for, apart from what changes only how it comes about."""

    training: TrainingConfig
    preset: PresetName
    rules: MarketRules
    start_from: Path | None

    def params(self) -> dict[str, Any]:
        return {
            "training": self.training.model_dump(mode="json"),
            "preset": self.preset,
            "rules": self.rules.model_dump(mode="json"),
        }


def training_key(
    features: Manifest, *, training: TrainingConfig, preset: PresetName, rules: MarketRules
) -> str:
    """Return the key of a training that starts from nothing."""
    request = _Request(training, preset, rules, None)
    return cache_key(
        STEP, modules=MODULES, inputs={"features": content_hash(features)}, params=request.params()
    )


def train(
    features: Ref,
    *,
    training: TrainingConfig,
    preset: PresetName,
    rules: MarketRules,
    book: str,
    time_budget: float = 0.0,
    device: str = "cpu",
    resume_from: str = "",
    watch: Watch | None = None,
) -> Cached:
    """Train one policy; the trial goes into the book's ledger.

    Cut short by its budget, it publishes what it has under a key that says how far it came, and
    going on is asking again.

    Args:
        features: What `features` made, with a split.
        training: Recipe, length and seed.
        preset: The risk profile that validation looks at.
        rules: What venues charge and how orders fill.
        book: Whose ledger, and who knows the alias or version to start from.
        time_budget: Seconds; 0 is no limit.
        device: Torch device.
        resume_from: Checkpoint to start the weights from: a file, an alias or a version; empty is none.
        watch: Told after every update, see `rl.train.train`; what it raises ends the training, which can go
            on from its resume state.

    Raises:
        UserError: The checkpoint is not there, the device is not, or training diverged.
    """
    root = resolve_root()
    store = Store(root)
    manifest = store.manifest(features)
    start_from = find_model(store, resume_from, book) if resume_from else None
    request = _Request(training, preset, rules, start_from)
    inputs = {"features": content_hash(manifest)}
    if start_from is not None:
        inputs["start_from"] = sha256_file(start_from)
    key = cache_key(STEP, modules=MODULES, inputs=inputs, params=request.params())

    def compute(folder: Path) -> Mapping[str, Any] | Partial:
        return _train(store, features, manifest, folder, key, request, time_budget, device, watch)

    found = run_cached(store, STEP, modules=MODULES, inputs=inputs, params=request.params(), compute=compute)
    facts = found.manifest.summary
    record_trial(
        root,
        book,
        trial=facts["trial"],
        seed=training.seed,
        version=facts["version"],
        data=manifest.inputs["dataset"],
        artifact=str(found.ref),
        episodes=facts["episodes"],
        result={"validation_pct": facts["validation_pct"]},
    )
    return found


def _train(
    store: Store,
    features: Ref,
    manifest: Manifest,
    folder: Path,
    key: str,
    request: _Request,
    time_budget: float,
    device: str,
    watch: Watch | None,
) -> Mapping[str, Any] | Partial:
    import pandas as pd

    from rl.checkpoint import load_checkpoint
    from rl.identity import trial_of, version_of
    from rl.market.assemble import assemble
    from rl.market.scaler import Scaler
    from rl.market.splits import Splits
    from rl.resume import earlier_rows
    from rl.train import train as run_training
    from schemas.checkpoint import BEST_MODEL, METRICS
    from tasks.curves import CURVES, draw_curves

    source = store.local(features)
    work = store.workdir(key)
    with TrainingPage(earlier_rows(work)) as page:
        progress = TrainingProgress(page)

        def told(now: Mapping[str, Any]) -> None:
            progress(now)
            if watch is not None:
                watch(now)

        result = run_training(
            assemble(sorted((source / "days").iterdir()), request.rules),
            Splits.model_validate_json((source / "splits.json").read_text(encoding="utf-8")),
            Scaler.from_json((source / "scaler.json").read_text(encoding="utf-8")),
            request.training,
            preset=request.preset,
            rules=request.rules,
            data_hash=manifest.inputs["dataset"],
            work_dir=work,
            out_dir=folder,
            time_budget=time_budget or None,
            device=device,
            on_progress=told,
            start_from=load_checkpoint(request.start_from) if request.start_from else None,
        )
    draw_curves(pd.read_parquet(folder / METRICS), folder / CURVES, result.greedy_validation_pct)
    best = load_checkpoint(folder / BEST_MODEL)
    summary = {
        "version": version_of(best),
        "trial": trial_of(best),
        "episodes": result.episodes,
        "updates": result.updates,
        "finished": result.finished,
        "validation_pct": result.best.validation_pct,
        "steps_per_second": result.steps_per_second,
        "parameters": result.parameters,
    }
    ui.say(
        f"Trained {result.episodes:,} episodes in {result.updates:,} updates"
        + ("" if result.finished else " (cut short; asking again goes on)")
    )
    return summary if result.finished else Partial(reached=result.updates, summary=summary)
