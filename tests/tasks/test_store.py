"""What is published is whole, verified and never edited."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.errors import ConfigError
from schemas.manifest import Manifest, Ref
from tasks import store as store_module
from tasks.files import sha256_file
from tasks.store import ArtifactDamaged, ArtifactMissing, Store, book_dir, content_hash, resolve_root

KEY = "0123456789abcdef"
REF = Ref(step="step", key=KEY)


def manifest(**fields) -> Manifest:
    known = {"step": "step", "key": KEY, "inputs": {"data": "ab"}, "params": {"x": [1, 0.1]}, "versions": {}}
    return Manifest(**{**known, "code": "cd", "created": "2026-01-01T00:00:00+00:00", **fields})


def publish(store: Store, text: str = "hello", **fields) -> Ref:
    with store.tmp() as folder:
        (folder / "a.txt").write_text(text)
        (folder / "days").mkdir()
        (folder / "days" / "b.bin").write_bytes(bytes(100))
        return store.publish(folder, manifest(**fields))


def temporary(store: Store) -> list[str]:
    return [path.name for path in store.folder.glob(".tmp-*")]


def test_a_published_artifact_is_found_verified(store):
    ref = publish(store, summary={"rows": 3})
    path = store.local(ref)
    assert path == store.root / "store" / "step" / KEY
    assert (path / "a.txt").read_text() == "hello"
    found = store.manifest(ref)
    assert [(entry.path, entry.bytes) for entry in found.files] == [("a.txt", 5), ("days/b.bin", 100)]
    assert found.files[0].sha256 == sha256_file(path / "a.txt")
    assert (found.summary, found.params) == ({"rows": 3}, {"x": [1, 0.1]})
    assert store.has(ref)
    assert store.refs() == store.refs("step") == [ref]
    shutil.copytree(path, path.with_name("a copy of it"))
    assert store.refs() == [ref]
    assert store.refs("other") == []
    assert temporary(store) == []


def test_the_store_can_be_moved(store, tmp_path):
    ref = publish(store)
    store.root.rename(tmp_path / "elsewhere")
    assert (Store(tmp_path / "elsewhere").local(ref) / "a.txt").read_text() == "hello"


def test_what_was_never_published_is_missing_not_damaged(store):
    with pytest.raises(ArtifactMissing):
        store.local(REF)
    assert not store.has(REF)


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


DAMAGES = {
    "a byte altered": lambda path: (path / "a.txt").write_text("hellO"),
    "a byte added": lambda path: _append(path / "a.txt"),
    "a file deleted": lambda path: (path / "days" / "b.bin").unlink(),
    "a file added": lambda path: (path / "days" / "c").write_text(""),
    "a file turned into a link": lambda path: _link(path / "a.txt"),
    "a file turned into a folder": lambda path: ((path / "a.txt").unlink(), (path / "a.txt").mkdir()),
    "the manifest deleted": lambda path: (path / "manifest.json").unlink(),
    "the manifest emptied": lambda path: (path / "manifest.json").write_text(""),
    "the manifest no text": lambda path: (path / "manifest.json").write_bytes(b"\xff\xfe"),
    "the manifest lengthened": lambda path: _append(path / "manifest.json"),
    "the manifest's layout": lambda path: _space_out(path / "manifest.json"),
    "the folder deleted": lambda path: shutil.rmtree(path),
    "the folder replaced": lambda path: (shutil.rmtree(path), path.write_text("")),
    "everything deleted": lambda path: shutil.rmtree(path.parents[1]),
}


def _space_out(path: Path) -> None:
    path.write_text(path.read_text().replace(": ", ":  "))


def _link(path: Path) -> None:
    copy = path.parents[3] / "copy"
    path.rename(copy)
    path.symlink_to(copy)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_noticed_and_replaced_by_publishing_again(store, damage):
    ref = publish(store)
    DAMAGES[damage](store.path(ref))
    with pytest.raises(ArtifactDamaged, match=f"^step/{KEY}: .*again"):
        store.local(ref)
    publish(store)
    assert (store.local(ref) / "a.txt").read_text() == "hello"
    assert temporary(store) == []


def test_every_byte_of_a_manifest_counts(store):
    ref = publish(store, summary={"text": "naïve"})
    path = store.path(ref) / "manifest.json"
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(ArtifactDamaged):
            store.manifest(ref)
    path.write_bytes(whole)
    store.local(ref)


def test_a_manifest_answers_only_for_its_own_name(store):
    ref = publish(store)
    other = Ref(step="step", key="f" * 16)
    shutil.copytree(store.path(ref), store.path(other))
    with pytest.raises(ArtifactDamaged):
        store.local(other)


def test_looking_into_a_folder_with_the_finder_is_no_damage(store):
    ref = publish(store)
    (store.path(ref) / ".DS_Store").write_text("window position")
    store.local(ref)


def test_what_is_set_aside_is_missing_and_not_damaged(store):
    ref = publish(store)
    aside = store.set_aside(ref)
    assert aside.name in temporary(store)
    with pytest.raises(ArtifactMissing):
        store.local(ref)
    with store.tmp():
        assert not aside.exists(), "it is trash like any other"


def test_publishing_twice_keeps_the_first(store):
    ref = publish(store)
    before = (store.path(ref) / "a.txt").stat().st_ino
    publish(store, created="2027-01-01T00:00:00+00:00")
    assert (store.path(ref) / "a.txt").stat().st_ino == before
    assert temporary(store) == []


def test_the_content_hash_is_of_the_files_alone(store):
    first = store.manifest(publish(store))
    same = store.manifest(publish(store, key="e" * 16, params={"x": 2}))
    other = store.manifest(publish(store, "other", key="d" * 16))
    assert content_hash(first) == content_hash(same) != content_hash(other)


def test_an_exception_leaves_nothing_behind(store):
    with pytest.raises(KeyboardInterrupt), store.tmp() as folder:
        (folder / "half").write_text("half")
        raise KeyboardInterrupt
    assert temporary(store) == []
    assert store.refs() == []


def test_everything_is_on_the_disk_before_it_is_an_artifact(store, monkeypatch):
    """Also where there are so many files that several are waited for at once."""
    for count, key in ((1, "a" * 16), (40, "b" * 16)):
        synced, at_rename = [], []
        real_sync, real_rename = os.fsync, Path.rename

        def sync(handle, done=synced, real=real_sync):
            real(handle)
            done.append(os.path.realpath(f"/proc/self/fd/{handle}"))

        def rename(path, target, done=synced, seen=at_rename, real=real_rename):
            seen.append((path, set(done)))
            return real(path, target)

        with monkeypatch.context() as patch, store.tmp() as folder:
            patch.setattr(os, "fsync", sync)
            patch.setattr(Path, "rename", rename)
            (folder / "days").mkdir()
            for number in range(count):
                (folder / "days" / str(number)).write_text(str(number))
            ref = store.publish(folder, manifest(key=key))
        (moved, before), = at_rename  # fmt: skip
        files = {entry.path for entry in store.manifest(ref).files} | {"manifest.json", "days", "."}
        assert {os.path.realpath(moved / name) for name in files} == before
        assert synced[-1] == str(store.path(ref).parent)


def test_a_second_name_of_a_published_file_is_neither_hashed_nor_waited_for_again(store, monkeypatch):
    first = publish(store)
    entry = store.manifest(first).files[0]
    hashed = []
    real = store_module.sha256_file
    monkeypatch.setattr(store_module, "sha256_file", lambda path: hashed.append(path.name) or real(path))
    with store.tmp() as folder:
        (folder / "second.txt").hardlink_to(store.path(first) / "a.txt")
        (folder / "own.txt").write_text("own")
        second = store.publish(folder, manifest(key="c" * 16), linked={"second.txt": entry})
    assert hashed == ["own.txt"]
    monkeypatch.undo()
    found = {one.path: one for one in store.verify(second).files}
    assert (found["second.txt"].sha256, found["second.txt"].bytes) == (entry.sha256, entry.bytes)
    (store.path(first) / "a.txt").write_text("HELLO")  # both names are of one file
    for ref in (first, second):
        with pytest.raises(ArtifactDamaged, match="has changed"):
            store.verify(ref)


def test_only_plain_files_in_a_folder_of_tmp_can_be_published(store, tmp_path):
    for stranger in (tmp_path / ".tmp-1", store.folder / "stranger"):
        stranger.mkdir(parents=True)
        with pytest.raises(ValueError, match="not made by"):
            store.publish(stranger, manifest())
    with store.tmp() as folder:
        (folder / "link").symlink_to("/etc/hostname")
        with pytest.raises(ValueError, match="link is not a plain file"):
            store.publish(folder, manifest())
    assert not store.has(REF)


def test_leftovers_of_dead_processes_are_removed_and_those_of_living_ones_kept(
    store, start, wait_for, tmp_path
):
    script = """
    import sys, time
    from pathlib import Path
    from tasks.store import Store
    with Store(Path(sys.argv[1])).tmp() as folder:
        (folder / "half").write_text("half")
        Path(sys.argv[2]).touch()
        time.sleep(60)
    """
    process = start(script, store.root, tmp_path / "ready")
    wait_for(tmp_path / "ready")
    with store.tmp():
        assert f".tmp-{process.pid}-" in " ".join(temporary(store))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(temporary(store)) == 1
    with store.tmp() as folder:
        assert temporary(store) == [folder.name]


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", "step\n", ".tmp-1", "/etc"])
def test_names_cannot_leave_the_store(store, name):
    with pytest.raises(ValidationError):
        Ref(step=name, key=KEY)
    with pytest.raises(ValidationError):
        Ref(step="step", key=name)
    with pytest.raises(ValueError, match="not an artifact key"):
        store.workdir(name)
    with pytest.raises(ConfigError, match="cannot be the name of a book"):
        book_dir(store.root, name)


@pytest.mark.parametrize("name", ["Real", "-x", "a" * 65, "a b", "ä"])
def test_a_book_needs_a_simple_name(store, name):
    with pytest.raises(ConfigError, match="Use 1 to 64"):
        book_dir(store.root, name)
    assert book_dir(store.root, "a" * 64).parent == store.root / "books"


def test_resume_state_is_kept_by_key_until_discarded(store):
    folder = store.workdir(KEY)
    (folder / "state").write_text("x")
    assert store.workdir(KEY) == folder == store.root / "work" / KEY
    store.discard_work(KEY)
    assert not folder.exists()
    assert store.refs() == []


def test_the_root_is_what_was_asked_for_else_the_environments_else_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CARRYFLOW_ARTIFACTS", raising=False)
    assert resolve_root() == tmp_path / "artifacts"
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", "")
    assert resolve_root() == tmp_path / "artifacts"
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", str(tmp_path / "env"))
    assert resolve_root(None) == tmp_path / "env"
    assert resolve_root("asked") == tmp_path / "asked"
    assert resolve_root("~") == Path.home()


def test_a_file_cannot_be_the_root(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"file: is not a folder\. Name a folder"):
        resolve_root(tmp_path / "file")
