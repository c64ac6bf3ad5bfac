"""How much of what a training run does, and when; pure functions of the recipe."""

from __future__ import annotations

import math

from schemas.checkpoint import RunShape
from schemas.training import TrainingConfig

# A run too short for its recipe gets smaller rollouts rather than fewer updates than this, but no update of
# fewer states than are worth one; and fewer environments rather than rollouts of fewer steps than this.
MIN_UPDATES = 32
MIN_STATES = 32
MIN_STEPS = 12
# Episodes of each environment, so that a run does not end long after the number asked for.
MIN_EPISODES_EACH = 4


def plan_run(training: TrainingConfig, episode_hours: int) -> RunShape:
    """Fit environments and rollouts to the number of episodes asked for.

    Args:
        training: The recipe, whose sizes are upper bounds.
        episode_hours: Length of an episode.
    """
    total = training.num_episodes * episode_hours
    states = max(total // MIN_UPDATES, MIN_STATES)  # of a rollout, at most
    n_envs = max(min(training.n_envs, training.num_episodes // MIN_EPISODES_EACH, states // MIN_STEPS), 1)
    n_cohorts = min(training.n_cohorts, n_envs)
    n_envs -= n_envs % n_cohorts
    steps = max(min(states // n_envs, training.rollout_steps, math.ceil(total / n_envs)), 2)
    return RunShape(
        n_envs=n_envs,
        n_cohorts=n_cohorts,
        rollout_steps=steps,
        updates=math.ceil(total / (n_envs * steps)),
    )


def annealed(training: TrainingConfig, update: int, updates: int) -> TrainingConfig:
    """Return the recipe as of an update: learning rate and entropy bonus fall to nearly zero over the run.

    Exploring is worth most before anything is known, and a policy that never stops drawing at random pays a
    round trip for it. The bonus falls with the square of what is left: it is gone while steps are still large
    enough to learn what is best without it.

    Args:
        training: The recipe.
        update: 0, 1, ...; may pass `updates` where episodes end late.
        updates: Updates expected.
    """
    if not training.anneal:
        return training
    left = max(1.0 - update / updates, 1.0 / updates)
    return training.model_copy(
        update={
            "learning_rate": training.learning_rate * left,
            "entropy_coef": training.entropy_coef * left * left,
        }
    )


def passed(before: int, after: int, every: int, last: int) -> list[int]:
    """List the multiples of `every` in (before, after], up to `last`."""
    first = (before // every + 1) * every
    return list(range(first, min(after, last) + 1, every))
