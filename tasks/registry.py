"""Which policies a book knows, and which of them its aliases point at.

Everything is one file, `books/<book>/registry.json`: versions, aliases and the history of every move. It is
replaced in one step under a lock, so whatever kills a process, aliases and history agree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import EllipsisType

from pydantic import ValidationError

from schemas.errors import ArtifactError, ConfigError
from schemas.promotion import Alias
from schemas.registry import ALIASES, VERSION_DIGITS, Move, MoveKind, RegistryState, VersionRecord
from tasks.files import canonical_json, current_user, sha256_text, utc_now, write_atomic
from tasks.locks import hold
from tasks.store import book_dir


def version_id(*parts: str) -> str:
    """Return the short name of what a policy is, from the hashes of its weights, scaler and configs."""
    return sha256_text(canonical_json(parts))[:VERSION_DIGITS]


class Registry:
    """The registry of one book. Reading takes no lock; every change is one atomic replace under one."""

    def __init__(self, root: Path, book: str) -> None:
        """Raises `ConfigError` where the book's name is not a valid one."""
        self.book = book
        self.folder = book_dir(root, book)
        self.path = self.folder / "registry.json"

    def state(self) -> RegistryState:
        """Return the whole registry; an empty one where none was written yet.

        Raises:
            ArtifactError: The file was edited into something else.
        """
        try:
            return RegistryState.model_validate_json(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return RegistryState()
        except (ValidationError, UnicodeDecodeError) as error:
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            what = f"is not a registry any more ({why})."
            raise ArtifactError(what, str(self.path), "Restore it from a copy.") from error

    def versions(self) -> list[VersionRecord]:
        """List what is registered, newest first."""
        return sorted(self.state().versions.values(), key=lambda record: record.created, reverse=True)

    def aliases(self) -> dict[Alias, str | None]:
        """Return the version each alias points at."""
        return self.state().aliases

    def history(self, alias: str | None = None) -> list[Move]:
        """List the moves of an alias, or of all, oldest first."""
        return [move for move in self.state().history if alias in (None, move.alias)]

    def current(self, alias: str) -> VersionRecord | None:
        """Return what an alias points at, or None."""
        state = self.state()
        version = state.aliases[_alias(alias)]
        return state.versions[version] if version else None

    def resolve(self, text: str) -> VersionRecord:
        """Return the version that an alias, a version or the unique beginning of one means.

        Raises:
            ArtifactError: It means none, or several; the message lists what there is.
        """
        return self._resolve(self.state(), text)

    def register(self, record: VersionRecord) -> VersionRecord:
        """Add a version; one that is known keeps its date, and all else is brought up to date."""
        with self._change(f"register {record.version}") as (state, write):
            known = state.versions.get(record.version)
            kept = record if known is None else record.model_copy(update={"created": known.created})
            if kept != known:
                write(state.model_copy(update={"versions": {**state.versions, record.version: kept}}))
        return kept

    def move(
        self,
        alias: str,
        version: str | None,
        *,
        reason: str,
        expect: str | EllipsisType | None = ...,
        user: str | None = None,
        run: str = "",
    ) -> Move | None:
        """Point an alias at a version, and write down who did it and why.

        Args:
            alias: `challenger` or `champion`.
            version: What `resolve` understands, or None to retire the alias.
            reason: Why, in words.
            expect: The version the alias was seen at, if the decision rests on that; left out, it does not.
            user: Who moves it; by default, who runs this process.
            run: The flow run that moves it.

        Returns:
            The move, or None where the alias was there already.

        Raises:
            ConfigError: There is no such alias, or no reason was given.
            ArtifactError: There is no such version, or the alias is not where `expect` says.
        """
        name, why = _alias(alias), _reason(reason)
        with self._change(f"move {name}") as (state, write):
            before = state.aliases[name]
            after = None if version is None else self._resolve(state, version).version
            if not isinstance(expect, EllipsisType) and before != expect:
                raise ArtifactError(
                    f"was moved meanwhile: it points at {before or 'no version'}, not {expect or 'none'}.",
                    f"{name} of book {self.book}",
                    "Look at it again and decide anew.",
                )
            if before == after:
                return None
            kind: MoveKind = "promote" if after else "retire"
            move = _move(name, kind, before, after, why, user, run)
            write(_moved(state, move))
        return move

    def rollback(self, alias: str, *, reason: str, user: str | None = None, run: str = "") -> Move:
        """Point an alias back at the version it had before; the other arguments are those of `move`.

        Raises:
            ConfigError: There is no such alias, or no reason was given.
            ArtifactError: It had no version before.
        """
        name, why = _alias(alias), _reason(reason)
        with self._change(f"roll back {name}") as (state, write):
            before, after = state.aliases[name], state.previous(name)
            if after is None:
                raise ArtifactError(
                    f"has no earlier version to go back to: it points at {before or 'no version'} now.",
                    f"{name} of book {self.book}",
                    "Promote another version instead.",
                )
            move = _move(name, "rollback", before, after, why, user, run)
            write(_moved(state, move))
        return move

    def _resolve(self, state: RegistryState, text: str) -> VersionRecord:
        if text in ALIASES:
            if (version := state.aliases[_alias(text)]) is not None:
                return state.versions[version]
            raise ArtifactError(f"points at no version. {_known(state)}", f"{text} of book {self.book}")
        fitting = [version for version in state.versions if text and version.startswith(text)]
        if len(fitting) == 1:
            return state.versions[fitting[0]]
        trouble = f"{text!r} could be {', '.join(fitting)}." if fitting else f"there is no version {text!r}."
        raise ArtifactError(f"{trouble} {_known(state)}", f"book {self.book}")

    @contextmanager
    def _change(self, purpose: str) -> Iterator[tuple[RegistryState, Callable[[RegistryState], None]]]:
        with hold(self.folder / "locks" / "registry.lock", purpose=purpose):
            yield self.state(), self._write

    def _write(self, state: RegistryState) -> None:
        checked = RegistryState.model_validate(state.model_dump())
        write_atomic(self.path, json.dumps(checked.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")


def _move(
    alias: Alias,
    kind: MoveKind,
    before: str | None,
    after: str | None,
    reason: str,
    user: str | None,
    run: str,
) -> Move:
    who = user or current_user()
    return Move(
        time=utc_now(), alias=alias, kind=kind, before=before, after=after, reason=reason, user=who, run=run
    )


def _moved(state: RegistryState, move: Move) -> RegistryState:
    aliases = {**state.aliases, move.alias: move.after}
    return state.model_copy(update={"aliases": aliases, "history": (*state.history, move)})


def _known(state: RegistryState) -> str:
    pointing = [f"{alias} -> {version}" for alias, version in state.aliases.items() if version]
    there = [*pointing, *sorted(state.versions)]
    if not there:
        return "Nothing is registered yet: `carryflow run` trains a version."
    return f"There is: {', '.join(there)}."


def _alias(text: str) -> Alias:
    for alias in ALIASES:
        if alias == text:
            return alias
    raise ConfigError(f"{text!r} is not an alias.", remedy=f"The aliases are {' and '.join(ALIASES)}.")


def _reason(text: str) -> str:
    if not text.strip():
        raise ConfigError("a move needs a reason.", "--reason", "Say why; it is kept in the history.")
    return text.strip()
