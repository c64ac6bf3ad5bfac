"""Prediction: the newest hour of the data, a policy, and what is held, to a decision; without Prefect."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from rl.judge.gates import counted
from schemas.errors import ArtifactError, ConfigError, DataError
from schemas.params import Advanced
from schemas.prediction import Portfolio, Prediction
from schemas.registry import ALIASES
from schemas.trading import PRESETS, TradingConfig
from tasks.features import features
from tasks.ingest import ingest
from tasks.models import find_model
from tasks.registry import Registry
from tasks.store import Store, resolve_root

FORMAT = "docs/portfolio.md shows one."
NOTHING_HELD = "No --portfolio was given: it is assumed that nothing is held."


def predict(
    model: str,
    data: Path,
    history: Path | None,
    *,
    book: str,
    preset: str,
    portfolio: Path | None,
    advanced: Advanced,
) -> Prediction:
    """Decide for the newest hour of the data; an alias that points at no version holds.

    Args:
        model: An alias, a version or a checkpoint file.
        data: Opportunities, like a run's.
        history: Market history, if any.
        book: Whose aliases and versions.
        preset: One risk profile, or "all".
        portfolio: JSON file with what is held; None is nothing.
        advanced: Input rules; the market's rules are those the policy was trained under.

    Raises:
        UserError: The model, the data or the portfolio is not there or not right.
    """
    store = Store(resolve_root())
    path, why = _who_decides(store, model, book)
    held = read_portfolio(portfolio) if portfolio is not None else Portfolio()
    dataset = ingest(
        data,
        history,
        **advanced.input_rules(),
    )

    from rl.checkpoint import load_checkpoint
    from rl.identity import version_of
    from rl.market.assemble import assemble
    from rl.predict import decide_now, hour_of

    checkpoint = None if path is None else load_checkpoint(path)
    rules = advanced.rules if checkpoint is None else checkpoint.info.rules
    if "initial_capital" in advanced.rules.model_fields_set:
        rules = rules.model_copy(update={"initial_capital": advanced.rules.initial_capital})
    built = features(dataset.ref, rules=rules, episode_hours=advanced.training.episode_hours, split=False)
    market = assemble(sorted((built.path / "days").iterdir()), rules)
    facts = json.loads((dataset.path / "dataset.json").read_text(encoding="utf-8"))
    presets: dict[str, TradingConfig] = {
        name: config for name, config in PRESETS.items() if preset in ("all", name)
    }
    try:
        decided = decide_now(market, checkpoint, presets, rules, held)
    except DataError as error:
        raise DataError(error.what, f"{portfolio}, {error.where}", error.remedy) from error
    return Prediction(
        version=None if checkpoint is None else version_of(checkpoint),
        model=model,
        why=why,
        hour=hour_of(market),
        newest_row=datetime.fromisoformat(facts["last"]),
        holdings=NOTHING_HELD
        if portfolio is None
        else f"{counted(len(held.positions), 'position')}, from {portfolio}.",
        fills=f"An order decided now fills at the quotes {rules.fill_delay_steps} h later.",
        odd=decided.odd,
        presets=decided.presets,
    )


def _who_decides(store: Store, model: str, book: str) -> tuple[Path | None, str | None]:
    """Return a checkpoint file; or None, and why, where an alias of a book with versions is set to none."""
    try:
        return find_model(store, model, book), None
    except ArtifactError:
        registry = Registry(store.root, book)
        if model not in ALIASES or not registry.versions() or registry.current(model) is not None:
            raise
        moves = [move for move in registry.history(model) if move.moved]
    since = ": no version was promoted yet"
    if moves:
        since = f" since {moves[-1].time[:16].replace('T', ' ')} UTC ({moves[-1].reason.rstrip('.')})"
    return None, f"{model} of book {book} is set to none{since}, which means hold."


def read_portfolio(path: Path) -> Portfolio:
    """Read `positions.json`.

    Raises:
        ConfigError: It is not there, not JSON, or a field is wrong; the message names it.
    """
    try:
        return Portfolio.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}.", str(path), "Check the path.") from error
    except UnicodeDecodeError as error:
        raise ConfigError("is not text.", str(path), FORMAT) from error
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{said}.", ", ".join([str(path), *_places(first["loc"])]), FORMAT) from error


def _places(loc: tuple[int | str, ...]) -> list[str]:
    """Name a place in the file as a person counts: positions from 1."""
    if len(loc) > 1:
        return [f"position {int(loc[1]) + 1}", *map(str, loc[2:])]
    return [str(part) for part in loc]
