"""What a registry is after a move, as pure functions; `tasks.registry` writes it down under its lock."""

from __future__ import annotations

from schemas.promotion import Alias
from schemas.registry import Move, MoveKind, RegistryState
from tasks.files import current_user, utc_now


def move_of(
    alias: Alias,
    kind: MoveKind,
    before: str | None,
    after: str | None,
    reason: str,
    user: str | None,
    run: str,
    candidate: str | None = None,
) -> Move:
    """Return a line of history made now; by default by who runs this process."""
    return Move(
        time=utc_now(),
        alias=alias,
        kind=kind,
        before=before,
        after=after,
        candidate=candidate,
        reason=reason,
        user=user or current_user(),
        run=run,
    )


def stays(
    alias: Alias, kind: MoveKind, now: str | None, candidate: str, reason: str, user: str | None, run: str
) -> Move:
    """Return a line of history that leaves the alias where it is."""
    return move_of(alias, kind, now, now, reason, user, run, candidate)


def moved(state: RegistryState, move: Move) -> RegistryState:
    """Return the registry after a line of history; a version that got its alias no longer awaits it."""
    aliases = {**state.aliases, move.alias: move.after}
    got = move.after if move.kind == "promote" else None
    awaiting = {a: one for a, one in state.awaiting.items() if a != move.alias or one.version != got}
    update = {"aliases": aliases, "awaiting": awaiting, "history": (*state.history, move)}
    return state.model_copy(update=update)


def withdrawn(state: RegistryState, alias: Alias, reason: str, user: str | None, run: str) -> RegistryState:
    """Return the registry in which what awaited an alias does so no longer."""
    version, now = state.awaiting[alias].version, state.aliases[alias]
    rest = {name: one for name, one in state.awaiting.items() if name != alias}
    line = stays(alias, "withdraw", now, version, reason, user, run)
    return moved(state.model_copy(update={"awaiting": rest}), line)
