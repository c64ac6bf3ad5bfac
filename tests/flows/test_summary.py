"""What the terminal tells of a backtest."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.cli.readiness import print_signs
from flows.cli.summary import print_backtest, print_results, print_signs_to_mend
from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit
from schemas.health import HealthLimits, HealthReport, Sign, watched
from schemas.judgement import Judgement
from schemas.trading import PRESETS, MarketRules, TradingConfig
from tests.tasks.made import publish


def test_funding_costs_and_price_of_each_line_add_up_to_its_return(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # A liquidated pair: the lost margin and the other leg's gain only make sense together.
    parts = ProfitSplit(
        funding=120.0, price=900.0, fees=-60.0, slippage=-20.0, penalty=-4.0, liquidation=-1000.0,
        unrealised=12.0, closing_costs=-8.0,
    )  # fmt: skip
    result = PolicyResult(
        preset="moderate", policy="agent", runs=1, return_pct=100 * parts.total / 20_000, split=parts,
        max_drawdown_pct=0.5, final_nlv=20_000 + parts.total, trades=4, liquidations=1, hours=100,
    )  # fmt: skip
    summary = BacktestSummary(
        version="v1", start=datetime(2025, 7, 8, tzinfo=UTC), end=datetime(2025, 7, 12, tzinfo=UTC),
        hours=100, initial_capital=20_000.0, in_sample=True, overlap_hours=7, seed=0, random_runs=0,
        presets={"moderate": PRESETS["moderate"]}, rules=MarketRules(), results=(result,),
    )  # fmt: skip
    print_results(summary, "moderate")
    said = capsys.readouterr().out
    line = next(line for line in said.splitlines() if line.startswith("moderate"))
    returned, funding, costs, price = (float(cell) for cell in line.split()[2:6])
    assert (returned, funding, costs, price) == (-0.30, 0.60, -0.46, -0.44)
    assert "IN-SAMPLE" in said


def test_the_end_of_a_training_tells_what_is_not_good_the_bad_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = Sign(name="KL", value=0.01, verdict="good", reading="0.010 an update")
    watch = Sign(name="actions", value=0.0, verdict="watch", reading="never enters", advice="Raise it.")
    bad = Sign(name="liquidations", value=0.1, verdict="bad", reading="0.100 an episode", advice="Lower it.")
    print_signs_to_mend(HealthReport(signs=(good, watch, bad)))
    assert capsys.readouterr().out.splitlines() == [
        "Signs of the training that are not good:",
        "  bad: liquidations, 0.100 an episode. Lower it.",
        "  watch: actions, never enters. Raise it.",
    ]


def test_long_advice_is_wrapped_between_flags_and_never_within_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for pushed in range(16):
        advice = "x" * pushed + " --entropy-coef" * 10
        sign = Sign(name="actions", value=0.0, verdict="watch", reading="never enters", advice=advice)
        print_signs_to_mend(HealthReport(signs=(sign,)))
        lines = capsys.readouterr().out.splitlines()
        assert sum(line.split().count("--entropy-coef") for line in lines) == 10
        assert max(map(len, lines)) <= 100


def test_a_training_without_a_fault_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    good = Sign(name="KL", value=0.01, verdict="good", reading="0.010 an update")
    unknown = Sign(name="actions", value=None, verdict="unknown", reading="early")
    print_signs_to_mend(HealthReport(signs=(good, unknown)))
    assert capsys.readouterr().out == "Signs of the training: 1 good, 1 unknown.\n"


def test_what_to_watch_is_what_is_judged(capsys: pytest.CaptureFixture[str]) -> None:
    print_signs()
    told = " ".join(capsys.readouterr().out.split())
    for sign in watched(HealthLimits()):
        assert f"{sign.name}: {sign.good}" in told
        for case in sign.cases:
            assert f"{case.verdict}: {case.when}. {case.advice}" in told


def reported(
    capsys: pytest.CaptureFixture[str],
    root: Path,
    presets: dict[str, TradingConfig],
    rules: MarketRules,
    end: datetime = datetime(2025, 7, 12, tzinfo=UTC),
) -> Path:
    """Tell an ad hoc backtest in the terminal and return the report it names."""
    results = tuple(
        PolicyResult(
            preset=name, policy="agent", runs=1, return_pct=profile.leverage, split=ProfitSplit(),
            max_drawdown_pct=0.5, final_nlv=10_000, trades=4, hours=96,
        )
        for name, profile in presets.items()
    )  # fmt: skip
    summary = BacktestSummary(
        version="0123456789ab", start=datetime(2025, 7, 8, tzinfo=UTC), end=end, hours=96,
        initial_capital=10_000.0, in_sample=False, overlap_hours=0, seed=0, random_runs=0,
        presets=presets, rules=rules, results=results,
    )  # fmt: skip
    text = summary.model_dump_json()
    tested = publish(root, "backtest", {"backtest.json": text})
    judged = publish(
        root, "judgement", {"report.html": text, "gates.json": Judgement(challenger=()).model_dump_json()}
    )
    print_backtest({"backtest": str(tested), "stress": "", "judgement": str(judged)}, book="b")
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Report: ")]
    path = Path(line.removeprefix("Report: "))
    assert path.read_text() == text
    return path


def test_replays_under_other_profiles_keep_their_reports_apart(
    capsys: pytest.CaptureFixture[str], artifacts: Path
) -> None:
    rules, own = MarketRules(), PRESETS["aggressive"]
    asked: list[tuple[dict[str, TradingConfig], MarketRules]] = [
        (dict(PRESETS), rules),
        ({"moderate": PRESETS["moderate"]}, rules),
        ({"custom": own}, rules),
        ({"custom": own.model_copy(update={"leverage": 2.0})}, rules),
        ({"custom": own.model_copy(update={"stop_loss": 0.0})}, rules),
        ({"moderate": PRESETS["moderate"]}, rules.model_copy(update={"funding_boundary": "open"})),
    ]
    paths = [reported(capsys, artifacts, *one) for one in asked]
    assert len(set(paths)) == len(asked)
    assert all(path.is_file() for path in paths)
    assert [reported(capsys, artifacts, *one) for one in asked] == paths  # it replaces itself
    names = [path.parent.name for path in paths]
    window = "0123456789ab-20250708T00-20250712T00"
    assert names[:4] == [
        f"{window}-all",
        f"{window}-moderate",
        f"{window}-custom-leverage5-utilization0.75-positions5-stop0.03-buffer0.1",
        f"{window}-custom-leverage2-utilization0.75-positions5-stop0.03-buffer0.1",
    ]
