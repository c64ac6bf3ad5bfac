"""A person approves what was judged and nothing else, and gives a reason for every move."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import ArtifactError, ConfigError
from tasks.approval import promote_by_hand, retire, rollback_by_hand
from tasks.bundles import Bundles
from tasks.promotion import Case, promote
from tasks.registry import AliasMoved, Registry
from tasks.store import Store
from tests.tasks.made import OTHER, VERSION, backtested, gates, judged, kept, trained


@pytest.fixture
def registry(artifacts: Path) -> Registry:
    """A champion, and a candidate that awaits approval against it."""
    registry = Registry(artifacts, "b")
    kept(artifacts, OTHER)
    registry.move("champion", OTHER, reason="reigns")
    tested = backtested(artifacts, VERSION)
    verdict = judged(artifacts, "pass", tested=tested)
    promote(
        trained(artifacts, VERSION), tested, verdict, [Case("champion", gates("pass"), OTHER, True)],
        book="b", preset="moderate",
    )  # fmt: skip
    assert registry.state().awaiting["champion"].version == VERSION
    return registry


def approve(artifacts: Path, version: str = VERSION) -> object:
    return promote_by_hand(Store(artifacts), "b", "champion", version, reason="looks right")


def test_an_approved_version_gets_the_alias_and_awaits_no_longer(registry: Registry, artifacts: Path) -> None:
    move = approve(artifacts, VERSION[:3])
    assert registry.history()[-1] == move
    assert (move.kind, move.before, move.after, move.reason) == ("promote", OTHER, VERSION, "looks right")
    assert registry.aliases()["champion"] == VERSION
    assert registry.state().awaiting == {}
    assert [m.kind for m in registry.history()] == ["promote", "await", "promote"]


def test_it_may_be_approved_after_the_store_was_deleted(registry: Registry, artifacts: Path) -> None:
    shutil.rmtree(artifacts / "store")
    assert approve(artifacts).after == VERSION


def _move_champion(root: Path) -> None:
    kept(root, "cccccccccccc")
    Registry(root, "b").move("champion", "cccccccccccc", reason="by hand")


def _alter(root: Path, name: str) -> None:
    path = Bundles(root, "b").local(VERSION, name)
    path.unlink()
    path.write_text("something else")


def _judge_again(root: Path) -> None:
    tested = backtested(root, VERSION)
    verdict = judged(root, "pass", "fail", tested=tested, report="a later judgement")
    promote(trained(root, VERSION), tested, verdict, [], book="b", preset="moderate")


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "another champion": (
        _move_champion, f"it was compared with {OTHER}, and the alias points at cccccccccccc now",
    ),
    "no champion": (
        lambda root: Registry(root, "b").move("champion", None, reason="fails"),
        f"it was compared with {OTHER}, and the alias points at no version now",
    ),
    "altered weights": (
        lambda root: _alter(root, ""), "its folder is not as it was: best_model.safetensors was altered",
    ),
    "altered gates": (lambda root: _alter(root, "gates.json"), "gates.json was altered"),
    "a deleted folder": (
        lambda root: shutil.rmtree(Bundles(root, "b").folder(VERSION)), "the book keeps no folder",
    ),
    "another judgement": (_judge_again, "it was judged again since"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_since_it_was_judged_is_said_and_nothing_moves(
    registry: Registry, artifacts: Path, change: str
) -> None:
    act, words = CHANGES[change]
    act(artifacts)
    before = registry.state()
    with pytest.raises(ArtifactError) as refused:
        approve(artifacts)
    assert words in refused.value.what
    assert refused.value.what.startswith("cannot be approved, because ")
    assert refused.value.where == f"{VERSION} for champion of book b"
    assert registry.state() == before


def test_everything_that_changed_is_said_at_once(registry: Registry, artifacts: Path) -> None:
    _move_champion(artifacts)
    _alter(artifacts, "report.html")
    with pytest.raises(ArtifactError, match=r"points at cccccccccccc now; its folder .*report\.html was alt"):
        approve(artifacts)


def test_a_champion_moved_between_the_check_and_the_move_is_noticed(
    registry: Registry, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept(artifacts, "cccccccccccc")
    move = Registry.move

    def late(self: Registry, *words: object, **flags: object) -> object:
        move(self, "champion", "cccccccccccc", reason="another person")
        return move(self, *words, **flags)

    monkeypatch.setattr(Registry, "move", late)
    with pytest.raises(AliasMoved, match="points at cccccccccccc, not fedcba987654"):
        approve(artifacts)


def test_a_withdrawal_between_the_check_and_the_move_is_noticed(
    registry: Registry, artifacts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = Registry.move

    def late(self: Registry, *words: object, **flags: object) -> object:
        self.withdraw("champion", reason="no")
        return move(self, *words, **flags)

    monkeypatch.setattr(Registry, "move", late)
    with pytest.raises(AliasMoved, match=f"does not await the approval of {VERSION} any more"):
        approve(artifacts)
    assert registry.aliases()["champion"] == OTHER


def test_after_a_withdrawal_it_may_still_be_promoted_by_hand(registry: Registry, artifacts: Path) -> None:
    _move_champion(artifacts)
    registry.withdraw("champion", reason="compared with another")
    assert approve(artifacts).after == VERSION


def test_another_version_may_be_promoted_while_one_awaits(registry: Registry, artifacts: Path) -> None:
    kept(artifacts, "cccccccccccc")
    assert approve(artifacts, "cccc").after == "cccccccccccc"
    assert registry.state().awaiting["champion"].version == VERSION  # and is refused from now on


def test_awaiting_one_alias_does_not_guard_the_other(registry: Registry, artifacts: Path) -> None:
    _move_champion(artifacts)
    moved = promote_by_hand(Store(artifacts), "b", "challenger", VERSION, reason="try it on paper")
    assert moved is not None and moved.after == VERSION


def test_a_version_that_cannot_be_loaded_gets_no_alias(artifacts: Path) -> None:
    registry = Registry(artifacts, "b")
    for version in (OTHER, VERSION):
        kept(artifacts, version)
        registry.move("champion", version, reason="x")
    shutil.rmtree(artifacts / "store")
    shutil.rmtree(Bundles(artifacts, "b").folder(OTHER))
    with pytest.raises(ArtifactError, match="was deleted"):
        promote_by_hand(Store(artifacts), "b", "challenger", OTHER, reason="x")
    with pytest.raises(ArtifactError, match="was deleted"):
        rollback_by_hand(Store(artifacts), "b", "champion", reason="x")
    assert registry.aliases() == {"challenger": None, "champion": VERSION}


def test_retiring_leaves_none_and_needs_a_reason_and_a_version(registry: Registry, artifacts: Path) -> None:
    with pytest.raises(ConfigError, match="needs a reason"):
        retire(Store(artifacts), "b", "champion", reason=" ")
    move = retire(Store(artifacts), "b", "champion", reason="its recent window fails")
    assert (move.kind, move.before, move.after) == ("retire", OTHER, None)
    with pytest.raises(ConfigError, match="champion of book b: points at no version already"):
        retire(Store(artifacts), "b", "champion", reason="again")
    assert rollback_by_hand(Store(artifacts), "b", "champion", reason="a mistake").after == OTHER
