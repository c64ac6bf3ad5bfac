"""What paper trading keeps of a portfolio, and what it writes down of every hour.

Times are UTC, money is quote currency, rates and shares are fractions.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.columns import TableName
from schemas.prediction import Choice
from schemas.promotion import Alias
from schemas.trading import MarketRules, PresetName

PAPER_FORMAT: Final = 1


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PaperPosition(_Kept):
    """A position as the simulator holds it; pairs of numbers are (long, short)."""

    slot: int
    serial: int = Field(description="Its number among those the portfolio opened, from 0.")
    symbol: str
    long_exchange: str
    short_exchange: str
    opened: AwareDatetime
    quantity: float
    flows: float = Field(description="Funding received less paid since it opened.")
    costs: float = Field(description="Fees and slippage paid at entry.")
    entry: tuple[float, float]
    margin: tuple[float, float] = Field(description="Isolated margins left.")
    maintenance: tuple[float, float] = Field(description="Maintenance margin rates of the legs' tiers.")
    maintenance_amount: tuple[float, float]
    mark: tuple[float, float]
    sums: dict[str, float] = Field(description="Booked flows by kind.")
    estimated: int = Field(description="Settlements whose rate was estimated.")


class PaperOrder(_Kept):
    """An order that was accepted and has yet to fill; its quantity is fixed."""

    kind: Literal["enter", "exit"]
    symbol: str
    long_exchange: str
    short_exchange: str
    slot: int = Field(description="Position slot of an exit; 0 of an entry.")
    serial: int = Field(description="Which position an exit means.")
    quantity: float = Field(description="Coins of an entry.")


class PaperBooks(_Kept):
    """Everything the simulator remembers of a portfolio at an hour."""

    hour: AwareDatetime
    ended: bool = Field(description="The drawdown limit ended it; it stands still.")
    balance: float
    initial: float
    nlv: float
    peak: float
    max_drawdown: float
    closed_pnl: float = Field(description="Sum over closed positions of net result over notional.")
    booked: dict[str, float]
    counts: dict[str, int]
    serials: int = Field(description="Positions opened so far.")
    positions: tuple[PaperPosition, ...] = ()
    waiting: PaperOrder | None = Field(
        None, description="An order of the hour before, where filling takes 2."
    )


class PaperFlow(_Kept):
    """One booked flow of one leg."""

    time: AwareDatetime
    position_id: int
    leg: int
    venue: str
    symbol: str
    kind: str
    side: str
    quantity: float
    price: float
    rate: float
    amount: float


class PaperFill(_Kept):
    """A position that opened or closed."""

    kind: Literal["open", "close"]
    position_id: int
    symbol: str
    long_venue: str
    short_venue: str
    quantity: float
    price: tuple[float, float] = Field(description="Fill prices without slippage: long, short.")
    reason: str = Field(description="entry, exit, stale, stop_loss, buffer or liquidation.")


class LateRows(_Kept):
    """Rows that came after an hour at or after their own was decided; they never rewrite it."""

    opportunities: int = 0
    history: int = 0
    altered_days: int = Field(
        0, description="Days whose known rows changed or went, apart from rows that were added."
    )

    def __add__(self, other: LateRows) -> LateRows:
        return LateRows(
            **{name: getattr(self, name) + getattr(other, name) for name in LateRows.model_fields}
        )

    @property
    def rows(self) -> int:
        """Late rows of either table."""
        return self.opportunities + self.history

    def __bool__(self) -> bool:
        return bool(self.rows or self.altered_days)

    def __str__(self) -> str:
        tables = [
            f"{count} late {'row' if count == 1 else 'rows'} of {table}"
            for table, count in (("opportunities", self.opportunities), ("history", self.history))
            if count
        ]
        days = self.altered_days
        if days:
            tables.append(f"{days} {'day' if days == 1 else 'days'} with altered rows")
        return " and ".join(tables) or "no late row"


class PaperLevels(_Kept):
    """The columns of a backtest's equity table."""

    nlv: float
    drawdown: float
    balance: float
    free_cash: float
    unrealised: float
    closing_costs: float
    positions: int
    gross_notional: float


class PaperLine(PaperLevels):
    """An hour of a portfolio: what came of the last decision, the books, and the next decision."""

    hour: AwareDatetime
    alias: Alias
    preset: PresetName
    segment: int = Field(description="A stretch of hours decided by one version, counted from 1.")
    version: str | None = Field(description="Who decides; none holds.")
    begins: str | None = Field(None, description="Why a segment begins here.")
    carried: PaperBooks | None = Field(None, description="The books a segment begins with.")
    late_rows: LateRows = Field(
        LateRows(), description="Found since the hour before was decided, of hours decided by then."
    )
    fills: tuple[PaperFill, ...] = ()
    void: bool = Field(False, description="The order could not fill.")
    flows: tuple[PaperFlow, ...] = ()
    closed: tuple[dict[str, Any], ...] = Field(
        (), description="Positions that closed, as a backtest lists them."
    )
    held: str | None = Field(None, description="Why nothing was decided, where that is so.")
    decision: Choice
    value: float | None = Field(None, description="The critic's value; none where nothing was decided.")
    order: PaperOrder | None = Field(None, description="What was ordered.")


class KnownDay(_Kept):
    """The rows of a day that were there when an hour was decided."""

    rows: int
    digest: str = Field(description="Sum of the rows' hashes, 64 bits in hex: order does not matter.")
    file: str = Field(description="sha256 of the day's file if every row of it had been seen, else empty.")


class PaperState(_Kept):
    """Where a portfolio stands: `state.json`, replaced in one step after every hour."""

    format: Literal[1] = PAPER_FORMAT
    alias: Alias
    preset: PresetName
    version: str | None
    segment: int
    moves: int = Field(description="Moves of the alias that were followed so far.")
    rules: MarketRules = Field(description="Of the version followed last.")
    books: PaperBooks
    levels: PaperLevels = Field(description="The figures of the last line.")
    order: PaperOrder | None
    late_rows: LateRows = LateRows()
    known: dict[TableName, dict[str, KnownDay]] = {}
    ledger_bytes: int = Field(description="Length of the ledger; what is beyond it was never finished.")
    ledger_sha256: str


class PaperPortfolio(_Kept):
    """A portfolio as a run of paper trading left it."""

    alias: Alias
    preset: PresetName
    version: str | None
    segment: int
    hour: AwareDatetime = Field(description="The newest hour decided.")
    hours: int = Field(description="Hours decided in this run.")
    since: AwareDatetime = Field(description="The first hour ever decided.")
    decided: int = Field(description="Hours decided since then, this one included.")
    nlv: float
    return_pct: float
    drawdown: float
    funding: float
    costs: float = Field(description="Fees, slippage, penalties and lost margins: negative.")
    trades: int = Field(description="Positions closed.")
    ended: bool
    late_rows: LateRows
    held: str | None
    decision: Choice
    order: PaperOrder | None
    open: tuple[PaperPosition, ...]


class PaperRun(_Kept):
    """What one run of paper trading did."""

    book: str
    newest: AwareDatetime | None = Field(None, description="The newest hour of the data that may be decided.")
    said: tuple[str, ...] = Field(description="What a person should know, a sentence each.")
    portfolios: tuple[PaperPortfolio, ...] = ()


class PaperCheck(_Kept):
    """A segment held against a backtest of the same hours."""

    alias: Alias
    preset: PresetName
    segment: int
    version: str | None
    first: AwareDatetime
    last: AwareDatetime
    hours: int
    trades: int
    late_rows: LateRows
    difference: str | None = Field(description="The first number that differs; none is equal bit for bit.")
