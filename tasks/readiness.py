"""Is this machine, with this data, ready for a long training? Everything is tried, nothing is assumed."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from schemas.checkpoint import BEST_MODEL
from schemas.errors import ConfigError, DataError, UserError
from schemas.ingest import discover, load_instruments
from schemas.paper import PaperPortfolio
from schemas.readiness import DataFacts, Readiness
from schemas.trading import N_ACTIONS, OBSERVATION_SIZE, MarketRules
from schemas.training import Recipe
from tasks import ui
from tasks.features import features
from tasks.ingest import ingest
from tasks.ledger import Ledger
from tasks.paper import paper_portfolios, portfolio_of
from tasks.registry import Registry
from tasks.remote import remote_of_environment
from tasks.store import resolve_root

if TYPE_CHECKING:
    from rl.probe import Bench

T = TypeVar("T")

LAST_RUNS: Final = 5
LITTLE_DISK_MB: Final = 1_000.0
_PARTS: Final = ("store", "work", "books", "reports")
CANDIDATES: Final = (Path("data"), Path("data/sample"))


@dataclass
class _Found:
    """What the parts of the report leave for each other."""

    reasons: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)


def measure(
    data: Path | None,
    history: Path | None,
    *,
    book: str,
    recipe: Recipe | None = None,
    instruments: Path | None = None,
) -> Readiness:
    """Try every part of a training on the data, briefly, and say whether a long one may start.

    Args:
        data: Opportunities; None takes what lies in ./data, else in ./data/sample.
        history: Market history, if any.
        book: Whose aliases and runs are told.
        recipe: Whose speed is measured; None is the default one.
        instruments: Table of instruments, if not the one in the data folder.

    Raises:
        DataError: A path is none, or holds nothing to read.
        ConfigError: The book's name is not one, or nothing can be written below the artifact root.
    """
    root = resolve_root()
    registry, ledger = Registry(root, book), Ledger(root, book)
    found = _Found()
    path = data if data is not None else next((p for p in CANDIDATES if _holds_csv(p)), None)
    if path is None:
        found.reasons.append("There is no data: put CSV files into ./data, or type `carryflow sample-data`.")
    else:
        discover(path, history)
        load_instruments(path, instruments)
        _require_writable(root)
        _attempt(found, "data", lambda: _try_all(path, history, instruments, recipe or Recipe(), found))
    disk = _disk(root)
    if disk["free"] < LITTLE_DISK_MB:
        found.reasons.append(f"Only {disk['free']:,.0f} MB are free on the disk of {root}.")
    environment = _environment() | _shared_store(found, root)
    paper = _attempt(found, "look at paper trading", lambda: _paper(root, book))
    state = registry.state()
    facts = {"data": None, "parameters": None, "training": None, "inference": None, "pace": None}
    return Readiness(
        generated=datetime.now(UTC).isoformat(timespec="seconds"),
        ready=not found.reasons,
        reasons=tuple(found.reasons),
        book=book,
        observation=OBSERVATION_SIZE,
        actions=N_ACTIONS,
        aliases={str(alias): version for alias, version in state.aliases.items()},
        awaiting={str(alias): one for alias, one in state.awaiting.items()},
        versions=len(state.versions),
        paper=paper or (),
        last_runs=tuple(ledger.read()[-LAST_RUNS:][::-1]),
        disk=disk,
        environment=environment,
        commands=_commands(path, history, book, instruments),
        **(facts | found.values),
    )


def _try_all(
    path: Path, history: Path | None, instruments: Path | None, recipe: Recipe, found: _Found
) -> None:
    ui.say(f"Looking at {path}", transient=True)
    dataset = ingest(path, history, instruments=instruments or "")
    rules = MarketRules()
    known = json.loads((dataset.path / "dataset.json").read_text(encoding="utf-8"))
    quality = json.loads((dataset.path / "quality.json").read_text(encoding="utf-8"))["opportunities"]
    built = _attempt(
        found, "split", lambda: features(dataset.ref, rules=rules, episode_hours=recipe.episode_hours)
    )
    summary = built.manifest.summary if built is not None else {}
    found.values["data"] = DataFacts(
        path=str(path),
        opportunity_rows=known["opportunity_rows"],
        history_rows=known["history_rows"],
        first=known["first"],
        last=known["last"],
        days=len(known["days"]),
        hours=summary.get("hours", quality["hours"]),
        quarantined=known["quarantined"],
        duplicates=known["duplicates"],
        columns=tuple(quality["columns"]),
        absent_columns=tuple(quality["absent_columns"]),
        warning=summary.get("warning"),
    )
    if built is None:
        return
    with tempfile.TemporaryDirectory(prefix="carryflow-status-") as scratch:
        _attempt(
            found, "market", lambda: _try_training(_bench(built.path, rules, Path(scratch)), recipe, found)
        )


def _bench(folder: Path, rules: MarketRules, scratch: Path) -> Bench:
    from rl.market.assemble import assemble
    from rl.market.scaler import Scaler
    from rl.market.splits import Splits
    from rl.probe import Bench

    return Bench(
        market=assemble(sorted((folder / "days").iterdir()), rules),
        splits=Splits.model_validate_json((folder / "splits.json").read_text(encoding="utf-8")),
        scaler=Scaler.from_json((folder / "scaler.json").read_text(encoding="utf-8")),
        rules=rules,
        scratch=scratch,
    )


def _try_training(bench: Bench, recipe: Recipe, found: _Found) -> None:
    from rl.probe import infer, pace, parameters, train_briefly

    found.values["parameters"] = _attempt(found, "network", parameters)
    ui.say("Training ten episodes", transient=True)
    trained = _attempt(found, "training test", lambda: train_briefly(bench))
    found.values["training"] = trained
    if trained is not None:
        ui.say("Five episodes with the model just trained", transient=True)
        best = bench.scratch / "out" / BEST_MODEL
        found.values["inference"] = _attempt(found, "inference test", lambda: infer(bench, best))
    ui.say("Measuring the speed of the default recipe", transient=True)
    found.values["pace"] = _attempt(found, "speed", lambda: pace(bench, recipe))


def _paper(root: Path, book: str) -> tuple[PaperPortfolio, ...]:
    return tuple(portfolio_of(lines, state) for state, lines in paper_portfolios(root, book))


def _attempt(found: _Found, name: str, part: Callable[[], T]) -> T | None:
    """Try one part; what goes wrong becomes a reason, so that the report tells of the others too."""
    try:
        return part()
    except DataError as error:
        found.reasons.append(f"The data cannot be trained on: {error}")
    except UserError as error:
        found.reasons.append(f"The {name} failed: {error}")
    except (ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
        found.reasons.append(f"The {name} failed: {type(error).__name__}: {error}")
    return None


def _holds_csv(folder: Path) -> bool:
    endings = (".csv", ".csv.gz", ".csv.zst")
    return folder.is_dir() and any(p.is_file() and p.name.lower().endswith(endings) for p in folder.iterdir())


def _require_writable(root: Path) -> None:
    folder = root
    try:
        root.mkdir(parents=True, exist_ok=True)
        for folder in (root, *(root / part for part in _PARTS)):
            if folder.is_dir():
                with tempfile.TemporaryFile(dir=folder):
                    pass
    except OSError as error:
        raise ConfigError(
            f"nothing can be written there ({error.strerror}).",
            str(folder),
            "Mend its permissions, or name another folder for the artifacts with --artifacts.",
        ) from error


def _disk(root: Path) -> dict[str, float]:
    """Return megabytes by part of the artifacts, and what is free; a file of two names counts once."""
    used: dict[str, float] = {}
    counted: set[tuple[int, int]] = set()
    for part in _PARTS:
        used[part] = 0.0
        for path in (root / part).rglob("*"):
            if path.is_file() and not path.is_symlink():
                found = path.stat()
                used[part] += 0 if (found.st_dev, found.st_ino) in counted else found.st_size / 1e6
                counted.add((found.st_dev, found.st_ino))
    used = {part: round(size, 1) for part, size in used.items()}
    there = next(p for p in (root, *root.parents) if p.exists())
    return used | {"free": round(shutil.disk_usage(there).free / 1e6, 1)}


def _environment() -> dict[str, str]:
    from importlib.metadata import version

    libraries = {name: version(name) for name in ("torch", "numpy", "pandas", "prefect")}
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    busy = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {"machine": machine, "load": busy, "python": platform.python_version(), **libraries}


def _shared_store(found: _Found, root: Path) -> dict[str, str]:
    """Return where the shared store is, if there is one, after looking whether it answers."""
    if (remote := remote_of_environment()) is None:
        return {}
    answers = _attempt(found, "shared store", remote.check)
    stays = f"registry, ledger, locks, resume state and paper portfolios stay below {root}"
    return {"shared store": f"{remote.url} {'answers' if answers else 'does not answer'}; {stays}"}


def _commands(
    path: Path | None, history: Path | None, book: str, instruments: Path | None
) -> tuple[tuple[str, str], ...]:
    data = f"--data {path or 'data/sample'}" + (f" --history {history}" if history else "")
    data += f" --instruments {instruments}" if instruments else ""
    where = data + ("" if book == "default" else f" --book {book}")
    return (
        ("The whole pipeline: train, backtest, promote or refuse", f"carryflow run {where}"),
        (
            "One policy for every risk profile",
            f"carryflow train {where} --sample-random-config --num-episodes 2000 --eval-every 100 "
            "--save-every 200 --batch-size 128 --learning-rate 3e-4",
        ),
        (
            "Low risk",
            f"carryflow train {where} --max-leverage 1.0 --target-utilization 0.4 --max-positions 2 "
            "--num-episodes 1000",
        ),
        (
            "Balanced risk",
            f"carryflow train {where} --max-leverage 3.0 --target-utilization 0.6 --max-positions 3 "
            "--num-episodes 1000",
        ),
        (
            "High risk",
            f"carryflow train {where} --max-leverage 5.0 --target-utilization 0.75 --max-positions 5 "
            "--num-episodes 1000",
        ),
        ("Replay a checkpoint", f"carryflow backtest {where} --checkpoint checkpoints/{BEST_MODEL}"),
        ("Decide for the newest hour", f"carryflow predict {where} --checkpoint checkpoints/{BEST_MODEL}"),
    )
