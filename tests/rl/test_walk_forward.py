"""Joining held-out parts: chained by their ratios, chosen by validation, and told without flattery."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from rl.judge.bootstrap import interquartile_mean
from rl.judge.walk_forward import choose, doubts, verdict
from rl.market.splits import Window
from rl.walk_forward import HeldOut, figures, join, joined_daily
from schemas.trading import PRESETS, MarketRules
from schemas.training import TrainingConfig
from schemas.walk_forward import FoldPlan, FoldResult, FoldRun, Played, Span, WalkForwardSummary

START = datetime(2025, 5, 1, tzinfo=UTC)
CAPITAL = 10_000.0


def hour(n: int) -> datetime:
    return START + timedelta(hours=n)


def equity(first: int, curves: dict[str, list[float]], preset: str = "moderate") -> pd.DataFrame:
    """Return a backtest's table of equity from NLVs by policy."""
    parts = [
        pd.DataFrame(
            {
                "preset": preset,
                "policy": policy,
                "run": 0,
                "time": pd.date_range(hour(first), periods=len(nlv), freq="h", unit="us"),
                "nlv": nlv,
            }
        )
        for policy, nlv in curves.items()
    ]
    return pd.concat(parts, ignore_index=True)


def part(first: int, end: int, chosen: int, seeds: dict[int, dict[str, list[float]]]) -> HeldOut:
    window = Window(start=hour(first), end=hour(end))
    return HeldOut(window, chosen, {seed: equity(first, curves) for seed, curves in seeds.items()}, CAPITAL)


def line(curve: pd.DataFrame, who: str, seed: int = -1) -> list[float]:
    return curve[(curve["who"] == who) & (curve["seed"] == seed)]["nlv"].tolist()


def two_parts() -> list[HeldOut]:
    cash = [CAPITAL] * 2
    return [
        part(
            0, 2, 1,
            {
                0: {"agent": [10_000, 9_000], "greedy": [10_000, 10_100], "cash": cash},
                1: {"agent": [10_000, 12_000], "greedy": [10_000, 10_100], "cash": cash},
            },
        ),
        part(
            2, 4, 0,
            {
                0: {"agent": [10_000, 11_000], "greedy": [10_000, 9_900], "cash": cash},
                1: {"agent": [10_000, 5_000], "greedy": [10_000, 9_900], "cash": cash},
            },
        ),
    ]  # fmt: skip


def test_each_fold_starts_with_what_the_one_before_reached() -> None:
    curve = join(two_parts())
    assert line(curve, "agent", 0) == pytest.approx([10_000, 9_000, 9_000, 9_900])
    assert line(curve, "agent", 1) == pytest.approx([10_000, 12_000, 12_000, 6_000])
    assert line(curve, "greedy") == pytest.approx([10_000, 10_100, 10_100, 9_999])
    assert line(curve, "cash") == [10_000] * 4
    times = curve[curve["who"] == "greedy"]["time"].tolist()
    assert times == [pd.Timestamp(hour(n)) for n in range(4)]
    assert curve[curve["who"] == "greedy"]["fold"].tolist() == [1, 1, 2, 2]


def test_the_candidate_is_the_chosen_seed_of_each_fold() -> None:
    assert line(join(two_parts()), "candidate") == pytest.approx([10_000, 12_000, 12_000, 13_200])


def test_a_run_that_the_drawdown_limit_ended_stays_where_it_was_until_the_next_fold() -> None:
    ended = part(0, 4, 0, {0: {"agent": [10_000, 7_000], "cash": [CAPITAL] * 4}})
    after = part(4, 6, 0, {0: {"agent": [10_000, 11_000], "cash": [CAPITAL] * 2}})
    curve = join([ended, after])
    assert line(curve, "candidate") == pytest.approx([10_000, 7_000, 7_000, 7_000, 7_000, 7_700])


def test_random_runs_are_no_curve_and_an_unknown_baseline_is() -> None:
    fold = part(0, 2, 0, {0: {"agent": [1e4, 1e4], "random": [1e4, 1.0], "hold-until-flip": [1e4, 1.1e4]}})
    assert set(join([fold])["who"]) == {"agent", "candidate", "hold-until-flip"}


