"""`carryflow predict`: what it answers, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.trading import PRESETS, MarketRules
from tasks.features import features
from tasks.ingest import ingest
from tasks.registry import Registry
from tests.flows.conftest import Answer
from tests.tasks.test_registry import A, record

Predict = Callable[..., Answer]


@pytest.fixture(scope="module")
def built(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact root in which the sample's features are built."""
    root = tmp_path_factory.mktemp("predict") / "artifacts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARRYFLOW_ARTIFACTS", str(root))
        features(ingest(sample).ref, rules=MarketRules(), episode_hours=336, split=False)
    return root


@pytest.fixture
def registry(built: Path, artifacts: Path) -> Registry:
    """A book with a version that no alias points at."""
    shutil.copytree(built, artifacts)
    registry = Registry(artifacts, "b")
    registry.register(record(A))
    return registry


def sol(**changes: object) -> dict[str, object]:
    """A position that could have been opened in the last half hour of the sample."""
    return {
        "symbol": "SOLUSDT", "long_exchange": "binance", "short_exchange": "bybit", "quantity": 5,
        "entry_long_price": 184.04, "entry_short_price": 184.01, "entry_time": "2025-09-07T23:30:00Z",
    } | changes  # fmt: skip


def others(sample: Path, most: int) -> list[dict[str, object]]:
    """More of them, of other symbols, at their newest prices."""
    with (sample / "opportunities.csv").open(encoding="utf-8") as file:
        rows = {row["symbol"]: row for row in csv.DictReader(file)}
    found = [
        sol(
            symbol=symbol, long_exchange=row["longExchange"], short_exchange=row["shortExchange"],
            quantity=100 / float(row["entry_long_price"]), entry_time=row["entry_time"],
            entry_long_price=float(row["entry_long_price"]),
            entry_short_price=float(row["entry_short_price"]),
        )
        for symbol, row in sorted(rows.items(), key=lambda item: item[1]["entry_time"], reverse=True)
        if symbol != "SOLUSDT"
    ]  # fmt: skip
    return found[:most]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write positions.json."""

    def written(*positions: object, **rest: object) -> Path:
        path = tmp_path / "positions.json"
        path.write_text(json.dumps({"positions": positions, **rest}), encoding="utf-8")
        return path

    return written


@pytest.fixture
def predict(carryflow, registry: Registry, sample: Path) -> Predict:
    """Ask for a decision."""
    return lambda *words: carryflow("predict", "--data", sample, "--book", "b", *words)


def test_an_alias_that_was_retired_means_hold(predict: Predict, registry: Registry) -> None:
    registry.move("challenger", A, reason="gates hold")
    registry.move("challenger", None, reason="lost money for a week.")
    answer = predict()
    assert (answer.code, answer.err) == (0, "")
    assert "challenger of book b is set to none since 20" in answer.out
    assert "(lost money for a week), which means hold." in answer.out
    for preset in PRESETS:
        [line] = [line for line in answer.out.splitlines() if line.startswith(f"{preset}  ")]
        assert line.split()[1:5] == ["hold", "-", "-", "1.00"]
    told: dict[str, Any] = json.loads(predict("--json").out)
    assert told["version"] is None
    assert told["why"].endswith("which means hold.")
    assert [(made["decision"]["kind"], made["value"]) for made in told["presets"]] == [("hold", None)] * 3


def test_an_alias_that_never_pointed_anywhere_means_hold(predict: Predict) -> None:
    answer = predict("--preset", "moderate", "--model", "champion")
    assert answer.code == 0
    assert "champion of book b is set to none: no version was promoted yet, which means hold." in answer.out


def test_a_version_that_awaits_approval_decides_nothing_yet(predict: Predict, registry: Registry) -> None:
    registry.wait("champion", A, expected=None, judgement="j", report="r", reason="all gates hold")
    answer = predict("--preset", "moderate", "--model", "champion")
    assert answer.code == 0
    assert "champion of book b is set to none: no version was promoted yet, which means hold." in answer.out


def test_a_book_that_holds_no_version_is_a_mistake_and_not_a_decision(carryflow, predict, sample) -> None:
    answer = carryflow("predict", "--data", sample, "--book", "deks")
    assert answer.code == 2
    assert "Nothing is registered yet" in answer.err
    assert predict("--model", "nobody").code == 2


def test_a_possible_portfolio_is_taken_without_a_word(predict: Predict, write) -> None:
    path = write(
        sol(funding=1.5, entry_costs=2.0), peak_equity=10_500, closed_positions=3, mean_closed_pnl=-0.01
    )
    answer = predict("--portfolio", path)
    assert (answer.code, answer.err) == (0, "")
    assert f"1 position, from {path}." in answer.out


IMPOSSIBLE: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "opened in the future": (
        {"entry_time": "2025-09-08T00:01:00Z"}, {},
        "position 1 (SOLUSDT, binance / bybit): entry_time 2025-09-08 00:01 UTC is after the hour decided "
        "for, 2025-09-08 00:00 UTC.",
    ),
    "a thousand times the price": (
        {"entry_long_price": 184040, "entry_short_price": 184010}, {},
        "position 1 (SOLUSDT, binance / bybit): entry_long_price 184040 is far from 184",
    ),
    "a thousandth of the price": (
        {"entry_long_price": 0.184, "entry_short_price": 0.184}, {}, "entry_long_price 0.184 is far from 183",
    ),
    "a thousand times the price, long ago": (
        {"entry_long_price": 184040, "entry_short_price": 184010, "entry_time": "2025-01-01T00:00:00Z"}, {},
        "entry_long_price 184040 is far from",
    ),
    "legs in two currencies": (
        {"entry_short_price": 250}, {}, "the entry prices 184.04 and 250 are more than 20% apart.",
    ),
    "a symbol nobody knows": ({"symbol": "SOLEUR"}, {}, "SOLEUR is not in the data."),
    "a venue nobody knows": ({"short_exchange": "okx"}, {}, "binance / okx): this pair is not in the data."),
    "one venue on both sides": ({"short_exchange": "binance"}, {}, "this pair is not in the data."),
    "too much funding": ({"funding": -1e5}, {}, "funding of 100,000.00 is more than the 1,840.25"),
    "too much cost": ({"entry_costs": 1e5}, {}, "entry_costs of 100,000.00 is more than the 1,840.25"),
    "no time zone": ({"entry_time": "2025-09-07T23:30:00"}, {}, "positions.json, position 1, entry_time:"),
    "not a number": ({"quantity": float("nan")}, {}, "position 1, quantity:"),
    "endless margin": ({"long_margin": float("inf")}, {}, "position 1, long_margin:"),
    "an unknown field": ({"leverage": 3}, {}, "position 1, leverage:"),
    "nothing left": ({}, {"balance": 0.5}, "balance: closing everything now would leave an equity of -"),
    "more than the capital could carry": (
        {"quantity": 200}, {}, "positions: the margins, 14,722.00 with the leverage of aggressive",
    ),
    "more margin than money": ({"long_margin": 9_000, "short_margin": 9_000}, {}, "more than the balance of"),
    "a peak below the start": ({}, {"peak_equity": 9_000}, "peak_equity: the highest equity so far cannot"),
    "a mean of nothing": ({}, {"mean_closed_pnl": 0.1}, "mean_closed_pnl is a mean over closed_positions"),
}  # fmt: skip


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_impossible_holdings_are_refused_in_one_sentence(predict: Predict, write, case: str) -> None:
    changes, rest, said = IMPOSSIBLE[case]
    path = write(sol(**changes), **rest)
    answer = predict("--portfolio", path)
    assert (answer.code, answer.out) == (2, "")
    [line] = answer.err.strip().splitlines()
    assert line.startswith(f"Error: {path}")
    assert said in line


def test_an_instrument_is_held_once(predict: Predict, write) -> None:
    answer = predict("--portfolio", write(sol(), sol(long_exchange="hyperliquid", entry_long_price=183.96)))
    assert answer.code == 2
    assert (
        "position 2 (SOLUSDT, hyperliquid / bybit): SOLUSDT on bybit is in position 1 already." in answer.err
    )


def test_no_more_positions_are_held_than_the_profile_allows(predict: Predict, write, sample: Path) -> None:
    three = write(sol(), *others(sample, 2))
    answer = predict("--portfolio", three, "--preset", "conservative")
    assert (answer.code, answer.out) == (2, "")
    assert "3 positions are held and conservative allows 2." in answer.err
    answer = predict("--portfolio", three, "--json")
    assert answer.code == 0
    assert "conservative is left out: 3 positions are held and conservative allows 2." in answer.err
    told = json.loads(answer.out)
    assert [made["preset"] for made in told["presets"]] == ["moderate", "aggressive"]
    assert any("conservative is left out" in sentence for sentence in told["odd"])
    answer = predict("--portfolio", write(sol(), *others(sample, 5)))
    assert answer.code == 2
    assert "positions: 6 are held and no risk profile allows more than 5." in answer.err


ODD: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "opened before the data": (
        {"entry_time": "2025-08-01T00:00:00Z"}, {}, "it was opened before the data begins, 2025-09-01",
    ),
    "a price a third off": (
        {"entry_long_price": 240, "entry_short_price": 240}, {}, "entry_long_price 240 is far from 184",
    ),
    "dust": ({"quantity": 0.001}, {}, "the long leg is smaller than binance's least order."),
    "dear": ({"entry_costs": 200}, {}, "entry_costs are more than 5% of its notional."),
    "a peak that was passed": ({}, {"peak_equity": 10_000, "balance": 11_000}, "peak_equity is below"),
    "rich": ({}, {"balance": 90_000}, "times the initial capital."),
    "ruined": ({}, {"balance": 6_000}, "the drawdown of 40% is beyond the 25%"),
    "thin": ({"long_margin": 1, "short_margin": 1}, {}, "a leg would be liquidated by now;"),
}  # fmt: skip


@pytest.mark.parametrize("case", ODD)
def test_odd_holdings_are_said_and_decided_with(predict: Predict, write, case: str) -> None:
    changes, rest, said = ODD[case]
    answer = predict("--portfolio", write(sol(**changes), **rest))
    assert answer.code == 0
    assert "conservative  hold" in answer.out
    assert all(line.startswith("Note: ") for line in answer.err.splitlines())
    assert any(said in line for line in answer.err.splitlines()), answer.err
