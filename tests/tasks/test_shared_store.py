"""Several machines with one store: found, given away, never exchanged, never removed unasked."""

from __future__ import annotations

import os
import shutil
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

import tasks.features
from schemas.errors import ConfigError
from schemas.manifest import Ref
from schemas.retention import RetentionPolicy
from tasks import connection, gc, leases
from tasks.cache import lookup, run_cached
from tasks.connection import VARIABLE, SharedStoreError, check_url
from tasks.gc_shared import collect_shared
from tasks.ingest import ingest
from tasks.manifests import ArtifactDamaged, ArtifactMissing, render_manifest
from tasks.remote import Remote
from tasks.store import Store

REF = Ref(step="step", key="0123456789abcdef")
QUESTION = {"modules": ("tasks.locks",), "inputs": {"data": "ab"}, "params": {}}
DAY_S = 86_400


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A folder that every machine has mounted."""
    path = tmp_path / "mounted"
    path.mkdir()
    monkeypatch.setenv(VARIABLE, f"file://{path}")
    return path


@pytest.fixture
def here(folder: Path, tmp_path: Path) -> Store:
    return Store(tmp_path / "here")


@pytest.fixture
def there(folder: Path, tmp_path: Path) -> Store:
    return Store(tmp_path / "there")


def compute(folder: Path) -> dict[str, int]:
    (folder / "a.txt").write_text("result")
    (folder / "random").write_bytes(os.urandom(8))
    return {"rows": 1}


def never(folder: Path) -> None:
    raise AssertionError("this was to be found")


def ask(store: Store, how=compute, **other):
    return run_cached(store, "step", **{**QUESTION, **other}, compute=how)


def warnings(caplog) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_what_one_machine_made_another_finds(here, there):
    assert lookup(there, "step", **QUESTION) is None
    made = ask(here)
    found = ask(there, never)
    assert (found.hit, found.ref, found.manifest) == (True, made.ref, made.manifest)
    assert (found.path / "random").read_bytes() == (made.path / "random").read_bytes()
    assert found.path.is_relative_to(there.root)


def test_a_reference_is_enough_to_go_on_from(here, there):
    made = ask(here)
    assert there.manifest(made.ref) == made.manifest
    assert (there.local(made.ref) / "a.txt").read_text() == "result"


def test_what_is_here_is_verified_and_never_fetched_again(here, there, folder, caplog):
    made = ask(here)
    ask(there, never)
    shutil.rmtree(folder)
    assert ask(there, never).hit
    assert there.local(made.ref)
    (there.path(made.ref) / "a.txt").write_text("altered")
    with pytest.raises(SharedStoreError, match="there is no"):
        Remote(there.remote.url).check()


def test_what_is_damaged_here_comes_from_the_shared_store_with_a_warning(here, folder, caplog):
    made = ask(here)
    (made.path / "a.txt").write_text("altered")
    found = ask(here, never)
    assert (found.path / "a.txt").read_text() == "result"
    assert warnings(caplog) == [
        f"artifact {made.ref} was altered or deleted here (it was altered: a.txt has changed): "
        "taken from the shared store"
    ]
    shutil.rmtree(here.folder)
    assert ask(here, never).manifest == made.manifest


def test_what_was_made_before_there_was_a_shared_store_is_given_away_when_it_is_found(
    here, there, folder, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.delenv(VARIABLE)
        made = ask(Store(here.root))
    assert names(folder) == []
    assert ask(here, never).hit
    assert ask(there, never).manifest == made.manifest


def test_an_artifact_that_is_known_to_be_there_is_not_asked_for_again(here, folder, monkeypatch):
    ask(here)
    monkeypatch.setattr(Remote, "read", never)
    assert ask(here, never).hit


def test_equal_files_are_there_once(here, folder):
    ask(here, lambda path: (path / "one").write_text("the same") and None)
    (before,) = (folder / "files").glob("*/*")
    written = before.stat().st_ino
    ask(here, lambda path: (path / "two").write_text("the same") and None, inputs={"data": "cd"})
    (after,) = (folder / "files").glob("*/*")
    assert (after, after.stat().st_ino) == (before, written)  # and not sent twice
    assert len(names(folder)) == 3


def test_who_was_second_takes_the_first_ones_result(here, there):
    theirs = []

    def slowly(path):
        theirs.append(ask(there))  # another machine is faster
        return compute(path)

    mine = ask(here, slowly)
    assert (mine.hit, mine.adopted, mine.manifest) == (False, True, theirs[0].manifest)
    assert (mine.path / "random").read_bytes() == (theirs[0].path / "random").read_bytes()
    assert not theirs[0].adopted


def test_of_two_that_pass_each_other_the_first_manifest_stands(here, there, monkeypatch):
    upload, first, theirs = Remote._upload, threading.Lock(), []

    def meanwhile(remote, entry, source, *, anew):
        if first.acquire(blocking=False):  # this one has seen that there was nothing, and is late now
            theirs.append(ask(there))
        upload(remote, entry, source, anew=anew)

    monkeypatch.setattr(Remote, "_upload", meanwhile)
    mine = ask(here)
    assert (mine.adopted, mine.manifest) == (True, theirs[0].manifest)


def test_what_arrives_in_part_is_sent_again_and_never_named(here, there, folder, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    whole, short = LocalFileSystem.put_file, []

    def put(fs, source, target, **kwargs):
        whole(fs, source, target, **kwargs)
        if len(short) < short_times:
            short.append(target)
            os.truncate(target, 3)

    monkeypatch.setattr(connection, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(LocalFileSystem, "put_file", put)
    short_times = 2
    made = ask(here)
    assert len(short) == 2
    assert ask(there, never).manifest == made.manifest
    short_times = 100
    with pytest.raises(SharedStoreError, match=r"of [68] bytes 3 arrived"):
        ask(here, inputs={"data": "cd"})
    assert len(there.remote.manifests()) == 1


def test_a_moments_failure_is_waited_for(here, folder, monkeypatch):
    from fsspec.implementations.local import LocalFileSystem

    cat, failed = LocalFileSystem.cat_file, []

    def shaky(fs, path, **kwargs):
        if len(failed) < 2:
            failed.append(path)
            raise ConnectionResetError("reset by peer")
        return cat(fs, path, **kwargs)

    monkeypatch.setattr(connection, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(LocalFileSystem, "cat_file", shaky)
    assert ask(here).hit is False
    assert len(failed) == 2


def test_days_that_another_machine_built_first_go_on_from_what_it_built(here, sample, monkeypatch):
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", str(here.root))
    dataset = ingest(sample).ref
    with monkeypatch.context() as patch:
        patch.setattr(
            tasks.features, "run_cached", lambda *a, **k: replace(run_cached(*a, **k), adopted=True)
        )
        days = list(tasks.features._days(here, dataset, here.manifest(dataset)))
    assert [day.built for _, day in days] == [None] * len(days)
    assert len(days) > 5


def test_what_was_published_here_is_not_exchanged_for_what_another_machine_published(
    here, there, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.delenv(VARIABLE)
        mine = ask(Store(here.root))
    theirs = ask(there)
    found = ask(here, never)
    assert found.manifest == mine.manifest
    assert found.manifest.files != theirs.manifest.files
    assert ask(there, never).manifest == theirs.manifest


HOSTILE = ["../outside", "/tmp/outside", "a/../../outside", "manifest.json", "a//b", ""]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_manifest_from_elsewhere_names_no_file_outside_of_its_folder(here, there, folder, tmp_path, name):
    made = ask(here)
    entry = made.manifest.files[0].model_copy(update={"path": name})
    planted = render_manifest(made.manifest.model_copy(update={"files": (entry,)}))
    (folder / "artifacts" / f"{made.ref}.json").write_text(planted)
    with pytest.raises(ArtifactDamaged, match="cannot be the name of a file"):
        there.local(made.ref)
    assert there.refs() == []
    assert not (there.folder / "outside").exists()


@pytest.mark.parametrize("sha256", ["../../secret", "0" * 63])
def test_a_manifest_from_elsewhere_names_no_object_but_files(here, there, folder, sha256):
    made = ask(here)
    entry = made.manifest.files[0].model_copy(update={"sha256": sha256})
    planted = render_manifest(made.manifest.model_copy(update={"files": (entry,)}))
    (folder / "artifacts" / f"{made.ref}.json").write_text(planted)
    with pytest.raises(ArtifactDamaged, match="cannot be the name of a file"):
        there.local(made.ref)


def test_another_versions_artifact_is_made_here_and_left_alone_there(here, there, folder, caplog):
    made = ask(here)
    path = folder / "artifacts" / f"{made.ref}.json"
    newer = path.read_text().replace('"format": 2', '"format": 99')
    path.write_text(newer)
    again = ask(there)
    assert not again.hit
    assert path.read_text() == newer
    assert (there.local(made.ref) / "a.txt").read_text() == "result"
    assert "(in the shared store)" in warnings(caplog)[0]


REFUSED = [
    "s3://key:planted@bucket/prefix",
    "s3://planted@bucket",
    "s3://bucket/prefix?secret=planted",
    "s3://bucket#planted",
    "s3://",
    "https://planted.example/bucket",
    "memory://planted",
    "simplecache::s3://planted",
    "file://planted/folder",
    "s3://[planted",
    "planted",
]


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_url_of_a_store_or_carries_secrets_is_refused_unrepeated(url, tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(ConfigError) as refused:
        Store(tmp_path)
    assert str(refused.value).startswith(f"{VARIABLE}: ")
    assert "planted" not in str(refused.value)


def test_a_url_of_a_store_is_taken_as_it_is():
    assert check_url("s3://bucket/desk/") == check_url("s3://bucket/desk") == "s3://bucket/desk"
    assert check_url("s3://bucket") == "s3://bucket"


def test_a_folder_that_is_not_mounted_is_not_made(tmp_path, monkeypatch):
    store = Store(tmp_path / "here", Remote(f"file://{tmp_path}/unmounted"))
    with pytest.raises(SharedStoreError, match="there is no"):
        ask(store)
    assert not (tmp_path / "unmounted").exists()


def test_without_the_extra_the_command_to_install_it_is_said(tmp_path, monkeypatch):
    import fsspec

    def absent(*_, **__):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "filesystem", absent)
    with pytest.raises(ConfigError, match=r"`pip install -c constraints.txt -e '\.\[s3\]'`"):
        Store(tmp_path, Remote("s3://bucket")).local(REF)


def test_killed_at_any_moment_what_can_be_seen_is_whole(
    folder, start, output, kill_at_every_moment, tmp_path
):
    script = """
    import shutil
    from pathlib import Path
    from tasks import remote
    from tasks.cache import cache_key, run_cached
    from tasks.store import Store

    here, seen, mounted = map(Path, sys.argv[1:])
    question = {"modules": ("tasks.locks",), "inputs": {}, "params": {}}
    whole = {"a.txt": "result", "deep/b.txt": "more"}
    CHANGES.update({"link", "rename", "copyfileobj", "copyfile", "posix_spawn", "sendfile"})
    # In the thread that is watched, so that each of its changes is a moment.
    remote.Remote.each = lambda self, do, things: [do(one) for one in things]

    def compute(folder):
        (folder / "deep").mkdir()
        for name, text in whole.items():
            (folder / name).write_text(text)

    def check():
        reader = Store(seen)
        for ref in reader.remote.manifests():
            folder = reader.local(ref)
            assert {name: (folder / name).read_text() for name in whole} == whole
        for left in (seen, here, mounted / "files", mounted / "artifacts"):  # each begins anew
            shutil.rmtree(left, ignore_errors=True)

    import fsspec.implementations.local  # before the forks: once is enough
    cache_key("step", **question)
    killed = every_moment(lambda: run_cached(Store(here), "step", **question, compute=compute), check)
    run_cached(Store(here), "step", **question, compute=compute)
    print(killed > 100, len(Store(seen).remote.manifests()))
    """
    script = kill_at_every_moment + textwrap.dedent(script)
    assert output(start(script, tmp_path / "here", tmp_path / "seen", folder)) == "True 1"


# -- collection ---------------------------------------------------------------------------------------


def age(folder: Path, days: float, *parts: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and (not parts or any(part in path.as_posix() for part in parts)):
            os.utime(path, (time.time() - days * DAY_S,) * 2)


def collect(store: Store, days: float = 30, dry_run: bool = False, **policy) -> dict[str, tuple[str, str]]:
    found = collect_shared(store, store.remote, RetentionPolicy(shared_days=days, **policy), dry_run=dry_run)
    return {item.name.removeprefix("shared/"): (item.fate, item.why) for item in found}


def test_the_shared_store_is_left_alone_unless_an_age_is_named(here, folder, monkeypatch):
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", str(here.root))
    ask(here)
    leases.let_go(here.root)
    age(folder, 400)
    before = names(folder)
    report = gc.sweep(RetentionPolicy.of(0), prefect=False)
    assert (names(folder), here.refs()) == (before, [])
    assert "was left alone: --shared-days looks at it too" in " ".join(gc.words(report)[1])
    report = gc.sweep(RetentionPolicy.of(0, shared_days=30), prefect=False)
    assert names(folder) == []
    assert "left alone: --shared" not in " ".join(gc.words(report)[1])
    assert {row.what for row in report.rows} >= {"shared/step", "shared/files"}


def test_what_is_old_and_nobody_needs_goes_with_its_files(there, here, folder):
    old, young = ask(here), ask(here, inputs={"data": "cd"})
    age(folder, 31, old.ref.key, *(entry.sha256 for entry in old.manifest.files))
    before = names(folder)
    told = collect(there, dry_run=True)
    assert names(folder) == before
    assert collect(there) == told
    assert told[f"artifacts/{old.ref}.json"] == ("removed", "published more than 30 days ago")
    assert told[f"artifacts/{young.ref}.json"] == ("kept", "published in the last 30 days")
    assert names(folder) == sorted(
        [
            f"artifacts/{young.ref}.json",
            *(f"files/{entry.sha256[:2]}/{entry.sha256}" for entry in young.manifest.files),
        ]
    )


def test_what_this_machine_uses_stays_in_the_shared_store(here, there, folder):
    made = ask(here)
    age(folder, 400)
    assert collect(here)[f"artifacts/{made.ref}.json"] == ("kept", "needed or used on this machine")
    assert ask(there, never).hit


def test_what_a_kept_artifact_comes_from_stays(here, there, folder):
    parent = ask(here)
    ask(here, inputs={"parent": parent.content})
    age(folder, 31, parent.ref.key, "files/")
    told = collect(there)
    assert told[f"artifacts/{parent.ref}.json"] == ("kept", "needed by what is kept")
    assert {fate for fate, _ in told.values()} == {"kept"}


def test_what_a_killed_writer_left_goes_when_no_writer_can_be_busy_with_it(here, there, folder):
    made = ask(here)
    (folder / "artifacts" / f"{made.ref}.json").unlink()
    assert {fate for fate, _ in collect(there, 1).values()} == {"kept"}
    assert lookup(there, "step", **QUESTION) is None
    age(folder, 1.1)
    assert {fate for fate, _ in collect(there, 1).values()} == {"removed"}
    assert names(folder) == []


def test_a_file_that_is_named_while_the_collector_looks_stays(here, there, folder, monkeypatch):
    made = ask(here)
    path = folder / "artifacts" / f"{made.ref}.json"
    text = path.read_text()
    path.unlink()
    age(folder, 31)
    listing = Remote.files

    def meanwhile(remote):
        found = listing(remote)
        path.write_text(text)
        return found

    monkeypatch.setattr(Remote, "files", meanwhile)
    collect(there)
    assert ask(there, never).manifest == made.manifest


def test_another_versions_artifacts_stay_with_their_files(here, there, folder):
    made = ask(here)
    path = folder / "artifacts" / f"{made.ref}.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 99'))
    age(folder, 400)
    told = collect(there)
    assert {fate for fate, _ in told.values()} == {"kept"}
    assert "another version of carryflow" in told[f"artifacts/{made.ref}.json"][1]


def test_an_age_below_a_day_is_refused():
    for days in (0.5, -1):
        with pytest.raises(ValueError, match="should be 1 or more"):
            RetentionPolicy(shared_days=days)
    assert RetentionPolicy.of(3).shared_days == 0


def test_a_reader_finds_nothing_rather_than_a_part(here, there, folder):
    made = ask(here)
    (folder / "artifacts" / f"{made.ref}.json").unlink()
    with pytest.raises(ArtifactMissing):
        there.local(made.ref)
