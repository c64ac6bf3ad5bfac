"""What an older or a newer carryflow left is read, or refused in words, wherever it is met."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rl.checkpoint import load_checkpoint
from rl.tensorfile import write_tensors
from schemas.judgement import GATES
from schemas.walk_forward import WALK_FORWARD
from tasks import leases
from tasks.bundles import BACKTEST, Bundles
from tasks.evidence import walk_forward_of
from tasks.files import canonical_json, sha256_file, sha256_text
from tasks.registry import Registry
from tasks.store import Store
from tests.rl.test_checkpoint import example
from tests.tasks.made import OTHER, VERSION, content, kept, prepared, publish, trained

ELSEWHERE = "was written by another version of carryflow: it has "


def reseal(path: Path, change: Callable[[dict[str, Any]], None], *, indent: int = 1) -> None:
    """Change a sealed file as a program would that knows how to seal."""
    found = json.loads(path.read_text(encoding="utf-8"))
    change(found)
    found["seal"] = sha256_text(canonical_json({k: v for k, v in found.items() if k != "seal"}))
    sort = path.name == "manifest.json"
    path.unlink()  # a link of it may be another's
    path.write_text(json.dumps(found, indent=indent, sort_keys=sort) + "\n", encoding="utf-8")


def of_the_first_format(found: dict[str, Any]) -> None:
    found["format"] = 1
    found.pop("schema_version", None)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Path]:
    """Write a real checkpoint whose description is changed; its hash is right."""

    def write(**changes: object) -> Path:
        one = example()
        document = one.info.model_dump(mode="json") | changes
        write_tensors(tmp_path / "model.safetensors", "checkpoint", one.tensors(), document)
        return tmp_path / "model.safetensors"

    return write


@pytest.fixture
def book(artifacts: Path) -> Iterator[Path]:
    """A book with two versions, of which one is champion."""
    kept(artifacts, VERSION)
    kept(artifacts, OTHER, data="e")
    Registry(artifacts, "b").move("champion", VERSION, reason="x")
    yield artifacts
    leases.let_go(artifacts)


# -- artifacts: never trusted, rebuilt with a warning that says why ------------------------------------------


@pytest.mark.parametrize(
    ("field", "number", "said"),
    [
        ("format", 3, "format 3, this one reads 1 and 2"),
        ("schema_version", 7, "schema version 7, this one reads 1 and 2"),
    ],
)
def test_a_data_set_of_another_version_is_built_anew_with_a_warning(
    carryflow,
    artifacts: Path,
    sample: Path,
    field: str,
    number: int,
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    import logging

    assert carryflow("validate", "--data", sample).code == 0
    [ref] = Store(artifacts).refs("ingest")
    path = Store(artifacts).path(ref) / "manifest.json"
    before = path.read_text()
    reseal(path, lambda found: found.update({field: number}))
    logging.getLogger("carryflow").propagate = True
    answer = carryflow("validate", "--data", sample)
    assert answer.code == 0
    assert ELSEWHERE + said in caplog.text and "rebuilding" in caplog.text
    assert json.loads(path.read_text())["files"] == json.loads(before)["files"]


def test_a_data_set_of_the_first_format_is_read_as_it_stands(
    carryflow, artifacts: Path, sample: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert carryflow("validate", "--data", sample).code == 0
    [ref] = Store(artifacts).refs("ingest")
    path = Store(artifacts).path(ref) / "manifest.json"
    reseal(path, of_the_first_format)
    old = path.read_text()
    assert "schema_version" not in old
    assert carryflow("validate", "--data", sample).code == 0
    assert path.read_text() == old, "it was found and not built again"
    assert Store(artifacts).manifest(ref).schema_version == 1


def test_an_artifact_asked_for_by_name_is_refused_in_words(artifacts: Path) -> None:
    from schemas.errors import ArtifactError

    ref = prepared(artifacts)
    reseal(Store(artifacts).path(ref) / "manifest.json", lambda found: found.update(format=3))
    with pytest.raises(ArtifactError) as told:
        Store(artifacts).local(ref)
    assert str(told.value) == (
        f"{ref}: {ELSEWHERE}format 3, this one reads 1 and 2. Use that version of carryflow, or run the step "
        "that makes it again."
    )


# -- checkpoints ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["predict", "audit"])
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 0}, "the checkpoint has format 0, this version reads 1."),
        ({"format": 2}, "the checkpoint has format 2, this version reads 1."),
        ({"learnt_since": 1}, "the checkpoint's description is not valid: learnt_since"),
    ],
)
def test_a_checkpoint_of_another_version_is_refused_in_words(
    carryflow, artifacts: Path, sample: Path, checkpoint, command: str, changes: dict[str, object], said: str
) -> None:
    model = [checkpoint(**changes)] if command == "audit" else ["--checkpoint", checkpoint(**changes)]
    answer = carryflow(command, "--data", sample, *model)
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err and "Traceback" not in answer.err


def test_todays_checkpoint_is_read(checkpoint) -> None:
    assert load_checkpoint(checkpoint()).info.format == 1


# -- books ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["registry", "list"], ["registry", "history"], ["status"], ["predict"]])
def test_a_registry_of_another_version_is_refused_in_words(
    carryflow, book: Path, sample: Path, words: list[str]
) -> None:
    path = book / "books" / "b" / "registry.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 3, "something": "new"}))
    data = ["--data", sample] if words[0] in ("status", "predict") else []
    answer = carryflow(*words, "--book", "b", *data)
    assert answer.code == 2
    assert f"registry.json: {ELSEWHERE}format 3, this one reads 1 and 2. Use that version" in answer.err


def test_a_versions_folder_of_another_version_is_refused_in_words(
    carryflow, book: Path, sample: Path
) -> None:
    shutil.rmtree(book / "store")
    reseal(Bundles(book, "b").folder(VERSION) / "version.json", lambda found: found.update(format=2))
    answer = carryflow("predict", "--data", sample, "--book", "b", "--model", "champion")
    assert answer.code == 2
    assert f"version.json {ELSEWHERE}format 2, this one reads 1" in answer.err
    shown = json.loads(carryflow("registry", "show", VERSION, "--book", "b").out)
    assert shown["folder_problem"] == f"version.json {ELSEWHERE}format 2, this one reads 1."


def test_a_versions_folder_from_before_manifests_said_their_schema_is_read(carryflow, book: Path) -> None:
    def age(found: dict[str, Any]) -> None:
        for origin in found["origins"].values():
            if origin["manifest"] is not None:
                of_the_first_format(origin["manifest"])

    path = Bundles(book, "b").folder(VERSION) / "version.json"
    reseal(path, age)
    assert "schema_version" not in path.read_text()
    bundle = Bundles(book, "b").verify(VERSION)
    assert {one.manifest.schema_version for one in bundle.origins.values() if one.manifest} == {1}
    assert carryflow("registry", "show", VERSION, "--book", "b").code == 0


def replace_in_bundle(book: Path, version: str, name: str, text: str) -> None:
    """Put another program's file into a version's folder, listed with its hash."""
    bundles = Bundles(book, "b")
    path = bundles.folder(version) / bundles.read(version).path_of(name)
    path.unlink()
    path.write_text(text, encoding="utf-8")

    def relist(found: dict[str, Any]) -> None:
        for entry in found["files"]:
            if entry["path"].endswith(f"/{name}"):
                entry |= {"sha256": sha256_file(path), "bytes": path.stat().st_size}

    reseal(bundles.folder(version) / "version.json", relist)


@pytest.mark.parametrize(
    ("name", "text"),
    [(BACKTEST, '{"something": "new"}'), (GATES, '{"format": 9}'), (GATES, '[{"name": "old"}]')],
)
def test_results_of_another_version_do_not_end_a_comparison_in_a_traceback(
    carryflow, book: Path, name: str, text: str
) -> None:
    shutil.rmtree(book / "store")
    replace_in_bundle(book, VERSION, name, text)
    for words in (["compare", VERSION, OTHER], ["show", VERSION], ["list"]):
        answer = carryflow("registry", *words, "--book", "b")
        assert answer.code == 0, answer.err


def test_gates_that_cannot_be_read_are_said_where_an_alias_is_moved(carryflow, book: Path) -> None:
    shutil.rmtree(book / "store")
    replace_in_bundle(book, OTHER, GATES, '{"format": 9}')
    answer = carryflow("registry", "promote", OTHER, "--alias", "challenger", "--reason", "x", "--book", "b")
    assert answer.code == 0
    assert "cannot be read: it was altered or deleted, or another version of carryflow wrote it" in answer.out


def test_a_walk_forward_of_another_version_is_no_evidence_and_no_traceback(artifacts: Path) -> None:
    model, data = trained(artifacts), content(artifacts, prepared(artifacts))
    publish(
        artifacts, "walk-forward", {WALK_FORWARD: '{"something": "new"}'}, inputs={"dataset": data},
        params={"preset": "moderate"},
    )  # fmt: skip
    assert walk_forward_of(Store(artifacts), model, data, "moderate") is None


def test_a_line_of_the_ledger_that_a_newer_version_wrote_is_passed_over(book: Path) -> None:
    from tasks.ledger import Ledger

    ledger = Ledger(book, "b")
    ledger.append("trial", trial="a", version=VERSION)
    with ledger.path.open("a") as file:
        file.write('{"kind": "something new", "format": 2}\n')
    assert [line["trial"] for line in ledger.read("trial")] == ["a"]
    ledger.append("trial", trial="b", version=VERSION)
    assert len(ledger.read()) == 3
