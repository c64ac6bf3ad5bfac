"""Walk-forward: the backtests of all folds joined to one out-of-sample curve, with its report.

walk_forward.json   every fold and seed, the joined curves' figures, and why less is claimed
curve.parquet       every joined curve by hour: preset, who, seed, fold, time, nlv
report.html         a page for people, and its pictures
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from schemas.backtest import BacktestSummary
from schemas.manifest import Manifest, Ref
from schemas.params import Advanced
from schemas.trading import PresetName
from schemas.walk_forward import CURVE, WALK_FORWARD, FoldPlan, FoldResult, FoldRun, Span, WalkForwardSummary
from tasks import ui
from tasks.cache import Cached, run_cached
from tasks.commands import set_words
from tasks.files import utc_now
from tasks.reports import lay_out
from tasks.store import Store, content_hash, resolve_root

STEP = "walk-forward"
PURPOSE = "walk-forward"
_NOT_OF_A_RESULT = ("device", "audit_times", "gates", "resume_from", "stress")  # of `Advanced`


class Trained(NamedTuple):
    """The two artifacts of one fold and seed."""

    seed: int
    model: Ref
    backtest: Ref


class Allowance:
    """Seconds of training for all folds together; 0 is no limit.

    A training that was there before costs nothing, so that asking again always gets further.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began: float | None = None  # when the first training of this run began
        self._since = utc_now()

    @property
    def left(self) -> float:
        """Seconds left, as a training's own time budget: 0 is no limit. Ask `spent` before."""
        if not self._seconds:
            return 0.0
        gone = 0.0 if self._began is None else time.monotonic() - self._began
        return max(self._seconds - gone, 1e-3)

    @property
    def spent(self) -> bool:
        """Whether a training was made, and nothing is left for another."""
        return self._seconds > 0 and self._began is not None and self.left <= 1e-3

    def charge(self, model: Ref, began: float) -> None:
        """Start counting at a training's begin, unless it was only found.

        Args:
            model: What `train` returned.
            began: `time.monotonic()` before it was asked for.
        """
        if self._began is None and Store(resolve_root()).manifest(model).created >= self._since:
            self._began = began


def refuse_start(advanced: Advanced) -> None:
    """Refuse weights to start from: they may have seen what is held out.

    Raises:
        ConfigError: There are some.
    """
    advanced.refuse_start("has no part in a walk-forward: every fold trains a model of its own from nothing.")


def was_cut(model: Ref) -> bool:
    """Say whether a training was cut short by its budget; such a model does not open what is held out."""
    return not Store(resolve_root()).manifest(model).summary["finished"]


def join_folds(
    dataset: Ref,
    folds: Sequence[Ref],
    trained: Sequence[Sequence[Trained]],
    *,
    plan: FoldPlan,
    preset: PresetName,
    seeds: Sequence[int],
    num_episodes: int,
    book: str,
    advanced: Advanced,
) -> Cached:
    """Join the held-out parts of all folds and write the report.

    Args:
        dataset: What `ingest` made.
        folds: What `fold` made, in order.
        trained: Of each fold, its trainings and their backtests, one per seed.
        plan: How the hours were cut.
        preset: The risk profile that is judged; the others are shown.
        seeds: The seeds.
        num_episodes: Episodes of each training.
        book: Whose ledger holds the trials; part of the command that makes it again.
        advanced: The recipe, the market's rules and how the data was read.
    """
    store = Store(resolve_root())
    inputs = {"dataset": content_hash(store.manifest(dataset))}
    for number, (cut, runs) in enumerate(zip(folds, trained, strict=True), start=1):
        inputs[f"fold {number}"] = content_hash(store.manifest(cut))
        for run in runs:
            name = f"fold {number}, seed {run.seed}"
            # Not the model's content: its folder also tells how many seconds the training took.
            inputs[f"{name}, version"] = store.manifest(run.model).summary["version"]
            inputs[f"{name}, backtest"] = content_hash(store.manifest(run.backtest))
    training = advanced.training_config(seed=seeds[0], num_episodes=num_episodes, preset=preset)
    words = command(plan, preset, seeds, num_episodes, book, advanced)

    def compute(folder: Path) -> Mapping[str, Any]:
        from rl.judge.walk_forward import verdict
        from rl.walk_forward import figures, join
        from tasks.report.walk_forward import write_walk_forward

        ui.say("Joining the folds, and writing the report", transient=True)
        read = [_read_fold(store, cut, runs) for cut, runs in zip(folds, trained, strict=True)]
        curve = join([fold.held_out for fold in read])
        summary = _summary(read, figures(curve), store.manifest(dataset), plan, preset, training)
        curve.to_parquet(folder / CURVE, index=False, compression="zstd")
        (folder / WALK_FORWARD).write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")
        write_walk_forward(summary, curve, folder, dataset=str(dataset), command=words)
        told = summary.curve(preset, "candidate")
        return {
            "headline": verdict(summary).headline,
            "return_pct": None if told is None else told.return_pct,
            "start": summary.start.isoformat(),
            "end": summary.end.isoformat(),
        }

    return run_cached(
        store,
        STEP,
        modules=("tasks.walk_forward",),
        inputs=inputs,
        params={
            "plan": plan.model_dump(mode="json"),
            "preset": preset,
            "seeds": list(seeds),
            "training": training.model_dump(mode="json"),
            "rules": advanced.rules.model_dump(mode="json"),
            "command": words,
        },
        compute=compute,
    )


