"""`carryflow registry`: what a book knows, and the aliases that point at it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import options as o

if TYPE_CHECKING:
    from schemas.registry import Move

app = typer.Typer(
    help="List, show, promote and roll back versions of a book.", no_args_is_help=True, rich_markup_mode=None
)

AliasArgument = Annotated[str, typer.Argument(help="challenger or champion.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the history.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(
    book: o.Book = "default",
    as_json: AsJson = False,
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """List the versions of a book, newest first, and where the aliases point."""
    from flows.cli.terminal import print_table
    from tasks.registry import Registry
    from tasks.store import resolve_root

    registry = Registry(resolve_root(artifacts), book)
    versions, aliases = registry.versions(), registry.aliases()
    if as_json:
        found = {"aliases": aliases, "versions": [v.model_dump(mode="json") for v in versions]}
        print(json.dumps(found, indent=2))
        return
    rows = [
        [
            v.version,
            ", ".join(alias for alias, version in aliases.items() if version == v.version),
            v.created[:19],
            v.preset,
            v.seed,
            v.windows.test[0][:10],
        ]
        for v in versions
    ]
    if rows:
        print_table(["version", "aliases", "registered (UTC)", "preset", "seed", "tested from"], rows)
    else:
        print(f"Book {book} holds no version yet: `carryflow run --book {book}` trains one.")
    for alias, version in aliases.items():
        print(f"{alias}: {version or 'none (which means hold)'}")


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="An alias, a version, or its first digits.")],
    book: o.Book = "default",
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """Show a version: where it lies, what it was trained on, and every move that concerned it; as JSON."""
    from tasks.registry import Registry
    from tasks.store import resolve_root

    registry = Registry(resolve_root(artifacts), book)
    record = registry.resolve(name)
    moves = [m for m in registry.history() if record.version in (m.before, m.after)]
    shown = record.model_dump(mode="json")
    shown["aliases"] = [alias for alias, version in registry.aliases().items() if version == record.version]
    shown["moves"] = [m.model_dump(mode="json") for m in moves]
    print(json.dumps(shown, indent=2))


@app.command("promote")
def promote(
    alias: AliasArgument,
    version: Annotated[str, typer.Argument(help="An alias, a version or its first digits; or `none`.")],
    reason: Reason,
    book: o.Book = "default",
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """Point an alias at a version by hand, whatever its gates said; `none` retires it, which means hold."""
    from tasks.registry import Registry
    from tasks.store import resolve_root

    root = resolve_root(artifacts)
    registry = Registry(root, book)
    move = registry.move(alias, None if version == "none" else version, reason=reason)
    if move is None:
        print(f"{alias} of book {book} points at {registry.aliases()[alias] or 'none'} already.")  # type: ignore[index]
    else:
        print_move(move, book, root)


@app.command("rollback")
def rollback(
    alias: AliasArgument,
    reason: Reason,
    book: o.Book = "default",
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """Point an alias back at the version it had before."""
    from tasks.registry import Registry
    from tasks.store import resolve_root

    root = resolve_root(artifacts)
    print_move(Registry(root, book).rollback(alias, reason=reason), book, root)


def print_move(move: Move, book: str, root: Path) -> None:
    """Print where an alias points now, and what the gates said of that version last."""
    from rl.judge.gates import counted
    from tasks.promotion import last_judgement
    from tasks.store import Store

    print(f"{move.alias} of book {book}: {move.before or 'none'} -> {move.after or 'none'}")
    if move.after is None:
        return
    judged = last_judgement(Store(root), move.after)
    if judged is None:
        print(f"{move.after} was never judged: no gate speaks for it or against it.")
        return
    if judged.gates is None:
        print(f"The last judgement of {move.after} cannot be read: it was altered or deleted. Run it again.")
        return
    failed = [gate for gate in judged.gates if gate.verdict == "fail"]
    when = f"{judged.created[:16].replace('T', ' ')} UTC under {judged.preset}"
    of = counted(len(judged.gates), "gate")
    print(
        f"{move.after} was last judged {when}: "
        + (f"{len(failed)} of {of} failed." if failed else f"all {of} held.")
    )
    for gate in failed:
        print(f"  {gate.name}: {gate.reason}")
