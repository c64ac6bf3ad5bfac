"""A model is found by what a person calls it: a file, an alias, a version, or the artifact it lies in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from schemas.checkpoint import BEST_MODEL
from schemas.errors import ArtifactError
from schemas.manifest import Manifest, Ref
from schemas.registry import VersionRecord
from schemas.version import Windows
from tasks.models import find_model
from tasks.registry import Registry
from tasks.store import ArtifactDamaged, Store


@pytest.fixture
def trained(store: Store) -> Ref:
    with store.tmp() as folder:
        (folder / BEST_MODEL).write_bytes(b"weights")
        manifest = Manifest(
            step="train",
            key="a" * 64,
            inputs={},
            params={},
            versions={},
            code="",
            created="2025-01-01T00:00:00+00:00",
        )
        return store.publish(folder, manifest)


@pytest.fixture
def registry(store: Store, trained: Ref) -> Registry:
    found = Registry(store.root, "b")
    found.register(
        VersionRecord(
            version="0123456789ab",
            artifact=str(trained),
            file=BEST_MODEL,
            sha256=hashlib.sha256(b"weights").hexdigest(),
            created="2025-01-01T00:00:00+00:00",
            preset="moderate",
            seed=0,
            data="d",
            windows=Windows(
                train=("2025-01-01T00:00Z", "2025-01-02T00:00Z"),
                validation=("2025-01-03T00:00Z", "2025-01-04T00:00Z"),
                test=("2025-01-05T00:00Z", "2025-01-06T00:00Z"),
            ),
        )
    )
    return found


def test_an_artifact_means_its_best_checkpoint(store: Store, trained: Ref) -> None:
    assert find_model(store, trained, "b") == store.path(trained) / BEST_MODEL


def test_a_version_its_beginning_and_an_alias_mean_the_registered_file(
    store: Store, trained: Ref, registry: Registry
) -> None:
    registry.move("challenger", "0123456789ab", reason="a test")
    for name in ("0123456789ab", "0123", "challenger"):
        assert find_model(store, name, "b") == store.path(trained) / BEST_MODEL


def test_a_file_is_found_with_and_without_its_suffix(store: Store, tmp_path: Path) -> None:
    (tmp_path / "best_model.safetensors").write_bytes(b"x")
    for name in ("best_model", "best_model.safetensors"):
        assert find_model(store, str(tmp_path / name), "b") == tmp_path / "best_model.safetensors"


def test_an_altered_model_is_not_handed_out(store: Store, trained: Ref, registry: Registry) -> None:
    (store.path(trained) / BEST_MODEL).write_bytes(b"weightz")
    for name in (trained, "0123"):
        with pytest.raises(ArtifactDamaged):
            find_model(store, name, "b")


@pytest.mark.parametrize("name", ["champion", "ffff", "no/such/file", "gone.safetensors"])
def test_what_there_is_not_is_refused_by_name(store: Store, registry: Registry, name: str) -> None:
    with pytest.raises(ArtifactError) as refused:
        find_model(store, name, "b")
    assert name in str(refused.value)
