"""What a run's page says of a backtest and of a decision."""

from datetime import UTC, datetime

from schemas.backtest import BacktestSummary, PolicyResult, ProfitSplit
from schemas.health import HealthReport, Sign
from schemas.promotion import Gate, PromotionDecision
from schemas.trading import PRESETS, MarketRules
from tasks.show import backtest_markdown, promotion_markdown, signs_markdown


def test_the_parts_of_each_return_add_up_to_it() -> None:
    # A liquidated pair: the lost margin and the other leg's gain only make sense together.
    parts = ProfitSplit(
        funding=60.0, price=450.0, fees=-30.0, slippage=-10.0, penalty=-2.0, liquidation=-500.0,
        unrealised=6.0, closing_costs=-4.0,
    )  # fmt: skip
    result = PolicyResult(
        preset="moderate", policy="agent", runs=1, return_pct=-0.3, split=parts, max_drawdown_pct=0.5,
        final_nlv=9_970.0, trades=4, liquidations=1, hours=100,
    )  # fmt: skip
    text = backtest_markdown(
        BacktestSummary(
            version="v1",
            start=datetime(2025, 7, 8, tzinfo=UTC),
            end=datetime(2025, 7, 12, tzinfo=UTC),
            hours=100,
            initial_capital=10_000.0,
            in_sample=False,
            overlap_hours=0,
            seed=0,
            random_runs=0,
            presets={"moderate": PRESETS["moderate"]},
            rules=MarketRules(),
            results=(result,),
        )
    )
    [line] = [line for line in text.splitlines() if line.startswith("| moderate")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert [float(cell) for cell in cells[2:6]] == [-0.3, 0.6, -0.46, -0.44]


def test_the_advice_of_signs_is_text_that_a_page_wraps_the_bad_first() -> None:
    signs = (
        Sign(
            name="actions", value=0.0, verdict="watch", reading="never enters", advice="Raise --entropy-coef."
        ),
        Sign(name="KL", value=0.2, verdict="bad", reading="0.200 an update", advice="Lower --learning-rate."),
        Sign(name="validation", value=None, verdict="unknown", reading="not evaluated yet"),
    )
    lines = signs_markdown(HealthReport(signs=signs)).splitlines()
    assert lines[2:5] == [
        "| actions | watch | never enters |",
        "| KL | bad | 0.200 an update |",
        "| validation | unknown | not evaluated yet |",
    ]
    assert lines[6:] == [
        "- **KL** (bad): Lower --learning-rate.",
        "- **actions** (watch): Raise --entropy-coef.",
    ]


def test_the_reasons_of_gates_are_text_that_a_page_wraps() -> None:
    reason = "Funding of 0.10 % of capital and trading costs of 0.30 % leave a carry of -0.20 %, not above 0."
    gate = Gate(name="carry, not noise", value=-0.2, threshold=0.0, verdict="fail", reason=reason)
    decision = PromotionDecision(
        promoted=False,
        moved=False,
        alias="challenger",
        version="v1",
        preset="moderate",
        gates=(gate,),
        reason="Not promoted.",
    )
    lines = promotion_markdown(decision, "sample").splitlines()
    assert f"- **carry, not noise** (fail): {reason}" in lines
    assert not any(reason in line for line in lines if line.startswith("|"))
