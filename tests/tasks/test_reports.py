"""A report is laid out once for the same artifacts, replaced in one step, and safe from a collection."""

from __future__ import annotations

import os
import time
from pathlib import Path

from schemas.retention import RetentionPolicy
from tasks import leases
from tasks.gc import collect
from tasks.reports import lay_out
from tests.tasks.made import publish


def test_the_same_report_asked_again_is_used_again_and_counts_as_young(artifacts: Path) -> None:
    ref = publish(artifacts, "judgement", {"report.html": "one"})
    page = lay_out([ref], book="b", name="v")
    inode = page.stat().st_ino
    old = time.time() - 100 * 86_400
    for path in (*page.parent.iterdir(), page.parent):
        os.utime(path, (old, old))
    assert lay_out([ref], book="b", name="v") == page
    assert page.stat().st_ino == inode
    leases.let_go(artifacts)
    collect(artifacts, RetentionPolicy())
    assert page.read_text() == "one"
    os.utime(page.parent, (old, old))
    collect(artifacts, RetentionPolicy())
    assert not page.parent.exists()
    assert lay_out([ref], book="b", name="v").read_text() == "one", "and it is laid out again"


def test_another_report_takes_the_place_of_the_one_before_and_leaves_nothing(artifacts: Path) -> None:
    first = publish(artifacts, "judgement", {"report.html": "one", "only-here.png": "x"})
    page = lay_out([first], book="b", name="v")
    second = publish(artifacts, "judgement", {"report.html": "two"})
    assert lay_out([second], book="b", name="v") == page
    assert page.read_text() == "two"
    assert sorted(path.name for path in page.parent.iterdir()) == ["SOURCE.txt", "report.html"]
    assert [path.name for path in page.parents[1].iterdir()] == ["v"]
