"""No name that a person gives leaves the artifact root, whichever command, flow or file it comes through.

The commands are found, not listed: one that is added is tried as well.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.cli.main import app
from schemas.errors import UserError
from schemas.manifest import Ref
from tasks.bundles import Bundles
from tasks.ledger import Ledger
from tasks.registry import Registry
from tasks.store import Store, book_dir
from tasks.turns import retrain_turn

DAY = ("2025-01-01T00:00:00Z", "2025-01-02T00:00:00Z")
HOSTILE = [
    "../escaped",
    "..",
    "/tmp/carryflow-escaped",
    "a/../../escaped",
    "a\0b",
    "a\nb",
    "",
    ".",
    "A",
    "a" * 65,
]


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def taking(option: str) -> list[tuple[str, ...]]:
    """Return the commands that take an option."""
    group = typer.main.get_command(app)
    return [words for words, command in commands(group) if any(option in p.opts for p in command.params)]


def filled(words: tuple[str, ...], sample: Path) -> list[str]:
    """Return a command with something harmless for all that it requires."""
    group: Any = typer.main.get_command(app)
    for word in words:
        group = group.commands[word]
    known = {"alias": "champion", "version": "abc", "name": "abc", "a": "abc", "b": "abc", "reason": "why"}
    said = list(words)
    for parameter in group.params:
        if parameter.required:
            value = known.get(parameter.name, str(sample))
            said += [value] if parameter.param_type_name == "argument" else [parameter.opts[0], value]
    return said


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.name != "locks"}


@pytest.mark.parametrize("words", taking("--book"), ids=" ".join)
def test_no_command_takes_a_book_that_is_not_a_plain_name(
    carryflow: Callable[..., Any], words: tuple[str, ...], sample: Path, tmp_path: Path
) -> None:
    root = tmp_path / "outer" / "artifacts"
    root.mkdir(parents=True)
    for name in HOSTILE:
        answer = carryflow(*filled(words, sample), "--book", name, "--artifacts", root)
        assert answer.code == 2, (name, answer)
        assert "cannot be the name of a book" in answer.err
        assert "Traceback" not in answer.err
        assert everything(tmp_path) == {tmp_path / "outer", root}


def test_commands_that_take_a_book_were_found() -> None:
    found = {" ".join(words) for words in taking("--book")}
    assert {"run", "train", "walk-forward", "backtest", "predict", "status", "registry promote"} <= found


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_keeps_a_books_files_takes_such_a_name(name: str, tmp_path: Path) -> None:
    for make in (Registry, Ledger, Bundles, book_dir):
        with pytest.raises(UserError):
            make(tmp_path, name)
    with pytest.raises(UserError), retrain_turn(tmp_path, name):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [*HOSTILE, "0" * 15, "0" * 65, "0" * 16 + "\n"])
def test_no_artifact_has_such_a_step_or_key(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        Ref.parse(f"train/{name}")
    with pytest.raises(ValueError):
        Ref.parse(f"{name}/{'0' * 16}") if name not in ("A", "a" * 65) else Ref.parse(f"{name}/x")
    with pytest.raises(ValueError):
        Store(tmp_path).workdir(name)


@pytest.mark.parametrize("command", ["show", "promote"])
@pytest.mark.parametrize("name", [name for name in HOSTILE if name])
def test_a_version_is_looked_up_and_never_made_a_path(
    carryflow: Callable[..., Any], command: str, name: str, artifacts: Path
) -> None:
    more = ["--alias", "champion", "--reason", "why"] if command == "promote" else []
    answer = carryflow("registry", command, name, *more, "--artifacts", artifacts)
    assert answer.code == 2
    assert "there is no version" in answer.err


def test_a_registry_that_names_a_file_elsewhere_is_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path, "b")
    record = {
        "version": "0" * 12, "artifact": f"train/{'0' * 16}", "file": "../../secret", "sha256": "0" * 64,
        "created": "", "preset": "moderate", "seed": 0, "data": "",
        "windows": {part: list(DAY) for part in ("train", "validation", "test")},
    }  # fmt: skip
    for field, value in (
        ("file", "../../secret"),
        ("file", "/etc/passwd"),
        ("artifact", "../x"),
        ("version", "../x"),
    ):
        registry.path.parent.mkdir(parents=True, exist_ok=True)
        bad = record | {"file": "best_model.safetensors"} | {field: value}
        registry.path.write_text(json.dumps({"format": 2, "versions": {"0" * 12: bad}}), encoding="utf-8")
        with pytest.raises(UserError, match="is not a registry any more"):
            registry.state()


def test_every_flow_says_in_its_form_what_a_book_and_a_version_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logging.getLogger("prefect.flows"), "disabled", True)
    from prefect.exceptions import ParameterTypeError

    from flows.backtest import backtest
    from flows.data_to_model import data_to_model
    from flows.promote import promote
    from flows.train import train
    from flows.walk_forward import walk_forward

    needed = {"data": "x", "version": "abc", "alias": "champion", "reason": "why"}
    for flow in (backtest, data_to_model, promote, train, walk_forward):
        asked = {name: value for name, value in needed.items() if name in flow.parameters.properties}
        flow.validate_parameters(asked | {"book": "a-book_2"})
        for name in HOSTILE:
            with pytest.raises(ParameterTypeError):
                flow.validate_parameters(asked | {"book": name})
    del needed["data"]
    for name in HOSTILE:
        with pytest.raises(ParameterTypeError):
            promote.validate_parameters(needed | {"version": name})
