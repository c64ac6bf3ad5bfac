"""Which policies a book knows, and which of them its aliases point at.

Everything is one file, `books/<book>/registry.json`: versions, aliases, what awaits approval, and the
history of every move. It is replaced in one step under a lock, so whatever kills a process, aliases and
history agree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import EllipsisType

from pydantic import ValidationError

from schemas.errors import ArtifactError, ConfigError
from schemas.formats import foreign
from schemas.promotion import Alias
from schemas.registry import (
    ALIASES,
    READABLE,
    Awaiting,
    Move,
    MoveKind,
    RegistryState,
    VersionRecord,
)
from schemas.version import VERSION_DIGITS
from tasks.files import canonical_json, sha256_text, write_atomic
from tasks.locks import hold
from tasks.moves import move_of, moved, stays, withdrawn
from tasks.store import book_dir


def version_id(*parts: str) -> str:
    """Return the short name of what a policy is, from the hashes of its weights, scaler and configs."""
    return sha256_text(canonical_json(parts))[:VERSION_DIGITS]


class AliasMoved(ArtifactError):
    """An alias, or what awaits approval for it, is not what a decision was made on."""


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
            ArtifactError: The file was edited into something else, or is of a format that is not known here.
        """
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            self._refuse_foreign(content)
            return RegistryState.model_validate(content)
        except FileNotFoundError:
            return RegistryState()
        except ValueError as error:  # pydantic's, json's and unicode's are all of this kind
            why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            what = f"is not a registry any more ({why})."
            raise ArtifactError(what, str(self.path), "Restore it from a copy.") from error

    def _refuse_foreign(self, content: object) -> None:
        if refused := foreign(content, READABLE):
            raise ArtifactError(refused, str(self.path), "Use that version, or a newer one.")

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
        version = state.aliases[parse_alias(alias)]
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
        approving: Awaiting | None = None,
        user: str | None = None,
        run: str = "",
    ) -> Move | None:
        """Point an alias at a version, and write down who did it and why.

        Args:
            alias: `challenger` or `champion`.
            version: What `resolve` understands, or None to retire the alias.
            reason: Why, in words.
            expect: The version the alias was seen at, if the decision rests on that; left out, it does not.
            approving: What awaited approval when it was looked at, if this is the approval.
            user: Who moves it; by default, who runs this process.
            run: The flow run that moves it.

        Returns:
            The move, or None where the alias was there already.

        Raises:
            ConfigError: There is no such alias, or no reason was given.
            ArtifactError: There is no such version.
            AliasMoved: The alias is not where `expect` says, or another version awaits approval by now.
        """
        name, why = parse_alias(alias), _reason(reason)
        with self._change(f"move {name}") as (state, write):
            before = state.aliases[name]
            after = None if version is None else self._resolve(state, version).version
            if not isinstance(expect, EllipsisType):
                self._refuse_moved(name, before, expect)
            if approving is not None and state.awaiting.get(name) != approving:
                what = f"does not await the approval of {approving.version} any more."
                raise AliasMoved(what, f"{name} of book {self.book}", "Look at it again and decide anew.")
            if before == after:
                return None
            kind: MoveKind = "promote" if after else "retire"
            move = move_of(name, kind, before, after, why, user, run)
            write(moved(state, move))
        return move

    def rollback(self, alias: str, *, reason: str, user: str | None = None, run: str = "") -> Move:
        """Point an alias back at the version it had before; the other arguments are those of `move`.

        Raises:
            ConfigError: There is no such alias, or no reason was given.
            ArtifactError: It had no version before.
        """
        name, why = parse_alias(alias), _reason(reason)
        with self._change(f"roll back {name}") as (state, write):
            before, after = state.aliases[name], state.previous(name)
            if after is None:
                raise ArtifactError(
                    f"has no earlier version to go back to: it points at {before or 'no version'} now.",
                    f"{name} of book {self.book}",
                    "Promote another version instead.",
                )
            move = move_of(name, "rollback", before, after, why, user, run)
            write(moved(state, move))
        return move

    def _resolve(self, state: RegistryState, text: str) -> VersionRecord:
        if text in ALIASES:
            if (version := state.aliases[parse_alias(text)]) is not None:
                return state.versions[version]
            raise ArtifactError(f"points at no version. {_known(state)}", f"{text} of book {self.book}")
        fitting = [version for version in state.versions if text and version.startswith(text)]
        if len(fitting) == 1:
            return state.versions[fitting[0]]
        trouble = f"{text!r} could be {', '.join(fitting)}." if fitting else f"there is no version {text!r}."
        raise ArtifactError(f"{trouble} {_known(state)}", f"book {self.book}")

    def wait(
        self,
        alias: str,
        version: str,
        *,
        expected: str | None,
        judgement: str,
        report: str,
        reason: str,
        run: str = "",
    ) -> Awaiting:
        """Let a version await a person's approval; another one that awaits the same alias is withdrawn.

        Args:
            alias: The alias it is to have; it stays where it is.
            version: What `resolve` understands.
            expected: Where the alias was seen when the gates were applied.
            judgement: The artifact with the gates.
            report: What to read before approving, relative to the artifact root.
            reason: What the decision said.
            run: The flow run that asks.

        Raises:
            AliasMoved: The alias is not at `expected`.
        """
        name, why = parse_alias(alias), _reason(reason)
        with self._change(f"await approval for {name}") as (state, write):
            now, waiting = state.aliases[name], state.awaiting.get(name)
            self._refuse_moved(name, now, expected)
            candidate = self._resolve(state, version).version
            asked = {"version": candidate, "expected": expected, "judgement": judgement, "report": report}
            if waiting is not None and waiting.model_dump(include=set(asked)) == asked:
                return waiting
            if waiting is not None:
                state = withdrawn(state, name, f"replaced by {candidate}: {why}", None, run)
            line = stays(name, "await", now, candidate, why, None, run)
            fresh = Awaiting(**asked, time=line.time, reason=why)
            state = state.model_copy(update={"awaiting": {**state.awaiting, name: fresh}})
            write(moved(state, line))
        return fresh

    def withdraw(
        self, alias: str, *, reason: str, only: str | None = None, user: str | None = None, run: str = ""
    ) -> Move | None:
        """Let what awaits approval for an alias do so no longer; the alias stays where it is.

        Args:
            alias: `challenger` or `champion`.
            reason: Why, in words.
            only: The version that is meant; another one that awaits is left alone.
            user: Who withdraws it; by default, who runs this process.
            run: The flow run that withdraws it.

        Returns:
            The line of the history, or None where nothing (or not that version) awaits.
        """
        name, why = parse_alias(alias), _reason(reason)
        with self._change(f"withdraw from {name}") as (state, write):
            waiting = state.awaiting.get(name)
            if waiting is None or only not in (None, waiting.version):
                return None
            after = withdrawn(state, name, why, user, run)
            write(after)
        return after.history[-1]

    def refuse(self, alias: str, version: str, *, reason: str, run: str = "") -> Move:
        """Write down that a version was to have an alias, and why it has not got it.

        For the loser of two promotions at once, of which the history tells both.
        """
        name, why = parse_alias(alias), _reason(reason)
        with self._change(f"refuse {version}") as (state, write):
            candidate = self._resolve(state, version).version
            line = stays(name, "refuse", state.aliases[name], candidate, why, None, run)
            write(moved(state, line))
        return line

    def _refuse_moved(self, alias: Alias, now: str | None, expected: str | None) -> None:
        if now != expected:
            raise AliasMoved(
                f"was moved meanwhile: it points at {now or 'no version'}, not {expected or 'none'}.",
                f"{alias} of book {self.book}",
                "Look at it again and decide anew.",
            )

    @contextmanager
    def _change(self, purpose: str) -> Iterator[tuple[RegistryState, Callable[[RegistryState], None]]]:
        with hold(self.folder / "locks" / "registry.lock", purpose=purpose):
            yield self.state(), self._write

    def _write(self, state: RegistryState) -> None:
        checked = RegistryState.model_validate(state.model_dump())
        write_atomic(self.path, json.dumps(checked.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")


def _known(state: RegistryState) -> str:
    pointing = [f"{alias} -> {version}" for alias, version in state.aliases.items() if version]
    there = [*pointing, *sorted(state.versions)]
    if not there:
        return "Nothing is registered yet: `carryflow run` trains a version."
    return f"There is: {', '.join(there)}."


def parse_alias(text: str) -> Alias:
    """Return the alias of that name.

    Raises:
        ConfigError: There is none.
    """
    for alias in ALIASES:
        if alias == text:
            return alias
    raise ConfigError(f"{text!r} is not an alias.", remedy=f"The aliases are {' and '.join(ALIASES)}.")


def _reason(text: str) -> str:
    if not text.strip():
        raise ConfigError("a move needs a reason.", "--reason", "Say why; it is kept in the history.")
    return text.strip()
