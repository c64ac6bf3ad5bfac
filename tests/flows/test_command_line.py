"""The command line answers at once, explains itself, and never shows a person a traceback unasked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMANDS = [
    [],
    ["run"],
    ["train"],
    ["backtest"],
    ["predict"],
    ["audit"],
    ["certify"],
    ["sample-data"],
    ["validate"],
    ["registry"],
    ["registry", "list"],
    ["registry", "show"],
    ["registry", "promote"],
    ["registry", "rollback"],
    ["status"],
]
HEAVY = ("prefect", "torch", "pandas", "pandera", "matplotlib", "pyarrow", "numpy")
PROBE = """
import json, os, sys
from flows.cli.main import main
try:
    main()
except SystemExit as ended:
    spent = os.times()
    heavy = [name for name in {heavy!r} if name in sys.modules]
    facts = {{"code": ended.code, "cpu": spent.user + spent.system, "heavy": heavy}}
    print(json.dumps(facts), file=sys.stderr)
"""


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_takes_less_than_a_second_and_imports_nothing_heavy(command: list[str]) -> None:
    code = PROBE.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code, *command, "--help"], capture_output=True, text=True, check=True
    )
    facts = json.loads(done.stderr.splitlines()[-1])
    assert facts["code"] == 0
    assert facts["heavy"] == []
    assert facts["cpu"] < 1.0  # of this process alone, so that busy neighbours do not count
    assert "Usage:" in done.stdout


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in ([], ["registry"])], ids=" ".join)
def test_every_flag_is_explained(command: list[str]) -> None:
    import typer

    from flows.cli.main import app

    found = typer.main.get_command(app)
    for word in command:
        found = found.commands[word]  # type: ignore[attr-defined]
    for parameter in found.params:
        assert getattr(parameter, "help", None), f"{parameter.name} of {command} is not explained"


def test_the_commands_of_the_status_report_are_understood_as_they_stand(monkeypatch, carryflow) -> None:
    asked = []
    monkeypatch.setattr("flows.launch.run_train", lambda **parameters: asked.append(parameters))
    typed = (
        "train --data-path data/sample/opportunities.csv --sample-random-config --num-episodes 2000 "
        "--eval-every 100 --save-every 200 --batch-size 128 --learning-rate 3e-4"
    )
    assert carryflow(*typed.split()).code == 0
    training = asked[0]["advanced"].training
    assert str(asked[0]["data"]) == "data/sample/opportunities.csv"
    assert asked[0]["num_episodes"] == 2000
    assert (training.eval_every, training.save_every, training.batch_size) == (100, 200, 128)
    assert training.learning_rate == 3e-4
    assert training.sample_random_config


@pytest.mark.parametrize(
    ("leverage", "utilization", "positions"), [(1.0, 0.4, 2), (3.0, 0.6, 3), (5.0, 0.75, 5)]
)
def test_a_risk_profile_given_by_flags_is_the_one_trained_for(
    monkeypatch, carryflow, leverage, utilization, positions
) -> None:
    asked = []
    monkeypatch.setattr("flows.launch.run_train", lambda **parameters: asked.append(parameters))
    typed = ["train", "--data", "x.csv", "--max-leverage", leverage, "--target-utilization", utilization]
    assert carryflow(*typed, "--max-positions", positions, "--num-episodes", 1000).code == 0
    training = asked[0]["advanced"].training
    assert not training.sample_random_config
    profile = training.trading
    assert (profile.leverage, profile.target_utilization, profile.max_positions) == (
        leverage,
        utilization,
        positions,
    )


def test_every_training_flag_reaches_the_recipe(monkeypatch, carryflow) -> None:
    asked = []
    monkeypatch.setattr("flows.launch.run_train", lambda **parameters: asked.append(parameters))
    flags = {
        "--n-epochs": 2, "--entropy-coef": 0.01, "--value-coef": 0.7, "--episode-length-days": 1.5,
        "--stop-loss-threshold": -0.05, "--liquidation-buffer": 0.2, "--initial-capital": 500,
        "--device": "cpu", "--seed": 7, "--checkpoint-dir": "here", "--resume-from": "a.safetensors",
        "--history-path": "h.csv", "--set": "gates.min_trades=9", "--funding-boundary": "open",
    }  # fmt: skip
    words = [str(word) for pair in flags.items() for word in pair]
    assert carryflow("train", "--data", "x.csv", *words).code == 0
    got = asked[0]
    advanced = got["advanced"]
    assert advanced.training.n_epochs == 2
    assert advanced.training.entropy_coef == 0.01
    assert advanced.training.value_coef == 0.7
    assert advanced.training.episode_hours == 36
    assert advanced.training.trading.stop_loss == -0.05
    assert advanced.training.trading.liquidation_buffer == 0.2
    assert advanced.rules.initial_capital == 500
    assert advanced.rules.funding_boundary == "open"
    assert advanced.resume_from == "a.safetensors"
    assert advanced.gates.min_trades == 9
    assert (got["seed"], str(got["checkpoint_dir"]), str(got["history"])) == (7, "here", "h.csv")


def test_defaults_named_in_the_help_are_those_of_the_models(carryflow) -> None:
    from schemas.params import Advanced
    from schemas.training import TrainingConfig

    advanced, training = Advanced(), TrainingConfig()
    told = " ".join(carryflow("train", "--help").out.split())
    trading = training.trading
    for flag, value in {
        "--num-episodes": training.num_episodes,
        "--eval-every": training.eval_every,
        "--save-every": training.save_every,
        "--batch-size": training.batch_size,
        "--learning-rate": training.learning_rate,
        "--n-epochs": training.n_epochs,
        "--entropy-coef": training.entropy_coef,
        "--value-coef": training.value_coef,
        "--episode-length-days": training.episode_hours // 24,
        "--max-leverage": trading.leverage,
        "--target-utilization": trading.target_utilization,
        "--max-positions": trading.max_positions,
        "--stop-loss-threshold": trading.stop_loss,
        "--liquidation-buffer": trading.liquidation_buffer,
        "--initial-capital": advanced.rules.initial_capital,
        "--funding-boundary": advanced.rules.funding_boundary,
        "--max-bad-fraction": advanced.max_bad_fraction,
        "--device": advanced.device,
    }.items():
        explained = told.split(f"{flag} ", 1)[1].split(" --", 1)[0]
        text = f"{value:g}" if isinstance(value, float) else str(value)
        assert f"(default {text}" in explained, f"{flag}: the default is {text}, the help says {explained!r}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--data", "/no/such/file.csv"], "/no/such/file.csv: does not exist."),
        (["validate", "--data", "/no/such/file.csv"], "/no/such/file.csv: does not exist."),
        (
            ["run", "--data", ".", "--set", "training.nonsense=1"],
            "training.nonsense: there is no such parameter.",
        ),
        (["run", "--data", ".", "--set", "training.clip"], "is not NAME=VALUE."),
        (["run", "--data", ".", "--set", "training.clip=-1"], "training.clip:"),
        (["train", "--data", ".", "--max-leverage", "50"], "training.trading.leverage:"),
        (["run", "--data", ".", "--advanced", "/no/such.json"], "/no/such.json: does not exist."),
        (["registry", "list", "--book", "../elsewhere"], "cannot be the name of a book."),
        (["registry", "show", "challenger"], "points at no version."),
        (["predict", "--data", ".", "--model", "none.safetensors"], "none.safetensors: does not exist."),
    ],
)
def test_a_mistake_gets_one_line_and_exit_code_2(carryflow, artifacts, words, said) -> None:
    answer = carryflow(*words)
    assert answer.code == 2
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Error: ")
    assert said in lines[0]
    assert not artifacts.exists() or not list(artifacts.rglob("manifest.json"))


def test_verbose_shows_the_traceback(carryflow, artifacts) -> None:
    answer = carryflow("validate", "--data", "/no/such/file.csv", "--verbose")
    assert answer.code == 2
    assert "Traceback" in answer.err


def test_a_defect_is_called_one_and_exits_with_1(monkeypatch, carryflow) -> None:
    def broken(**parameters: object) -> None:
        raise KeyError("left")

    monkeypatch.setattr("flows.launch.run_train", broken)
    answer = carryflow("train", "--data", ".")
    assert answer.code == 1
    assert "unexpected KeyError" in answer.err
    assert "--verbose" in answer.err
    assert "Traceback" not in answer.err


WAITING = """
import sys, time
from flows.cli import main as cli, signals
signals.GRACE_S = {grace}
def wait(**parameters):
    print("waiting", flush=True)
    for _ in range(600):
        try:
            time.sleep(0.1)
        except BaseException:
            if not {stubborn}:
                raise
import flows.launch
flows.launch.run_train = wait
sys.argv = ["carryflow", "train", "--data", "."]
cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("stubborn", [False, True])
def test_a_signal_ends_the_command_with_its_code_whatever_it_is_doing(number, code, stubborn) -> None:
    text = WAITING.format(grace=1.0, stubborn=stubborn)
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        started = time.monotonic()
        os.kill(process.pid, number)
        assert process.wait(timeout=30) == code
        assert time.monotonic() - started < 10
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_generated_data_is_the_same_for_the_same_seed(carryflow, tmp_path: Path) -> None:
    for name in ("one", "two"):
        made = carryflow(
            "sample-data", "--days", 2, "--rows-per-hour", 12, "--seed", 3, "--out", tmp_path / name
        )
        assert made.code == 0
        assert "12" in made.out or "rows" in made.out
    for file in ("opportunities.csv", "market_history.csv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
