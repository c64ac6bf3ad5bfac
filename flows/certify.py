"""The certification as a flow: proof that the trainer learns, on markets whose best trade is known."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from prefect import flow
from pydantic import Field

from flows.naming import rename_run
from flows.steps import CERTIFY
from schemas.certify import Budget, MarketName
from schemas.params import Advanced
from tasks.certify import read_certificate
from tasks.step import call

Wanted = Literal["all", "no edge", "persistent edge", "decoy", "leverage trap"]


@flow(name="certify", persist_result=False, retries=0)
def certify(
    market: Wanted = "all",
    seed: Annotated[int, Field(ge=0)] = 0,
    num_episodes: Annotated[int, Field(ge=0)] = 0,
    time_budget: Annotated[float, Field(ge=0)] = 0.0,
    advanced: Advanced = Advanced(),  # noqa: B008  frozen, and Prefect's form shows its fields
) -> dict[str, Any]:
    """Train on generated markets and hold the policy against the informed optimum of unseen ones.

    A bar that is missed is a result: the run completes and says so.

    Args:
        market: One known-answer market, or all four of them.
        seed: Seed of weights, episodes and minibatches.
        num_episodes: Episodes of training on each market; 0 takes what each of them asks for.
        time_budget: Seconds of training on each market after which it is cut short; 0 is no limit.
        advanced: Of it the recipe (training) and the device; the markets have rules of their own.

    Returns:
        The ref of each market's certificate, and whether every bar was reached, as plain JSON.
    """
    names: tuple[MarketName, ...] = get_args(MarketName) if market == "all" else (market,)
    rename_run(f"certify {market}")
    budget = Budget(num_episodes=num_episodes or None)
    found = {
        name: call(
            CERTIFY.with_options(task_run_name=f"certify {name}"),
            name,
            training=advanced.training_config(seed=seed, num_episodes=budget.episodes(name)),
            budget=budget,
            time_budget=time_budget,
            device=advanced.device,
        )
        for name in names
    }
    return {
        "certificates": {name: str(ref) for name, ref in found.items()},
        "certified": all(read_certificate(ref).holds for ref in found.values()),
    }
