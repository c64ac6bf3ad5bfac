"""`carryflow sweep`: what is typed is what is asked; a mistake gets one sentence and exit code 2."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from schemas.sweep import DEFAULT_EPISODES, DEFAULT_SPACE, DEFAULT_TRIALS, Range, SweepConfig


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command asks the flow for."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr("flows.launch.run_sweep", lambda **given: seen.update(given))
    return seen


def test_what_is_typed_is_what_is_asked(carryflow, artifacts, asked, tmp_path) -> None:
    words = ["--trials", 7, "--seed", 2, "--seeds", 3, "--num-episodes", 77, "--preset", "aggressive"]
    words += ["--search", "gamma=0.9,0.99", "--search", "learning_rate=1e-4:1e-3:log", "--batch", 4]
    words += ["--random-trials", 5, "--rung", 0.3, "--rung", 0.6, "--bar-after", 2, "--runner", "process"]
    words += ["--workers", 2, "--time-budget", 9, "--book", "desk", "--device", "auto"]
    done = carryflow("sweep", "--data", tmp_path, *words, "--set", "training.clip=0.3")
    assert done.code == 0, done.err
    config = SweepConfig(
        space={"learning_rate": Range(low=1e-4, high=1e-3, log=True), "gamma": Range(choices=(0.9, 0.99))},
        batch=4, random_trials=5, rungs=(0.3, 0.6), bar_after=2,
    )  # fmt: skip
    assert asked["asked"] == {
        "preset": "aggressive", "trials": 7, "seed": 2, "seeds": 3, "num_episodes": 77, "time_budget": 9.0,
        "runner": "process", "workers": 2, "search": config,
    }  # fmt: skip
    assert (asked["data"], asked["book"]) == (tmp_path, "desk")
    assert (asked["advanced"].training.clip, asked["advanced"].device) == (0.3, "auto")


def test_what_is_not_typed_is_the_flows_default(carryflow, artifacts, asked, tmp_path) -> None:
    assert carryflow("sweep", "--data", tmp_path).code == 0
    given = asked["asked"]
    assert given["search"] == SweepConfig() and given["search"].space == DEFAULT_SPACE
    assert [given[name] for name in ("trials", "seeds", "num_episodes")] == [None] * 3


def test_the_help_tells_the_defaults_of_the_flow(carryflow, artifacts) -> None:
    said = " ".join(carryflow("sweep", "--help").out.split())
    config = SweepConfig()
    for default in (DEFAULT_TRIALS, DEFAULT_EPISODES, config.random_trials, config.bar_after, config.batch):
        assert f"(default {default})" in said
    assert "(default 0.25 and 0.5)" in said and config.rungs == (0.25, 0.5)


def test_a_file_says_what_is_searched_and_flags_go_over_it(carryflow, artifacts, asked, tmp_path) -> None:
    space = tmp_path / "space.json"
    space.write_text(json.dumps({"gamma": {"choices": [0.9, 0.99]}, "clip": {"low": 0.1, "high": 0.3}}))
    words = ("sweep", "--data", tmp_path, "--space", space, "--search", "clip=0.2:0.4", "--no-prune")
    assert carryflow(*words).code == 0
    assert asked["asked"]["search"] == SweepConfig(
        space={"clip": Range(low=0.2, high=0.4), "gamma": Range(choices=(0.9, 0.99))}, rungs=()
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--search", "gama=0.9,0.99"), "space: gama is no field of a recipe; these can be searched: "),
        (
            ("--search", "gamma=0.9:1.1"),
            "space: gamma cannot be 1.1: input should be",
        ),
        (("--search", "gamma"), "--search: 'gamma' is no range. Write NAME=LOW:HIGH,"),
        (
            ("--search", "episode_hours=24:48"),
            "space: episode_hours cannot be searched. It moves",
        ),
        (("--space", "nowhere.json"), "nowhere.json: does not exist."),
        (("--rung", "0.5", "--rung", "0.25"), "rungs: rungs rise, each above 0 and below 1."),
        (("--trials", "0"), "--trials"),
        (("--set", "resume_from=champion"), "resume_from: has no part in a sweep"),
        ((), "nowhere: does not exist."),
    ],
)
def test_a_mistake_gets_one_sentence_and_starts_no_server(carryflow, artifacts, words, said) -> None:
    pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
    done = carryflow("sweep", "--data", "nowhere", *words)
    assert done.code == 2
    assert said in " ".join(done.err.split())
    assert "Traceback" not in done.err and "Starting a Prefect server" not in done.err
    assert not artifacts.exists()


def test_without_optuna_it_says_what_to_install(carryflow, artifacts, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = carryflow("sweep", "--data", "nowhere")
    assert done.code == 2
    assert done.err == (
        "Error: carryflow sweep: a sweep needs Optuna, which is not installed. "
        "Install it with `pip install -c constraints.txt -e '.[sweep]'`.\n"
    )
