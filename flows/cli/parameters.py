"""From flags to the flows' `advanced` parameter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.errors import ConfigError

if TYPE_CHECKING:
    from schemas.params import Advanced


def build_advanced(
    file: Path | None = None, assignments: list[str] | None = None, flags: Mapping[str, Any] | None = None
) -> Advanced:
    """Merge a JSON file, `--set` assignments and flags into one checked model; the later win.

    Args:
        file: JSON with any part of the model.
        assignments: Texts `path.to.field=value`; the value is JSON, or a text where it is not.
        flags: Path -> value; None means the flag was not given.

    Raises:
        ConfigError: A name is unknown, or a value is out of range or of the wrong kind.
    """
    from pydantic import ValidationError

    from schemas.params import Advanced

    values: dict[str, Any] = read_json(file) if file is not None else {}
    for text in assignments or []:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{text!r} is not NAME=VALUE.", "--set", "Write training.learning_rate=1e-4.")
        _put(values, name.strip(), _literal(value.strip()))
    for name, value in (flags or {}).items():
        if value is not None:
            _put(values, name, value)
    try:
        return Advanced.model_validate(values)
    except ValidationError as error:
        raise refused(error) from None


def refused(error: Any) -> ConfigError:
    """Turn the first complaint of a pydantic `ValidationError` into one sentence."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return ConfigError("there is no such parameter.", name, "See `carryflow train --help`.")
    value = "" if isinstance(first["input"], dict) else f" (it is {first['input']!r})"
    said = first["msg"].removeprefix("Value error, ")
    return ConfigError(f"{said}{value}.", name)


def read_json(file: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        ConfigError: There is none.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("does not exist.", str(file), "Check the path.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"is not JSON ({error}).", str(file)) from None
    if not isinstance(values, dict):
        raise ConfigError("is not a JSON object.", str(file))
    return values


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        nested = values.setdefault(parent, {})
        if not isinstance(nested, dict):
            raise ConfigError(f"{parent} is a value, not a group of parameters.", path)
        values = nested
    values[last] = value
