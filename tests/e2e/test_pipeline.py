"""From a CSV to a verdict in one command; and a second time for almost nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.ledger import Ledger
from tasks.registry import Registry
from tasks.store import Store
from tests.e2e.helpers import PROJECT, Api, Done, Run, run_words

pytestmark = pytest.mark.prefect

STEPS = ("ingest", "quality", "features", "train", "backtest", "audit", "stress", "judge")
EMPTY = """
import time
began = time.monotonic()
from flows import settings
settings.apply_script()
from prefect import flow, task
@task
def nothing(): pass
@flow
def empty():
    for _ in range(8):
        nothing()
empty()
"""


def test_one_command_ends_with_a_verdict_a_table_and_a_report(finished_root: tuple[Path, Done]) -> None:
    root, done = finished_root
    for alias in ("Challenger", "Champion"):
        assert done.verdict_on(alias).startswith(("Not promoted, because ", "Promoted: "))
    assert "insufficient evidence: the test window has" in done.verdict_on("Champion")
    for word in (
        "preset", "moderate", "greedy", "random", "cash", "out of sample", "audit", "over cash", "placebo",
        "venue frozen", "trial opened on these hours", "Report: ",
    ):  # fmt: skip
        assert word in done.out
    report = next(line for line in done.out.splitlines() if line.startswith("Report: "))
    page = Path(report.removeprefix("Report: "))
    assert page.is_file() and page.is_relative_to(root)
    assert "How the training went" in page.read_text(encoding="utf-8")
    assert "Signs of the training" in done.out
    beside = {path.name for path in page.parent.iterdir()}
    tables = {"equity.parquet", "trades.parquet", "trades.csv", "cash_flows.parquet", "backtest.json"}
    made = {"gates.json", "evidence.json", "stress.json", "equity.png", "drawdown.png"}
    assert tables | made <= beside
    assert "Traceback" not in done.err


def test_the_candidate_is_registered_and_the_opening_is_in_the_ledger(
    finished_root: tuple[Path, Done],
) -> None:
    root, done = finished_root
    registry = Registry(root, "sample")
    [version] = registry.versions()
    assert version.version in done.out
    promoted = done.verdict.startswith("Promoted")
    assert registry.aliases() == {"challenger": version.version if promoted else None, "champion": None}
    [opening] = Ledger(root, "sample").read("opening")
    assert (opening["version"], opening["purpose"]) == (version.version, "promotion")
    assert opening["window"][0] == version.windows.test[0]
    assert opening["flow_run"]
    [trial] = Ledger(root, "sample").read("trial")
    assert trial["trial"] == opening["trial"]


def test_an_identical_run_finds_everything_and_promotion_looks_again(
    server: Api, run: Run, root: Path, finished_root: tuple[Path, Done], sample: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in (root / "store").rglob("*") if path.is_file()}
    again = run(*run_words(sample), root=root)
    states = server.task_states()
    assert states == dict.fromkeys(STEPS, "Cached") | {"promote": "Completed"}
    assert again.verdict == finished_root[1].verdict
    assert again.heavy == []  # nothing is computed, so nothing that computes is imported
    assert {path: path.stat().st_mtime_ns for path in (root / "store").rglob("*") if path.is_file()} == before
    assert len(Ledger(root, "sample").read()) == 2
    assert server.artifact_keys() == {
        "data-quality", "data-report", "training", "backtest", "audit", "stress", "evidence", "report",
        "promotion", "lineage",
    }  # fmt: skip


def test_an_identical_run_costs_little_more_than_an_empty_flow(
    server: Api, run: Run, root: Path, sample: Path
) -> None:
    def empty() -> float:
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", EMPTY], env=server.environment, cwd=PROJECT, check=True)
        return time.monotonic() - began

    # The best of some: neighbours make a run slower, never faster.
    pairs = [(run(*run_words(sample), root=root).seconds, empty()) for _ in range(2)]
    ours, nothing = (min(times) for times in zip(*pairs, strict=True))
    assert ours <= 1.5 * nothing, f"{ours:.1f} s against {nothing:.1f} s"


def test_a_training_parameter_trains_again_and_keeps_the_features(
    server: Api, run: Run, root: Path, sample: Path
) -> None:
    run(*run_words(sample, "--set", "training.clip=0.1"), root=root)
    states = server.task_states()
    assert {name: states[name] for name in ("ingest", "features")} == {
        "ingest": "Cached",
        "features": "Cached",
    }
    assert {states[name] for name in ("train", "backtest", "judge")} == {"Completed"}
    assert len(Registry(root, "sample").versions()) == 2
    assert len(Ledger(root, "sample").read("opening")) == 2


@pytest.mark.parametrize(
    ("step", "file", "how"),
    [
        pytest.param("ingest", "dataset.json", "altered", marks=pytest.mark.slow),
        pytest.param("features", "scaler.json", "altered", marks=pytest.mark.slow),
        ("train", "best_model.safetensors", "altered"),
        pytest.param("backtest", "equity.parquet", "altered", marks=pytest.mark.slow),
        pytest.param("audit", "audit.json", "altered", marks=pytest.mark.slow),
        pytest.param("stress", "stress.json", "altered", marks=pytest.mark.slow),
        ("judgement", "gates.json", "deleted"),
    ],
)
def test_a_damaged_artifact_is_rebuilt_with_a_warning(
    run: Run, root: Path, finished_root: tuple[Path, Done], sample: Path, step: str, file: str, how: str
) -> None:
    store = Store(root)
    [ref] = store.refs(step)
    damaged = store.path(ref) / file
    if how == "altered":
        content = bytearray(damaged.read_bytes())
        content[len(content) // 2] ^= 1
        damaged.write_bytes(content)
    else:
        damaged.unlink()
    again = run(*run_words(sample), root=root)
    assert f"Warning: artifact {ref} was altered or deleted: rebuilding" in again.err
    assert again.verdict == finished_root[1].verdict
    assert store.verify(ref)
    assert len(Registry(root, "sample").versions()) == 1


def test_a_dry_run_registers_and_moves_nothing(run: Run, root: Path, sample: Path) -> None:
    # Gates that anything passes, so that only the flag stands between the version and the alias.
    open_gates = ["--set", "gates.min_return_over_cash_pct=-100", "--set", "gates.min_carry_pct=-100"]
    words = run_words(
        sample, *open_gates, "--set", "gates.min_trades=0", "--set", "gates.max_liquidations=99"
    )
    dry = run(*words, "--dry-run", root=root)
    assert "dry run, nothing was moved" in dry.verdict
    registry = Registry(root, "sample")
    assert registry.aliases()["challenger"] is None
    real = run(*words, root=root)
    [version] = registry.versions()
    assert real.verdict.startswith("Promoted: ")
    assert registry.aliases()["challenger"] == version.version
    again = run(*words, root=root)
    assert "already" in again.verdict
    assert len(registry.history()) == 1


def test_a_version_can_be_replayed_on_another_window_and_is_stamped_in_sample(
    run: Run, root: Path, sample: Path
) -> None:
    [version] = Registry(root, "sample").versions()
    words = [
        "backtest",
        "--data",
        sample,
        "--book",
        "sample",
        "--model",
        version.version[:6],
        "--random-runs",
        "3",
    ]
    more = "--cash-apr", "4", "--stress"
    replayed = run(*words, "--window", "train", "--preset", "moderate", *more, root=root)
    assert "IN-SAMPLE" in replayed.out
    assert "The replayed window has" in replayed.out and "Over cash at 4 %" in replayed.out
    assert "venue frozen" in replayed.out and "romoted" not in replayed.out
    assert "hold until flip" in replayed.out
    tested = [ref for ref in Store(root).refs("backtest") if Store(root).manifest(ref).summary["in_sample"]]
    assert len(tested) == 1
    summary = json.loads((Store(root).path(tested[0]) / "backtest.json").read_text(encoding="utf-8"))
    assert summary["in_sample"] is True
    assert set(summary["presets"]) == {"moderate"}
    [cash] = [result for result in summary["results"] if result["policy"] == "cash"]
    assert abs(cash["return_pct"] - 4 * summary["hours"] / 8760) < 1e-9
    assert [bound["preset"] for bound in summary["bounds"]] == ["moderate"]
    openings = Ledger(root, "sample").read("opening")
    assert [line["purpose"] for line in openings] == ["promotion", "ad hoc"]


def test_training_leaves_its_checkpoints_and_they_can_be_used(
    run: Run, root: Path, sample: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoints"
    words = run_words(sample, "--eval-every", "4", "--save-every", "4", "--checkpoint-dir", str(folder))
    words[0] = "train"
    run(*words, root=root)
    names = {path.name for path in folder.iterdir()}
    assert names == {
        f"{stem}.safetensors" for stem in ("best_model", "final_model", "checkpoint_ep4", "checkpoint_ep8")
    }
    held = tmp_path / "positions.json"
    held.write_text(json.dumps({"positions": []}))
    predicted = run(
        "predict",
        "--data",
        sample,
        "--model",
        folder / "best_model",
        "--portfolio",
        held,
        "--json",
        root=root,
    )
    decisions = json.loads(predicted.out)["presets"]
    assert [made["preset"] for made in decisions] == ["conservative", "moderate", "aggressive"]
    for made in decisions:
        assert abs(sum(choice["probability"] for choice in made["choices"]) - 1) < 1e-6
        assert made["decision"]["action"] in [choice["action"] for choice in made["choices"]]


def test_a_run_cut_by_its_budget_goes_on_when_it_is_repeated(run: Run, root: Path, sample: Path) -> None:
    words = run_words(sample, "--seed", "5")
    words[words.index("--num-episodes") + 1] = "120"
    cut = run(*words, "--time-budget", "0.1", root=root)
    assert "cut short by the time budget" in cut.out
    whole = run(*words, root=root)
    assert "cut short" not in whole.out
    assert "Trained 1" in whole.out
    cached = run(*words, root=root)
    assert cached.heavy == []
