"""The registry moves its aliases whole, remembers every move, and refuses in words."""

from __future__ import annotations

import json
import textwrap

import pytest
from pydantic import ValidationError

from schemas.errors import ArtifactError, ConfigError
from schemas.registry import VersionRecord
from schemas.version import Windows
from tasks.registry import Registry, version_id

A, B, C = "aaaaaaaaaaaa", "abbbbbbbbbbb", "cccccccccccc"
WINDOWS = {
    "train": ("2026-01-01T00:00:00Z", "2026-01-10T00:00:00Z"),
    "validation": ("2026-01-11T00:00:00Z", "2026-01-15T00:00:00Z"),
    "test": ("2026-01-16T00:00:00Z", "2026-01-20T00:00:00Z"),
}


def record(version: str, **fields) -> VersionRecord:
    known = {
        "version": version,
        "artifact": f"train/{'0' * 16}",
        "file": "best_model.safetensors",
        "sha256": "1" * 64,
        "created": "2026-02-01T00:00:00+00:00",
        "preset": "moderate",
        "seed": 0,
        "data": "2" * 64,
        "windows": WINDOWS,
    }
    return VersionRecord.model_validate({**known, **fields})


@pytest.fixture
def registry(tmp_path) -> Registry:
    registry = Registry(tmp_path, "sample")
    for version in (A, B, C):
        registry.register(record(version))
    return registry


def moves(registry: Registry) -> list[tuple]:
    return [(move.alias, move.kind, move.before, move.after, move.reason) for move in registry.history()]


def test_a_new_book_is_empty(tmp_path):
    registry = Registry(tmp_path, "default")
    assert registry.versions() == registry.history() == []
    assert registry.aliases() == {"challenger": None, "champion": None}
    assert registry.current("champion") is None
    assert not registry.path.exists()
    with pytest.raises(ArtifactError, match="Nothing is registered yet"):
        registry.resolve("champion")


def test_books_are_apart(registry, tmp_path):
    registry.move("challenger", A, reason="gates hold")
    other = Registry(tmp_path, "default")
    assert other.aliases()["challenger"] is None
    with pytest.raises(ConfigError, match="cannot be the name"):
        Registry(tmp_path, "../sample")


def test_a_move_is_made_and_remembered(registry):
    move = registry.move("challenger", A, reason=" gates hold ", user="desk", run="run-1")
    assert registry.current("challenger") == record(A)
    assert registry.history() == [move]
    assert (move.user, move.run, move.time[-6:]) == ("desk", "run-1", "+00:00")
    registry.move("champion", "challenger", reason="by hand")
    registry.move("challenger", C, reason="better")
    assert registry.aliases() == {"challenger": C, "champion": A}
    assert moves(registry) == [
        ("challenger", "promote", None, A, "gates hold"),
        ("champion", "promote", None, A, "by hand"),
        ("challenger", "promote", A, C, "better"),
    ]
    assert [move.after for move in registry.history("challenger")] == [A, C]


def test_moving_to_where_it_is_is_no_move(registry):
    registry.move("challenger", A, reason="first")
    assert registry.move("challenger", A, reason="again") is None
    assert len(registry.history()) == 1


@pytest.mark.parametrize("reason", ["", " \n"])
def test_a_move_needs_a_reason(registry, reason):
    with pytest.raises(ConfigError, match="needs a reason"):
        registry.move("champion", A, reason=reason)
    with pytest.raises(ConfigError, match="needs a reason"):
        registry.rollback("champion", reason=reason)
    assert registry.history() == []


def test_an_unknown_alias_is_refused(registry):
    for act in (lambda: registry.move("winner", A, reason="x"), lambda: registry.current("winner")):
        with pytest.raises(ConfigError, match=r"'winner' is not an alias\. The aliases are challenger and"):
            act()


def test_rolling_back_goes_back_one_version_at_a_time(registry):
    for version in (A, B, C):
        registry.move("champion", version, reason="better")
    assert registry.rollback("champion", reason="worse").after == B
    assert registry.rollback("champion", reason="still worse").after == A
    with pytest.raises(ArtifactError, match=rf"champion of book sample: has no earlier version.*{A}"):
        registry.rollback("champion", reason="and now?")
    assert registry.move("champion", C, reason="again").after == C
    assert registry.rollback("champion", reason="no").after == A
    assert registry.aliases() == {"challenger": None, "champion": A}
    assert [move.kind for move in registry.history()][3:] == ["rollback", "rollback", "promote", "rollback"]


def test_rolling_back_what_never_had_a_version_is_refused(registry):
    with pytest.raises(ArtifactError, match="no earlier version to go back to: it points at no version"):
        registry.rollback("champion", reason="x")


def test_a_retired_alias_comes_back_by_rollback(registry):
    registry.move("champion", A, reason="good")
    assert registry.move("champion", None, reason="its recent window fails").kind == "retire"
    with pytest.raises(ArtifactError, match="champion of book sample: points at no version"):
        registry.resolve("champion")
    assert registry.rollback("champion", reason="a mistake").after == A
    registry.move("champion", None, reason="no mistake")
    registry.move("champion", B, reason="a new one")
    assert registry.rollback("champion", reason="worse than the old one").after == A


def test_a_name_means_an_alias_a_version_or_its_beginning(registry):
    registry.move("challenger", B, reason="x")
    assert registry.resolve("challenger") == record(B)
    assert registry.resolve(A) == record(A)
    assert registry.resolve("ab") == record(B)
    assert registry.resolve("c") == record(C)  # though both aliases begin with it


