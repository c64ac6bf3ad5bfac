"""Two versions side by side in the terminal."""

from __future__ import annotations

import textwrap
from typing import Any

from flows.cli.terminal import heading, print_table
from schemas.comparison import Comparison, JudgedGate, Side


def print_comparison(found: Comparison) -> None:
    """Print the warnings first: they say which of the numbers below mean anything."""
    a, b = found.a, found.b
    print(f"{a.version} and {b.version} (book {found.book})")
    for warning in found.warnings:
        print(textwrap.fill(f"Not comparable: {warning}", 100, subsequent_indent="  "))
    print()
    print_table(["", a.version, b.version], _facts(a, b))
    heading("Training parameters that differ")
    if not found.recipe_known:
        print("Unknown: the training of one of them is neither in the book nor in the store any more.")
    elif not found.recipe:
        print("None.")
    else:
        rows = [[one.parameter, _text(one.a), _text(one.b)] for one in found.recipe]
        print_table(["parameter", a.version, b.version], rows)
    heading("Gates of the last judgement")
    if a.gates or b.gates:
        names = list(dict.fromkeys([*a.gates, *b.gates]))
        print_table(
            ["gate", a.version, b.version],
            [[name, _gate(a.gates.get(name)), _gate(b.gates.get(name))] for name in names],
        )
    for side in (a, b):
        if side.judged is None:
            print(f"{side.version} was never judged.")
        elif not side.gates:
            print(f"The last judgement of {side.version} cannot be read: it was altered or deleted.")
    heading("Backtests of the same hours (return %)")
    if found.shared:
        _print_shared(found)
    else:
        print("There are none.")
    if not any(one.fair for one in found.shared):
        print(
            f"For a fair one: `carryflow backtest --data ... --model {a.version} --start "
            f"{found.fair_from[:16]}`, and the same with {b.version}."
        )


def _print_shared(found: Comparison) -> None:
    a, b = found.a, found.b
    print_table(
        ["from (UTC)", "to", "preset", a.version, b.version, "greedy", "fair"],
        [[s.start[:16], s.end[:16], s.preset, s.a_pct, s.b_pct, s.greedy_pct, s.fair] for s in found.shared],
    )
    if not all(one.fair for one in found.shared):
        print(f"Fair is what starts at {found.fair_from[:16]} UTC or later, when both validations are over.")


def _facts(a: Side, b: Side) -> list[list[Any]]:
    rows = [
        ["aliases", *(", ".join([*s.aliases, *(f"awaits {x}" for x in s.awaiting)]) or "-" for s in (a, b))],
        ["registered (UTC)", a.created[:19], b.created[:19]],
        ["preset", a.preset, b.preset],
        ["seed", str(a.seed), str(b.seed)],
        ["data", a.data[:12], b.data[:12]],
        ["code", (a.code or "unknown")[:12], (b.code or "unknown")[:12]],
    ]
    for name in ("train", "validation", "test"):
        rows.append([name, *(" to ".join(t[:13] for t in getattr(s.windows, name)) for s in (a, b))])
    for name in dict.fromkeys([*a.metrics, *b.metrics]):
        rows.append([name, *(_text(s.metrics.get(name)) for s in (a, b))])
    rows.append(["judged (UTC)", *((s.judged or "never")[:16] for s in (a, b))])
    return rows


def _gate(gate: JudgedGate | None) -> str:
    if gate is None:
        return "-"
    return gate.verdict if gate.value is None else f"{gate.verdict} ({gate.value:.4g})"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
