"""A step is computed once for each question, whatever happens to the process that computes it."""

from __future__ import annotations

import logging
import shutil
import signal
import subprocess
import textwrap

import numpy as np
import pytest

from schemas.manifest import Ref
from tasks import cache
from tasks.cache import Cached, Partial, cache_key, lookup, run_cached
from tasks.locks import try_lock, unlock
from tasks.store import ArtifactMissing

MODULES = ("tasks.locks",)  # any module does for a shell
QUESTION = {"modules": MODULES, "inputs": {"data": "ab"}, "params": {"x": 1}}

WORKER = """
import sys, time
from pathlib import Path
from tasks.cache import run_cached
from tasks.store import Store

def compute(folder):
    (folder / "half.txt").write_text("half")
    Path(sys.argv[2]).touch()
    time.sleep(float(sys.argv[3]))
    (folder / "half.txt").rename(folder / "a.txt")
    return {"by": sys.argv[4]}

found = run_cached(
    Store(Path(sys.argv[1])), "step", modules=("tasks.locks",), inputs={"data": "ab"}, params={"x": 1},
    compute=compute,
)
print(found.hit, found.manifest.summary["by"], sorted(p.name for p in found.path.iterdir()))
"""


class Computer:
    """Counts how often it computes."""

    def __init__(self, text: str = "result") -> None:
        self.text, self.times = text, 0

    def __call__(self, folder):
        self.times += 1
        (folder / "a.txt").write_text(self.text)
        return {"times": self.times}


def ask(store, compute, **changes) -> Cached:
    return run_cached(store, changes.pop("step", "step"), **{**QUESTION, **changes}, compute=compute)


def warnings(caplog) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "carryflow" and r.levelno == logging.WARNING]


def test_the_second_time_is_a_hit(store, caplog):
    compute = Computer()
    first, second = ask(store, compute), ask(store, compute)
    assert (first.hit, second.hit, compute.times) == (False, True, 1)
    assert (first.ref, first.path, first.manifest) == (second.ref, second.path, second.manifest)
    assert (second.path / "a.txt").read_text() == "result"
    assert second.manifest.summary == {"times": 1}
    assert not second.partial
    assert warnings(caplog) == []


def test_the_manifest_says_what_made_it(store):
    found = ask(store, Computer(), params={"windows": ("a", "b"), "rate": 3e-4})
    assert found.manifest.inputs == {"data": "ab"}
    assert found.manifest.params == {"windows": ["a", "b"], "rate": 3e-4}
    assert set(found.manifest.versions) == {"python", "numpy", "pandas", "pyarrow", "pandera", "torch"}
    assert (
        found.manifest.key
        == found.ref.key
        == cache_key("step", modules=MODULES, inputs={"data": "ab"}, params=found.manifest.params)
    )


@pytest.mark.parametrize(
    "change",
    [
        {"step": "other"},
        {"inputs": {"data": "cd"}},
        {"inputs": {"data": "ab", "history": "ef"}},
        {"params": {"x": 2}},
        {"params": {"x": 1, "y": None}},
        {"modules": ("tasks.files",)},
    ],
)
def test_any_part_of_the_question_is_part_of_the_key(store, change):
    compute = Computer()
    ask(store, compute)
    other = ask(store, compute, **change)
    assert not other.hit
    assert other.ref.key != ask(store, compute).ref.key
    assert ask(store, compute).hit


def test_a_library_or_an_edited_helper_is_part_of_the_key(store, monkeypatch):
    compute = Computer()
    ask(store, compute)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "versions", lambda: {"numpy": "3"})
        assert not ask(store, compute).hit
    with monkeypatch.context() as patch:
        patch.setattr(cache, "code_fingerprint", lambda *modules: "edited")
        assert not ask(store, compute).hit
    assert ask(store, compute).hit


def test_the_order_of_names_is_not_part_of_the_key():
    a = cache_key("step", modules=MODULES, inputs={"a": "1", "b": "2"}, params={"x": {"c": 1, "d": 2}})
    b = cache_key("step", modules=MODULES, inputs={"b": "2", "a": "1"}, params={"x": {"d": 2, "c": 1}})
    assert a == b