@pytest.mark.parametrize(
    ("text", "words"), [("a", f"'a' could be {A}, {B}"), ("f", "no version 'f'"), ("", "no v")]
)
def test_a_name_that_means_none_or_several_lists_what_there_is(registry, text, words):
    registry.move("challenger", B, reason="x")
    with pytest.raises(ArtifactError, match=words) as caught:
        registry.resolve(text)
    for known in (A, B, C, f"challenger -> {B}"):
        assert known in str(caught.value)
    with pytest.raises(ArtifactError, match=words):
        registry.move("champion", text, reason="x")


def test_registering_again_keeps_the_date_and_learns_the_place(registry):
    again = record(
        A, created="2027-01-01T00:00:00+00:00", artifact=f"train/{'3' * 16}", metrics={"x": float("nan")}
    )
    kept = registry.register(again)
    assert (kept.created, kept.artifact) == (record(A).created, again.artifact)
    assert registry.resolve(A) == kept
    assert kept.metrics == {"x": None}
    assert len(registry.versions()) == 3


def test_a_decision_made_on_an_older_state_is_refused(registry):
    registry.move("challenger", A, reason="first", expect=None)
    registry.move("challenger", B, reason="meanwhile")
    with pytest.raises(ArtifactError, match=f"was moved meanwhile: it points at {B}, not {A}"):
        registry.move("challenger", C, reason="late", expect=A)
    assert registry.aliases()["challenger"] == B


PROMOTE = """
import sys, time
from pathlib import Path
from tasks.registry import Registry
from schemas.errors import ArtifactError
registry = Registry(Path(sys.argv[1]), "sample")
Path(sys.argv[3]).touch()
while not Path(sys.argv[4]).exists():
    time.sleep(0.001)
try:
    registry.move("challenger", sys.argv[2], reason=sys.argv[2], **({"expect": None} if sys.argv[5:] else {}))
    print("moved")
except ArtifactError:
    print("refused")
"""


@pytest.mark.parametrize("expecting", [False, True])
def test_two_promotions_at_once_both_are_remembered_and_one_wins(
    registry, tmp_path, start, output, wait_for, expecting
):
    both = [
        start(PROMOTE, tmp_path, version, tmp_path / version, tmp_path / "go", *["expect"] * expecting)
        for version in (A, B)
    ]
    for version in (A, B):
        wait_for(tmp_path / version)
    (tmp_path / "go").touch()
    said = sorted(output(process) for process in both)
    history = registry.history()
    assert said == (["moved", "refused"] if expecting else ["moved", "moved"])
    assert len(history) == (1 if expecting else 2)
    assert registry.aliases()["challenger"] == history[-1].after
    if not expecting:
        assert {move.after for move in history} == {A, B}
        assert history[1].before == history[0].after


def test_killed_at_any_moment_registry_and_history_agree(
    registry, tmp_path, start, output, kill_at_every_moment
):
    script = f"""
    from pathlib import Path
    from tasks.registry import Registry

    registry = Registry(Path(sys.argv[1]), "sample")
    registry.move("champion", "{A}", reason="x")
    before = registry.path.read_text()
    seen = set()

    def work():
        registry.wait("champion", "{B}", expected="{A}", judgement="j", report="r", reason="x")
        registry.move("champion", "{B}", reason="x")
        registry.rollback("champion", reason="x")

    def check():
        seen.add(len(registry.history()))  # reading verifies that aliases and history agree
        registry.path.write_text(before)

    killed = every_moment(work, check)
    registry.move("challenger", "{B}", reason="life goes on")
    print(killed > 25, seen, sorted(path.name for path in registry.folder.iterdir()))
    """
    printed = output(start(kill_at_every_moment + textwrap.dedent(script), tmp_path))
    assert printed == "True {1, 2, 3, 4} ['locks', 'registry.json']"


@pytest.mark.parametrize(
    "edit",
    [
        lambda state: state["aliases"].update(champion=B),
        lambda state: state["history"].pop(0),
        lambda state: state["versions"].pop(A),
        lambda state: state.update(extra=1),
    ],
)
def test_a_registry_edited_by_hand_is_not_believed(registry, edit):
    registry.move("champion", B, reason="x")
    registry.move("champion", A, reason="x")
    state = json.loads(registry.path.read_text())
    edit(state)
    registry.path.write_text(json.dumps(state))
    with pytest.raises(ArtifactError, match=r"registry\.json: is not a registry any more"):
        registry.aliases()


def test_a_window_that_overlaps_training_is_named():
    windows = Windows.model_validate(WINDOWS)
    assert windows.seen_in_training(*WINDOWS["test"]) == []
    assert (
        windows.seen_in_training("2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z") == []
    )  # ends are not included
    assert windows.seen_in_training("2026-01-15T00:00:00+01:00", "2026-01-16T00:00:00Z") == ["validation"]
    assert windows.seen_in_training("2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z") == ["train", "validation"]
    assert windows.seen_in_training("2025-12-01T00:00:00Z", "2026-01-01T01:00:00Z") == ["train"]


@pytest.mark.parametrize(
    "fields",
    [
        {"version": "xyz"},
        {"file": "../evil"},
        {"artifact": "../../etc"},
        {"windows": {**WINDOWS, "test": ("2026-01-20T00:00:00Z", "2026-01-16T00:00:00Z")}},
        {"windows": {**WINDOWS, "test": ("2026-01-16T00:00:00", "2026-01-20T00:00:00")}},
    ],
)
def test_a_version_record_is_checked(fields):
    with pytest.raises(ValidationError):
        VersionRecord.model_validate(record(A).model_dump() | fields)


def test_a_version_is_named_by_its_content():
    assert (
        version_id("weights", "scaler") == version_id("weights", "scaler") != version_id("weightss", "caler")
    )
    assert len(version_id("weights")) == 12