def test_parts_that_do_not_follow_each_other_are_refused() -> None:
    first, second = two_parts()
    with pytest.raises(ValueError, match="do not follow"):
        join([second, first])
    lost = HeldOut(second.window, 0, {0: second.equity[0]}, CAPITAL)
    with pytest.raises(ValueError, match="same seeds"):
        join([first, lost])


def made_daily(days: int = 40, seeds: int = 3) -> tuple[list[HeldOut], np.ndarray]:
    """Return two folds from midnight on, and the daily returns of each seed (seeds, days)."""
    generator = np.random.default_rng(5)
    returns = generator.normal(0.0, 0.01, (seeds, days))
    half = days // 2 * 24
    folds = []
    for first, end in ((0, half), (half, days * 24 + 1)):
        tables = {}
        for seed in range(seeds):
            level = np.concatenate([[1.0], np.cumprod(1 + returns[seed])])
            # All of a day's return falls into its first hour.
            hourly = np.array([level[-(-n // 24)] for n in range(first, end)])
            tables[seed] = {
                "agent": (CAPITAL * hourly / hourly[0]).tolist(),
                "greedy": [CAPITAL] * (end - first),
                "cash": [CAPITAL] * (end - first),
            }
        folds.append(part(first, end, 1, tables))
    return folds, returns


def test_daily_returns_stand_beside_each_other_seed_by_seed() -> None:
    folds, returns = made_daily()
    daily = joined_daily(join(folds), "moderate")
    assert daily.seeds == (0, 1, 2)
    assert daily.agent.shape == (3, 40)
    # The hour between the last mark of a fold and the first of the next holds no position.
    lost = 19
    kept = np.delete(np.arange(40), [lost, lost + 1])
    np.testing.assert_allclose(daily.agent[:, kept], returns[:, kept], atol=1e-12)
    np.testing.assert_array_equal(daily.candidate, daily.agent[1])
    assert set(daily.baselines) == {"greedy", "cash"}
    assert not daily.baselines["cash"].any()
    assert daily.days[0] == np.datetime64("2025-05-01") and len(daily.days) == 40
    assert daily.days[-1] == np.datetime64("2025-06-09")
    with pytest.raises(ValueError, match="aggressive"):
        joined_daily(join(folds), "aggressive")


def test_figures_are_those_of_the_whole_curve() -> None:
    found = {(c.who, c.seed): c for c in figures(join(two_parts()))}
    assert found["candidate", None].return_pct == pytest.approx(32.0)
    assert found["agent", 1].max_drawdown_pct == pytest.approx(50.0)
    assert found["agent", 1].days == 0
    assert found["agent", 1].sharpe is None and "insufficient evidence" in found["agent", 1].sharpe_note
    longer, _ = made_daily()
    daily = joined_daily(join(longer), "moderate").candidate
    [told] = [c for c in figures(join(longer)) if c.who == "candidate"]
    assert told.sharpe == pytest.approx(daily.mean() / daily.std(ddof=1) * np.sqrt(365))


def run(seed: int, validation: float, held_out: float = 1.0, trades: float = 5, **more: object) -> FoldRun:
    result = Played(
        preset="moderate", policy="agent", return_pct=held_out, max_drawdown_pct=1.0, trades=trades,
        liquidations=more.pop("liquidations", 0), **more,
    )  # fmt: skip
    return FoldRun(
        seed=seed, version="v", trial="t", model="train/m", backtest="backtest/b", episodes=8,
        validation_pct=validation, results=(result,),
    )  # fmt: skip


def test_the_seed_best_on_validation_is_chosen_whatever_it_did_on_the_held_out_part() -> None:
    assert choose([run(3, 0.1, 9.0), run(5, 0.2, -5.0), run(4, 0.2, -9.0)]) == 4
    assert choose([run(7, 0.0), run(2, 0.0)]) == 2


def summary(folds: list[HeldOut], runs: list[list[FoldRun]]) -> WalkForwardSummary:
    curve = join(folds)
    results = tuple(
        FoldResult(
            number=number,
            features="fold/f",
            train=Span(start=START, end=hour(1)),
            validation=Span(start=START, end=hour(1)),
            test=Span(start=fold.window.start, end=fold.window.end),
            runs=tuple(mine),
            chosen=fold.chosen,
            baselines=(),
        )
        for number, (fold, mine) in enumerate(zip(folds, runs, strict=True), start=1)
    )
    told = figures(curve)
    return WalkForwardSummary(
        data_hash="d", preset="moderate", plan=FoldPlan(n_folds=2), seeds=tuple(folds[0].equity),
        training=TrainingConfig(), rules=MarketRules(), presets={"moderate": PRESETS["moderate"]},
        embargo_hours=1, episode_hours=24, start=folds[0].window.start, end=folds[-1].window.end,
        hours=sum(fold.window.hours for fold in folds), folds=results, curves=told,
        notes=doubts(results, told, "moderate"),
    )  # fmt: skip


def judged(agent: float, greedy: float = 0.0, **more: object) -> WalkForwardSummary:
    """A walk-forward of one seed and two folds that returned so much, percent, all in the first one."""
    cash = [CAPITAL] * 24

    def ends(pct: float) -> list[float]:
        return [CAPITAL] * 23 + [CAPITAL * (1 + pct / 100)]

    first = part(0, 24, 0, {0: {"agent": ends(agent), "greedy": ends(greedy), "cash": cash}})
    second = part(24, 48, 0, {0: {"agent": cash, "greedy": cash, "cash": cash}})
    return summary([first, second], [[run(0, 0.1, agent, **more)], [run(0, 0.1, 0.0, **more)]])


@pytest.mark.parametrize(
    ("found", "said", "tone"),
    [
        (judged(0.0, trades=0), "No better than cash: the policy never traded on 2 days held out.", "bad"),
        (judged(-1.0), "No better than cash: the policy returned -1.00 %", "bad"),
        (
            judged(1.0, 2.0),
            "Better than cash but no better than greedy: the policy returned +1.00 %",
            "mixed",
        ),
        (judged(1.0, 1.0), "Better than cash but no better than greedy", "mixed"),
        (judged(2.0, 1.0), "Better than cash and greedy: the policy returned +2.00 %", "good"),
    ],
)
def test_the_verdict_says_the_least_flattering_truth_first(found, said, tone) -> None:
    told = verdict(found)
    assert told.headline.startswith(said)
    assert told.tone == tone
    assert "Greedy returned" in " ".join(told.details)


def test_doubts_are_told_few_days_one_seed_an_early_end_and_liquidations() -> None:
    told = " ".join(verdict(judged(1.0, ended_early=True, liquidations=2)).details)
    assert "It earned something in 1 of 2 folds." in told
    assert "It suffered 4 liquidations." in told
    assert "Insufficient evidence: 1 whole day held out, 30 are needed." in told
    assert "One seed was trained" in told
    assert "The drawdown limit ended fold 1, 2" in told


def test_enough_days_and_seeds_leave_no_doubt_and_the_spread_is_told() -> None:
    folds, _ = made_daily()
    found = summary(folds, [[run(0, 0.1), run(1, 0.2), run(2, 0.1)]] * 2)
    assert found.notes == ()
    told = " ".join(verdict(found).details)
    ends = sorted(c.return_pct for c in found.of_seeds("moderate"))
    assert f"returned {ends[0]:+.2f} % to {ends[-1]:+.2f} %" in told
    assert f"inter-quartile mean {interquartile_mean(ends):+.2f} %" in told
    assert "Sharpe ratio over 40 days" in told


@pytest.mark.parametrize(
    ("values", "mean"),
    [([1.0, 2.0, 3.0, 100.0], 2.5), ([5.0], 5.0), ([9.0, 0.0, 3.0], 3.5), ([0.0] * 2 + [1.0] * 6, 1.0)],
)
def test_the_inter_quartile_mean_leaves_out_a_quarter_at_either_end(values, mean) -> None:
    # Of three values each outer one keeps a sixth of the middle half, the middle one two thirds.
    assert interquartile_mean(values) == pytest.approx(mean)
