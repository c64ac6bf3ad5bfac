"""A collection beside living processes: what they were handed stays, and a kill leaves all of it whole."""

from __future__ import annotations

import shutil
import signal
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from schemas.retention import RetentionPolicy
from tasks import leases, reachable
from tasks.gc import collect
from tasks.locks import hold, try_lock
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import OTHER, VERSION, content, kept, publish
from tests.tasks.test_gc import NOTHING_IS_YOUNG, gc, refs, why

READER = """
import sys, time
from pathlib import Path
from schemas.manifest import Ref
from tasks.store import Store
store = Store(Path(sys.argv[1]))
found = store.local(Ref.parse(sys.argv[2]))
Path(sys.argv[3]).touch()
time.sleep(60)
"""


def test_what_a_living_process_was_handed_stays_until_it_dies(
    artifacts: Path, tmp_path: Path, start, wait_for
) -> None:
    parent = publish(artifacts, "ingest", {"dataset.json": "{}"})
    child = publish(artifacts, "features", {"a.txt": "x"}, inputs={"dataset": content(artifacts, parent)})
    reader = start(READER, artifacts, child, tmp_path / "ready")
    wait_for(tmp_path / "ready")
    report = gc(artifacts)
    assert why(report, child) == "kept: needed by a running process"
    assert why(report, parent) == "kept: needed by what is kept"
    reader.send_signal(signal.SIGKILL)
    reader.wait()
    gc(artifacts)
    assert refs(artifacts) == set()


def test_a_process_that_begins_clears_away_what_killed_ones_left(artifacts: Path) -> None:
    ref = publish(artifacts, "features", {"a.txt": "x"})
    leases.let_go(artifacts)
    dead = artifacts / "work" / "leases" / "999999-abcdef01"
    dead.write_text("features/" + "0" * 64)
    Store(artifacts).local(ref)
    assert not dead.exists() and leases.held(artifacts) == {str(ref)}


def test_where_nothing_can_be_written_artifacts_are_read_all_the_same(artifacts: Path) -> None:
    ref = publish(artifacts, "features", {"a.txt": "x"})
    leases.let_go(artifacts)
    folder = artifacts / "work" / "leases"
    shutil.rmtree(folder)
    folder.write_text("in the way")
    assert (Store(artifacts).local(ref) / "a.txt").read_text() == "x"


def test_a_forked_child_says_itself_what_it_uses(artifacts: Path, start, output) -> None:
    script = """
    import os, sys, time
    from pathlib import Path
    from schemas.manifest import Ref
    from tasks import leases
    from tasks.store import Store
    root = Path(sys.argv[1])
    Store(root).local(Ref.parse(sys.argv[2]))
    child = os.fork()
    if child == 0:
        Store(root).local(Ref.parse(sys.argv[3]))
        leases.let_go(root)
        os._exit(0)
    os.waitpid(child, 0)
    print(sorted(leases.held(root)) == [sys.argv[2]])
    """
    one, two = publish(artifacts, "features", {"a.txt": "x"}), publish(artifacts, "features", {"a.txt": "y"})
    leases.let_go(artifacts)
    assert output(start(script, artifacts, one, two)) == "True"


RUN = """
import sys, time
from pathlib import Path
from tasks import leases, reachable
from tasks.cache import run_cached
from tasks.store import Store

root, mine = Path(sys.argv[1]), sys.argv[2]
store, made = Store(root), 0

def compute(folder):
    for name in range(5):
        (folder / f"{name}.txt").write_text(str(name) * 1000)

while made < 12:  # so often was something collected beside it
    found = [
        run_cached(store, "step", modules=("tasks.locks",), inputs={}, params={"n": n}, compute=compute)
        for n in (mine, mine + mine, "everybody's")
    ]
    made += sum(not one.hit for one in found)
    time.sleep(0.002)
    for one in found:
        store.local(one.ref)
        assert [(one.path / f"{name}.txt").read_text() for name in range(5)] == [c * 1000 for c in "01234"]
    leases.let_go(root)
"""
COLLECT = """
import sys, time
from pathlib import Path
from schemas.retention import RetentionPolicy
from tasks.gc import collect
root, enough = Path(sys.argv[1]), Path(sys.argv[2])
while not enough.exists():
    collect(root, RetentionPolicy.of(0))
"""


