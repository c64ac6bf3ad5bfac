"""What several trainings of one recipe show beside each other: the spread that a seed makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

from tasks import ui

SEED_HEADER: Final = ("seed", "version", "validation %", "episodes", "whole")


def seed_rows(found: Sequence[Mapping[str, Any]], candidate: int) -> list[list[Any]]:
    """Return a row per seed: its best on validation, how far it came, and whether it is the candidate.

    Args:
        found: Of each: seed, version, validation_pct, episodes, finished.
        candidate: Its seed.
    """
    return [
        [
            f"{one['seed']}, candidate" if one["seed"] == candidate else str(one["seed"]),
            one["version"],
            one["validation_pct"],
            one["episodes"],
            one["finished"],
        ]
        for one in sorted(found, key=lambda one: one["seed"])
    ]


def spread_words(found: Sequence[Mapping[str, Any]]) -> str:
    """Return how far the seeds lie apart on validation, as a sentence."""
    reached = [one["validation_pct"] for one in found]
    return (
        f"{len(reached)} seeds reached {min(reached):+.2f} % to {max(reached):+.2f} % on validation, median "
        f"{median(reached):+.2f} %. The candidate is the best of them; the spread is what a seed is worth."
    )


def show_seeds(found: Sequence[Mapping[str, Any]], candidate: int) -> None:
    """Put the seeds on the run's page; the arguments are those of `seed_rows`."""
    parts = ["# Seeds", spread_words(found), ui.table(list(SEED_HEADER), seed_rows(found, candidate))]
    ui.markdown("seeds", "\n\n".join(parts), "The spread over seeds on validation")
