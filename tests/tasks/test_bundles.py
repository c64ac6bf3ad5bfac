"""A registered version needs no store: it is kept whole in its book, and says so when it is not."""

from __future__ import annotations

import logging
import os
import shutil
import textwrap
from pathlib import Path

import pytest

from schemas.checkpoint import BEST_MODEL
from schemas.errors import ArtifactError
from tasks.bundles import BundleDamaged, BundleMissing, Bundles
from tasks.models import find_model
from tasks.readiness import _disk
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import VERSION, backtested, content, judged, kept, prepared, trained

WEIGHTS = f"weights of {VERSION}"


@pytest.fixture
def bundles(artifacts: Path) -> Bundles:
    """A book that keeps one version."""
    kept(artifacts, VERSION)
    return Bundles(artifacts, "b")


def files(folder: Path) -> dict[str, int]:
    return {p.relative_to(folder).as_posix(): p.stat().st_ino for p in folder.rglob("*") if p.is_file()}


def judge_again(root: Path, report: str) -> None:
    tested = backtested(root)
    verdict = judged(root, "pass", tested=tested, report=report)
    Bundles(root, "b").write(Store(root), VERSION, trained(root), tested, verdict)


def test_a_version_is_kept_with_all_that_explains_it(bundles: Bundles) -> None:
    bundle = bundles.verify(VERSION)
    folder = bundles.folder(VERSION)
    evidence = [
        f"{bundle.evidence}/{name}" for name in ("backtest.json", "gates.json", "made", "report.html")
    ]
    assert sorted(files(folder)) == sorted([BEST_MODEL, "training.json", "version.json", *evidence])
    assert {entry.path for entry in bundle.files} == set(files(folder)) - {"version.json"}
    assert bundles.local(VERSION).read_text() == WEIGHTS
    assert bundles.local(VERSION, "gates.json").parent == folder / bundle.evidence


def test_its_way_from_the_data_is_told_by_hashes_and_fingerprints(bundles: Bundles, artifacts: Path) -> None:
    origins = bundles.read(VERSION).origins
    assert list(origins) == ["ingest", "features", "train", "backtest", "audit", "judgement"]
    features = prepared(artifacts)
    assert origins["features"].content == content(artifacts, features)
    known = {step: one.manifest for step, one in origins.items()}
    assert known["train"].inputs == {"features": origins["features"].content}
    assert known["features"].inputs == {"dataset": origins["ingest"].content}
    assert known["ingest"].inputs == {"opportunities.csv": "raw d"}
    assert (known["train"].code, known["ingest"].code) == ("code of train", "code of ingest")
    assert known["train"].params["training"]["seed"] == 3
    assert (origins["audit"].content, known["audit"]) == ("an audit", None)  # it is not in the store


def test_the_store_may_be_deleted(bundles: Bundles, artifacts: Path) -> None:
    Registry(artifacts, "b").move("champion", VERSION, reason="x")
    shutil.rmtree(artifacts / "store")
    for name in (VERSION, VERSION[:4], "champion"):
        assert find_model(Store(artifacts), name, "b").read_text() == WEIGHTS
    bundles.verify(VERSION)


def test_files_take_no_room_twice(bundles: Bundles, artifacts: Path) -> None:
    stored = Store(artifacts).path(trained(artifacts)) / BEST_MODEL
    assert bundles.local(VERSION).stat().st_ino == stored.stat().st_ino