def command(
    plan: FoldPlan,
    preset: PresetName,
    seeds: Sequence[int],
    num_episodes: int,
    book: str,
    advanced: Advanced,
) -> str:
    """Return the command line that makes a walk-forward again; where the data lies is left to the reader."""
    words = ["carryflow", "walk-forward", "--data", "DATA", "--book", book, "--preset", preset]
    words += ["--folds", str(plan.n_folds), f"--{plan.scheme}"]
    words += ["--held-out", f"{plan.held_out_share:g}", "--validation", f"{plan.validation_share:g}"]
    words += ["--seeds", str(len(seeds)), "--seed", str(seeds[0]), "--num-episodes", str(num_episodes)]
    asked, usual = advanced.model_dump(mode="json"), Advanced().model_dump(mode="json")
    for name in _NOT_OF_A_RESULT:
        del asked[name]
    return shlex.join(words + set_words(asked, usual))


class _Read(NamedTuple):
    """One fold as its artifacts tell it."""

    result: FoldResult
    held_out: Any  # rl.walk_forward.HeldOut
    backtest: BacktestSummary  # of the chosen seed
    splits: Any  # rl.market.splits.Splits


def _read_fold(store: Store, cut: Ref, runs: Sequence[Trained]) -> _Read:
    import pandas as pd

    from rl.judge.walk_forward import choose, played, single_policies
    from rl.market.splits import Splits
    from rl.walk_forward import HeldOut

    splits = Splits.model_validate_json((store.local(cut) / "splits.json").read_text(encoding="utf-8"))
    summaries: dict[int, BacktestSummary] = {}
    equity: dict[int, pd.DataFrame] = {}
    told: list[FoldRun] = []
    for run in runs:
        folder = store.local(run.backtest)
        summaries[run.seed] = read_summary(folder)
        equity[run.seed] = pd.read_parquet(
            folder / "equity.parquet", columns=["preset", "policy", "run", "time", "nlv"]
        )
        facts = store.manifest(run.model).summary
        told.append(
            FoldRun(
                seed=run.seed,
                version=facts["version"],
                trial=facts["trial"],
                model=str(run.model),
                backtest=str(run.backtest),
                episodes=facts["episodes"],
                validation_pct=facts["validation_pct"],
                results=played(summaries[run.seed], "agent"),
            )
        )
    chosen = choose(told)
    backtest = summaries[chosen]
    windows = {
        name: Span(start=getattr(splits, name).start, end=getattr(splits, name).end)
        for name in ("train", "validation", "test")
    }
    result = FoldResult(
        number=store.manifest(cut).summary["fold"],
        features=str(cut),
        runs=tuple(told),
        chosen=chosen,
        baselines=tuple(one for name in single_policies(backtest) for one in played(backtest, name)),
        **windows,
    )
    held_out = HeldOut(splits.test, chosen, equity, backtest.initial_capital)
    return _Read(result, held_out, backtest, splits)


def _summary(
    read: Sequence[_Read],
    curves: Any,
    dataset: Manifest,
    plan: FoldPlan,
    preset: PresetName,
    training: Any,
) -> WalkForwardSummary:
    from rl.judge.walk_forward import doubts

    folds = tuple(fold.result for fold in read)
    first = read[0]
    return WalkForwardSummary(
        data_hash=content_hash(dataset),
        preset=preset,
        plan=plan,
        seeds=tuple(run.seed for run in first.result.runs),
        training=training,
        rules=first.backtest.rules,
        presets=first.backtest.presets,
        embargo_hours=first.splits.embargo_hours,
        episode_hours=first.splits.episode_hours,
        start=folds[0].test.start,
        end=folds[-1].test.end,
        hours=sum(fold.splits.test.hours for fold in read),
        folds=folds,
        curves=curves,
        notes=doubts(folds, curves, preset),
    )


def read_summary(folder: Path) -> BacktestSummary:
    """Return the content of `backtest.json`."""
    return BacktestSummary.model_validate_json((folder / "backtest.json").read_text(encoding="utf-8"))


def read_walk_forward(joined: Ref) -> WalkForwardSummary:
    """Return what a walk-forward found, from its verified artifact."""
    folder = Store(resolve_root()).local(joined)
    return WalkForwardSummary.model_validate_json((folder / WALK_FORWARD).read_text(encoding="utf-8"))


def publish_walk_forward(joined: Ref, *, book: str) -> Path:
    """Lay a walk-forward where a person finds it: `reports/<book>/walk-forward-<key>/`.

    Returns:
        The path of report.html.
    """
    return lay_out([joined], book=book, name=f"{STEP}-{joined.key[:8]}")
