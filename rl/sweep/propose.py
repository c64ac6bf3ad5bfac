"""Proposals: what the next trial tries, a function of the sweep's seed, its number and earlier trials alone.

Optuna's tree-structured Parzen estimator makes them. It is given a study that is built anew for every
proposal, so that nothing has to be kept between them: a sweep that was killed goes on with the proposals an
undisturbed one makes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from rl.sweep.looks import best_by
from schemas.errors import ConfigError
from schemas.extras import how_to_install
from schemas.sweep import Range, SweepConfig, TrialResult, kind_of
from schemas.training import Recipe

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

DIGITS: Final = 4  # that count of a value, so that a recipe can be typed
ATTEMPTS: Final = 20  # at a recipe that was not tried


def require_optuna() -> Any:
    """Return the library that makes proposals.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise ConfigError(
            "a sweep needs Optuna, which is not installed.",
            "carryflow sweep",
            how_to_install("sweep"),
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def propose(
    config: SweepConfig,
    base: Recipe,
    num_episodes: int,
    seed: int,
    earlier: Sequence[TrialResult],
    beside: Sequence[Mapping[str, float]],
) -> dict[str, float]:
    """Return the values of the next trial.

    The first trial is the recipe as it stands, so that every sweep says whether anything beats it.

    Args:
        config: Of the sweep.
        base: The recipe that trials vary.
        num_episodes: Of each training.
        seed: Of the sweep.
        earlier: The trials of the batches before, by number.
        beside: Values of the trials of this batch that were proposed already.
    """
    number = len(earlier) + len(beside)
    if number == 0:
        return {name: float(getattr(base, name)) for name in config.space}
    tried = [dict(trial.params) for trial in earlier] + [dict(params) for params in beside]
    params: dict[str, float] = {}
    for attempt in range(ATTEMPTS):
        study = make_study(config, num_episodes, earlier, beside, _seed(seed, number, attempt))
        asked = study.ask(_distributions(config)).params
        params = {name: _rounded(name, config.space[name], value) for name, value in asked.items()}
        if params not in tried:
            break
    return params


def make_study(
    config: SweepConfig,
    num_episodes: int,
    earlier: Sequence[TrialResult],
    beside: Sequence[Mapping[str, float]] = (),
    seed: int = 0,
) -> Study:
    """Return a study that holds some trials, and nothing else.

    Args:
        config: Of the sweep.
        num_episodes: Of each training.
        earlier: By number; one whose values are outside of the space, as the first one's may be, is left out.
        beside: Values of trials that are under way.
        seed: Of the sampler.
    """
    optuna = require_optuna()
    sampler = optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=config.random_trials, multivariate=True, constant_liar=True
    )
    study: Study = optuna.create_study(direction="maximize", sampler=sampler)
    space = _distributions(config)
    states = optuna.trial.TrialState
    for trial in earlier:
        if not _inside(config, trial.params):
            continue
        whole = trial.state == "complete"
        study.add_trial(
            optuna.create_trial(
                # One that diverged is pruned before its first rung: the worst there is.
                state=states.COMPLETE if whole else states.PRUNED,
                params=_as_drawn(trial.params),
                distributions=space,
                value=trial.value,
                intermediate_values={} if trial.state == "diverged" else _rungs(config, num_episodes, trial),
            )
        )
    for params in beside:
        if _inside(config, params):
            study.add_trial(
                optuna.create_trial(state=states.RUNNING, params=_as_drawn(params), distributions=space)
            )
    return study


def importance(config: SweepConfig, num_episodes: int, trials: Sequence[TrialResult]) -> dict[str, float]:
    """Return how much each parameter has to do with being among the best: shares that add up to 1.

    PED-ANOVA (Watanabe, Bansal & Hutter, 2023): how far the distribution of a parameter among the best trials
    is from that among all, each parameter by itself. Empty where fewer than four complete trials, or none but
    equal ones, say nothing.

    Args:
        config: Of the sweep.
        num_episodes: Of each training.
        trials: All of them.
    """
    optuna = require_optuna()
    complete = [t for t in trials if t.state == "complete" and _inside(config, t.params)]
    if len(complete) < FEWEST_FOR_IMPORTANCE or len({trial.value for trial in complete}) < 2:
        return {}
    study = make_study(config, num_episodes, complete)
    found = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    total = math.fsum(found.values())
    if not total > 0:
        return {}
    return {name: float(value) / total for name, value in sorted(found.items(), key=lambda one: -one[1])}


FEWEST_FOR_IMPORTANCE: Final = 4


def _rungs(config: SweepConfig, num_episodes: int, trial: TrialResult) -> dict[int, float]:
    reached = {rung: best_by(trial.runs[0].looks, rung) for rung in config.rung_episodes(num_episodes)}
    return {rung: value for rung, value in reached.items() if value is not None}


def _distributions(config: SweepConfig) -> dict[str, BaseDistribution]:
    return {name: _distribution(name, values) for name, values in config.space.items()}


def _distribution(name: str, values: Range) -> BaseDistribution:
    kinds = require_optuna().distributions
    drawn: BaseDistribution
    if values.choices:
        drawn = kinds.CategoricalDistribution(values.choices)
    elif kind_of(name) is int:
        drawn = kinds.IntDistribution(int(values.low), int(values.high), log=values.log)
    else:
        drawn = kinds.FloatDistribution(values.low, values.high, log=values.log)
    return drawn


def _as_drawn(params: Mapping[str, float]) -> dict[str, Any]:
    return {name: int(value) if kind_of(name) is int else value for name, value in params.items()}


def _inside(config: SweepConfig, params: Mapping[str, float]) -> bool:
    return all(values.holds(params[name]) for name, values in config.space.items())


def _rounded(name: str, values: Range, value: float) -> float:
    """Return a drawn value with as many digits as a person types, and still inside."""
    if values.choices or kind_of(name) is not float:
        return float(value)
    return min(max(float(f"{value:.{DIGITS}g}"), values.low), values.high)


def _seed(*parts: int) -> int:
    """Return 32 bits that depend on every part and on no process."""
    text = ",".join(map(str, parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
