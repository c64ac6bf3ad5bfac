"""How a training goes: what the policy does in a rollout, and the signs a practitioner watches, judged.

The judgement is a pure function of the rows of metrics and of what greedy earns on validation. It looks at
recent updates and at trends with their errors, never at one update.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from rl.market.arrays import F64, Bool
from rl.policy import FIRST_EXIT, kind_masses
from rl.rollout import Rollout
from rl.trend import movement, rose
from schemas.health import HealthLimits, HealthReport, Sign, SignName, Watched, watched

MEAN_OVER = 100  # episodes in the running mean of the metrics


@torch.no_grad()
def behaviour(rollout: Rollout) -> dict[str, float]:
    """Say what the policy does, over a rollout.

    Returns:
        share_hold, share_enter, share_exit of the actions taken; entropy_kind over hold, enter and exit, and
        entropy_entry of slot and size given an entry (weighted by the probability of entering), nats.
    """
    action = rollout.action
    # Where entering is all but impossible, single precision leaves only noise of what is divided here.
    logp = rollout.all_logp.flatten(0, 1).cpu().double()
    kinds = kind_masses(logp)
    tiny = torch.finfo(kinds.dtype).tiny
    kind_entropy = -(kinds * kinds.clamp(min=tiny).log()).sum(1)
    entries = logp[:, 1:FIRST_EXIT]
    enter = kinds[:, 1]
    # H(entry | enter) x P(enter) = -sum p log p + P(enter) log P(enter)
    spread = -(entries.exp() * entries).sum(1) + enter * enter.clamp(min=tiny).log()
    return {
        "share_hold": float((action == 0).float().mean()),
        "share_enter": float(((action > 0) & (action < FIRST_EXIT)).float().mean()),
        "share_exit": float((action >= FIRST_EXIT).float().mean()),
        "entropy_kind": float(kind_entropy.mean()),
        "entropy_entry": float(spread.sum() / enter.sum().clamp(min=tiny)),
    }


def judge(
    rows: Sequence[Mapping[str, float]],
    greedy_pct: float | None,
    limits: HealthLimits | None = None,
) -> HealthReport:
    """Judge every sign of a training where it stands.

    Args:
        rows: One mapping per update, in order, with the columns of `rl.trainer.METRIC_COLUMNS`.
        greedy_pct: What the greedy baseline returns on validation under the profile that chooses, percent;
            None where it is not known.
        limits: Where a sign turns.
    """
    m = limits or HealthLimits()
    run = _Run(rows, greedy_pct, m)
    judged = (
        run.trend(),
        run.mean_return(),
        run.liquidations(),
        run.entropy("entropy of kind", "entropy_kind"),
        run.entropy("entropy of entry", "entropy_entry"),
        run.kl(),
        run.clip_fraction(),
        run.value_loss(),
        run.explained_variance(),
        run.actions(),
        run.validation(),
    )
    return HealthReport(signs=judged, limits=m)


class _Run:
    """The columns of a run, and one method for each sign."""

    def __init__(
        self,
        rows: Sequence[Mapping[str, float]],
        greedy_pct: float | None,
        limits: HealthLimits,
    ) -> None:
        self.m, self.greedy = limits, greedy_pct
        self.signs: dict[SignName, Watched] = {sign.name: sign for sign in watched(limits)}
        self.rows = rows
        self.episodes = self.column("episodes")
        self.finished = np.diff(self.episodes, prepend=0.0)
        self.recent = slice(-max(limits.recent_updates, math.ceil(limits.recent_share * len(rows))), None)
        rate = self.column("lr")
        self.working: Bool = rate >= limits.working_rate * rate.max(initial=0.0)
        self.annealed = bool(len(rows)) and not bool(self.working[-1])
        self.early = not len(rows) or float(self.episodes[-1]) < limits.early_episodes
        evaluated = self.column("eval_return")
        self.evaluated = evaluated[~np.isnan(evaluated)]
        self.movement = movement(self.finished, self.column("reward_mean"), limits)

    def column(self, name: str) -> F64:
        """Return (U,) numbers, NaN where a row has none."""
        return np.array([row.get(name, math.nan) for row in self.rows], np.float64)

    # -- what it earns -------------------------------------------------------------------------------

    def trend(self) -> Sign:
        """Judge whether the mean return moves by more than its error."""
        now = self.movement
        if now is None:
            return self.unknown("mean of 100 episodes", "too few episodes for a trend")
        moved = f"{now.change:+.2f} +- {now.error:.2f} % over {now.episodes:,.0f} episodes"
        name: SignName = "mean of 100 episodes"
        if now.rises(self.m):
            return self.judged(name, now.change, None, f"rises: {moved}")
        if now.falls(self.m):
            return self.judged(name, now.change, "falls", f"falls: {moved}")
        if self.annealed and rose(self.finished, self.column("reward_mean"), now.first, self.m):
            return self.judged(name, now.change, None, f"has settled above its start: {moved}")
        return self.judged(name, now.change, "flat", f"flat: {moved}")

    def mean_return(self) -> Sign:
        """Judge the level of the mean over the latest hundred episodes."""
        if not len(self.rows) or self.episodes[-1] < MEAN_OVER:
            return self.unknown("mean return", f"fewer than {MEAN_OVER} episodes")
        value = float(self.column("mean_100")[-1])
        text = f"{value:+.2f} % over the latest {MEAN_OVER} episodes"
        if value < self.m.bad_return_pct:
            return self.judged("mean return", value, "very low", text)
        early_loss = value < self.m.low_return_pct and not self.early
        return self.judged("mean return", value, "low" if early_loss else None, text)

    def liquidations(self) -> Sign:
        """Judge how many positions are liquidated per episode lately."""
        done = self.finished.sum() if len(self.rows) else 0.0
        first = int(np.searchsorted(self.episodes, done - self.m.trend_episodes, side="right"))
        finished = self.finished[first:]
        n = float(finished.sum())
        if n < MEAN_OVER:
            return self.unknown("liquidations", f"fewer than {MEAN_OVER} episodes")
        value = float(np.nansum(self.column("liquidations_per_episode")[first:] * finished)) / n
        text = f"{value:.3f} an episode, over the latest {n:,.0f}"
        return self.judged("liquidations", value, "many" if value > self.m.liquidations else None, text)

    def validation(self) -> Sign:
        """Judge the best model so far against greedy and against cash."""
        if not self.evaluated.size:
            return self.unknown("validation", "not evaluated yet")
        value, last = float(self.evaluated.max()), float(self.evaluated[-1])
        text = f"best {value:+.2f} %, latest {last:+.2f} %"
        ahead = value > 0.0
        if self.greedy is not None:
            text += f", greedy {self.greedy:+.2f} %"
            ahead = ahead and value > self.greedy
        if self.early and not ahead:
            return Sign(name="validation", value=value, verdict="unknown", reading=text + ": early")
        return self.judged("validation", value, None if ahead else "behind", text)

    # -- what it does --------------------------------------------------------------------------------

    def entropy(self, name: SignName, column: str) -> Sign:
        """Judge whether a choice is settled before it is any good."""
        if self.early:
            return self.unknown(name, "early")
        if column == "entropy_entry" and self.share("enter") < self.m.hardly:
            return self.unknown(name, "hardly ever enters, so there is nothing to choose")
        value = self.lately(column)
        if math.isnan(value):
            return self.unknown(name, "not measured")
        if value >= self.m.stuck_entropy:
            return self.judged(name, value, None, f"{value:.2f} nats: it still tries things")
        if self.greedy is None or not self.evaluated.size:
            return Sign(name=name, value=value, verdict="unknown", reading=f"{value:.2f} nats, not compared")
        own = float(self.evaluated[-self.m.evaluations :].mean())
        compared = f"validation {own:+.2f} %, greedy {self.greedy:+.2f} %"
        if own < self.greedy:
            rises = self.movement is None or self.movement.rises(self.m) or self._validation_rises()
            said = "behind, and not settled yet" if rises else "stuck"
            return self.judged(
                name, value, "behind" if rises else "stuck", f"{value:.2f} nats: {said} ({compared})"
            )
        return self.judged(name, value, None, f"{value:.2f} nats: decided ({compared})")

    def _validation_rises(self) -> bool:
        """Whether the latest evaluations hold a new best, or there is nothing yet to compare with."""
        n = self.evaluated.size
        before = max(n - self.m.evaluations, min(n - 1, 1))
        return before < 1 or bool(self.evaluated[before:].max() > self.evaluated[:before].max())

    def share(self, kind: str) -> float:
        """Return the share of recent steps of a kind."""
        return self.lately(f"share_{kind}")

    def actions(self) -> Sign:
        """Judge the shares of holding, entering and exiting."""
        hold, enter, exits = (self.share(kind) for kind in ("hold", "enter", "exit"))
        if self.early or math.isnan(enter):
            return self.unknown("actions", "early")
        text = f"hold {100 * hold:.1f} %, enter {100 * enter:.1f} %, exit {100 * exits:.1f} % of steps"
        case, said = None, ""
        if enter < self.m.hardly:
            case, said = "never enters", "never enters: "
        elif enter > self.m.churn:
            case, said = "churns", "churns: "
        elif exits < self.m.hardly:
            case, said = "never exits", "never exits: "
        return self.judged("actions", enter, case, said + text)

    # -- how it learns -------------------------------------------------------------------------------

    def step_size(self, column: str) -> float:
        """Return the larger of a column's recent level and that of the run, while the rate was working.

        Annealing makes every step small in the end; that says nothing of the recipe.
        """
        values = self.column(column)[self.working]
        if values.size < self.m.recent_updates:
            return math.nan
        return max(_mean(values), _mean(values[self.recent]))

    def kl(self) -> Sign:
        """Judge how far an update moves the policy."""
        value = self.step_size("kl")
        if math.isnan(value):
            return self.unknown("KL", "too few updates")
        case = "too high" if value > self.m.bad_kl else "high" if value >= self.m.good_kl else None
        return self.judged("KL", value, case, f"{value:.3f} an update{self._while_working()}")

    def clip_fraction(self) -> Sign:
        """Judge the share of states whose step is cut."""
        value = self.step_size("clip_fraction")
        if math.isnan(value):
            return self.unknown("clip fraction", "too few updates")
        case = "high" if value > self.m.high_clip else "low" if value < self.m.low_clip else None
        return self.judged("clip fraction", value, case, f"{value:.3f} of the states{self._while_working()}")

    def _while_working(self) -> str:
        return (
            f" while the rate was above {100 * self.m.working_rate:g} % of its start" if self.annealed else ""
        )

    def value_loss(self) -> Sign:
        """Judge the value loss against the run's own earlier level."""
        values = self.column("value_loss")
        before, now = values[: self.recent.start], values[self.recent]
        if before.size < self.m.recent_updates:
            return self.unknown("value loss", "too few updates")
        value = float(np.median(now))
        growth = value / max(float(np.median(before)), float(np.finfo(np.float64).tiny))
        text = f"{value:.3g}, {growth:.2g} times its earlier level"
        case = None
        explained = self.lately("explained_variance")
        if explained >= self.m.good_explained:  # larger returns, not a lost value
            text += f", {100 * explained:.0f} % of the returns explained"
        elif growth >= self.m.exploding_value_loss:
            case = "explodes"
        elif growth >= self.m.growing_value_loss:
            case = "grows"
        return self.judged("value loss", value, case, text)

    def explained_variance(self) -> Sign:
        """Judge what the value knows of the returns."""
        value = self.lately("explained_variance")
        if self.early or math.isnan(value):
            return self.unknown("explained variance", "early")
        case = None
        if value < self.m.bad_explained:
            case = "negative"
        elif value < self.m.good_explained:
            case = "low"
        return self.judged("explained variance", value, case, f"{value:.2f} of the returns' variance")

    # -- signs ---------------------------------------------------------------------------------------

    def lately(self, column: str) -> float:
        """Return the mean of a column over recent updates."""
        return _mean(self.column(column)[self.recent])

    def unknown(self, name: SignName, why: str) -> Sign:
        """Return a sign that says nothing yet."""
        return Sign(name=name, value=None, verdict="unknown", reading=why)

    def judged(self, name: SignName, value: float, case: str | None, reading: str) -> Sign:
        """Return a sign whose verdict and advice are those of its case; without one it is good."""
        if case is None:
            return Sign(name=name, value=value, verdict="good", reading=reading)
        found = self.signs[name].case(case)
        return Sign(name=name, value=value, verdict=found.verdict, reading=reading, advice=found.advice)


def _mean(values: F64) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan
