"""Certification: proof on markets with known answers that this trainer, as it is now, can learn.

certificate.json            what was measured against which bar
best_model.safetensors ...  what the training left
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from schemas.certify import CERTIFICATE, Budget, Certificate, MarketName
from schemas.manifest import Ref
from schemas.training import TrainingConfig
from tasks import ui
from tasks.cache import Cached, Partial, cache_key, run_cached
from tasks.live import TrainingPage
from tasks.progress import TrainingProgress
from tasks.store import Store, resolve_root

STEP = "certify"
MODULES = ("tasks.certify",)


def certify(
    market: MarketName,
    *,
    training: TrainingConfig,
    budget: Budget,
    time_budget: float = 0.0,
    device: str = "cpu",
) -> Cached:
    """Train on one known-answer market and hold the policy against its bars; a reached certificate is kept.

    Args:
        market: Which.
        training: The recipe and its seed.
        budget: How much is trained, and on how much it is judged.
        time_budget: Seconds of training after which it is cut short; 0 is no limit. Asking again goes on.
        device: Torch device.

    Raises:
        UserError: The device is not there, or training diverged.
    """
    store = Store(resolve_root())
    params = {
        "market": market,
        "training": training.model_dump(mode="json"),
        "budget": budget.model_dump(mode="json"),
    }
    key = cache_key(STEP, modules=MODULES, inputs={}, params=params)

    def compute(folder: Path) -> Mapping[str, Any] | Partial:
        from rl.certify import certify as train_and_judge
        from rl.resume import earlier_rows

        ui.say(f"Known-answer market: {market}")
        work = store.workdir(key)
        with TrainingPage(earlier_rows(work), last=True) as page:
            found = train_and_judge(
                market,
                training,
                budget,
                work_dir=work,
                out_dir=folder,
                time_budget=time_budget or None,
                device=device,
                on_progress=TrainingProgress(page),
            )
        (folder / CERTIFICATE).write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
        summary = {"market": market, "holds": found.holds, "steps": found.steps, "seconds": found.seconds}
        return summary if found.finished else Partial(reached=found.steps, summary=summary)

    return run_cached(store, STEP, modules=MODULES, inputs={}, params=params, compute=compute)


def read_certificate(certified: Ref) -> Certificate:
    """Return what a certification found."""
    folder = Store(resolve_root()).local(certified)
    return Certificate.model_validate_json((folder / CERTIFICATE).read_text(encoding="utf-8"))
