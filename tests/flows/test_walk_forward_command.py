"""`carryflow walk-forward`: what is typed is what is asked; a mistake gets one sentence and exit code 2."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.walk_forward import DEFAULT_EPISODES, FoldPlan


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the command asks the flow for."""
    seen: dict[str, Any] = {}
    monkeypatch.setattr("flows.launch.run_walk_forward", lambda **given: seen.update(given))
    return seen


def test_what_is_typed_is_what_is_asked(carryflow, artifacts, asked, tmp_path) -> None:
    words = (
        "--folds",
        6,
        "--rolling",
        "--seeds",
        5,
        "--seed",
        2,
        "--num-episodes",
        77,
        "--preset",
        "aggressive",
    )
    more = ("--held-out", 0.4, "--validation", 0.2, "--time-budget", 9, "--book", "desk", "--device", "auto")
    done = carryflow("walk-forward", "--data", tmp_path, *words, *more, "--set", "training.clip=0.3",
                     "--runner", "process", "--workers", 3)  # fmt: skip
    assert done.code == 0, done.err
    assert asked["asked"] == {
        "preset": "aggressive", "folds": 6, "scheme": "rolling", "held_out": 0.4, "validation": 0.2,
        "seeds": 5, "seed": 2, "num_episodes": 77, "time_budget": 9.0,
        "runner": "process", "workers": 3,
    }  # fmt: skip
    assert (asked["data"], asked["book"]) == (tmp_path, "desk")
    assert (asked["advanced"].training.clip, asked["advanced"].device) == (0.3, "auto")


def test_what_is_not_typed_is_the_flows_default(carryflow, artifacts, asked, tmp_path) -> None:
    assert carryflow("walk-forward", "--data", tmp_path).code == 0
    given = asked["asked"]
    assert given["scheme"] == "expanding"
    assert [given[name] for name in ("folds", "held_out", "validation", "seeds", "num_episodes")] == [
        None
    ] * 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "nowhere"), "nowhere: does not exist."),
        (("--data", ".", "--folds", "1"), "--folds"),
        (("--data", ".", "--held-out", "1"), "--held-out"),
        (("--data", ".", "--seeds", "0"), "--seeds"),
        (("--data", ".", "--set", "resume_from=champion"), "resume_from: has no part in a walk-forward"),
        (("--data", ".", "--book", "../b"), "cannot be the name of a book."),
        (("--data", ".", "--set", "training.gama=1"), "training.gama: there is no such parameter."),
    ],
)
def test_a_mistake_is_refused_in_one_sentence_and_ends_with_2(carryflow, artifacts, words, said) -> None:
    done = carryflow("walk-forward", *words)
    assert (done.code, done.out) == (2, "")
    [line] = [line for line in done.err.splitlines() if line.startswith("Error: ")]
    assert said in line
    assert "Traceback" not in done.err
    assert not artifacts.exists()


def test_help_says_what_is_held_out_chosen_and_paid(carryflow) -> None:
    said = " ".join(carryflow("walk-forward", "--help").out.split())
    plan = FoldPlan()
    for text in (
        "out-of-sample curve", "best on validation is the candidate", "--expanding", "--rolling",
        "12 by default", f"(default {DEFAULT_EPISODES})", f"(default {plan.n_folds})",
        f"(default {plan.held_out_share})", f"(default {plan.validation_share})",
    ):  # fmt: skip
        assert text in said
