"""Bad input gets one clear line that names the file and says what to do; nothing is half written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.errors import DataError
from schemas.trading import MarketRules
from tasks.features import features
from tasks.ingest import ingest
from tasks.store import Store


def rows(sample: Path, n: int = 300) -> list[str]:
    """Return the header and the first rows of the sample's opportunities."""
    return (sample / "opportunities.csv").read_text(encoding="utf-8").splitlines()[: n + 1]


def without_column(lines: list[str], name: str) -> list[str]:
    place = lines[0].split(",").index(name)
    return [",".join(c for i, c in enumerate(line.split(",")) if i != place) for line in lines]


def with_value(lines: list[str], name: str, value: str, every: int) -> list[str]:
    place = lines[0].split(",").index(name)
    changed = [lines[0]]
    for number, line in enumerate(lines[1:]):
        cells = line.split(",")
        if number % every == 0:
            cells[place] = value
        changed.append(",".join(cells))
    return changed


def text(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def entry_time(sample: Path) -> str:
    return next(
        name for name in rows(sample, 0)[0].split(",") if name.lower().replace("_", "") == "entrytime"
    )


Bad = Callable[[Path, Path], Path]
UNREADABLE: dict[str, tuple[Bad, str]] = {
    "an empty file": (lambda s, t: text(t / "opp.csv", []), "opp.csv"),
    "a header alone": (lambda s, t: text(t / "opp.csv", rows(s, 0)), "opp.csv"),
    "a missing column": (
        lambda s, t: text(t / "opp.csv", without_column(rows(s), rows(s, 0)[0].split(",")[1])),
        "opp.csv",
    ),
    "a wrong delimiter": (
        lambda s, t: text(t / "opp.csv", [line.replace(",", ";") for line in rows(s)]),
        "opp.csv",
    ),
    "a file that is not text": (lambda s, t: binary(t / "opp.csv"), "opp.csv"),
    "a folder without files": (lambda s, t: folder(t / "empty"), "empty"),
    "dates that do not parse": (
        lambda s, t: text(t / "opp.csv", with_value(rows(s), entry_time(s), "yesterday", 1)),
        "opp.csv",
    ),
    "too many bad rows": (
        lambda s, t: text(t / "opp.csv", with_value(rows(s), entry_time(s), "yesterday", 3)),
        "opp.csv",
    ),
}


def binary(path: Path) -> Path:
    path.write_bytes(bytes(range(256)) * 40)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_used_is_refused_in_one_line(carryflow, artifacts, sample, tmp_path, case) -> None:
    make, named = UNREADABLE[case]
    answer = carryflow("validate", "--data", make(sample, tmp_path))
    assert answer.code == 2
    [line] = answer.err.strip().splitlines()
    assert line.startswith("Error: ")
    assert named in line
    assert "Traceback" not in answer.err
    assert not Store(artifacts).refs()
    assert not list(artifacts.glob("store/.tmp-*"))


@pytest.mark.parametrize(
    "case",
    [
        "an empty file",
        "a missing column",
        "a wrong delimiter",
        "a file that is not text",
        "a folder without files",
    ],
)
def test_a_run_refuses_it_before_it_starts_a_server(
    monkeypatch, carryflow, artifacts, sample, tmp_path, case
) -> None:
    def no_server(*words: object, **flags: object) -> None:
        raise AssertionError("Prefect was asked")

    monkeypatch.setattr("flows.settings.apply_script", no_server)
    make, named = UNREADABLE[case]
    answer = carryflow("run", "--data", make(sample, tmp_path))
    assert (answer.code, named in answer.err) == (2, True)


def test_a_message_names_the_first_offending_row(carryflow, artifacts, sample, tmp_path) -> None:
    path = text(tmp_path / "opp.csv", with_value(rows(sample), entry_time(sample), "yesterday", 3))
    answer = carryflow("validate", "--data", path)
    assert "row 2" in answer.err
    assert "yesterday" in answer.err


@pytest.mark.parametrize("every", [1, 3])
def test_a_message_about_times_names_every_unit_that_is_read(
    carryflow, artifacts, sample, tmp_path, every
) -> None:
    path = text(tmp_path / "opp.csv", with_value(rows(sample), entry_time(sample), "yesterday", every))
    answer = carryflow("validate", "--data", path)
    assert answer.code == 2
    units = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    assert "epoch in s, ms, us or ns" in answer.err
    read = []
    for unit, scale in units.items():
        lines = with_value(rows(sample), entry_time(sample), str(1_757_000_000 * scale), 1)
        assert carryflow("validate", "--data", text(tmp_path / f"{unit}.csv", lines)).code == 0
        dataset = ingest(tmp_path / f"{unit}.csv")
        read.append(json.loads((dataset.path / "dataset.json").read_text(encoding="utf-8"))["first"])
    assert len(set(read)) == 1


def test_a_refused_file_leaves_earlier_artifacts_as_they_were(carryflow, artifacts, sample, tmp_path) -> None:
    assert carryflow("validate", "--data", sample).code == 0
    before = {path: path.read_bytes() for path in (artifacts / "store").rglob("*") if path.is_file()}
    made = Store(artifacts).refs()
    bad = text(tmp_path / "opp.csv", with_value(rows(sample), entry_time(sample), "yesterday", 3))
    assert carryflow("validate", "--data", bad).code == 2
    assert {path: path.read_bytes() for path in before} == before
    assert Store(artifacts).refs() == made


def test_a_file_too_short_to_train_on_is_valid_and_cannot_be_split(
    carryflow, artifacts, sample, tmp_path
) -> None:
    short = text(tmp_path / "opp.csv", rows(sample, 100))
    answer = carryflow("validate", "--data", short)
    assert answer.code == 0
    assert "VALID" in answer.out
    dataset = ingest(short)
    with pytest.raises(DataError, match=r"hours"):
        features(dataset.ref, rules=MarketRules(), episode_hours=336)
    assert not Store(artifacts).refs("features")
    unsplit = features(dataset.ref, rules=MarketRules(), episode_hours=336, split=False)
    assert not (unsplit.path / "splits.json").exists()


def test_the_quality_report_as_json_is_the_artifacts(carryflow, artifacts, sample) -> None:
    answer = carryflow("validate", "--data", sample, "--json")
    assert answer.code == 0
    report = json.loads(answer.out)
    assert report.pop("drift")["features"]
    assert report == json.loads((ingest(sample).path / "quality.json").read_text(encoding="utf-8"))
    assert report["opportunities"]["quarantined"] > 0


@pytest.mark.parametrize("text_in_file", ["{", "[]", '{"positions": [{"symbol": "X"}]}', '{"balance": -1}'])
def test_a_portfolio_that_is_not_one_is_refused(artifacts, tmp_path, text_in_file) -> None:
    from schemas.errors import ConfigError
    from tasks.predict import read_portfolio

    path = tmp_path / "positions.json"
    path.write_text(text_in_file, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"positions\.json"):
        read_portfolio(path)
