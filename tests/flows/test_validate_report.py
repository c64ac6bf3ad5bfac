"""`carryflow validate` as typed: the report it leaves, whatever the names in the data are."""

from __future__ import annotations

import json
import shutil
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.schemas.conftest import opportunity, settlement, to_csv
from tests.tasks.report.browser import CHROMIUM, WHY_NOT, blank, look, print_pdf
from tests.tasks.report.test_report import HOSTILE, Page

NAMES = [name for name in HOSTILE if name and "\x00" not in name and "\n" not in name]


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact root that knows the sample. Copy it before you change it."""
    return tmp_path_factory.mktemp("validated") / "artifacts"


@pytest.fixture
def validated(carryflow: Callable[..., Any], sample: Path, shared_root: Path) -> Any:
    return carryflow("validate", "--data", sample, "--artifacts", shared_root)


def report_of(answer: Any) -> Path:
    [line] = [line for line in answer.out.splitlines() if line.startswith("Report: ")]
    return Path(line.removeprefix("Report: "))


def test_it_prints_drift_age_and_where_the_report_is(validated: Any) -> None:
    assert validated.code == 0, validated.err
    said = " ".join(validated.out.split())
    assert "rows_per_hour not judged" in said
    assert "features of the" in said and "against the data set's own train window" in said
    assert "days old at" in said and "older than the 3 h a quote is held for" in said
    page = Page(report_of(validated).read_text(encoding="utf-8"))
    for heading in (
        "Drift", "Opportunities", "History", "Venues", "Quarantined rows by rule", "Columns", "Longest gaps",
    ):  # fmt: skip
        assert heading in page.text
    assert "older than the 3 h a quote is held for" in page.text


def test_the_report_tells_what_quality_json_says(validated: Any, shared_root: Path) -> None:
    [path] = (shared_root / "store" / "ingest").glob("*/quality.json")
    told, page = json.loads(path.read_text()), Page(report_of(validated).read_text(encoding="utf-8"))
    for facts in (told["opportunities"], told["history"]):
        assert (
            f"{facts['rows_in']:,}: {facts['clean']:,} clean, {facts['quarantined']:,} quarantined"
            in page.text
        )
        for rule in facts["rules"].values():
            assert f"{rule['rows']:,} : a value {rule['meaning']}." in page.text
            assert all(f"{one['file']} row {one['row']}" in page.text for one in rule["examples"])
        for who, path_of in facts["interval_changes"].items():
            assert f"{who} {path_of.replace('->', '->')}" in page.text
        assert all(column in page.text for column in facts["columns"])
    assert not any(link for link in page.links if not link.startswith("data:"))


def test_the_age_is_told_when_asked_and_not_kept_in_the_store(validated: Any, shared_root: Path) -> None:
    [kept] = (shared_root / "store" / "quality").glob("*/quality.html")
    assert "old at" not in kept.read_text(encoding="utf-8")
    assert "old at" in report_of(validated).read_text(encoding="utf-8")


def test_names_from_files_are_text_and_nothing_else(
    carryflow: Callable[..., Any], tmp_path: Path, artifacts: Path
) -> None:
    rows = [
        opportunity(hour, symbol=name, long_exchange=f"venue {name}") for hour in range(60) for name in NAMES
    ]
    rows[0]["<b>extra</b>"] = "<i>x</i>"
    rows += [opportunity(1, symbol="<u>bad</u>", entry_long_price="<s>9</s>")]
    past = [settlement(hour, symbol=name) for hour in range(60) for name in NAMES]
    data = tmp_path / "<em>data"
    data.mkdir()
    (data / "opportunities.csv").write_text(to_csv(rows), encoding="utf-8")
    (data / "market_history.csv").write_text(to_csv(past), encoding="utf-8")
    done = carryflow("validate", "--data", data, "--report", tmp_path / "out.html", "--max-bad-fraction", 0.5)
    assert done.code == 0, done.err
    page = Page((tmp_path / "out.html").read_text(encoding="utf-8"))
    assert not page.handlers
    assert not {"script", "em", "i", "u", "s"} & set(page.tags)
    assert all(link.startswith("data:") for link in page.links)
    for name in (*(f"venue {name}".lower() for name in NAMES), "<b>extra</b>", "<s>9</s>"):
        assert name in " ".join(page.words), name


def test_the_report_goes_where_asked_and_is_opened(
    carryflow: Callable[..., Any],
    validated: Any,
    shared_root: Path,
    sample: Path,
    tmp_path: Path,
    artifacts: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(shared_root, artifacts)
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "get", lambda: object())
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    out = tmp_path / "out.html"
    done = carryflow("validate", "--data", sample, "--report", out, "--open")
    assert (done.code, report_of(done), opened) == (0, out, [out.as_uri()])
    for wrong, told in ((tmp_path, "is a folder"), (tmp_path / "no" / "x.html", "does not exist")):
        refused = carryflow("validate", "--data", sample, "--report", wrong)
        assert refused.code == 2
        assert "--report" in refused.err and told in refused.err
    assert not (tmp_path / "no").exists()


def test_json_has_the_drift_beside_all_that_was_there(
    carryflow: Callable[..., Any], validated: Any, sample: Path, shared_root: Path
) -> None:
    answer = carryflow("validate", "--data", sample, "--artifacts", shared_root, "--json")
    told = json.loads(answer.out)
    [path] = (shared_root / "store" / "ingest").glob("*/quality.json")
    assert {name: value for name, value in told.items() if name != "drift"} == json.loads(path.read_text())
    assert {one["feature"] for one in told["drift"]["features"]} >= {"venues", "volume_24h"}


def test_the_length_of_the_recent_window_is_a_parameter(
    carryflow: Callable[..., Any], validated: Any, sample: Path, artifacts: Path, shared_root: Path
) -> None:
    shutil.copytree(shared_root, artifacts)
    answer = carryflow("validate", "--data", sample, "--set", "gates.drift.days=2", "--json")
    assert json.loads(answer.out)["drift"]["hours"] <= 48


@pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
@pytest.mark.parametrize("width", [1200, 400], ids=["desk", "phone"])
def test_every_picture_is_drawn_and_nothing_sticks_out(validated: Any, tmp_path: Path, width: int) -> None:
    seen = look(report_of(validated), tmp_path, width)
    assert len(seen.pictures) == 8
    assert all(seen.loaded)
    for alt, at in seen.pictures:
        assert at[2] > 0.8 * min(width, 1036), f"{alt} is only {at[2]} pixels wide"
        assert not blank(seen.cut(at)), f"{alt} is blank"
    assert seen.overhang == 0


@pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
def test_it_can_be_printed(validated: Any, tmp_path: Path) -> None:
    assert print_pdf(report_of(validated), tmp_path).count(b"/Type /Page\n") > 2