def test_where_a_disk_knows_no_links_files_are_copied(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*words: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(os, "link", link)
    kept(artifacts, VERSION)
    found = Bundles(artifacts, "b")
    found.verify(VERSION)
    stored = Store(artifacts).path(trained(artifacts)) / BEST_MODEL
    assert found.local(VERSION).stat().st_ino != stored.stat().st_ino


def test_keeping_it_again_changes_nothing(bundles: Bundles, artifacts: Path) -> None:
    before = files(bundles.folder(VERSION))
    kept(artifacts, VERSION)
    assert files(bundles.folder(VERSION)) == before


def test_a_later_judgement_replaces_the_earlier_and_not_the_weights(
    bundles: Bundles, artifacts: Path
) -> None:
    before = files(bundles.folder(VERSION))
    judge_again(artifacts, "a later one")
    after = files(bundles.folder(VERSION))
    assert after[BEST_MODEL] == before[BEST_MODEL]
    assert len(after) == len(before)
    assert bundles.local(VERSION, "report.html").read_text() == "<p>a later one</p>"
    assert (artifacts / bundles.report(VERSION)).read_text() == "<p>a later one</p>"


def test_a_report_that_awaits_a_reader_stays(bundles: Bundles, artifacts: Path) -> None:
    first = bundles.report(VERSION)
    tested = backtested(artifacts)
    verdict = judged(artifacts, "pass", tested=tested, report="later")
    bundles.write(Store(artifacts), VERSION, trained(artifacts), tested, verdict, referred=[first])
    assert (artifacts / first).is_file()
    assert bundles.report(VERSION) != first


def alter(path: Path) -> None:
    text = path.read_text()
    path.unlink()  # the store's own file has another name and stays as it is
    path.write_text(text.replace("w", "v", 1) if "w" in text else text + " ")


DAMAGES = {
    "an altered checkpoint": (lambda f: alter(f / BEST_MODEL), f"{BEST_MODEL} was altered."),
    "a deleted checkpoint": (lambda f: (f / BEST_MODEL).unlink(), f"{BEST_MODEL} is missing."),
    "an altered list": (lambda f: alter(f / "version.json"), "version.json was altered."),
    "an emptied list": (lambda f: (f / "version.json").write_text(""), "version.json was altered."),
    "a deleted list": (lambda f: (f / "version.json").unlink(), "has no version.json any more."),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_said_and_the_stores_copy_is_used_while_there_is_one(
    bundles: Bundles, artifacts: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    act, words = DAMAGES[damage]
    act(bundles.folder(VERSION))
    with pytest.raises(BundleDamaged) as told:
        bundles.local(VERSION)
    assert told.value.what == words
    assert told.value.where == f"version {VERSION} of book b"
    logging.getLogger("carryflow").propagate = True
    assert find_model(Store(artifacts), VERSION, "b").read_text() == WEIGHTS
    assert f"{words} Its training artifact is whole and used instead." in caplog.text
    shutil.rmtree(artifacts / "store")
    with pytest.raises(ArtifactError) as gone:
        find_model(Store(artifacts), VERSION, "b")
    assert words.rstrip(".") in str(gone.value) and "was deleted" in str(gone.value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_keeping_it_again_mends_it(bundles: Bundles, artifacts: Path, damage: str) -> None:
    DAMAGES[damage][0](bundles.folder(VERSION))
    kept(artifacts, VERSION)
    bundles.verify(VERSION)
    assert bundles.local(VERSION).read_text() == WEIGHTS


def test_an_altered_report_does_not_stop_the_weights_from_being_used(bundles: Bundles) -> None:
    alter(bundles.local(VERSION, "report.html"))
    assert bundles.local(VERSION).read_text() == WEIGHTS
    with pytest.raises(BundleDamaged, match=r"judgement-[0-9a-f]{12}/report\.html was altered"):
        bundles.verify(VERSION)


def test_the_folder_of_another_version_is_not_taken_for_it(bundles: Bundles) -> None:
    shutil.copytree(bundles.folder(VERSION), bundles.folder("ffffffffffff"))
    with pytest.raises(BundleDamaged, match="was altered"):
        bundles.local("ffffffffffff")


def test_what_was_never_kept_is_missing_and_the_store_answers(artifacts: Path) -> None:
    record = kept(artifacts, VERSION)
    shutil.rmtree(artifacts / "books" / "b" / "versions")
    with pytest.raises(BundleMissing, match="no folder"):
        Bundles(artifacts, "b").local(VERSION)
    assert find_model(Store(artifacts), VERSION, "b") == Store(artifacts).path(record.ref) / BEST_MODEL


def test_an_altered_artifact_is_not_kept(artifacts: Path) -> None:
    model, tested = trained(artifacts), backtested(artifacts)
    verdict = judged(artifacts, "pass", tested=tested)
    (Store(artifacts).path(verdict) / "report.html").write_text("a better one")
    with pytest.raises(ArtifactError, match=r"report\.html has changed"):
        Bundles(artifacts, "b").write(Store(artifacts), VERSION, model, tested, verdict)
    assert not Bundles(artifacts, "b").folder(VERSION).exists()


@pytest.mark.parametrize("again", [False, True])
def test_killed_at_any_moment_the_old_is_whole_or_the_new(
    artifacts: Path, start, output, kill_at_every_moment, again: bool
) -> None:
    script = f"""
    from pathlib import Path
    from tasks.bundles import BundleMissing, Bundles
    from tasks.store import Store
    from tests.tasks.made import VERSION, backtested, judged, kept, trained
    import shutil

    root, again = Path(sys.argv[1]), {again}
    bundles, store = Bundles(root, "b"), Store(root)
    model, tested = trained(root), backtested(root)
    new = judged(root, "pass", tested=tested, report="new")
    start = root / "start"
    if again:
        kept(root, VERSION)
        shutil.copytree(bundles.folder(VERSION), start)
    seen = set()

    def work():
        bundles.write(store, VERSION, model, tested, new)

    def check():
        try:
            bundles.verify(VERSION)
            seen.add(bundles.local(VERSION, "report.html").read_text())
        except BundleMissing:
            seen.add("none")
        except Exception as error:
            assert not again and "has no version.json any more" in str(error), error
        work()  # the next run mends what was left
        bundles.verify(VERSION)
        left = {{path.name for path in bundles.folder(VERSION).iterdir()}}
        assert len(left) == 4, left
        shutil.rmtree(bundles.folder(VERSION))
        if again:
            shutil.copytree(start, bundles.folder(VERSION))

    killed = every_moment(work, check)
    print(killed > 25, sorted(seen))
    """
    printed = output(start(kill_at_every_moment + textwrap.dedent(script), artifacts))
    old = f"<p>{VERSION}</p>" if again else "none"
    assert printed == f"True {sorted([old, '<p>new</p>'])}"


def test_a_file_of_two_names_counts_once_in_the_report_on_the_disk(bundles: Bundles, artifacts: Path) -> None:
    big = Store(artifacts).path(trained(artifacts)) / "training.json"
    for name in (big, bundles.local(VERSION, "training.json")):
        os.truncate(name, 3_000_000)
    found = _disk(artifacts)
    assert (found["store"] >= 3.0, found["books"]) == (True, 0.0)
