"""Approval: what a decision becomes where a person has the last word, and what makes it void.

Pure: who looks at files and registries is told what to look for, and says what was found.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.promotion import PromotionDecision
from schemas.registry import Awaiting


def hold_for_approval(
    decision: PromotionDecision, *, points_already: bool, dry_run: bool
) -> PromotionDecision:
    """Return the decision that a person has yet to approve; one that would move nothing stays as it is.

    Args:
        decision: What the gates alone decided.
        points_already: Whether the alias points at this version now.
        dry_run: Whether nothing is to be written down.
    """
    if not decision.promoted or points_already:
        return decision
    said = f"all {len(decision.gates)} gates hold; {decision.alias} stays where it is until a person approves"
    if dry_run:
        reason = f"{decision.version} would await approval: {said} (dry run, nothing was written down)."
    else:
        reason = f"{decision.version} is awaiting approval: {said}."
    return decision.model_copy(
        update={"promoted": False, "moved": False, "awaiting": not dry_run, "reason": reason}
    )


def outrun(decision: PromotionDecision, *, compared_with: str | None, now: str | None) -> PromotionDecision:
    """Return the decision on a version whose gates compare it with what the alias no longer points at."""
    reason = (
        f"Not promoted, because its gates compare it with {compared_with or 'no version'}, and "
        f"{decision.alias} was moved to {now or 'none'} meanwhile; run it again to compare it with that."
    )
    return decision.model_copy(
        update={"promoted": False, "moved": False, "awaiting": False, "reason": reason}
    )


def what_changed(awaiting: Awaiting, *, now: str | None, damage: Sequence[str] = ()) -> list[str]:
    """List in words what is no longer as it was when the gates were applied; empty where nothing changed.

    Args:
        awaiting: What a person is about to approve.
        now: The version the alias points at.
        damage: What is wrong with the files of the version, a clause each.
    """
    changed = []
    if now != awaiting.expected:
        changed.append(
            f"it was compared with {awaiting.expected or 'no version'}, and the alias points at "
            f"{now or 'no version'} now"
        )
    return [*changed, *damage]