@pytest.mark.parametrize("params", [{"x": float("nan")}, {"x": {1, 2}}, {"provisional": 1}])
def test_parameters_without_one_json_form_are_refused_before_computing(store, params):
    compute = Computer()
    with pytest.raises((TypeError, ValueError)):
        ask(store, compute, params=params)
    assert compute.times == 0


def test_a_hit_waits_for_nobody(store):
    made = ask(store, Computer())
    held = try_lock(store.lock_path(made.ref))
    assert held is not None
    try:
        assert ask(store, Computer()).hit
    finally:
        unlock(held)


def test_lookup_never_computes(store):
    assert lookup(store, "step", **QUESTION) is None
    made = ask(store, Computer())
    found = lookup(store, "step", **QUESTION)
    assert found is not None
    assert (found.ref, found.hit) == (made.ref, True)
    (made.path / "a.txt").write_text("altered")
    assert lookup(store, "step", **QUESTION) is None


DAMAGES = {
    "altered byte": lambda path: (path / "a.txt").write_text("Result"),
    "deleted file": lambda path: (path / "a.txt").unlink(),
    "deleted manifest": lambda path: (path / "manifest.json").unlink(),
    "altered manifest": lambda path: (path / "manifest.json").write_text("{}"),
    "deleted folder": lambda path: shutil.rmtree(path),
    "deleted store": lambda path: shutil.rmtree(path.parents[1]),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_artifact_is_rebuilt_with_one_warning(store, caplog, damage):
    compute = Computer()
    made = ask(store, compute)
    DAMAGES[damage](made.path)
    again = ask(store, compute)
    assert (again.hit, again.ref, compute.times) == (False, made.ref, 2)
    assert (store.local(made.ref) / "a.txt").read_text() == "result"
    assert len(warnings(caplog)) == 1
    assert warnings(caplog)[0].startswith(f"artifact {made.ref} was altered or deleted: rebuilding")
    assert ask(store, compute).hit


def test_a_computation_that_raises_publishes_nothing(store):
    def fail(folder):
        (folder / "half").write_text("half")
        raise SystemExit(143)  # what a cancelled run looks like: no Exception

    with pytest.raises(SystemExit):
        ask(store, fail)
    assert store.refs() == []
    assert list(store.folder.glob(".tmp-*")) == []
    assert not ask(store, Computer()).hit


def test_a_summary_that_json_cannot_hold_does_not_lose_the_work(store):
    def compute(folder):
        return {"sharpe": float("nan"), "path": folder, "pair": (1, 2), "rows": np.int64(3), "what": object()}

    found = ask(store, compute)
    assert found.manifest.summary["sharpe"] is None
    assert (found.manifest.summary["pair"], found.manifest.summary["rows"]) == ([1, 2], 3)
    assert ask(store, compute).hit


def test_a_cut_run_never_answers_for_the_whole(store):
    key = cache_key("step", **QUESTION)
    (store.workdir(key) / "state").write_text("7 updates")

    def cut(folder):
        (folder / "a.txt").write_text("so far")
        return Partial(reached=7, summary={"episodes": 70})

    first = ask(store, cut)
    assert (first.partial, first.hit, first.manifest.summary) == (True, False, {"episodes": 70})
    assert first.ref.key != key
    assert first.manifest.params["provisional"] == {"of": key, "reached": 7}
    assert (store.workdir(key) / "state").exists()  # asking again goes on from there
    assert lookup(store, "step", **QUESTION) is None
    assert ask(store, cut).ref == first.ref
    whole = ask(store, Computer())
    assert (whole.hit, whole.partial, whole.ref.key) == (False, False, key)
    assert ask(store, cut).hit
    assert store.local(first.ref).exists()


def test_resume_state_goes_when_the_whole_is_there(store):
    key = cache_key("step", **QUESTION)
    folder = store.workdir(key)
    ask(store, Computer())
    assert not folder.exists()


def test_a_result_made_while_its_code_was_edited_serves_one_run(store, caplog, monkeypatch):
    compute = Computer()
    with monkeypatch.context() as patch:
        patch.setattr(cache, "edited_since", lambda *modules: ["rl/policy.py"])
        mixed = ask(store, compute)
    assert (mixed.path / "a.txt").read_text() == "result"
    assert not mixed.partial
    assert warnings(caplog) == [
        "rl/policy.py was edited while the step was running: the result serves this run only"
    ]
    again = ask(store, compute)
    assert (again.hit, compute.times) == (False, 2)
    assert again.ref != mixed.ref


def test_a_run_killed_while_computing_leaves_nothing_and_the_next_succeeds(
    store, start, output, wait_for, tmp_path
):
    ready = tmp_path / "ready"
    killed = start(WORKER, store.root, ready, 60, "killed")
    wait_for(ready)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert store.refs() == []
    with pytest.raises(ArtifactMissing):
        store.local(Ref(step="step", key=cache_key("step", **QUESTION)))
    assert output(start(WORKER, store.root, ready, 0, "next")) == "False next ['a.txt', 'manifest.json']"
    assert list(store.folder.glob(".tmp-*")) == []
    assert list((store.root / "work" / "locks").iterdir()) == []


def test_two_runs_at_once_compute_once(store, start, output, wait_for, tmp_path):
    one = start(WORKER, store.root, tmp_path / "one", 0.5, "one")
    two = start(WORKER, store.root, tmp_path / "two", 0.5, "two")
    printed = sorted([output(one), output(two)])
    winner = "one" if "one" in printed[0] else "two"
    assert printed == [f"{hit} {winner} ['a.txt', 'manifest.json']" for hit in (False, True)]
    assert [name for name in ("one", "two") if (tmp_path / name).exists()] == [winner]
    assert len(store.refs()) == 1


def test_a_killed_run_hands_over_to_the_one_that_waits(store, start, output, wait_for, tmp_path):
    first = start(WORKER, store.root, tmp_path / "first", 60, "first")
    wait_for(tmp_path / "first")
    second = start(WORKER, store.root, tmp_path / "second", 0, "second")
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.8)
    first.send_signal(signal.SIGKILL)
    assert output(second) == "False second ['a.txt', 'manifest.json']"


