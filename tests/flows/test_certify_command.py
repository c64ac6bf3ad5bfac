"""`carryflow certify`: a table and exit code 0, bars that were missed and 1, one sentence and 2."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.certify import BARS, EPISODES, Budget, Certificate, Played, Verdict
from schemas.params import Advanced
from schemas.training import TrainingConfig

TINY = {
    "episode_hours": 48, "n_envs": 4, "n_cohorts": 2, "rollout_steps": 24, "batch_size": 96, "n_epochs": 1,
    "burn_in_share": 0.0, "threads": 1,
}  # fmt: skip
TINY_FLAGS = [word for name, value in TINY.items() for word in ("--set", f"training.{name}={value}")]


def reached(market: str, share: float = 0.9, finished: bool = True) -> Certificate:
    """A certificate of a policy that earns a share of 4 % and is never in the market."""

    def played(pct: float) -> Played:
        return Played(returns_pct=(pct,), exposure=(0.0,), liquidations=(0,), trades=(3,))

    verdicts = tuple(
        Verdict(bar=bar, policy=played(4.0 * share), greedy=played(1.0), informed=played(4.0))
        for bar in BARS
        if bar.market == market
    )
    return Certificate(
        market=market, seed=5, episodes=4321, steps=10, finished=finished, seconds=61.0, verdicts=verdicts
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What the command asks the step for; every bar is reached."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def step(market: str, **given: Any) -> SimpleNamespace:
        seen.append((market, given))
        return SimpleNamespace(ref=market)

    monkeypatch.setattr("tasks.certify.certify", step)
    monkeypatch.setattr("tasks.certify.read_certificate", reached)
    return seen


def test_every_market_is_asked_for_and_reached_bars_end_with_0(carryflow, artifacts, asked) -> None:
    done = carryflow("certify", "--seed", 5)
    assert done.code == 0, done.err
    assert [market for market, _ in asked] == ["no edge", "persistent edge", "decoy", "leverage trap"]
    for market, given in asked:
        assert given["budget"] == Budget()
        assert given["training"] == TrainingConfig(seed=5, num_episodes=Budget().episodes(market))
        assert (given["time_budget"], given["device"]) == (0.0, "cpu")
    for text in ("informed", "leverage trap", "10x", ">= 80 %", "4,321 episodes", "1:01 min", "\nCERTIFIED"):
        assert text in done.out
    assert "FAIL" not in done.out and "NOT CERTIFIED" not in done.out and "cut short" not in done.out


def test_a_missed_bar_ends_with_1_and_is_told(carryflow, artifacts, asked, monkeypatch) -> None:
    answers = {"leverage trap": 0.4}
    monkeypatch.setattr(
        "tasks.certify.read_certificate", lambda market: reached(market, answers.get(market, 0.9), False)
    )
    done = carryflow("certify")
    assert done.code == 1
    assert "NOT CERTIFIED: 1 of 5 bars were missed." in done.out
    [failed] = [line for line in done.out.splitlines() if "FAIL" in line]
    assert failed.split()[:3] == ["leverage", "trap", "10x"]
    assert done.out.count("cut short by the time budget") == 4


def test_markets_are_chosen_and_the_recipe_is_what_flags_and_a_file_say(
    carryflow, artifacts, asked, tmp_path
) -> None:
    file = tmp_path / "advanced.json"
    file.write_text(
        '{"training": {"gamma": 0.99, "clip": 0.1}, "gates": {"min_trades": 9}}', encoding="utf-8"
    )
    words = ("--market", "decoy", "--market", "no-edge", "--num-episodes", 7, "--time-budget", 3)
    done = carryflow("certify", *words, "--advanced", file, "--set", "training.clip=0.3", "--device", "mps")
    assert done.code == 0, done.err
    assert [market for market, _ in asked] == ["no edge", "decoy"]
    given = asked[0][1]
    assert (given["training"].gamma, given["training"].clip, given["training"].num_episodes) == (0.99, 0.3, 7)
    assert (given["budget"], given["time_budget"], given["device"]) == (Budget(num_episodes=7), 3.0, "mps")


def test_json_is_the_certificates_and_nothing_else(carryflow, artifacts, asked) -> None:
    done = carryflow("certify", "--json", "--market", "decoy", "--market", "persistent-edge")
    found = [Certificate.model_validate(each) for each in json.loads(done.out)]
    assert done.code == 0
    assert found == [reached("persistent edge"), reached("decoy")]


def test_a_tiny_training_is_run_judged_and_kept(carryflow, artifacts, monkeypatch) -> None:
    monkeypatch.setattr("schemas.certify.Budget", partial(Budget, days=20, unseen=1, unseen_days=8))
    words = ("certify", "--market", "persistent-edge", "--num-episodes", 8, *TINY_FLAGS)
    done = carryflow(*words)
    assert done.code == 1, done.err
    assert "NOT CERTIFIED: 1 of 1 bars were missed." in done.out
    assert "Known-answer market: persistent edge" in done.err

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("it was there and was made again")

    monkeypatch.setattr("rl.certify.certify", never)
    assert carryflow(*words).out == done.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--market", "sideways"), "'sideways' is not one of"),
        (("--num-episodes", "0"), "--num-episodes"),
        (("--set", "training.learning_rate=-1"), "training.learning_rate: Input should be greater than 0"),
        (("--set", "training.learning_rates=1"), "training.learning_rates: there is no such parameter."),
        (("--set", "gates.min_trades=5"), "gates.min_trades=5: has no part in a certification."),
        (("--set", "training.gamma"), "'training.gamma' is not NAME=VALUE."),
        (("--advanced", "nowhere.json"), "nowhere.json: does not exist."),
        (("--device", "tpu"), "there is no device 'tpu'"),
    ],
)
def test_a_mistake_is_refused_in_one_sentence_and_ends_with_2(carryflow, artifacts, words, said) -> None:
    done = carryflow("certify", *words)
    assert (done.code, done.out) == (2, "")
    [line] = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    assert said in line
    assert "Traceback" not in done.err


def test_help_says_in_words_what_is_proven_and_how_it_ends(carryflow) -> None:
    done = carryflow("certify", "--help")
    said = " ".join(done.out.split())
    assert done.code == 0
    for text in (
        "no-edge", "persistent-edge", "decoy", "leverage-trap", "unseen markets", "informed optimum",
        "Exit code 0 if every bar is reached, 1 if one is not, 2 on a mistake",
        f"default: what each asks for, {min(EPISODES.values())} to {max(EPISODES.values())}",
    ):  # fmt: skip
        assert text in said


@pytest.mark.parametrize(("market", "count"), [("all", 4), ("decoy", 1)])
def test_the_flow_certifies_the_market_wanted_or_all_and_says_whether_bars_were_reached(
    monkeypatch: pytest.MonkeyPatch, market: str, count: int
) -> None:
    import flows.certify

    seen: dict[str, dict[str, Any]] = {}

    def call(step: Any, name: str, **given: Any) -> str:
        assert step.fn is flows.certify.CERTIFY.fn  # named for its market
        seen[name] = given
        return name

    monkeypatch.setattr(flows.certify, "call", call)
    monkeypatch.setattr(flows.certify, "read_certificate", reached)
    advanced = Advanced.model_validate({"training": {"gamma": 0.9}})
    flow = flows.certify.certify.fn
    found = flow(market=market, seed=2, num_episodes=6, time_budget=9.0, advanced=advanced)
    assert found == {"certificates": {name: name for name in seen}, "certified": True}
    assert len(seen) == count
    for given in seen.values():
        assert (given["training"].gamma, given["training"].seed, given["training"].num_episodes) == (
            0.9,
            2,
            6,
        )
        assert (given["budget"].num_episodes, given["time_budget"]) == (6, 9.0)
    monkeypatch.setattr(flows.certify, "read_certificate", partial(reached, share=0.1))
    assert flow(market=market)["certified"] is False


def test_the_run_page_shows_the_bars_and_the_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from schemas.certify import CERTIFICATE
    from tasks import show

    shown: dict[str, str] = {}
    monkeypatch.setattr("tasks.ui.markdown", lambda key, text, description: shown.update({key: text}))
    for share, word in ((0.9, "passed"), (0.4, "FAILED")):
        (tmp_path / CERTIFICATE).write_text(reached("leverage trap", share).model_dump_json())
        show.certificate(SimpleNamespace(path=tmp_path))
        text = shown["certify-leverage-trap"]
        assert word in text.splitlines()[0]
        assert "4,321 episodes" in text
        [row] = [line for line in text.splitlines() if line.startswith("| leverage trap | 10x")]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert [float(cell) for cell in cells[2:6]] == [4.0 * share, 1.0, 4.0, 100.0 * share]
        assert cells[-1] == ("pass" if share > 0.5 else "FAIL")
