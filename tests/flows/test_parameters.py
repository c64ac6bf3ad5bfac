"""Flags, --set and a file become one checked model; the later win."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.cli.parameters import build_advanced
from schemas.errors import ConfigError
from schemas.params import Advanced


def test_nothing_given_is_the_defaults() -> None:
    assert build_advanced() == Advanced()


def test_flags_go_over_assignments_and_those_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "advanced.json"
    file.write_text(json.dumps({"training": {"clip": 0.1, "gamma": 0.9, "n_epochs": 9}, "device": "mps"}))
    made = build_advanced(
        file,
        ["training.gamma=0.95", "training.n_epochs=8", "resume_from=best"],
        {"training.n_epochs": 7, "device": None},
    )
    assert (made.training.clip, made.training.gamma, made.training.n_epochs) == (0.1, 0.95, 7)
    assert (made.device, made.resume_from) == ("mps", "best")


def test_values_are_json_and_else_text() -> None:
    made = build_advanced(None, ["training.anneal=false", 'rules.taker_fee={"okx": 0.001}', "device=cuda:1"])
    assert made.training.anneal is False
    assert made.rules.taker_fee == {"okx": 0.001}
    assert made.device == "cuda:1"


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("training.clip=yes", "training.clip"),
        ("training=3", "training"),
        ("training.trading.leverage=0", "training.trading.leverage"),
        ("nothing.such=1", "nothing"),
        ("device.name=1", "device"),
        (
            'rules.margin_tiers={"binance": [{"above": 5, "rate": 0.004}]}',
            "rules.margin_tiers.binance: the first row of a margin table applies above 0",
        ),
    ],
)
def test_a_wrong_value_is_named(assignment: str, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build_advanced(None, [assignment])
    assert said in str(refused.value)


def test_a_value_cannot_be_a_group() -> None:
    with pytest.raises(ConfigError, match="is a value, not a group"):
        build_advanced(None, ["device=cpu", "device.name=1"])


@pytest.mark.parametrize("text", ["{", "[1]", "\xff"])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "advanced.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"advanced\.json"):
        build_advanced(file)
