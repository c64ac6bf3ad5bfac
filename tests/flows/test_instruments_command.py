"""`--instruments` and the table beside the data reach every command, and make another data set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

TABLE = "exchange,symbol,canonical_symbol,multiplier\n"


@pytest.fixture
def market(sample: Path, tmp_path: Path) -> tuple[Path, str]:
    """The sample, and the command's name of one instrument of it: exchange,symbol."""
    data = tmp_path / "data"
    shutil.copytree(sample, data)
    header, first, *_ = (data / "market_history.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    return data, f"{row['exchange']},{row['symbol']}"


def counts(text: str) -> dict[str, int]:
    return {
        name: n
        for table in ("opportunities", "history")
        for name, n in json.loads(text)[table]["counts"].items()
        if " as " in name
    }


def whole(market: tuple[Path, str]) -> str:
    """Return a table that renames one symbol on every exchange of the sample, without changing a price."""
    data, first = market
    symbol = first.split(",")[1]
    rows = (line.split(",") for line in (data / "market_history.csv").read_text().splitlines()[1:])
    venues = sorted({row[1] for row in rows})
    return TABLE + "".join(f"{venue},{symbol},COIN,1\n" for venue in venues)


def test_the_table_beside_the_data_is_found_and_told(carryflow, artifacts: Path, market) -> None:
    data, _ = market
    assert counts(carryflow("validate", "--data", data, "--json").out) == {}
    (data / "instruments.csv").write_text(whole(market))
    found = counts(carryflow("validate", "--data", data, "--json").out)
    assert found and all(n > 0 for n in found.values())
    assert " as COIN / 1" in carryflow("validate", "--data", data).out


def test_the_table_asked_for_goes_before_the_one_beside_the_data(carryflow, artifacts: Path, market) -> None:
    data, _ = market
    (data / "instruments.csv").write_text(TABLE + "nowhere,NOTHING,NO,10\n")
    asked = data.parent / "mine.csv"
    asked.write_text(whole(market))
    answer = carryflow("validate", "--data", data, "--instruments", asked, "--json")
    assert all("COIN" in name for name in counts(answer.out))
    beside = carryflow("validate", "--data", data, "--json")
    assert counts(beside.out) == {"nowhere NOTHING as NO / 10": 0}


def test_another_table_is_another_data_set_and_the_same_one_is_not(
    carryflow, artifacts: Path, market
) -> None:
    data, _ = market

    def data_sets() -> int:
        carryflow("validate", "--data", data)
        return len(list((artifacts / "store" / "ingest").iterdir()))

    assert data_sets() == 1
    (data / "instruments.csv").write_text(whole(market))
    assert (data_sets(), data_sets()) == (2, 2)
    (data / "instruments.csv").write_text(whole(market).replace("COIN", "OTHER"))
    assert data_sets() == 3
    (data / "instruments.csv").unlink()
    assert data_sets() == 3


@pytest.mark.parametrize(
    "command", ["validate", "run", "train", "backtest", "walk-forward", "audit", "status"]
)
def test_a_table_that_contradicts_itself_ends_every_command_with_a_sentence(
    carryflow, artifacts: Path, market, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")  # nothing gets as far as a server
    data, _ = market
    table = data.parent / "mine.csv"
    table.write_text(TABLE + "x,A,B,1\nx,A,C,1\n")
    words = ["--model", "x.safetensors"] if command == "backtest" else []
    if words:
        monkeypatch.setattr("tasks.models.find_model", lambda *_: Path("x"))
    answer = carryflow(command, "--data", data, "--instruments", table, *words)
    assert (answer.code, answer.out) == (2, "")
    assert f"{table}: contradicts itself: row 2 has x A as B / 1, row 3 has x A as C / 1" in answer.err


def test_predict_takes_the_table_too(carryflow, artifacts: Path, market) -> None:
    data, _ = market
    from tasks.registry import Registry
    from tests.tasks.made import kept

    kept(artifacts, book="b")
    assert Registry(artifacts, "b").current("challenger") is None
    table = data.parent / "mine.csv"
    table.write_text(TABLE + "x,A,B,1\nx,A,C,1\n")
    answer = carryflow("predict", "--data", data, "--book", "b", "--instruments", table)
    assert answer.code == 2 and "contradicts itself" in answer.err
