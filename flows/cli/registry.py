"""`carryflow registry`: what a book knows, and the aliases that point at it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import options as o

if TYPE_CHECKING:
    from tasks.store import Store

app = typer.Typer(
    help="List, show and compare the versions of a book; promote, roll back and retire its aliases.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

AliasArgument = Annotated[str, typer.Argument(help="challenger or champion.")]
Name = Annotated[str, typer.Argument(help="An alias, a version, or its first digits.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the history.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _store(artifacts: Path | None) -> Store:
    from tasks.store import Store, resolve_root

    return Store(resolve_root(artifacts))


@app.command("list")
def list_(
    book: o.Book = "default",
    as_json: AsJson = False,
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """List the versions of a book, newest first, where the aliases point, and what awaits approval."""
    from flows.cli.versions import print_list
    from tasks.registry import Registry

    root = _store(artifacts).root
    registry = Registry(root, book)
    state = registry.state()
    if as_json:
        found = {
            "aliases": state.aliases,
            "awaiting": {alias: one.model_dump(mode="json") for alias, one in state.awaiting.items()},
            "versions": [v.model_dump(mode="json") for v in registry.versions()],
        }
        print(json.dumps(found, indent=2))
    else:
        print_list(state, book, root)


@app.command("show")
def show(
    name: Name,
    book: o.Book = "default",
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """Show a version as JSON: what it was trained on, where it lies and comes from, its gates, its moves."""
    from flows.cli.versions import shown
    from tasks.registry import Registry

    store = _store(artifacts)
    registry = Registry(store.root, book)
    print(json.dumps(shown(store, registry, registry.resolve(name)), indent=2))


@app.command("compare")
def compare(
    a: Name,
    b: Name,
    book: o.Book = "default",
    as_json: AsJson = False,
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """Put two versions side by side: windows, data, seed, recipe, metrics, gates, backtests of equal hours.

    Says where the numbers do not compare, such as a test window that the other one was trained on.
    """
    from flows.cli.comparison import print_comparison
    from tasks.compare import compare as side_by_side

    found = side_by_side(_store(artifacts), book, a, b)
    if as_json:
        print(found.model_dump_json(indent=2))
    else:
        print_comparison(found)


@app.command("promote")
def promote(
    version: Name,
    alias: Annotated[str, typer.Option(help="The alias it is to have: challenger or champion.")],
    reason: Reason,
    book: o.Book = "default",
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """Approve a version that awaits it, or point an alias at any other by hand, whatever its gates said.

    A version that awaits approval is refused if anything changed since it was judged: its files, or the
    version it was compared with.
    """
    from flows.cli.versions import print_move
    from tasks.approval import promote_by_hand
    from tasks.registry import Registry

    store = _store(artifacts)
    move = promote_by_hand(store, book, alias, version, reason=reason)
    if move is None:
        pointing = Registry(store.root, book).current(alias)
        print(f"{alias} of book {book} points at {pointing.version if pointing else 'none'} already.")
    else:
        print_move(store, move, book)


@app.command("rollback")
def rollback(
    alias: AliasArgument,
    reason: Reason,
    book: o.Book = "default",
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """Point an alias back at the version it had before."""
    from flows.cli.versions import print_move
    from tasks.approval import rollback_by_hand

    store = _store(artifacts)
    print_move(store, rollback_by_hand(store, book, alias, reason=reason), book)


@app.command("retire")
def retire(
    alias: AliasArgument,
    reason: Reason,
    book: o.Book = "default",
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """Point an alias at no version, which means hold; `rollback` undoes it."""
    from flows.cli.versions import print_move
    from tasks.approval import retire as move_to_none

    store = _store(artifacts)
    print_move(store, move_to_none(store, book, alias, reason=reason), book)


@app.command("withdraw")
def withdraw(
    alias: AliasArgument,
    reason: Reason,
    book: o.Book = "default",
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """Turn down the version that awaits approval for an alias; the alias stays where it is."""
    from tasks.registry import Registry

    line = Registry(_store(artifacts).root, book).withdraw(alias, reason=reason)
    if line is None:
        print(f"No version awaits approval for {alias} of book {book}.")
    else:
        print(f"{alias} of book {book}: {line.candidate} no longer awaits approval; it stays at "
              f"{line.after or 'none'}.")  # fmt: skip


@app.command("history")
def history(
    alias: Annotated[str, typer.Option(help="Of one alias only: challenger or champion.")] = "",
    book: o.Book = "default",
    as_json: AsJson = False,
    artifacts: o.Artifacts = None,
    verbose: o.Verbose = False,
) -> None:
    """List every move of the aliases, oldest first: when, what, who and why."""
    from flows.cli.versions import print_history
    from tasks.registry import Registry, parse_alias

    moves = Registry(_store(artifacts).root, book).history(parse_alias(alias) if alias else None)
    if as_json:
        print(json.dumps([move.model_dump(mode="json") for move in moves], indent=2))
    else:
        print_history(moves, book)
