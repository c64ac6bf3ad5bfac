"""Checkpoints and reports are laid out for people whole or not at all, and say where they came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.errors import ArtifactError, ConfigError
from schemas.manifest import Manifest, Ref
from tasks.checkpoints import copy_checkpoints
from tasks.reports import publish_report
from tasks.store import Store


def publish(root: Path, step: str, files: dict[str, bytes]) -> Ref:
    store = Store(root)
    with store.tmp() as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        manifest = Manifest(
            step=step,
            key="b" * 64,
            inputs={},
            params={},
            versions={},
            code="",
            created="2025-01-01T00:00:00+00:00",
        )
        return store.publish(folder, manifest)


MODELS = {
    "checkpoint_ep1000.safetensors": b"4",
    "checkpoint_ep200.safetensors": b"3",
    "final_model.safetensors": b"2",
    "best_model.safetensors": b"1",
    "training.json": b"{}",
}


def test_every_checkpoint_is_copied_best_and_final_first(artifacts: Path, tmp_path: Path) -> None:
    ref = publish(artifacts, "train", MODELS)
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "best_model.safetensors").write_bytes(b"an older run's")
    (folder / "mine.txt").write_bytes(b"kept")
    copied = copy_checkpoints(str(ref), folder)
    assert [path.stem for path in copied] == [
        "best_model",
        "final_model",
        "checkpoint_ep200",
        "checkpoint_ep1000",
    ]
    assert [path.read_bytes() for path in copied] == [b"1", b"2", b"3", b"4"]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*[p.name for p in copied], "mine.txt"])


def test_an_altered_checkpoint_is_not_copied(artifacts: Path, tmp_path: Path) -> None:
    ref = publish(artifacts, "train", MODELS)
    (Store(artifacts).path(ref) / "best_model.safetensors").write_bytes(b"!")
    with pytest.raises(ArtifactError):
        copy_checkpoints(str(ref), tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()


def test_a_file_in_the_folders_place_is_refused(artifacts: Path, tmp_path: Path) -> None:
    ref = publish(artifacts, "train", MODELS)
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(ConfigError, match="checkpoints"):
        copy_checkpoints(str(ref), tmp_path / "checkpoints")


def test_a_report_lies_beside_its_tables_and_is_replaced_as_a_whole(artifacts: Path) -> None:
    tested = publish(artifacts, "backtest", {"equity.parquet": b"e", "backtest.json": b"{}"})
    judged = publish(artifacts, "judgement", {"report.html": b"<html>", "equity.png": b"p"})
    path = publish_report(str(tested), str(judged), book="b", name="v")
    assert path == artifacts / "reports" / "b" / "v" / "report.html"
    names = {"equity.parquet", "backtest.json", "report.html", "equity.png", "SOURCE.txt"}
    assert {p.name for p in path.parent.iterdir()} == names
    (path.parent / "SOURCE.txt").write_text("something older")
    (path.parent / "old.png").write_bytes(b"of an earlier report")
    publish_report(str(tested), str(judged), book="b", name="v")
    assert {p.name for p in path.parent.iterdir()} == names
    assert [p.name for p in path.parent.parent.iterdir()] == ["v"]