def test_killed_at_any_moment_no_half_artifact_stays(store, start, output, kill_at_every_moment):
    script = """
    import shutil
    from pathlib import Path
    from tasks.cache import cache_key, run_cached
    from tasks.store import Store

    store = Store(Path(sys.argv[1]))
    question = {"modules": ("tasks.locks",), "inputs": {}, "params": {}}
    whole = {"a.txt": "result", "deep/b.txt": "more"}

    def compute(folder):
        (folder / "deep").mkdir()
        for name, text in whole.items():
            (folder / name).write_text(text)
        return {"rows": 2}

    def check():
        for ref in store.refs():
            folder = store.local(ref)
            assert {name: (folder / name).read_text() for name in whole} == whole
        shutil.rmtree(store.folder / "step", ignore_errors=True)  # so that the next one computes again
        shutil.rmtree(store.root / "work" / "published", ignore_errors=True)

    cache_key("step", **question)  # before the forks: once is enough
    killed = every_moment(lambda: run_cached(store, "step", **question, compute=compute), check)
    assert not run_cached(store, "step", **question, compute=compute).hit
    left = [str(path) for path in (*store.folder.glob(".tmp-*"), *(store.root / "work" / "locks").iterdir())]
    print(killed > 40, left)
    """
    script = kill_at_every_moment + textwrap.dedent(script)
    assert output(start(script, store.root)) == "True []"


def test_the_store_and_the_books_import_fast(start, output):
    script = """
    import sys, tasks.cache, tasks.ledger, tasks.registry
    tasks.cache.versions()
    print(sorted({"prefect", "torch", "pandas", "numpy", "pyarrow", "pandera", "grimp"} & set(sys.modules)))
    """
    assert output(start(script)) == "[]"
