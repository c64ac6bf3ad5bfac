"""What somebody needs stays, what nobody has used for long goes, whole, whatever else happens meanwhile."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

import pytest

from schemas.errors import ArtifactError, ConfigError
from schemas.manifest import Ref
from schemas.retention import GcReport, RetentionPolicy
from tasks import leases
from tasks.cache import run_cached
from tasks.gc import collect
from tasks.ledger import Ledger
from tasks.locks import LockBusy, hold
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import OTHER, VERSION, backtested, content, judged, kept, prepared, publish, trained

NOTHING_IS_YOUNG = RetentionPolicy.of(0)
QUESTION = {"modules": ("tasks.locks",), "params": {}}


def gc(root: Path, policy: RetentionPolicy = NOTHING_IS_YOUNG, **how: bool) -> GcReport:
    leases.let_go(root)  # what this test has made is not in use by it
    return collect(root, policy, **how)


def refs(root: Path) -> set[str]:
    return {str(ref) for ref in Store(root).refs()}


def why(report: GcReport, name: object) -> str:
    [found] = [f"{item.fate}: {item.why}" for item in report.items if item.name == f"store/{name}"]
    return found


def age(root: Path, ref: Ref, days: float) -> None:
    then = time.time() - days * 86_400
    store = Store(root)
    for path in (store.path(ref), store.path(ref) / "manifest.json", store._marker(ref)):
        os.utime(path, (then, then))


def everything(root: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in sorted(root.rglob("*"))}


def test_a_version_keeps_all_it_comes_from_and_what_nobody_needs_goes(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    needed = refs(artifacts)
    orphan = publish(artifacts, "features", {"a.txt": "x"}, inputs={"dataset": "gone"})
    report = gc(artifacts)
    assert refs(artifacts) == needed and len(needed) == 5
    assert why(report, orphan) == "removed: not in use"
    assert {why(report, ref) for ref in needed} == {"kept: needed by a version of book b"}
    assert report.total("removed")[0] == 1
    assert list((artifacts / "store").glob(".tmp-*")) == []


def test_an_alias_and_an_approval_are_told_apart_from_a_mere_version(artifacts: Path) -> None:
    record = kept(artifacts, VERSION)
    registry = Registry(artifacts, "b")
    registry.move("challenger", VERSION, reason="x")
    other = kept(artifacts, OTHER, data="e")
    waiting = judged(artifacts, "pass", report="to be approved")
    registry.wait("champion", OTHER, expected=None, judgement=str(waiting), report="r", reason="y")
    report = gc(artifacts)
    for ref in (record.ref, other.ref, waiting):
        assert why(report, ref) == "kept: needed by an alias or an approval of book b"


def test_artifacts_of_versions_nobody_named_go_if_asked_and_the_versions_stay(artifacts: Path) -> None:
    first = kept(artifacts, VERSION)
    Registry(artifacts, "b").move("champion", VERSION, reason="x")
    second = kept(artifacts, OTHER, data="e")
    Registry(artifacts, "b").move("champion", OTHER, reason="x")
    third = kept(artifacts, "a" * 12, data="f")
    report = gc(artifacts, RetentionPolicy.of(0, versions="named"))
    assert (Store(artifacts).has(first.ref), Store(artifacts).has(second.ref)) == (True, True), "named"
    assert why(report, third.ref) == "removed: not in use"
    assert len(refs(artifacts)) == 10
    from tasks.models import find_model

    assert find_model(Store(artifacts), "a" * 12, "b").read_text() == f"weights of {'a' * 12}"


def test_artifacts_of_a_version_without_a_whole_folder_stay(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    there = refs(artifacts)
    (artifacts / "books" / "b" / "versions" / VERSION / "training.json").unlink()
    gc(artifacts, RetentionPolicy.of(0, versions="named"))
    assert refs(artifacts) == there
    (artifacts / "books" / "b" / "versions" / VERSION / "version.json").unlink()
    gc(artifacts, RetentionPolicy.of(0, versions="named"))
    assert refs(artifacts) == there


def test_what_was_used_lately_stays_with_its_parents(artifacts: Path) -> None:
    parent = publish(artifacts, "ingest", {"dataset.json": "{}"})
    child = publish(artifacts, "features", {"a.txt": "x"}, inputs={"dataset": content(artifacts, parent)})
    old = publish(artifacts, "ingest", {"dataset.json": "[]"})
    for ref in (parent, child, old):
        age(artifacts, ref, 31)
    Store(artifacts).local(child)  # found, and so used, now
    report = gc(artifacts, RetentionPolicy())
    assert why(report, child) == "kept: used in the last 30 days"
    assert why(report, parent) == "kept: needed by what is kept"
    assert why(report, old) == "removed: not used for 30 days"


def test_what_is_named_in_a_json_file_or_by_its_weights_is_a_parent(artifacts: Path) -> None:
    model = trained(artifacts)
    weights = next(e.sha256 for e in Store(artifacts).manifest(model).files if e.path.endswith("tensors"))
    began = publish(artifacts, "train", {"a.txt": "x"}, inputs={"start_from": weights})
    joined = publish(artifacts, "walk-forward", {"walk_forward.json": json.dumps({"model": str(began)})})
    unrelated = publish(artifacts, "train", {"a.txt": "y"})
    for ref in (*(Ref.parse(name) for name in refs(artifacts)),):
        age(artifacts, ref, 31)
    Store(artifacts).local(joined)
    gc(artifacts, RetentionPolicy())
    left = refs(artifacts)
    assert {str(joined), str(began), str(model)} <= left
    assert str(unrelated) not in left


def test_a_registry_that_cannot_be_read_stops_it_before_anything_goes(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    (artifacts / "books" / "b" / "registry.json").write_text('{"format": 9}')
    before = refs(artifacts)
    with pytest.raises(ArtifactError, match="has format 9, this one reads 1 and 2"):
        gc(artifacts)
    assert refs(artifacts) == before


def test_a_folder_of_a_version_that_another_program_wrote_stops_it(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    path = artifacts / "books" / "b" / "versions" / VERSION / "version.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    before = refs(artifacts)
    with pytest.raises(ArtifactError, match=r"version\.json was written by another version of carryflow"):
        gc(artifacts)
    assert refs(artifacts) == before


def test_what_another_version_of_the_program_wrote_stays_with_its_parents(artifacts: Path) -> None:
    parent = publish(artifacts, "ingest", {"dataset.json": "{}"})
    child = publish(artifacts, "features", {"a.txt": "x"}, inputs={"dataset": content(artifacts, parent)})
    path = Store(artifacts).path(child) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 3}))
    report = gc(artifacts)
    assert why(report, child) == "kept: needed by another version of carryflow, which wrote it"
    assert why(report, parent) == "kept: needed by what is kept"


def test_a_damaged_artifact_goes_like_any_other(artifacts: Path) -> None:
    ref = publish(artifacts, "ingest", {"dataset.json": "{}"})
    (Store(artifacts).path(ref) / "manifest.json").write_text("{")
    assert why(gc(artifacts, RetentionPolicy()), ref).startswith("kept: used in the last")
    assert why(gc(artifacts), ref) == "removed: damaged, not in use"


def test_a_dry_run_tells_the_same_and_changes_nothing(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    publish(artifacts, "features", {"a.txt": "x"})
    (Store(artifacts).workdir("f" * 64) / "state").write_text("x")
    (artifacts / "reports" / "b" / "old").mkdir(parents=True)
    leases.let_go(artifacts)
    before = everything(artifacts)
    told = gc(artifacts, dry_run=True)
    assert everything(artifacts) == before
    done = gc(artifacts)
    assert [item for item in told.items if item.what != "marks and locks"] == [
        item for item in done.items if item.what != "marks and locks"
    ]
    assert {"store/features", "work", "reports"} <= {i.what for i in done.items if i.fate == "removed"}


def test_books_are_never_touched(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    Ledger(artifacts, "b").append("trial", artifact="train/" + "0" * 64)
    (artifacts / "books" / "b" / "paper").mkdir()
    (artifacts / "books" / "b" / "paper" / "state.json").write_text("{}")
    before = everything(artifacts / "books")
    gc(artifacts, RetentionPolicy.of(0, versions="named"))
    assert everything(artifacts / "books") == before


def test_what_was_collected_is_made_again_without_a_warning(
    artifacts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def compute(folder: Path) -> None:
        (folder / "a.txt").write_text("x")

    logging.getLogger("carryflow").propagate = True
    store = Store(artifacts)
    first = run_cached(store, "step", inputs={}, compute=compute, **QUESTION)
    gc(artifacts)
    assert not store.has(first.ref)
    again = run_cached(store, "step", inputs={}, compute=compute, **QUESTION)
    assert (again.ref, again.hit, caplog.text) == (first.ref, False, "")


def test_an_artifact_whose_key_is_locked_stays(artifacts: Path) -> None:
    ref = publish(artifacts, "features", {"a.txt": "x"})
    with hold(Store(artifacts).lock_path(ref)):
        assert why(gc(artifacts, dry_run=True), ref) == "kept: needed by a process that is making it"
        assert why(gc(artifacts), ref) == "kept: needed by a process that is making it"
    assert why(gc(artifacts), ref) == "removed: not in use"


def test_resume_state_stays_while_it_is_young_or_in_use(artifacts: Path) -> None:
    store = Store(artifacts)
    key, other = "a" * 64, "b" * 64
    for one in (key, other):
        (store.workdir(one) / "resume").write_text("x")
    with hold(store.lock_path(Ref(step="train", key=key))):
        gc(artifacts, RetentionPolicy())
        assert (store.root / "work" / other).exists()
        gc(artifacts)
        assert ((store.root / "work" / key).exists(), (store.root / "work" / other).exists()) == (True, False)
    gc(artifacts)
    assert not (store.root / "work" / key).exists()


def test_resume_state_of_a_finished_artifact_goes_at_any_age(artifacts: Path) -> None:
    ref = publish(artifacts, "train", {"a.txt": "x"})
    folder = Store(artifacts).workdir(ref.key)
    report = gc(artifacts, RetentionPolicy())
    assert not folder.exists()
    assert "its artifact is finished" in {item.why for item in report.items}


def test_reports_go_by_age_but_for_versions_under_an_alias(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    Registry(artifacts, "b").move("champion", VERSION, reason="x")
    for name in (VERSION, f"{VERSION}-20250101T00-20250102T00-all", OTHER, "walk-forward-1"):
        (artifacts / "reports" / "b" / name).mkdir(parents=True)
        (artifacts / "reports" / "b" / name / "report.html").write_text("x")
    gc(artifacts, RetentionPolicy())
    assert len(list((artifacts / "reports" / "b").iterdir())) == 4
    gc(artifacts)
    left = sorted(path.name for path in (artifacts / "reports" / "b").iterdir())
    assert left == [VERSION, f"{VERSION}-20250101T00-20250102T00-all"]


def test_a_quarantine_lives_as_long_as_its_data_set(artifacts: Path) -> None:
    ref = publish(artifacts, "ingest", {"dataset.json": "{}", "quarantine.parquet": b"12345"})
    young, old = gc(artifacts, RetentionPolicy()), gc(artifacts)
    for report, fate in ((young, "kept"), (old, "removed")):
        [row] = [row for row in report.rows if row.what == "quarantine"]
        assert (row.fate, row.count, row.bytes) == (fate, 1, 5)
    assert not Store(artifacts).has(ref)


def test_a_file_that_a_book_keeps_frees_nothing(artifacts: Path) -> None:
    kept(artifacts, VERSION)
    report = gc(artifacts, RetentionPolicy.of(0, versions="named"))
    [train] = [item for item in report.items if item.what == "store/train"]
    manifest = 2_500  # all that is not linked
    assert train.fate == "removed" and 0 < train.bytes < manifest


def test_marks_of_what_is_long_gone_and_leftovers_of_the_dead_are_removed(artifacts: Path) -> None:
    store = Store(artifacts)
    ref = publish(artifacts, "features", {"a.txt": "x"})
    lock = store.lock_path(ref)
    lock.parent.mkdir(parents=True)
    lock.write_text("{}")
    dead = artifacts / "work" / "leases" / "999999-abcdef01"
    dead.write_text(f"{ref}\n")
    (artifacts / "store" / ".tmp-1-dead").mkdir()
    (artifacts / "work" / ".tmp-1-dead").mkdir()
    report = gc(artifacts)
    assert why(report, ref) == "removed: not in use", "a lease dies with its process"
    assert not any(path.exists() for path in (lock, dead, store._marker(ref)))
    assert list(artifacts.glob("*/.tmp-*")) == []


def test_two_collections_at_once_are_one_and_a_refusal(artifacts: Path) -> None:
    publish(artifacts, "features", {"a.txt": "x"})
    with hold(artifacts / "work" / "gc.lock", purpose="gc"), pytest.raises(LockBusy, match="in use by"):
        gc(artifacts)


def test_a_root_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        collect(tmp_path / "nowhere", RetentionPolicy())


def test_backtests_of_a_version_that_lost_its_folder_are_found_by_its_name(
    artifacts: Path,
) -> None:
    kept(artifacts, VERSION)
    later = backtested(artifacts, VERSION, day=20)
    verdict = judged(artifacts, "pass", tested=later, report="later")
    stray = backtested(artifacts, OTHER)
    (artifacts / "books" / "b" / "versions" / VERSION / "version.json").unlink()
    gc(artifacts)
    left = refs(artifacts)
    assert {str(later), str(verdict)} <= left
    assert str(stray) not in left
    assert str(prepared(artifacts)) in left
