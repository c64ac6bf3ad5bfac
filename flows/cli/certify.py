"""`carryflow certify`."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli import options as o

if TYPE_CHECKING:
    from schemas.certify import Certificate


class KnownMarket(StrEnum):
    """The known-answer markets."""

    no_edge = "no-edge"
    persistent_edge = "persistent-edge"
    decoy = "decoy"
    leverage_trap = "leverage-trap"


def certify(
    market: Annotated[list[KnownMarket] | None, typer.Option(
        help="Only this market; may be repeated. All four by default.")] = None,
    seed: o.Seed = 0,
    num_episodes: Annotated[int | None, typer.Option(
        "--num-episodes", min=1, help="Episodes of training on each market (default: "
        "what each asks for, 1500 to 7000).")] = None,
    time_budget: Annotated[float, typer.Option(
        min=0, help="Seconds of training on each market; 0 is no limit. Repeating it goes on.")] = 0.0,
    set_: Annotated[list[str] | None, typer.Option(
        "--set", metavar="NAME=VALUE", help="Set a parameter of the recipe by its path, for example "
        "training.learning_rate=1e-4; may be repeated.")] = None,
    advanced: Annotated[Path | None, typer.Option(
        "--advanced", help="A JSON file as other commands take it; its recipe (training) and its device "
        "count; flags and --set go over it.")] = None,
    device: o.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the certificates as JSON.")] = False,
    artifacts: o.Artifacts = None,
    store: o.SharedStore = None,
    verbose: o.Verbose = False,
) -> None:  # fmt: skip
    """Prove that the trainer can learn, on generated markets whose best trade is known.

    no-edge: nothing pays its costs. persistent-edge: some pairs pay for days. decoy: the highest current
    rate is never paid. leverage-trap: well paid pairs that liquidate at 10x beside a safe one, one policy.
    It trains on each and is judged on unseen markets of the same law, beside greedy and the informed optimum:
    what a trader earns who knows the regimes, those to come too, and none of the noise.

    Exit code 0 if every bar is reached, 1 if one is not, 2 on a mistake in the command. Each market takes
    up to eight minutes on two cores. A certificate is kept until the recipe or the code changes.
    """
    from flows.cli.parameters import build_advanced
    from flows.cli.terminal import Progress, show_logs
    from flows.cli.train import use_artifacts
    from schemas.certify import BARS, Budget
    from schemas.errors import ConfigError
    from tasks import ui
    from tasks.certify import certify as certify_on
    from tasks.certify import read_certificate

    use_artifacts(artifacts, store)
    chosen = build_advanced(advanced, set_, {"device": device})
    for name in set_ or []:
        if not name.strip().startswith(("training.", "device=")):
            raise ConfigError("has no part in a certification.", name, "Set training.NAME=VALUE.")
    budget = Budget(num_episodes=num_episodes)
    wanted = {kind.value.replace("-", " ") for kind in market or KnownMarket}
    progress = Progress()
    show_logs(progress)
    ui.set_terminal(progress)
    found: list[Certificate] = []
    try:
        for name in dict.fromkeys(bar.market for bar in BARS if bar.market in wanted):
            cached = certify_on(
                name,
                training=chosen.training_config(seed=seed, num_episodes=budget.episodes(name)),
                budget=budget,
                time_budget=time_budget,
                device=chosen.device,
            )
            found.append(read_certificate(cached.ref))
    finally:
        progress.done()
        ui.set_terminal(None)
    if as_json:
        import json

        print(json.dumps([certificate.model_dump(mode="json") for certificate in found], indent=2))
    else:
        print_certificates(found)
    sys.exit(0 if all(certificate.holds for certificate in found) else 1)


def print_certificates(found: list[Certificate]) -> None:
    """Print what was measured against each bar."""
    from flows.cli.terminal import heading, print_table
    from tasks.show import CERTIFICATE_HEADER, certificate_facts, certificate_row

    verdicts = [verdict for certificate in found for verdict in certificate.verdicts]
    heading("Markets with known answers: mean return on unseen markets (%)")
    print_table(CERTIFICATE_HEADER, [certificate_row(verdict) for verdict in verdicts])
    print("\nGreedy goes by projected APR; on the decoy market by current APR.")
    for certificate in found:
        print(certificate_facts(certificate))
    missed = sum(not verdict.holds for verdict in verdicts)
    print(
        f"\nNOT CERTIFIED: {missed} of {len(verdicts)} bars were missed."
        if missed
        else "\nCERTIFIED: this trainer learns what can be learned."
    )
