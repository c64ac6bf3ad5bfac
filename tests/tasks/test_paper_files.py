"""A paper portfolio's folder: whatever kills a process, the hours that were finished are there, each once."""

from __future__ import annotations

import json
import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.errors import ArtifactError
from schemas.paper import PaperBooks, PaperLevels, PaperLine, PaperState
from schemas.prediction import Choice
from schemas.trading import MarketRules
from tasks.paper_files import PaperFiles, record_run

START = datetime(2025, 9, 1, tzinfo=UTC)
BOOKS = PaperBooks(
    hour=START, ended=False, balance=0.1 + 0.2, initial=1e4, nlv=1 / 3, peak=1e4, max_drawdown=0.0,
    closed_pnl=0.0, booked={}, counts={}, serials=0,
)  # fmt: skip


def levels(number: int) -> PaperLevels:
    return PaperLevels(
        nlv=1e4 / (3 + number), drawdown=0.0, balance=1e4, free_cash=1e4, unrealised=0.0, closing_costs=0.0,
        positions=0, gross_notional=0.0,
    )  # fmt: skip


def line(number: int) -> PaperLine:
    return PaperLine(
        hour=START + timedelta(hours=number), alias="challenger", preset="moderate", segment=1,
        version="0" * 12, **levels(number).model_dump(),
        decision=Choice(action=0, name="hold", kind="hold", probability=0.9),
    )  # fmt: skip


def state(number: int) -> PaperState:
    return PaperState(
        alias="challenger", preset="moderate", version="0" * 12, segment=1, moves=1, rules=MarketRules(),
        books=BOOKS.model_copy(update={"hour": START + timedelta(hours=number)}), levels=levels(number),
        order=None, ledger_bytes=0, ledger_sha256="",
    )  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> PaperFiles:
    return PaperFiles(tmp_path, "b", "challenger", "moderate")


def write(files: PaperFiles, *numbers: int) -> None:
    files.repair()
    for number in numbers:
        files.append(line(number), state(number))


def test_what_is_written_is_read_back_bit_for_bit(files: PaperFiles) -> None:
    write(files, 0, 1, 2)
    assert files.lines() == [line(0), line(1), line(2)]
    kept = files.state()
    assert kept is not None
    assert kept.books == state(2).books
    assert kept.books.balance == 0.1 + 0.2


def test_a_portfolio_that_never_began_has_no_state_and_no_lines(files: PaperFiles) -> None:
    files.repair()
    assert files.state() is None
    assert files.lines() == []


@pytest.mark.parametrize("torn", [b'{"hour": "2025', b"{}\n", b"\n" * 3])
def test_an_hour_that_was_not_finished_is_cut_off_and_written_again(files: PaperFiles, torn: bytes) -> None:
    write(files, 0, 1)
    ledger = files.folder / "ledger.jsonl"
    with ledger.open("ab") as file:
        file.write(torn)
    assert files.lines() == [line(0), line(1)]  # a reader does not wait for the repair
    write(files, 2)
    assert ledger.read_text().count("\n") == 3
    assert files.lines() == [line(0), line(1), line(2)]


def test_killed_at_any_moment_every_hour_is_there_once(tmp_path, start, output, kill_at_every_moment) -> None:
    script = f"""
    import shutil
    from pathlib import Path
    sys.path.insert(0, {str(Path(__file__).parents[2])!r})
    from tests.tasks.test_paper_files import PaperFiles, line, state, write

    root = Path(sys.argv[1])
    whole = PaperFiles(root, "whole", "challenger", "moderate")
    write(whole, 0, 1, 2)
    files = PaperFiles(root, "killed", "challenger", "moderate")
    seen = set()

    def go_on():
        kept = files.state()
        begun = 0 if kept is None else len(files.lines())
        write(files, *range(begun, 3))

    def check():
        files.repair()
        seen.add(len(files.lines()))
        go_on()
        for name in ("ledger.jsonl", "state.json"):
            assert (files.folder / name).read_bytes() == (whole.folder / name).read_bytes()
        shutil.rmtree(files.folder)

    print(every_moment(go_on, check) > 30, seen)
    """
    printed = output(start(kill_at_every_moment + textwrap.dedent(script), tmp_path))
    assert printed == "True {0, 1, 2, 3}"


def test_a_ledger_that_was_edited_or_shortened_is_refused(files: PaperFiles) -> None:
    write(files, 0, 1)
    ledger = files.folder / "ledger.jsonl"
    whole = ledger.read_bytes()
    for damaged in (whole.replace(b"challenger", b"champion  ", 1), whole[:-20], b""):
        ledger.write_bytes(damaged)
        for read in (files.lines, files.repair):
            with pytest.raises(ArtifactError, match=r"ledger\.jsonl: was altered"):
                read()
    ledger.unlink()
    with pytest.raises(ArtifactError, match="was altered"):
        files.repair()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', "\x00"])
def test_a_state_that_was_edited_is_refused(files: PaperFiles, text: str) -> None:
    write(files, 0)
    (files.folder / "state.json").write_text(text)
    with pytest.raises(ArtifactError, match="is not the state of a paper portfolio any more"):
        files.state()


def test_a_state_of_another_version_says_so(files: PaperFiles) -> None:
    write(files, 0)
    path = files.folder / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 9}))
    with pytest.raises(ArtifactError, match="it has format 9, this one reads 1"):
        files.state()


def test_runs_are_lines_even_after_one_that_was_torn(tmp_path: Path) -> None:
    record_run(tmp_path, "b", {"said": ["one"]})
    path = tmp_path / "books" / "b" / "paper" / "runs.jsonl"
    with path.open("ab") as file:
        file.write(b'{"said": ["tor')
    record_run(tmp_path, "b", {"said": ["two"]})
    first, torn, last = path.read_text().splitlines()
    assert json.loads(first)["said"] == ["one"]
    assert json.loads(last)["said"] == ["two"]
    assert torn.startswith('{"said": ["tor')
