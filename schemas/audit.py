"""What a causality audit compared and found: the content of `audit.json`."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

AUDIT: Final = "audit.json"

Part = Literal["validation", "test"]


class GarbageFinding(BaseModel):
    """One kind of garbage put in place of everything that arrives after one time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str = Field(description="What the later rows were replaced by.")
    last_hour: AwareDatetime = Field(description="The last hour that was compared.")
    compared: int = Field(ge=0, description="Numbers compared, each of them before or at that hour.")
    differences: tuple[str, ...] = Field(
        (), description="The first difference of each group of numbers that changed, in the order of cause."
    )


class AuditedTime(BaseModel):
    """One sampled time, and what became of what was known by then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: AwareDatetime = Field(description="What arrives after it was replaced.")
    part: Part
    findings: tuple[GarbageFinding, ...]

    @property
    def leaks(self) -> bool:
        """Whether a number known by this time changed."""
        return any(finding.differences for finding in self.findings)


class AuditReport(BaseModel):
    """A whole audit. Nothing here depends on where or how fast it ran."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_hash: str = Field("", description="Hash of the data set.")
    version: str | None = Field(None, description="The policy whose decisions were compared, if any.")
    with_history: bool
    seed: int = Field(description="Of the sampled times, the garbage and the random actions.")
    presets: tuple[str, ...]
    deciders: tuple[str, ...] = Field(description="Whose decisions were replayed.")
    pipeline: tuple[str, ...] = Field(
        (), description="Where the features of the run are not those that its rows give."
    )
    times: tuple[AuditedTime, ...]

    @property
    def leaking(self) -> int:
        """Sampled times at which something known by then depended on what came later."""
        return sum(time.leaks for time in self.times)

    @property
    def holds(self) -> bool:
        """Times were looked at, none leaks, and the run's features are those of its rows."""
        return bool(self.times) and self.leaking == 0 and not self.pipeline

    @property
    def compared(self) -> int:
        """Numbers compared in all."""
        return sum(finding.compared for time in self.times for finding in time.findings)

    @property
    def first_difference(self) -> str | None:
        """The first difference in words, or None."""
        if self.pipeline:
            return self.pipeline[0]
        for time in self.times:
            for finding in time.findings:
                if finding.differences:
                    return (
                        f"With {finding.kind} after {time.time:%Y-%m-%d %H:%M:%S.%f} UTC, "
                        + (finding.differences[0])
                    )
        return None
