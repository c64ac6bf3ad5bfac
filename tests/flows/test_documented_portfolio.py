"""docs/portfolio.md is how the file is read: its example is read from there and played."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rl.checkpoint import Checkpoint, save_checkpoint, weights_of
from rl.market.synthetic import write_sample
from rl.policy import Policy
from schemas.prediction import Holding, Portfolio
from tests.rl.test_checkpoint import info

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "portfolio.md").read_text("utf-8")


@pytest.fixture
def example() -> str:
    [found] = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
    return found


def test_the_example_is_what_predict_decides_with(carryflow, artifacts, tmp_path: Path, example: str) -> None:
    write_sample(tmp_path / "sample")  # as `carryflow sample-data` does
    model, held = tmp_path / "any.safetensors", tmp_path / "positions.json"
    save_checkpoint(model, Checkpoint(weights_of(Policy(0)), {}, {}, info()))
    held.write_text(example, encoding="utf-8")
    words = ("predict", "--data", tmp_path / "sample", "--model", model, "--json")
    answer = carryflow(*words, "--portfolio", held)
    assert (answer.code, answer.err) == (0, "")
    told = json.loads(answer.out)
    given = json.loads(example)
    assert [made["preset"] for made in told["presets"]] == ["conservative", "moderate", "aggressive"]
    for made in told["presets"]:
        exits = {
            (c["symbol"], c["long_exchange"], c["short_exchange"])
            for c in made["choices"]
            if c["kind"] == "exit"
        }
        assert exits == {(p["symbol"], p["long_exchange"], p["short_exchange"]) for p in given["positions"]}
        assert given["balance"] * 0.99 < made["equity"] < given["peak_equity"]


def test_every_field_is_in_the_example_and_in_the_tables(example: str) -> None:
    tables = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    named = {name for cell in tables for name in re.findall(r"`(\w+)`", cell)}
    assert named | {"positions"} == {*Portfolio.model_fields, *Holding.model_fields}
    shown = json.loads(example)
    assert set(shown) == set(Portfolio.model_fields)
    assert {name for position in shown["positions"] for name in position} == set(Holding.model_fields)


def test_the_help_and_the_readme_point_to_it(carryflow) -> None:
    assert "docs/portfolio.md" in carryflow("predict", "--help").out
    assert "(docs/portfolio.md)" in (ROOT / "README.md").read_text("utf-8")
