"""Two hundred hours of real data on paper, with processes killed in between: a backtest, bit for bit."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from tasks.ingest import ingest
from tasks.paper import paper_trade
from tasks.paper_check import paper_check
from tasks.paper_files import PaperFiles, paper_turn
from tasks.registry import Registry
from tests.tasks.conftest import KILL_AT_EVERY_MOMENT, PROJECT
from tests.tasks.paper_made import GrowingFolder, kept_version, trader
from tests.tasks.test_paper import assert_the_tables_are

HOURS, KILLS, BEFORE = 200, 10, 100  # BEFORE: hours that the folder holds when paper trading begins
MOMENTS = 2500  # changes of the disk in one run of the command

# `carryflow paper-trade`, killed at a change of the disk; 0 lets it live.
COMMAND = (
    textwrap.dedent(KILL_AT_EVERY_MOMENT)
    + """
moment = int(sys.argv.pop(1))
if moment:
    kill_at(moment)
from flows.cli.main import main
main()
"""
)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hundred_real_hours_with_ten_kills_are_the_backtest_bit_for_bit(
    real_data: Path, artifacts: Path, tmp_path: Path
) -> None:
    chance = random.Random(20)
    source = GrowingFolder(real_data, tmp_path / "live")
    first = source.hours[-HOURS - 1]
    source.forget(first - timedelta(hours=BEFORE))
    hours = [first + timedelta(hours=k) for k in range(HOURS + 1)]
    assert hours == source.hours[-HOURS - 1 :], "the test wants hours without a hole"
    version = kept_version(artifacts, "b", trader(1), tmp_path)
    Registry(artifacts, "b").move("challenger", version, reason="to follow")

    def command(moment: int) -> int:
        words = ["paper-trade", "--data", str(source.target), "--book", "b", "--artifacts", str(artifacts)]
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, str(moment), *words], cwd=PROJECT, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}, check=False,
        )  # fmt: skip
        assert done.returncode in (0, -9), done.stderr
        return done.returncode

    # Half of the hours come one at a time, the others after a pause of up to seven.
    stops, at = [0], 0
    while at < HOURS:
        at = min(HOURS, at + (1 if chance.random() < 0.5 else chance.randint(2, 7)))
        stops.append(at)
    killed = 0
    for stop in stops:
        source.reach(hours[stop])
        if killed < KILLS and chance.random() < 0.35:  # a moment after its end lets it live
            killed += command(chance.randint(1, MOMENTS)) == -9
        with paper_turn(artifacts, "b"):
            paper_trade(ingest(source.target).ref, book="b")
    assert command(0) == 0  # and once more by hand: there is nothing left to decide

    lines = PaperFiles(artifacts, "b", "challenger", "moderate").lines()
    assert [line.hour for line in lines] == hours
    assert not any(line.late_rows for line in lines)
    trades = assert_the_tables_are(lines, ingest(source.target).ref, version, "b")
    (check,) = paper_check(ingest(source.target).ref, book="b")
    assert check.difference is None
    print(f"{len(lines)} hours, {len(stops)} runs, {killed} killed, {trades} trades")
    assert killed == KILLS
    assert trades > 20, "a ledger without trades proves nothing"
