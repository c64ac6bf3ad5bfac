"""Paper trading: every alias of a book decides on each hour of the data, and its portfolios move on.

A portfolio is an alias under a preset. An hour is decided once, when the data has it and the clock has left
it behind; hours that were missed are caught up in order. What is decided depends on the rows known at that
hour, on the books the hour before left, and on the version the alias pointed at on that hour: not on when
this runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rl.judge.gates import counted
from schemas.errors import ArtifactError, UserError
from schemas.manifest import Ref
from schemas.paper import (
    LateRows,
    PaperLevels,
    PaperLine,
    PaperPortfolio,
    PaperRun,
    PaperState,
)
from schemas.promotion import Alias
from schemas.registry import ALIASES, Move, RegistryState
from schemas.trading import PRESETS, PresetName
from tasks import ui
from tasks.files import current_user, utc_now
from tasks.openings import flow_run
from tasks.paper_data import HOUR_MS, PaperData, Versions, epoch_ms, told, when
from tasks.paper_files import EMPTY_SHA256, PaperFiles, record_run
from tasks.registry import Registry
from tasks.store import Store, resolve_root


def paper_trade(
    dataset: Ref,
    *,
    book: str,
    presets: Sequence[PresetName] = ("moderate",),
    capital: float | None = None,
    now: datetime | None = None,
) -> PaperRun:
    """Decide every hour that has not been decided; for who holds `paper_turn`.

    Args:
        dataset: What `ingest` made.
        book: Whose aliases are followed, and where the portfolios lie.
        presets: Risk profiles; each alias has a portfolio under each.
        capital: What a portfolio begins with; by the version's rules if left out.
        now: The time; by default, the clock's. An hour is decided from two minutes after it on.

    Returns:
        Where the portfolios stand, and what a person should know.

    Raises:
        UserError: A portfolio could not move on. The others did, and it catches up when that is mended.
    """
    root = resolve_root()
    store = Store(root)
    registry = Registry(root, book).state()
    if not registry.versions:  # more often a mistyped name than a book yet to be: nothing is made for it
        why = f"Book {book} has no version yet, so there is nothing to follow: `carryflow run` trains one."
        ui.say(why)
        return PaperRun(book=book, said=(why,))
    data = PaperData(store, dataset, now or datetime.now(UTC))
    versions = Versions(store, book)
    said: list[str] = []
    portfolios: list[PaperPortfolio] = []
    troubles: list[UserError] = []
    for alias in ALIASES:
        for preset in dict.fromkeys(presets):
            trader = _Trader(
                alias, preset, PaperFiles(root, book, alias, preset), data, versions, registry, book
            )
            try:
                found = trader.run(capital)
            except UserError as error:
                ui.say(f"{alias}, {preset}: {error}")
                troubles.append(error)
            else:
                portfolios += [] if found is None else [found]
            said += trader.said
    done = PaperRun(
        book=book, newest=data.newest, said=tuple(dict.fromkeys(said)), portfolios=tuple(portfolios)
    )
    facts = {"time": utc_now(), "user": current_user(), "flow_run": flow_run(), "data": data.content}
    hours = {f"{p.alias}-{p.preset}": [p.hours, p.hour.isoformat()] for p in portfolios}
    troubled = [str(error) for error in troubles]
    record_run(root, book, facts | {"portfolios": hours, "said": list(done.said), "troubles": troubled})
    for sentence in done.said:
        ui.say(sentence)
    if troubles:
        raise troubles[0]
    return done


@dataclass
class _Trader:
    """One portfolio, as far as the data goes."""

    alias: Alias
    preset: PresetName
    files: PaperFiles
    data: PaperData
    versions: Versions
    registry: RegistryState
    book: str
    said: list[str] = field(default_factory=list)

    def run(self, capital: float | None) -> PaperPortfolio | None:
        """Decide what has not been decided; None where there is nothing to follow yet."""
        self.files.repair()
        state = self.files.state()
        moves = [move for move in self.registry.history if move.moved and move.alias == self.alias]
        late = LateRows()
        if state is None:
            version = self.registry.aliases[self.alias]
            if version is None:
                self.said.append(
                    f"The {self.alias} of book {self.book} points at no version: there is nothing to follow."
                )
                return None
            hours = [self.data.newest_ms]
        else:
            if len(moves) < state.moves:
                raise ArtifactError(
                    f"has a shorter history than when {self.alias} was last followed: it was replaced.",
                    f"the registry of book {self.book}",
                    f"Restore it, or move {self.files.folder} away to begin anew.",
                )
            decided = epoch_ms(state.books.hour)
            hours = list(range(decided + HOUR_MS, self.data.newest_ms + HOUR_MS, HOUR_MS))
            late = self.data.rows.late(decided, state.known)
            if late:
                self.said.append(
                    f"{self._name}: {late}, at or before {told(state.books.hour)}, which is decided; "
                    "they change nothing that was written."
                )
            if not hours:
                self._say_nothing_new(state)
        start = hours[0] - HOUR_MS * (state is not None) if hours else 0
        for number, hour in enumerate(hours, start=1):
            ui.say(f"{self._name}: {told(when(hour))} ({number} of {len(hours)})", transient=True)
            state = self._decide(hour, when(start), state, moves, late, capital)
            late = LateRows()
        assert state is not None
        self._say_waiting(moves[state.moves :], state)
        return portfolio_of(self.files.lines(), state, len(hours), late)

    def _decide(
        self,
        hour: int,
        since: datetime,
        state: PaperState | None,
        moves: Sequence[Move],
        late: LateRows,
        capital: float | None,
    ) -> PaperState:
        """Let an hour pass, decide at its end, and write both down; the market reaches back to `since`."""
        from rl.paper import advance, begin_again, begin_flat, decide_hour, figures, revalue
        from rl.paper_books import Passed

        config = PRESETS[self.preset]
        begins = None
        if state is None:
            version, followed, segment = self.registry.aliases[self.alias], len(moves), 1
            assert version is not None
            rules, _ = self.versions.get(version)
            if capital is not None:
                rules = rules.model_copy(update={"initial_capital": capital})
            desk = self.data.desk(since, rules)
            books, passed = begin_flat(desk, when(hour)), Passed((), False, (), ())
            shown = figures(desk, config, books)
            begins = f"paper trading begins with version {version}"
        else:
            version, followed, segment, rules = state.version, state.moves, state.segment, state.rules
            desk = self.data.desk(since, rules)
            books, passed = advance(desk, config, state.books, state.order)
            # What the drawdown limit has ended stands still, and so do its figures.
            shown = (
                state.levels.model_dump()
                if books.ended and state.books.ended
                else figures(desk, config, books)
            )
            made = [move for move in moves[followed:] if epoch_ms(datetime.fromisoformat(move.time)) <= hour]
            followed += len(made)
            if made and made[-1].after != version:
                version, segment = made[-1].after, segment + 1
                begins = f"{self.alias} was moved to {version or 'none'}: {made[-1].reason}"
        follower = None
        if version is not None:
            own, follower = self.versions.get(version)
            own = own.model_copy(update={"initial_capital": rules.initial_capital})
            if own != rules:
                rules, desk = own, self.data.desk(since, own)
                books = revalue(desk, config, books)
            if begins and books.ended:
                books = begin_again(books)
        carried = books if begins else None
        books, decided = decide_hour(desk, config, books, follower)
        line = PaperLine(
            hour=when(hour),
            alias=self.alias,
            preset=self.preset,
            segment=segment,
            version=version,
            begins=begins,
            carried=carried,
            late_rows=late,
            fills=passed.fills,
            void=passed.void,
            flows=passed.flows,
            closed=passed.closed,
            **shown,
            held=decided.held,
            decision=decided.choice,
            value=decided.value,
            order=decided.order,
        )
        after = PaperState(
            alias=self.alias,
            preset=self.preset,
            version=version,
            segment=segment,
            moves=followed,
            rules=rules,
            books=books,
            levels=PaperLevels(**shown),
            order=decided.order,
            late_rows=late if state is None else state.late_rows + late,
            known=self.data.rows.known_by(hour, None if state is None else state.known),
            ledger_bytes=0,
            ledger_sha256=EMPTY_SHA256,
        )
        return self.files.append(line, after)

    @property
    def _name(self) -> str:
        return f"{self.alias}, {self.preset}"

    def _say_nothing_new(self, state: PaperState) -> None:
        hour, newest = state.books.hour, self.data.newest
        if epoch_ms(hour) > self.data.newest_ms:
            self.said.append(
                f"The data ends at {told(newest)}, before the last hour decided, {told(hour)}: all is held."
            )
            return
        behind = (self.data.now_ms - self.data.newest_ms) // HOUR_MS
        ago = f", {counted(int(behind), 'full hour')} ago" if behind else ""
        self.said.append(
            f"No fresh data: the newest hour, {told(hour)}{ago}, was decided before. All is held."
        )

    def _say_waiting(self, moves: Sequence[Move], state: PaperState) -> None:
        """Say that an alias was moved after the newest hour: the next hour follows it."""
        if moves and moves[-1].after != state.version:
            move = moves[-1]
            self.said.append(
                f"The {self.alias} was moved to {move.after or 'none'} after the newest hour, "
                f"{told(state.books.hour)}, at {told(datetime.fromisoformat(move.time))}: it is followed "
                "from the first hour after that."
            )


def portfolio_of(
    lines: Sequence[PaperLine], state: PaperState, hours: int = 0, waiting: LateRows | None = None
) -> PaperPortfolio:
    """Return where a portfolio stands.

    Args:
        lines: Its ledger.
        state: Its state.
        hours: Hours decided by this run.
        waiting: Late rows that no line tells of yet.
    """
    first, last, books = lines[0], lines[-1], state.books
    booked = books.booked
    return PaperPortfolio(
        alias=state.alias,
        preset=state.preset,
        version=state.version,
        segment=state.segment,
        hour=books.hour,
        hours=hours,
        since=first.hour,
        decided=len(lines),
        nlv=last.nlv,
        return_pct=100.0 * (last.nlv / first.nlv - 1.0),
        drawdown=last.drawdown,
        funding=booked["funding"],
        costs=sum(booked[kind] for kind in ("fee", "slippage", "penalty", "liquidation")),
        trades=books.counts["closed"],
        ended=books.ended,
        late_rows=state.late_rows + (waiting or LateRows()),
        held=last.held,
        decision=last.decision,
        order=state.order,
        open=books.positions,
    )


def paper_portfolios(root: Path, book: str) -> list[tuple[PaperState, list[PaperLine]]]:
    """Return every portfolio that a book has on paper: its state and its ledger.

    Raises:
        ArtifactError: One was altered.
        ConfigError: The book's name is not a valid one.
    """
    found = []
    for alias in ALIASES:
        for preset in PRESETS:
            files = PaperFiles(root, book, alias, preset)
            if (state := files.state()) is not None:
                found.append((state, files.lines()))
    return found
