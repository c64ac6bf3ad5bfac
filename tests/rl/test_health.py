"""What a policy does is measured, and the signs of its training are read as a practitioner reads them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from rl.health import behaviour, judge
from rl.rollout import Rollout
from rl.trainer import METRIC_COLUMNS
from schemas.health import HealthLimits, HealthReport, Sign, SignName, watched
from tests.rl.classic import CPU

Column = Callable[[float], float]  # of the share of the run that is done
GREEDY = 0.3
LIMITS = HealthLimits()


def test_behaviour_counts_kinds_and_splits_entropy() -> None:
    rollout = Rollout(1, 4, 75, 36, CPU)
    rollout.action[0] = torch.tensor([0, 5, 30, 31])
    p = torch.zeros(36)
    p[0], p[1], p[2], p[31] = 0.5, 0.2, 0.2, 0.1  # entering, two actions are equally likely
    rollout.all_logp[:] = torch.where(p > 0, p.log(), -1e9)
    seen = behaviour(rollout)
    assert [seen[f"share_{kind}"] for kind in ("hold", "enter", "exit")] == [0.25, 0.5, 0.25]
    kinds = np.array([0.5, 0.4, 0.1])
    assert seen["entropy_kind"] == pytest.approx(-(kinds * np.log(kinds)).sum(), abs=1e-5)
    assert seen["entropy_entry"] == pytest.approx(np.log(2), abs=1e-5)


def test_the_entropy_of_a_hardly_possible_entry_is_no_noise() -> None:
    rollout = Rollout(1, 2, 75, 36, CPU)
    rollout.all_logp[:] = -100.0  # 35 actions alike, each of probability 4e-44
    rollout.all_logp[..., 0] = 0.0
    assert behaviour(rollout)["entropy_entry"] == pytest.approx(np.log(30), abs=1e-5)


def test_behaviour_where_entering_is_impossible() -> None:
    rollout = Rollout(1, 2, 75, 36, CPU)
    rollout.all_logp[:] = -1e9
    rollout.all_logp[..., 0] = 0.0
    seen = behaviour(rollout)
    assert seen["entropy_kind"] == 0.0
    assert seen["entropy_entry"] == 0.0


def rows(n: int = 60, each: int = 50, noise: float = 0.1, seed: int = 0, **columns: Column) -> list[dict]:
    """The metrics of a healthy run, annealed to its end, with some columns changed."""
    rng = np.random.default_rng(seed)
    healthy: dict[str, Column] = {
        "reward_mean": lambda x: -0.5 + 1.2 * (1 - np.exp(-6 * x)),
        "liquidations_per_episode": lambda x: 0.01,
        "lr": lambda x: 1e-3 * (1 - x),
        "kl": lambda x: 0.03 * (1 - x) ** 2,
        "clip_fraction": lambda x: 0.22 * (1 - x),
        "value_loss": lambda x: 0.4 * np.exp(-4 * x) + 0.05,
        "explained_variance": lambda x: 0.9 * (1 - np.exp(-8 * x)),
        "share_hold": lambda x: 0.95,
        "share_enter": lambda x: 0.03,
        "share_exit": lambda x: 0.02,
        "entropy_kind": lambda x: 0.4 * np.exp(-3 * x),
        "entropy_entry": lambda x: 3.0 - 1.5 * x,
        "eval_return": lambda x: -0.2 + 0.8 * (1 - np.exp(-5 * x)),
    } | columns
    out = []
    for i in range(n):
        row = {name: float(column(i / n)) for name, column in healthy.items()}
        row["reward_mean"] += float(rng.normal(0, noise))
        row |= {"update": i + 1.0, "episodes": (i + 1.0) * each}
        if i % 4:
            row["eval_return"] = np.nan
        out.append(row)
    for i, row in enumerate(out):
        row["mean_100"] = float(np.mean([r["reward_mean"] for r in out[max(0, i - 1) : i + 1]]))
    return out


def read(name: SignName, **given: Any) -> Sign:
    return judge(rows(**given), GREEDY).sign(name)


def steady(value: float) -> Column:
    return lambda x: value


def test_a_healthy_run_is_good_in_every_sign_to_its_annealed_end() -> None:
    report = judge(rows(), GREEDY)
    assert {sign.name: sign.verdict for sign in report.signs} == {sign.name: "good" for sign in report.signs}
    assert report.to_mend == ()
    assert all(sign.advice == "" for sign in report.signs)


def test_a_healthy_run_is_never_bad_on_its_way() -> None:
    run = rows()
    for done in range(len(run) + 1):
        bad = [sign for sign in judge(run[:done], GREEDY).signs if sign.verdict == "bad"]
        assert bad == [], f"after {done} updates"


def test_every_sign_is_judged_and_looks_at_columns_there_are() -> None:
    assert [s.name for s in judge(rows(), GREEDY).signs] == [w.name for w in watched(LIMITS)]
    assert set(rows()[0]) <= set(METRIC_COLUMNS)


def test_nothing_measured_is_nothing_known() -> None:
    assert {sign.verdict for sign in judge([], None).signs} == {"unknown"}
    report = judge(rows(n=2, each=10), None)
    assert {sign.verdict for sign in report.signs} == {"unknown"}
    assert HealthReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize(
    ("name", "verdict", "columns"),
    [
        ("mean return", "bad", {"reward_mean": steady(-6.0)}),
        ("mean return", "watch", {"reward_mean": steady(-2.0)}),
        ("liquidations", "bad", {"liquidations_per_episode": steady(0.06)}),
        ("liquidations", "good", {"liquidations_per_episode": steady(0.05)}),
        ("KL", "bad", {"kl": steady(0.11)}),
        ("KL", "watch", {"kl": steady(0.07)}),
        ("KL", "good", {"kl": steady(0.049)}),
        ("clip fraction", "watch", {"clip_fraction": steady(0.09)}),
        ("clip fraction", "bad", {"clip_fraction": steady(0.31)}),
        ("clip fraction", "good", {"clip_fraction": steady(0.11)}),
        ("explained variance", "watch", {"explained_variance": steady(0.1)}),
        ("explained variance", "bad", {"explained_variance": steady(-0.1)}),
        ("validation", "watch", {"eval_return": steady(0.2)}),
    ],
)
def test_a_sign_turns_at_its_limit(name: SignName, verdict: str, columns: dict[str, Column]) -> None:
    sign = read(name, **columns)
    assert sign.verdict == verdict
    assert bool(sign.advice) == (verdict != "good")


@pytest.mark.parametrize("which", ["kind", "entry"])
def test_low_entropy_is_stuck_only_behind_greedy(which: str) -> None:
    low = {f"entropy_{which}": steady(0.2)}
    name: Any = f"entropy of {which}"
    assert read(name, **low).verdict == "good", "decided, and better than greedy"
    for on_its_way in ({"reward_mean": lambda x: 3.0 * x}, {"eval_return": lambda x: 0.2 * x}):
        assert read(name, **({"eval_return": steady(0.1)} | low | on_its_way)).verdict == "watch"
    stuck = read(name, **low, eval_return=steady(0.1))
    assert stuck.verdict == "bad"
    assert "stuck" in stuck.reading
    assert "--entropy-coef" in stuck.advice
    few = judge(rows(n=12, **(low | {"reward_mean": steady(0.0), "eval_return": steady(0.0)})), GREEDY)
    assert few.sign(name).verdict == "bad", "three evaluations that stand still are enough"
    young = judge(rows(n=6, each=100, **(low | {"eval_return": steady(0.0)})), GREEDY)
    assert young.sign(name).verdict == "watch", "too few updates to say that the mean does not rise"
    tries = {f"entropy_{which}": steady(0.6)}
    assert read(name, **tries, eval_return=steady(0.1)).verdict == "good", "behind, and still trying"
    assert judge(rows(**low), None).sign(name).verdict == "unknown", "nothing to compare with"


def test_a_policy_that_begins_by_holding_is_not_called_stuck_at_once() -> None:
    run = rows(eval_return=steady(0.0), entropy_kind=steady(0.2))
    assert judge(run[:9], GREEDY).sign("entropy of kind").verdict == "unknown"
    assert judge(run[:12], GREEDY).sign("entropy of kind").verdict == "watch", "its mean still rises"
    assert judge(run, GREEDY).sign("entropy of kind").verdict == "bad"


def test_the_choice_of_an_entry_says_nothing_where_none_is_made() -> None:
    sign = read("entropy of entry", share_enter=steady(0.0), entropy_entry=steady(0.0), eval_return=steady(0))
    assert sign.verdict == "unknown"


def test_one_restless_update_is_no_sign() -> None:
    run = rows()
    run[-20] |= {"kl": 0.3, "clip_fraction": 0.9, "value_loss": 50.0, "explained_variance": -2.0}
    for done in range(len(run) - 20, len(run) + 1):
        bad = [sign.name for sign in judge(run[:done], GREEDY).signs if sign.verdict == "bad"]
        assert bad == []


def test_steps_that_turn_too_large_late_are_seen_at_once() -> None:
    run = rows(n=100, lr=steady(1e-3), kl=lambda x: 0.02 if x < 0.8 else 0.2)
    assert judge(run[:80], GREEDY).sign("KL").verdict == "good"
    assert judge(run[:90], GREEDY).sign("KL").verdict == "bad"


def test_a_mean_that_moves_by_chance_alone_is_flat() -> None:
    runs = [{"reward_mean": steady(-0.1), "seed": seed, "noise": 0.7} for seed in range(200)]
    flat = [read("mean of 100 episodes", **run).verdict for run in runs]
    assert flat.count("watch") >= 190, "a standard error that overlapping windows make too small fails here"


def test_neighbours_that_are_alike_widen_the_error() -> None:
    def wandering(seed: int) -> Column:
        rng, level = np.random.default_rng(seed), [0.0]
        for _ in range(200):
            level.append(0.8 * level[-1] + rng.normal(0, 0.3))
        return lambda x: level[round(x * 60)]

    trends = [
        read("mean of 100 episodes", each=10, reward_mean=wandering(s), noise=0.0).verdict for s in range(200)
    ]
    assert trends.count("watch") >= 175


def test_a_mean_that_moves_is_seen() -> None:
    rising = {"reward_mean": lambda x: 3.0 * x, "lr": steady(1e-3)}
    falling = {"reward_mean": lambda x: -3.0 * x, "lr": steady(1e-3)}
    assert read("mean of 100 episodes", **rising).verdict == "good"
    sign = read("mean of 100 episodes", **falling)
    assert sign.verdict == "bad"
    assert sign.value == pytest.approx(-3.0 * 500 / 3000, abs=0.3)


def test_flat_is_settled_only_where_it_rose_and_the_rate_is_spent() -> None:
    rose: Column = lambda x: min(0.0, -1.0 + 4 * x)  # noqa: E731
    assert read("mean of 100 episodes", reward_mean=rose).verdict == "good"
    assert read("mean of 100 episodes", reward_mean=rose, lr=steady(1e-3)).verdict == "watch"
    assert read("mean of 100 episodes", reward_mean=steady(-1.0)).verdict == "watch"


def test_a_value_loss_explodes_against_its_own_earlier_level() -> None:
    explodes: Column = lambda x: 0.1 if x < 0.85 else 1.5  # noqa: E731
    lost = {"explained_variance": steady(0.1)}
    assert read("value loss", value_loss=explodes, **lost).verdict == "bad"
    assert read("value loss", value_loss=steady(1.5), **lost).verdict == "good", "it was never lower"
    assert read("value loss", value_loss=lambda x: 0.1 if x < 0.85 else 0.5, **lost).verdict == "watch"
    assert read("value loss", value_loss=explodes).verdict == "good", "larger returns, and known as well"


@pytest.mark.parametrize(
    ("reading", "enter", "exits"),
    [("never enters", 0.0, 0.0), ("never exits", 0.03, 0.0), ("churns", 0.3, 0.25)],
)
def test_what_is_odd_about_the_actions_is_told_with_their_shares(
    reading: str, enter: float, exits: float
) -> None:
    columns = {"enter": enter, "exit": exits, "hold": 1 - enter - exits}
    sign = read("actions", **{f"share_{kind}": steady(share) for kind, share in columns.items()})
    assert sign.verdict == "watch"
    assert sign.reading == (
        f"{reading}: hold {100 - 100 * (enter + exits):.1f} %, enter {100 * enter:.1f} %, "
        f"exit {100 * exits:.1f} % of steps"
    )


def test_limits_are_the_only_place_of_a_limit() -> None:
    strict = HealthLimits(bad_kl=0.02, good_kl=0.01, liquidations=0.005)
    report = judge(rows(), GREEDY, strict)
    assert report.limits == strict
    assert report.sign("KL").verdict == "watch"
    assert report.sign("liquidations").verdict == "bad"
    assert [s.verdict for s in report.to_mend][:1] == ["bad"], "the bad come first"
