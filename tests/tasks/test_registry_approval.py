"""The registry knows what awaits approval, reads its older format, and refuses what it does not know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from schemas.errors import ArtifactError, ConfigError
from tasks.registry import AliasMoved, Registry
from tests.tasks.test_registry import A, B, C, record


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    registry = Registry(tmp_path, "sample")
    for version in (A, B, C):
        registry.register(record(version))
    return registry


def wait(registry: Registry, version: str, **fields) -> None:
    known = {
        "expected": None,
        "judgement": f"judgement/{'4' * 16}",
        "report": "r",
        "reason": "all gates hold",
    }
    registry.wait("champion", version, **{**known, **fields})


def lines(registry: Registry) -> list[tuple]:
    return [(move.kind, move.before, move.after, move.candidate) for move in registry.history()]


def test_what_awaits_approval_is_known_with_what_it_was_compared_with(registry):
    registry.move("champion", A, reason="reigns")
    wait(registry, B, expected=A)
    waiting = registry.state().awaiting["champion"]
    assert (waiting.version, waiting.expected, waiting.reason) == (B, A, "all gates hold")
    assert registry.state().awaited_by(B) == ["champion"]
    assert registry.aliases()["champion"] == A
    wait(registry, B, expected=A)
    assert lines(registry) == [("promote", None, A, None), ("await", A, A, B)]  # asked once


def test_what_was_compared_with_an_earlier_version_cannot_await(registry):
    registry.move("champion", A, reason="reigns")
    with pytest.raises(AliasMoved, match=f"points at {A}, not none"):
        wait(registry, B)
    assert registry.state().awaiting == {}


def test_one_version_awaits_an_alias_at_a_time(registry):
    wait(registry, A)
    wait(registry, B)
    assert registry.state().awaiting["champion"].version == B
    wait(registry, B, judgement=f"judgement/{'5' * 16}")
    assert [(kind, candidate) for kind, _, _, candidate in lines(registry)] == [
        ("await", A), ("withdraw", A), ("await", B), ("withdraw", B), ("await", B),
    ]  # fmt: skip


def test_a_promotion_of_it_ends_the_waiting_and_other_moves_do_not(registry):
    wait(registry, B)
    registry.move("challenger", B, reason="another alias")
    registry.move("champion", A, reason="another version")
    registry.move("champion", None, reason="retired")
    assert registry.state().awaited_by(B) == ["champion"]
    registry.move("champion", B, reason="yes")
    assert registry.state().awaiting == {}


def test_withdrawing_needs_a_reason_and_something_to_withdraw(registry):
    assert registry.withdraw("champion", reason="x") is None
    wait(registry, B)
    with pytest.raises(ConfigError, match="needs a reason"):
        registry.withdraw("champion", reason=" ")
    assert registry.withdraw("champion", reason="x", only=A) is None
    assert registry.withdraw("champion", reason="x", only=B).candidate == B
    assert registry.state().awaiting == {}


def test_waiting_and_refusing_change_nothing_that_rolling_back_sees(registry):
    for version in (A, B):
        registry.move("champion", version, reason="better")
        wait(registry, C, expected=version)
        registry.refuse("champion", C, reason="compared with another")
    assert registry.rollback("champion", reason="worse").after == A


def test_a_registry_of_format_1_is_read_and_written_as_2(registry):
    registry.move("champion", A, reason="x")
    state = json.loads(registry.path.read_text())
    assert (state["format"], state.pop("awaiting")) == (2, {})
    for move in state["history"]:
        move.pop("candidate")
    registry.path.write_text(json.dumps({**state, "format": 1}))
    assert registry.aliases()["champion"] == A
    registry.move("champion", B, reason="y")
    assert json.loads(registry.path.read_text())["format"] == 2
    assert [move.after for move in registry.history("champion")] == [A, B]


@pytest.mark.parametrize("made", [0, 3])
def test_a_registry_of_another_format_is_refused_in_words_and_left_alone(registry, made):
    text = registry.path.read_text().replace('"format": 2', f'"format": {made}')
    registry.path.write_text(text)
    words = (
        f"registry.json: was written by another version of carryflow: it has format {made}, this one reads"
    )
    for act in (registry.state, lambda: registry.move("champion", A, reason="x")):
        with pytest.raises(ArtifactError) as refused:
            act()
        assert words in str(refused.value)
    assert registry.path.read_text() == text


@pytest.mark.parametrize("text", ["", "[]", "not json", '{"format": "2"}', "\udcff"])
def test_what_is_no_registry_is_called_that(registry, text):
    registry.path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ArtifactError, match="is not a registry any more"):
        registry.state()


@pytest.mark.parametrize(
    "edit",
    [
        lambda state: state["awaiting"].clear(),
        lambda state: state["awaiting"]["champion"].update(version=C),
        lambda state: state["history"].pop(),
        lambda state: state["history"][-1].update(after=A),
        lambda state: state["history"][-1].update(candidate=None),
        lambda state: state["history"].append(state["history"][-1]),
        lambda state: state["versions"].pop(B),
    ],
)
def test_an_approval_edited_by_hand_is_not_believed(registry, edit):
    wait(registry, B)
    state = json.loads(registry.path.read_text())
    edit(state)
    registry.path.write_text(json.dumps(state))
    with pytest.raises(ArtifactError, match=r"registry\.json: is not a registry any more"):
        registry.state()
