"""Versions, aliases and their history as a person reads them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.cli.summary import shown_path
from flows.cli.terminal import print_table
from rl.judge.gates import counted
from schemas.errors import ArtifactError
from schemas.promotion import Alias
from schemas.registry import Awaiting, Move, RegistryState, VersionRecord
from tasks.bundles import Bundles
from tasks.registry import Registry
from tasks.store import Store
from tasks.verdicts import last_judgement


def print_list(state: RegistryState, book: str, root: Path) -> None:
    """Print the versions, newest first, then where each alias points and what awaits approval."""
    rows = [
        [
            v.version,
            ", ".join([*state.aliases_of(v.version), *(f"awaits {a}" for a in state.awaited_by(v.version))]),
            v.created[:19],
            v.preset,
            v.seed,
            v.windows.test[0][:10],
        ]
        for v in sorted(state.versions.values(), key=lambda record: record.created, reverse=True)
    ]
    if rows:
        print_table(["version", "aliases", "registered (UTC)", "preset", "seed", "tested from"], rows)
    else:
        print(f"Book {book} holds no version yet: `carryflow run --book {book}` trains one.")
    for alias, version in state.aliases.items():
        print(f"{alias}: {version or 'none (which means hold)'}")
    print_awaiting(state.awaiting, book, root)


def print_awaiting(
    awaiting: Mapping[Alias, Awaiting] | Mapping[str, Awaiting], book: str, root: Path
) -> None:
    """Print what a person has yet to approve, and how."""
    for alias, one in awaiting.items():
        print(f"AWAITING APPROVAL for {alias} since {_minute(one.time)} UTC: {one.version}, compared with "
              f"{one.expected or 'no version'}")  # fmt: skip
        print(f"  report: {shown_path(root / one.report)}")
        print(f"  carryflow registry promote {one.version} --alias {alias} --book {book} --reason ...")


def shown(store: Store, registry: Registry, record: VersionRecord) -> dict[str, Any]:
    """Return all that is known of a version, as JSON has it."""
    state = registry.state()
    found = record.model_dump(mode="json")
    found["aliases"] = state.aliases_of(record.version)
    found["awaiting"] = {a: state.awaiting[a].model_dump() for a in state.awaited_by(record.version)}
    bundles = Bundles(store.root, registry.book)
    try:
        bundle = bundles.verify(record.version)
        found["folder"] = str(bundles.folder(record.version))
        found["report"] = str(store.root / bundles.report(record.version))
        found["origins"] = {step: one.model_dump(mode="json") for step, one in bundle.origins.items()}
    except ArtifactError as error:
        found["folder"] = None
        found["folder_problem"] = error.what
    judged = last_judgement(store, record.version, registry.book)
    found["judged"] = None if judged is None else {
        "time": judged.created,
        "preset": judged.preset,
        "gates": None if judged.found is None else [
            {**gate.model_dump(mode="json"), "asked_of": list(whose)} for gate, whose in judged.found.asked()
        ],
        "compared_with": None if judged.found is None else judged.found.compared_with,
    }  # fmt: skip
    found["moves"] = [m.model_dump(mode="json") for m in state.history if m.concerns(record.version)]
    return found


def print_history(moves: Sequence[Move], book: str) -> None:
    """Print every line of the history; reasons wrap under their line."""
    if not moves:
        print(f"No alias of book {book} was ever moved.")
    for move in moves:
        print(f"{move.time[:19].replace('T', ' ')} UTC  {_what(move)}  by {move.user}"
              + (f" in run {move.run}" if move.run else ""))  # fmt: skip
        print(textwrap.fill(move.reason, 100, initial_indent="  ", subsequent_indent="  "))


def _what(move: Move) -> str:
    if move.moved:
        return f"{move.alias} {move.kind}: {move.before or 'none'} -> {move.after or 'none'}"
    said = {
        "await": "awaits approval",
        "withdraw": "no longer awaits approval",
        "refuse": "was refused",
    }[move.kind]
    return f"{move.alias} {move.kind}: {move.candidate} {said}, stays at {move.after or 'none'}"


def print_move(store: Store, move: Move, book: str) -> None:
    """Print where an alias points now, and what the gates said of that version last."""
    print(f"{move.alias} of book {book}: {move.before or 'none'} -> {move.after or 'none'}")
    if move.after is None:
        print(f"{move.alias} means hold from now on; `carryflow registry rollback {move.alias}` undoes it.")
        return
    judged = last_judgement(store, move.after, book)
    if judged is None:
        print(f"{move.after} was never judged: no gate speaks for it or against it.")
        return
    gates = judged.gates_of(move.alias)
    if gates is None:
        print(
            f"The last judgement of {move.after} cannot be read: it was altered or deleted, or "
            "another version of carryflow wrote it. Run it again."
        )
        return
    failed = [gate for gate in gates if gate.verdict == "fail"]
    of = counted(len(gates), "gate")
    print(
        f"{move.after} was last judged {_minute(judged.created)} UTC under {judged.preset}: "
        + (f"{len(failed)} of {of} failed." if failed else f"all {of} held.")
    )
    for gate in failed:
        print(f"  {gate.name}: {gate.reason}")


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")
