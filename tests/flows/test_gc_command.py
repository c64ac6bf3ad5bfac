"""`carryflow gc` says what went, what stayed and why, and leaves alone what it cannot know."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from schemas.retention import RetentionPolicy
from tasks import leases
from tasks.prefect_runs import FLOWS
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import VERSION, kept, publish

ROOT = Path(__file__).parents[2]


@pytest.fixture
def root(artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A version nobody promoted, and an artifact that belongs to nobody."""
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    kept(artifacts, VERSION)
    publish(artifacts, "features", {"a.txt": "x"})
    leases.let_go(artifacts)
    return artifacts


def lines(text: str) -> list[str]:
    return [re.sub(r"\s{2,}", " | ", line) for line in text.splitlines()]


def test_a_dry_run_says_what_would_go_and_the_run_does_it(carryflow, root: Path) -> None:
    told = carryflow("gc", "--dry-run", "--older-than", 0)
    assert told.code == 0
    assert "store/features | would go | 1 | 0.00 | not in use" in lines(told.out)
    assert "store/train | kept | 1 | 0.00 | needed by a version of book b" in lines(told.out)
    assert len(Store(root).refs()) == 6
    done = carryflow("gc", "--older-than", 0)
    assert "store/features | removed | 1 | 0.00 | not in use" in lines(done.out)
    assert any(line.endswith(" MB; 5 kept.") for line in done.out.splitlines())
    assert len(Store(root).refs()) == 5


def test_by_default_nothing_young_goes(carryflow, root: Path) -> None:
    assert "0 removed" in carryflow("gc").out
    assert len(Store(root).refs()) == 6


def test_without_a_server_prefect_is_left_alone_and_that_is_said(carryflow, root: Path) -> None:
    assert "Prefect's database was left alone: PREFECT_API_URL is not set" in carryflow("gc").out


def test_only_named_versions_frees_what_nobody_named(carryflow, root: Path) -> None:
    Registry(root, "b").move("champion", VERSION, reason="x")
    carryflow("gc", "--older-than", 0, "--only-named-versions")
    assert len(Store(root).refs()) == 5
    kept(root, "a" * 12, data="e")
    leases.let_go(root)
    carryflow("gc", "--older-than", 0)
    assert len(Store(root).refs()) == 10
    carryflow("gc", "--older-than", 0, "--only-named-versions")
    assert len(Store(root).refs()) == 5


def test_one_limit_gives_way_to_a_closer_one(carryflow, root: Path) -> None:
    (Store(root).workdir("f" * 64) / "resume").write_text("x")
    report = json.loads(carryflow("gc", "--older-than", 0, "--work-days", 3, "--json").out)
    assert report["policy"] == {
        "store_days": 0, "work_days": 3, "reports_days": 0, "prefect_days": 0, "shared_days": 0,
        "versions": "all",
    }  # fmt: skip
    fates = {item["what"]: (item["fate"], item["why"]) for item in report["items"]}
    assert fates["work"] == ("kept", "written in the last 3 days")
    assert ("removed", "not in use") in {(item["fate"], item["why"]) for item in report["items"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--artifacts", "nowhere"], "nowhere: does not exist. Name the folder of the artifacts"),
        (["--older-than", "-1"], "greater than or equal to 0"),
        (["--work-days", "inf"], "work_days: Input should be a finite number"),
        (["--shared-days", "0.5"], "shared_days: should be 1 or more"),
    ],
)
def test_mistakes_get_a_sentence_and_exit_code_2(carryflow, root: Path, words: list[str], said: str) -> None:
    answer = carryflow("gc", *words)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert len(Store(root).refs()) == 6


def test_a_registry_of_another_version_stops_it_in_words(carryflow, root: Path) -> None:
    (root / "books" / "b" / "registry.json").write_text('{"format": 3}')
    answer = carryflow("gc", "--older-than", 0)
    assert answer.code == 2
    assert "has format 3, this one reads 1 and 2" in answer.err
    assert len(Store(root).refs()) == 6


def test_the_limits_in_the_help_are_the_policys() -> None:
    text = (ROOT / "flows" / "cli" / "gc.py").read_text(encoding="utf-8")
    policy = RetentionPolicy()
    defaults = (policy.store_days, policy.work_days, policy.reports_days, policy.prefect_days)
    assert re.findall(r"\(default ([0-9]+)\)", text) == [f"{limit:g}" for limit in defaults]


def test_every_flow_of_the_project_is_known_to_the_collection() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "flows").glob("*.py"))
    assert sorted(re.findall(r'@flow\(\s*name="([^"]+)"', sources)) == sorted(FLOWS)
