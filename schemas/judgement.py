"""What a judgement found: the content of `gates.json`."""

from __future__ import annotations

import json
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from schemas.promotion import Alias, Gate, RetirementDecision
from schemas.registry import ALIASES

GATES: Final = "gates.json"
EVIDENCE: Final = "evidence.json"


class Judgement(BaseModel):
    """Every gate that was applied, for each alias, those that held included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[2] = 2
    challenger: tuple[Gate, ...]
    champion: tuple[Gate, ...] = Field(
        (), description="The challenger's among them; empty where nobody asked for a champion."
    )
    compared_with: str | None = Field(
        None, description="The champion it was compared with; empty where none reigned, or it did itself."
    )
    review: RetirementDecision | None = Field(
        None, description="Whether the champion it was run beside is still fit to reign; empty without one."
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `gates.json`; a list is of the format that knew the challenger's gates alone.

        Raises:
            ValueError: It is neither.
        """
        content = json.loads(text)
        return cls.model_validate({"challenger": content} if isinstance(content, list) else content)

    def gates(self, alias: Alias) -> tuple[Gate, ...]:
        """Return the gates of an alias."""
        return self.champion if alias == "champion" else self.challenger

    def asked(self) -> list[tuple[Gate, tuple[Alias, ...]]]:
        """Return every gate once, with the aliases it is asked of; the challenger's come first."""
        found = {gate.name: gate for gate in (*self.challenger, *self.champion)}
        names = {alias: {gate.name for gate in self.gates(alias)} for alias in ALIASES}
        return [(g, tuple(a for a in ALIASES if g.name in names[a])) for g in found.values()]