def test_runs_that_go_on_beside_a_collection_never_miss_what_they_were_handed(
    artifacts: Path, tmp_path: Path, start, output
) -> None:
    (artifacts / "store").mkdir(parents=True)
    runs = [start(RUN, artifacts, name) for name in ("a", "b")]
    collector = start(COLLECT, artifacts, tmp_path / "enough")
    for run in runs:
        _, errors = run.communicate(timeout=240)
        assert run.returncode == 0, errors
    (tmp_path / "enough").touch()
    output(collector)


def test_an_artifact_found_after_it_was_looked_at_and_before_it_goes_stays(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = publish(artifacts, "features", {"a.txt": "x"})

    @contextmanager
    def hold_while_a_run_finds_it(path: Path, **how: Any) -> Iterator[None]:
        with hold(path, **how):
            if path == Store(artifacts).lock_path(ref):
                Store(artifacts).local(ref)
            yield

    leases.let_go(artifacts)
    monkeypatch.setattr("tasks.gc.hold", hold_while_a_run_finds_it)
    assert why(collect(artifacts, NOTHING_IS_YOUNG), ref) == "kept: needed by a running process"
    assert (Store(artifacts).local(ref) / "a.txt").read_text() == "x"


def test_what_is_let_go_and_taken_again_while_roots_are_gathered_stays_needed(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ref = Store(artifacts), publish(artifacts, "features", {"a.txt": "x"})
    real = reachable._moment

    def and_then_it_is_let_go(store: Store) -> Any:
        found = real(store)
        leases.let_go(artifacts)
        return found

    monkeypatch.setattr(reachable, "_moment", and_then_it_is_let_go)
    needed = reachable.Needed(store, reachable.survey(store), NOTHING_IS_YOUNG)
    monkeypatch.setattr(reachable, "_moment", real)
    store.local(ref)
    assert needed.why(ref) == "needed by a running process"


def test_what_a_registry_comes_to_name_during_a_collection_is_needed(artifacts: Path) -> None:
    record = kept(artifacts, VERSION)
    other = kept(artifacts, OTHER, data="e")
    named = RetentionPolicy.of(0, versions="named")
    store = Store(artifacts)
    leases.let_go(artifacts)
    needed = reachable.Needed(store, reachable.survey(store), named)
    assert (needed.why(record.ref), needed.why(other.ref)) == (None, None)
    Registry(artifacts, "b").move("champion", OTHER, reason="meanwhile")
    assert needed.why(other.ref) == "needed by an alias or an approval of book b"
    assert needed.why(record.ref) is None


def test_a_process_whose_new_file_is_just_being_looked_at_says_what_it_uses_all_the_same(
    artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[Path] = []

    def at_first_in_vain(path: Path) -> int | None:
        tries.append(path)
        path.touch()
        return try_lock(path) if len(tries) > 1 else None

    monkeypatch.setattr(leases, "try_lock", at_first_in_vain)
    ref = publish(artifacts, "features", {"a.txt": "x"})
    assert leases.held(artifacts) == {str(ref)}
    assert leases.left(artifacts) == [] and len(tries) == 2


def test_killed_at_any_moment_every_artifact_is_whole_or_gone(
    artifacts: Path, start, output, kill_at_every_moment
) -> None:
    script = """
    import shutil, sys
    from pathlib import Path
    from schemas.manifest import Ref
    from schemas.retention import RetentionPolicy
    from tasks import leases
    from tasks.gc import collect
    from tasks.store import Store
    from tests.tasks.made import publish

    root = Path(sys.argv[1])
    store, key = Store(root), Path("f" * 64)
    needed = publish(root, "ingest", {"a.txt": "needed"})  # and this process goes on using it
    seen = set()

    def prepare():
        orphan = publish(root, "features", {"a.txt": "x", "b.txt": "y"})
        leases.let_go(root)
        store.local(needed)
        for folder in (root / "work" / key, root / "reports" / "b" / "old"):
            folder.mkdir(parents=True)
            (folder / "file").write_text("x")
        return orphan

    def work():
        collect(root, RetentionPolicy.of(0))

    orphan = prepare()

    def check():
        there = set(store.refs())
        assert needed in there and there <= {needed, orphan}, there
        for ref in there:
            store.verify(ref)
        seen.add(len(there))
        leases.let_go(root)
        store.local(needed)
        work()
        assert store.refs() == [needed]
        left = [*root.rglob(".tmp-*"), *root.glob("reports/b/*"), *root.glob("work/f*")]
        assert not left, left
        prepare()

    killed = every_moment(work, check)
    print(killed > 15, sorted(seen))
    """
    printed = output(start(kill_at_every_moment + textwrap.dedent(script), artifacts))
    assert printed == "True [1, 2]"
