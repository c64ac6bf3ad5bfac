"""Holding paper trading against a backtest: the same hours once more, each segment in one run."""

from __future__ import annotations

from itertools import groupby

from schemas.errors import ArtifactError
from schemas.manifest import Ref
from schemas.paper import LateRows, PaperCheck, PaperLine
from schemas.trading import PRESETS
from tasks.features import feature_days
from tasks.paper import paper_portfolios
from tasks.paper_data import Versions
from tasks.paper_rows import DatasetRows
from tasks.store import Store, resolve_root


def paper_check(dataset: Ref, *, book: str) -> tuple[PaperCheck, ...]:
    """Replay every segment of a book's paper portfolios with the versions that decided them.

    A segment is equal bit for bit where no row came after its hour was decided. The last decision has yet to
    fill, so a backtest has nothing to say of it.

    Args:
        dataset: What `ingest` made of the same data.
        book: Whose portfolios.

    Raises:
        ArtifactError: The book has no paper portfolio, or a version is gone.
        DataError: The data does not cover the hours.
    """
    from rl.market.assemble import assemble
    from rl.paper_books import Desk, milliseconds
    from rl.paper_replay import first_difference

    root = resolve_root()
    kept = paper_portfolios(root, book)
    if not kept:
        raise ArtifactError(
            "nothing was traded on paper yet.", f"book {book}", "Run `carryflow paper-trade`."
        )
    store = Store(root)
    versions, days = Versions(store, book), feature_days(dataset)
    rows = DatasetRows(store.local(dataset), store.manifest(dataset))
    desks: dict[str, Desk] = {}
    checks = []
    for state, ledger in kept:
        rules = state.rules
        waiting = rows.late(milliseconds(state.books.hour), state.known)
        segments = [list(lines) for _, lines in groupby(ledger, key=lambda line: line.segment)]
        for number, lines in enumerate(segments):
            version, follower = lines[0].version, None
            if version is not None:
                own, follower = versions.get(version)
                rules = own.model_copy(update={"initial_capital": state.rules.initial_capital})
            key = rules.model_dump_json()
            if key not in desks:
                desks[key] = Desk.of(assemble(list(days.values()), rules), rules)
            after = segments[number + 1][0] if number + 1 < len(segments) else None
            difference = first_difference(desks[key], PRESETS[state.preset], follower, lines, after)
            # Rows that are found later may be of any hour before.
            found = [line.late_rows for line in ledger if line.hour > lines[0].hour]
            checks.append(_told(lines, after, sum(found, start=waiting), difference))
    return tuple(checks)


def _told(
    lines: list[PaperLine], after: PaperLine | None, late: LateRows, difference: str | None
) -> PaperCheck:
    told = [*lines[1:], *([after] if after is not None else [])]
    return PaperCheck(
        alias=lines[0].alias,
        preset=lines[0].preset,
        segment=lines[0].segment,
        version=lines[0].version,
        first=lines[0].hour,
        last=lines[-1].hour,
        hours=len(lines),
        trades=sum(len(line.closed) for line in told),
        late_rows=late,
        difference=difference,
    )
