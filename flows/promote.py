"""Approval as a flow: a form with version, alias and reason in place of a terminal."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.naming import rename_run
from flows.retraining import ended
from schemas.names import BookName, VersionName
from schemas.promotion import Alias
from tasks import ui
from tasks.approval import move_words, promote_by_hand
from tasks.openings import flow_run
from tasks.registry import Registry
from tasks.store import Store, resolve_root


@flow(name="promote", persist_result=False, retries=0)
def promote(
    version: VersionName,
    alias: Alias,
    reason: Annotated[str, Field(pattern=r"\S")],
    book: BookName = "default",
) -> dict[str, Any] | State[Any]:
    """Approve a version that awaits it, or point an alias at any other by hand, whatever its gates said.

    A version that awaits approval is refused if anything changed since it was judged: its files, or the
    version it was compared with.

    Args:
        version: The version, or its first digits.
        alias: The alias it is to have.
        reason: Why; it is kept in the history.
        book: Whose registry.

    Returns:
        The line of the history as plain JSON; empty where the alias was there already.
    """
    store = Store(resolve_root())
    rename_run(f"promote {version} to {alias} of {book}")
    move = promote_by_hand(store, book, alias, version, reason=reason, run=flow_run())
    if move is None:
        pointing = Registry(store.root, book).aliases()[alias]
        words = [f"{alias} of book {book} points at {pointing} already."]
    else:
        words = move_words(store, move, book)
    for line in words:
        ui.say(line)
    ui.markdown(
        "promotion", "\n\n".join([f"# {alias.capitalize()} by hand", *words]), "What was moved by hand"
    )
    return ended({} if move is None else move.model_dump(mode="json"), "\n".join(words))
