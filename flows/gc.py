"""Removing what nobody needs, as a flow: for a schedule of its own."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows.steps import GC
from schemas.retention import RetentionPolicy
from tasks.step import call


@flow(name="gc", persist_result=False, retries=0)
def gc(
    dry_run: bool = False,
    policy: RetentionPolicy = RetentionPolicy(),  # noqa: B008  frozen, and Prefect's form shows its fields
) -> dict[str, Any]:
    """Remove old artifacts, resume state, reports and flow runs that nobody needs.

    What an alias, a version, an approval or a running process needs stays, with all it comes from.

    Args:
        dry_run: Say what would be removed, and change nothing.
        policy: How long what is kept.

    Returns:
        How many things were kept and removed, and the bytes removed.
    """
    report = call(GC, policy, dry_run=dry_run)
    kept, removed = report.total("kept"), report.total("removed")
    return {
        "dry_run": dry_run,
        "kept": kept[0],
        "removed": removed[0],
        "bytes_removed": removed[1],
        "flow_runs_removed": report.prefect.runs,
    }
