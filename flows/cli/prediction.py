"""A prediction as a person reads it."""

from __future__ import annotations

from flows.cli.terminal import heading, print_table
from rl.decide import LIKELY
from rl.judge.gates import counted
from schemas.prediction import Choice, Prediction, PresetDecision

SHOWN_CHOICES = 8
_NOUNS = {"hold": "hold", "enter": "entry", "exit": "exit"}


def print_prediction(prediction: Prediction) -> None:
    """Print the decision per preset, and the most probable actions behind each."""
    print(f"Decision for {prediction.hour:%Y-%m-%d %H:%M} UTC (newest row {prediction.newest_row:%H:%M:%S})")
    print(f"Model: {prediction.model} (version {prediction.version or 'none'})")
    if prediction.why is not None:
        print(prediction.why)
    print(prediction.holdings)
    print(prediction.fills)
    print()
    print_table(
        ["preset", "action", "pair", "size", "probability", "value", "equity"],
        [
            [
                made.preset,
                made.decision.kind,
                "-" if made.decision.symbol is None
                else f"{made.decision.symbol} {made.decision.long_exchange} / {made.decision.short_exchange}",
                made.decision.size or "-",
                made.decision.probability,
                made.value,
                made.equity,
            ]
            for made in prediction.presets
        ],
    )  # fmt: skip
    for made in prediction.presets:
        heading(f"{made.preset}: {counted(len(made.choices), 'valid action')}")
        print_table(
            ["action", "probability"],
            [[choice.name, f"{choice.probability:.4f}"] for choice in made.choices[:SHOWN_CHOICES]],
        )
        if len(made.choices) > SHOWN_CHOICES:
            rest = sum(choice.probability for choice in made.choices[SHOWN_CHOICES:])
            print(f"({len(made.choices) - SHOWN_CHOICES} others: {rest:.4f}; all of them with --json)")
        if made.decision.action != made.choices[0].action:
            print(_why(made))


def _why(made: PresetDecision) -> str:
    """Say why the decision is not the likeliest single action."""
    decision, likeliest = made.decision, made.choices[0]
    kind = [choice for choice in made.choices if choice.kind == decision.kind]
    said = (
        f"Decided: {decision.name} ({decision.probability:.4f}), though {likeliest.name} alone has "
        f"{likeliest.probability:.4f}: an {_NOUNS[decision.kind]} is taken from {LIKELY:.3f} an hour on "
        f"and has {_mass(kind):.4f}"
    )
    if decision.kind != "enter":
        return f"{said}; then the likeliest of it."
    pair = [choice for choice in kind if _pair(choice) == _pair(decision)]
    return f"{said}; then its pair ({_mass(pair):.4f}), then the size."


def _mass(choices: list[Choice]) -> float:
    return sum(choice.probability for choice in choices)


def _pair(choice: Choice) -> tuple[str | None, str | None, str | None]:
    return choice.symbol, choice.long_exchange, choice.short_exchange
