"""What a person does to an alias: promote or approve, roll back, retire; each with a reason.

A person may promote what the gates refused, and is told so; not a version whose checkpoint is damaged.
"""

from __future__ import annotations

from rl.judge.approval import what_changed
from rl.judge.gates import counted
from schemas.errors import ArtifactError, ConfigError
from schemas.registry import Awaiting, Move
from tasks.bundles import Bundles
from tasks.models import find_version
from tasks.registry import Registry, parse_alias
from tasks.store import Store
from tasks.verdicts import last_judgement


def promote_by_hand(
    store: Store, book: str, alias: str, version: str, *, reason: str, run: str = ""
) -> Move | None:
    """Point an alias at a version; where that awaits approval for it, this approves it.

    What is approved must be what was judged: the version's files are whole, report and gates included, and
    the alias is still at the version it was compared with.

    Args:
        store: Where artifacts are.
        book: Whose registry.
        alias: `challenger` or `champion`.
        version: A version, its first digits, or an alias that points at it.
        reason: Why, in words.
        run: The flow run that moves it, if one does.

    Returns:
        The move, or None where the alias was there already.

    Raises:
        ConfigError: There is no such alias, or no reason was given.
        ArtifactError: There is no such version, its checkpoint is damaged, or what is to be approved changed.
    """
    registry = Registry(store.root, book)
    name, record, state = parse_alias(alias), registry.resolve(version), registry.state()
    awaiting = state.awaiting.get(name)
    if awaiting is None or awaiting.version != record.version:
        find_version(store, record, book)
        return registry.move(alias, record.version, reason=reason, run=run)
    changed = what_changed(awaiting, now=state.aliases[name], damage=_damage(store, book, awaiting))
    if changed:
        raise ArtifactError(
            f"cannot be approved, because {'; '.join(changed)}.",
            f"{record.version} for {alias} of book {book}",
            f"Run the pipeline again to judge it anew, or type `carryflow registry withdraw {alias} --book "
            f"{book}` and promote it by hand.",
        )
    return registry.move(
        alias, record.version, reason=reason, expect=awaiting.expected, approving=awaiting, run=run
    )


def rollback_by_hand(store: Store, book: str, alias: str, *, reason: str) -> Move:
    """Point an alias back at the version it had before.

    Raises:
        ConfigError: There is no such alias, or no reason was given.
        ArtifactError: It had no version before, or the checkpoint of that is gone or damaged.
    """
    registry = Registry(store.root, book)
    state = registry.state()
    earlier = state.previous(parse_alias(alias))
    if earlier is not None:
        find_version(store, state.versions[earlier], book)
    return registry.rollback(alias, reason=reason)


def retire(store: Store, book: str, alias: str, *, reason: str) -> Move:
    """Point an alias at no version, which means hold: predict answers hold from then on.

    Raises:
        ConfigError: There is no such alias, no reason was given, or it points at no version already.
    """
    move = Registry(store.root, book).move(alias, None, reason=reason)
    if move is None:
        raise ConfigError("points at no version already, which means hold.", f"{alias} of book {book}")
    return move


def move_words(store: Store, move: Move, book: str) -> list[str]:
    """Return where an alias points now, and what the gates said of that version last, a line each."""
    lines = [f"{move.alias} of book {book}: {move.before or 'none'} -> {move.after or 'none'}"]
    if move.after is None:
        undo = f"`carryflow registry rollback {move.alias}` undoes it."
        return [*lines, f"{move.alias} means hold from now on; {undo}"]
    judged = last_judgement(store, move.after, book)
    if judged is None:
        return [*lines, f"{move.after} was never judged: no gate speaks for it or against it."]
    gates = judged.gates_of(move.alias)
    if gates is None:
        altered = "it was altered or deleted, or another version of carryflow wrote it"
        return [*lines, f"The last judgement of {move.after} cannot be read: {altered}. Run it again."]
    failed = [gate for gate in gates if gate.verdict == "fail"]
    of = counted(len(gates), "gate")
    when = judged.created[:16].replace("T", " ")
    held = f"{len(failed)} of {of} failed." if failed else f"all {of} held."
    lines.append(f"{move.after} was last judged {when} UTC under {judged.preset}: {held}")
    return [*lines, *(f"  {gate.name}: {gate.reason}" for gate in failed)]


def _damage(store: Store, book: str, awaiting: Awaiting) -> list[str]:
    bundles = Bundles(store.root, book)
    try:
        bundles.verify(awaiting.version)
        if bundles.report(awaiting.version) != awaiting.report:
            return ["it was judged again since"]
    except ArtifactError as error:
        return [f"its folder is not as it was: {error.what.rstrip('.')}"]
    return []
