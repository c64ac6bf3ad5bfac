"""Whether the whole judgement is right when the trainer is real, from rows to decision.

Nobody may become champion on *no edge* and on *mirage* (pays in training and validation, stops before the
test); most have to on *persistent edge among bursts*. Every run trains a policy of its own on a market of its
own, and goes through the gates of a champion: the basic ones with a causality audit, the evidence of its test
window against cash and greedy, and the stress tests. A run that was killed goes on where it was.

    python -m benchmarks.judgement_runs --out artifacts/judgement

Exit code 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as every command does, before torch is imported

DAYS: Final = 180
PRESET: Final = "moderate"
FIRST_SEED: Final = 100
AUDIT_TIMES: Final = 2
# market -> (fewest, most) champions of ten
BARS: Final = {
    "no edge": (0, 0),
    "mirage": (0, 0),
    "persistent edge among bursts": (8, 10),
}


@dataclass(frozen=True)
class Job:
    """One market and one training."""

    market: str
    number: int
    episodes: int
    out: Path

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.market.replace(' ', '-')}-{self.number}-{self.episodes}"

    @property
    def result(self) -> Path:
        """Where its result is kept."""
        return self.out / f"{self.name}.json"


def run(job: Job) -> dict[str, Any]:
    """Train, backtest, audit, stress and decide; what was decided once is not decided again."""
    if job.result.is_file():
        known: dict[str, Any] = json.loads(job.result.read_text(encoding="utf-8"))
        return known
    import pandas as pd

    from rl.audit.garbage import Tables
    from rl.audit.replay import make_deciders
    from rl.audit.run import audit
    from rl.backtest import agent_actor, run_backtest
    from rl.checkpoint import load_checkpoint
    from rl.identity import version_of
    from rl.judge.champion import decide_champion
    from rl.judge.daily import daily_of
    from rl.judge.evidence import build_evidence
    from rl.judge.gates import all_hold, basic_gates
    from rl.judge.stress_gates import stress_gates
    from rl.judge.trials import Trials
    from rl.market.known import generate, rows_of
    from rl.market.scaler import Scaler
    from rl.market.splits import split_windows
    from rl.stress.run import run_stress
    from rl.stress.subject import Subject
    from rl.train import train
    from schemas.backtest import Ladder, TrainedWindow
    from schemas.checkpoint import BEST_MODEL
    from schemas.promotion import PromotionPolicy
    from schemas.stress import StressSettings
    from schemas.trading import PRESETS, MarketRules
    from schemas.training import TrainingConfig

    started, seed = time.monotonic(), FIRST_SEED + job.number
    rules, gates = MarketRules(), PromotionPolicy()
    market = generate(job.market, DAYS, seed, rules).market
    training = TrainingConfig(
        seed=seed, num_episodes=job.episodes, threads=1, eval_every=max(job.episodes // 8, 1)
    )
    splits = split_windows(market.n_hours, market.start_ms, training.episode_hours)
    scaler = Scaler.fit(market.slot_raw[slice(*splits.train.rows(market.start_ms))])
    models = job.out / "models" / job.name
    models.mkdir(parents=True, exist_ok=True)
    data_hash = f"known-answer market: {job.market}, seed {seed}"
    trained = train(
        market, splits, scaler, training, rules=rules, data_hash=data_hash,
        work_dir=job.out / "work" / job.name, out_dir=models,
    )  # fmt: skip
    checkpoint = load_checkpoint(models / BEST_MODEL)
    policy, version = checkpoint.policy(), version_of(checkpoint)
    first, stop = splits.test.rows(market.start_ms)
    window = first, stop - 1
    with tempfile.TemporaryDirectory() as folder:
        tested = run_backtest(
            market, window, agent_actor(policy, scaler, market), rules, {PRESET: PRESETS[PRESET]},
            out_dir=Path(folder), version=version, data_hash=data_hash,
            random_runs=0, ladder=Ladder(bound=False),  # neither of them decides anything
            trained_on=[
                TrainedWindow(name=name, start=part.start, end=part.end)
                for name, part in (("train", splits.train), ("validation", splits.validation))
            ],
        )  # fmt: skip
        equity = pd.read_parquet(Path(folder) / "equity.parquet")
    opportunities, history = rows_of(job.market, DAYS, seed)
    audited = audit(
        Tables(opportunities, history), splits, rules, {PRESET: PRESETS[PRESET]}, make_deciders(policy, seed),
        times=AUDIT_TIMES, seed=seed,
    ).model_copy(update={"data_hash": data_hash, "version": version})  # fmt: skip
    candidate = daily_of(equity, PRESET, "agent")
    assert candidate is not None
    evidence = build_evidence(
        candidate, gates, Trials(), source="test window", greedy=daily_of(equity, PRESET, "greedy"), seed=seed
    )
    basic = basic_gates(tested, PRESET, gates, audited)
    decision = decide_champion(version, PRESET, basic, evidence, [], gates, drift=[])
    others = [gate for gate in decision.gates if gate.name != "stress"]
    if all_hold(others):  # else no stress can make a champion of it
        subject = Subject(
            market, window, rules, PRESET, PRESETS[PRESET], partial(agent_actor, policy, scaler)
        )
        report = run_stress(
            subject,
            opportunities,
            history,
            StressSettings(placebo_runs=2),
            version=version,
            data_hash=data_hash,
        )
        stressed = stress_gates(report, tested, PRESET, gates)
        decision = decide_champion(version, PRESET, basic, evidence, stressed, gates, drift=[])
    results = {result.policy: result.return_pct for result in tested.results}
    found = {
        "market": job.market,
        "number": job.number,
        "episodes": trained.episodes,
        "steps": trained.steps,
        "seconds": time.monotonic() - started,
        "returns_pct": {who: results[who] for who in ("agent", "greedy")},
        "champion": decision.promoted,
        "gates": [gate.model_dump(mode="json") for gate in decision.gates],
    }
    temporary = job.result.with_suffix(".tmp")
    temporary.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    temporary.replace(job.result)
    return found


def table(found: list[dict[str, Any]]) -> str:
    """Sum the runs up, a row per market."""
    lines = [
        "| market | runs | champions | mean return % (greedy) | gates missed most |",
        "|---|---|---|---|---|",
    ]
    for market in BARS:
        mine = [run for run in found if run["market"] == market]
        if not mine:
            continue
        mean = {who: sum(run["returns_pct"][who] for run in mine) / len(mine) for who in ("agent", "greedy")}
        missed: dict[str, int] = {}
        for one in mine:
            for gate in one["gates"]:
                if gate["verdict"] == "fail" and not (gate["name"] == "stress" and gate["value"] is None):
                    missed[gate["name"]] = missed.get(gate["name"], 0) + 1
        most = sorted(missed, key=lambda name: -missed[name])[:4]
        lines.append(
            f"| {market} | {len(mine)} | {sum(run['champion'] for run in mine)} | {mean['agent']:+.2f} "
            f"({mean['greedy']:+.2f}) | {', '.join(f'{name} {missed[name]}' for name in most)} |"
        )
    return "\n".join(lines)


def _end_with(parent: int) -> None:
    """End a worker whose parent is gone: a killed benchmark leaves nobody training."""
    import threading

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """Run what is missing, print the table; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("artifacts/judgement"), help="where runs are kept")
    parser.add_argument("--runs", type=int, default=10, help="of each market")
    parser.add_argument("--episodes", type=int, default=1200, help="of training, each")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    asked = parser.parse_args()
    jobs = [Job(market, number, asked.episodes, asked.out) for number in range(asked.runs) for market in BARS]
    asked.out.mkdir(parents=True, exist_ok=True)
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    begun, found = time.monotonic(), []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.workers, context, _end_with, (os.getpid(),)) as pool:
        for done in as_completed([pool.submit(run, job) for job in jobs]):
            one = done.result()
            found.append(one)
            told = ", ".join(f"{who} {value:+.2f} %" for who, value in one["returns_pct"].items())
            verdict = "champion" if one["champion"] else "refused"
            print(f"{one['market']} {one['number']}: {verdict} ({told}; {one['seconds']:.0f} s)", flush=True)
    print(f"\n{table(found)}\n\n{time.monotonic() - begun:.0f} s")
    reached = True
    for market, (fewest, most) in BARS.items():
        champions = sum(one["champion"] for one in found if one["market"] == market)
        reached &= fewest * asked.runs / 10 <= champions <= most * asked.runs / 10
    print("The bars are reached." if reached else "A bar is missed.")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
