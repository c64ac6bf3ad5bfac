"""The sweep as a flow, every step real but without Prefect: what it finds, leaves, and costs again."""

from __future__ import annotations

import html
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rl.sweep.looks import best_by, missed
from schemas.errors import ConfigError
from schemas.manifest import Ref
from schemas.params import Advanced
from schemas.sweep import SweepConfig, SweepSummary
from schemas.training import TrainingConfig
from tasks.ledger import Ledger
from tasks.store import Store, content_hash

pytest.importorskip("optuna", reason="the extra `sweep` is not installed")
from tasks.sweep import Search
from tests.flows.steps import Steps, without_prefect

PROJECT = Path(__file__).parents[2]

# A policy that is paid for being at random trades, and its trials differ from the first update on.
TINY = {
    "n_envs": 4, "n_cohorts": 2, "rollout_steps": 24, "batch_size": 96, "n_epochs": 1, "episode_hours": 24,
    "burn_in_share": 0.0, "threads": 1, "entropy_coef": 0.6, "learning_rate": 0.01,
}  # fmt: skip
ADVANCED = Advanced.model_validate({"training": TINY})
SPACE = {
    "learning_rate": {"low": 3e-3, "high": 0.03, "log": True},
    "entropy_coef": {"low": 0.4, "high": 1.0},
    "gamma": {"choices": [0.9, 0.999]},
}
SEARCH = SweepConfig.model_validate({"space": SPACE, "random_trials": 4, "bar_after": 3, "rungs": [0.5]})
ASKED: dict[str, Any] = {
    "book": "b", "trials": 12, "seed": 3, "num_episodes": 8, "search": SEARCH, "advanced": ADVANCED,
}  # fmt: skip
# The same sweep in a process of its own, to be killed; it prints the hash of what it found.
PROCESS = """
import sys
from pathlib import Path
import pytest
from tests.flows.test_sweep_flow import found_in, search
with pytest.MonkeyPatch.context() as patch:
    print(found_in(Path(sys.argv[2]), search(patch, Path(sys.argv[1]))[0]))
"""


def search(patch: pytest.MonkeyPatch, data: Path, **more: Any) -> tuple[dict[str, Any], Steps]:
    import flows.sweep as module

    steps = without_prefect(patch, module)
    return module.sweep.fn(str(data), **{**ASKED, **more}), steps


@pytest.fixture(scope="module")
def finished(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Steps]:
    """A root after one sweep, what the flow returned, and its steps. Copy it before you change it."""
    root = tmp_path_factory.mktemp("sweep") / "artifacts"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARRYFLOW_ARTIFACTS", str(root))
        result, steps = search(patch, sample)
    return root, result, steps


@pytest.fixture
def root(finished: tuple[Path, dict[str, Any], Steps], artifacts: Path) -> Path:
    shutil.copytree(finished[0], artifacts)
    return artifacts


def summary_of(root: Path, result: dict[str, Any]) -> SweepSummary:
    folder = Store(root).local(Ref.parse(result["sweep"]))
    return SweepSummary.model_validate_json((folder / "sweep.json").read_text())


def found_in(root: Path, result: dict[str, Any]) -> str:
    """Return the hash of everything a sweep found: summary, recipe, report and pictures."""
    return content_hash(Store(root).manifest(Ref.parse(result["sweep"])))


def test_every_trial_is_a_named_step_and_the_first_is_the_recipe_as_it_stands(finished) -> None:
    root, result, steps = finished
    assert [name for name, _ in steps.seen] == [
        "ingest", "features", *(f"trial {number}" for number in range(12)), "conclude",
    ]  # fmt: skip
    found = summary_of(root, result)
    assert found.trials[0].params == {"entropy_coef": 0.6, "gamma": 0.999, "learning_rate": 0.01}
    assert len({json.dumps(trial.params) for trial in found.trials}) == 12
    assert found.importance and set(found.importance) == set(SPACE)


def test_a_complete_trial_is_an_ordinary_training_and_the_best_one_has_the_best_look(finished) -> None:
    root, result, _ = finished
    found = summary_of(root, result)
    assert 3 <= len(found.complete) < 12
    assert len({trial.value for trial in found.complete}) > 2
    for trial in found.complete:
        [run] = trial.runs
        facts = Store(root).manifest(Ref.parse(run.model)).summary
        assert (run.version, trial.value) == (facts["version"], facts["validation_pct"])
        assert (facts["finished"], facts["trial"]) == (True, run.trial)
    assert found.best is not None
    assert found.best.value == max(trial.value for trial in found.complete if trial.value is not None)


def test_a_pruned_trial_was_below_the_median_of_those_before_it_and_ended_there(finished) -> None:
    root, result, _ = finished
    found = summary_of(root, result)
    assert found.count("pruned") > 0
    for trial in found.trials:
        complete = [one for one in found.trials[: trial.number] if one.state == "complete"]
        reached = sorted(best_by(one.runs[0].looks, 4) for one in complete)  # type: ignore[type-var]
        [run] = trial.runs
        if len(complete) < 3:
            assert trial.state == "complete"
            continue
        middle = (reached[(len(reached) - 1) // 2] + reached[len(reached) // 2]) / 2  # type: ignore[operator]
        assert (trial.state == "pruned") == (missed(run.looks, [(4, middle)]) is not None)
        if trial.state == "pruned":
            assert run.bar == pytest.approx(middle)
            assert run.looks[-1][0] < 8 and not run.model
    left = [path.name for path in (root / "work").iterdir() if re.fullmatch("[0-9a-f]{64}", path.name)]
    assert left == [], "nobody goes on with what was pruned"


def test_every_trial_is_in_the_ledger_once_and_no_sealed_window_was_opened(finished) -> None:
    root, result, _ = finished
    found, ledger = summary_of(root, result), Ledger(root, "b")
    assert ledger.read("opening") == []
    tried = [line for line in ledger.read("trial") if line.get("purpose") == "sweep"]
    assert [line["trial"] for line in tried] == [trial.runs[0].trial for trial in found.trials]
    assert [line["result"]["state"] for line in tried] == [trial.state for trial in found.trials]


def test_every_trial_counts_against_a_candidate_on_the_sealed_window(finished, root) -> None:
    from tasks.evidence import known_trials
    from tasks.openings import record_opening

    _, result, _ = finished
    found = summary_of(root, result)
    manifest = Store(root).manifest(Ref.parse(result["features"]))
    splits = json.loads((Store(root).path(Ref.parse(result["features"])) / "splits.json").read_text())
    window = [splits["test"]["start"], splits["test"]["end"]]

    def known(edges: list[str]) -> int:
        judged = manifest.model_copy(update={"summary": {"start": edges[0], "end": edges[1]}})
        best = found.best
        assert best is not None
        return known_trials(root, "b", judged, preset="moderate", own=best.runs[0].trial).count

    assert known(window) == 12, "the candidate is one of them"
    assert known(["2030-01-01T00:00:00+00:00", "2030-02-01T00:00:00+00:00"]) == 1
    record_opening(
        root, "b", data="d", window=window, version="v", trial=found.trials[1].runs[0].trial, config="c",
        purpose="run",
    )  # fmt: skip
    assert known(window) == 12, "opened as well it counts once"


def test_killed_twice_at_any_moment_it_ends_with_the_same_trials_and_the_same_best(
    finished, sample, tmp_path
) -> None:
    root, chance = tmp_path / "artifacts", random.Random()
    environment = os.environ | {"CARRYFLOW_ARTIFACTS": str(root), "PYTHONPATH": str(PROJECT)}
    words = [sys.executable, "-c", PROCESS, str(sample), str(root)]

    def started() -> subprocess.Popen[str]:
        return subprocess.Popen(
            words, env=environment, cwd=PROJECT, stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    for trials in (2, 7):
        process = started()
        try:
            while len(Store(root).refs("trial")) < trials:
                assert process.poll() is None, "it ended by itself"
                time.sleep(0.02)
            time.sleep(chance.uniform(0.0, 1.0))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=30)
        assert not Store(root).refs("sweep")
    process = started()
    try:
        said, _ = process.communicate(timeout=250)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0
    assert said.split() == [found_in(finished[0], finished[1])]
    for kind, of in (("trial", "trial"), ("trial", "version")):
        lines = [[line[of] for line in Ledger(one, "b").read(kind)] for one in (root, finished[0])]  # type: ignore[arg-type]
        assert sorted(lines[0]) == sorted(lines[1])


def test_a_second_run_finds_everything_and_writes_nothing_twice(finished, root, sample, monkeypatch) -> None:
    before = Ledger(root, "b").read()
    again, steps = search(monkeypatch, sample)
    assert all(hit for _, hit in steps.seen)
    assert again == finished[1]
    assert Ledger(root, "b").read() == before


def test_in_another_book_the_same_trials_count_there_too(finished, root, sample, monkeypatch) -> None:
    search(monkeypatch, sample, book="c")
    tried = [line for line in Ledger(root, "c").read("trial") if line.get("purpose") == "sweep"]
    assert len(tried) == 12


def test_a_collection_beside_a_running_sweep_takes_nothing_it_goes_on_with(
    finished, root, sample, monkeypatch
) -> None:
    from schemas.retention import RetentionPolicy
    from tasks.gc import collect

    store = Store(root)
    last = Ref.parse(finished[1]["trials"][-1][0])
    for ref in (last, Ref.parse(finished[1]["sweep"])):
        shutil.rmtree(store.set_aside(ref))
    collected: list[Any] = []

    def before_the_last(self: Search) -> Any:
        if len(self.ended) == 11:
            collected.append(collect(root, RetentionPolicy.of(0)))
        return batch(self)

    batch = Search.batch
    monkeypatch.setattr(Search, "batch", before_the_last)
    again, steps = search(monkeypatch, sample)
    assert len(collected) == 1
    assert [name for name, hit in steps.seen if not hit] == ["trial 11", "conclude"]
    assert found_in(root, again) == found_in(*finished[:2])


def test_a_training_that_was_there_already_is_pruned_to_the_same_content(
    finished, root, sample, monkeypatch
) -> None:
    """What a trial comes to does not depend on what somebody trained before."""
    from tasks.training import train
    from tasks.trials import read_trial, trial

    found, store = summary_of(root, finished[1]), Store(root)
    number = next(one.number for one in found.trials if one.state == "pruned")
    ref = Ref.parse(finished[1]["trials"][number][0])
    manifest, before = store.manifest(ref), content_hash(store.manifest(ref))
    asked = {
        "training": TrainingConfig.model_validate(manifest.params["training"]), "preset": "moderate",
        "rules": ADVANCED.rules, "book": "b",
    }  # fmt: skip
    features = Ref.parse(finished[1]["features"])
    assert not train(features, **asked).hit
    shutil.rmtree(store.set_aside(ref))
    made = trial(features, **asked, bars=[tuple(bar) for bar in manifest.params["bars"]])
    assert not made.hit and made.ref == ref
    assert content_hash(made.manifest) == before
    assert read_trial(made.path).state == "pruned"


def test_cut_by_its_budget_it_says_so_and_the_same_command_gets_further(
    finished, root, sample, monkeypatch
) -> None:
    store = Store(root)
    for refs in finished[1]["trials"][-2:]:
        run = json.loads((store.path(Ref.parse(refs[0])) / "trial.json").read_text())
        for ref in filter(None, (refs[0], run["model"])):
            shutil.rmtree(store.set_aside(Ref.parse(ref)))
    shutil.rmtree(store.set_aside(Ref.parse(finished[1]["sweep"])))
    ends = []
    for _ in range(30):
        result, _ = search(monkeypatch, sample, time_budget=1e-3)
        ends.append(len(result["trials"]))
        if result["sweep"]:
            break
    assert ends[0] < 12 == ends[-1] and ends == sorted(ends)
    assert found_in(root, result) == found_in(*finished[:2])


def test_the_recipe_and_the_command_ask_run_for_the_training_that_is_there(finished, root) -> None:
    from flows.cli.parameters import build_advanced

    found = summary_of(root, finished[1])
    ref = Ref.parse(finished[1]["sweep"])
    words = shlex.split(Store(root).manifest(ref).summary["next"])
    assert words[:4] == ["carryflow", "run", "--data", "DATA"]
    said = dict(zip(words[2::2], words[3::2], strict=True))
    sets = [value for name, value in zip(words[2::2], words[3::2], strict=True) if name == "--set"]
    typed = build_advanced(None, sets, {})
    assert typed == build_advanced(Store(root).path(ref) / "recipe.json", None, {})
    best = found.best
    assert best is not None
    training = typed.training_config(
        seed=int(said["--seed"]), num_episodes=int(said["--num-episodes"]), preset="moderate"
    )
    assert training == TrainingConfig.model_validate(
        Store(root).manifest(Ref.parse(best.runs[0].model)).params["training"]
    )


def test_the_command_in_the_report_asks_for_the_same_again(finished, monkeypatch, sample, root) -> None:
    from flows.cli import main as cli

    page = (Store(root).path(Ref.parse(finished[1]["sweep"])) / "report.html").read_text(encoding="utf-8")
    words = shlex.split(html.unescape(re.findall(r"<pre><code>(.*?)</code>", page)[-1]))
    assert words[:4] == ["carryflow", "sweep", "--data", "DATA"]
    asked: dict[str, Any] = {}
    monkeypatch.setattr("flows.launch.run_sweep", lambda **given: asked.update(given))
    cli.app(words[1:], standalone_mode=False)
    given = {name: value for name, value in asked["asked"].items() if value is not None}
    again, steps = search(monkeypatch, sample, **given, advanced=asked["advanced"], book=asked["book"])
    assert all(hit for _, hit in steps.seen)
    assert again == finished[1]


def test_the_report_is_one_page_that_asks_nobody_and_tells_all(finished) -> None:
    root, result, _ = finished
    folder = Store(root).path(Ref.parse(result["sweep"]))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page and "<script" not in page
    links = re.findall(r'(?:src|srcset|href)="([^"]*)"', page)
    assert links and all(link.startswith("data:") for link in links)
    words = " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.S).split())
    for text in ("Sweep of 12 trials", "Recipe as it stands", "Expected of the best by luck", "PED-ANOVA",
                 "entropy_coef", "pruned", "Judge", "The sealed window has the last word"):  # fmt: skip
        assert text.lower() in words.lower(), text
    for name in ("progress.png", "importance.png", "slices.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_the_terminal_tells_every_trial_the_verdict_and_what_is_next(root, finished, capsys) -> None:
    from flows.cli.sweep import print_sweep

    print_sweep(finished[1], data=Path("my data"), book="b", seconds=61.0)
    said = capsys.readouterr().out
    found = summary_of(root, finished[1])
    rows = [line.split() for line in said.splitlines() if re.match(r"\s*\d+  (complete|pruned)", line)]
    assert sorted(int(row[0]) for row in rows) == list(range(12))
    assert found.best is not None and int(rows[0][0]) == found.best.number
    assert "Next, judge it on the sealed window:\n  carryflow run --data 'my data' --book b" in said
    assert "is an optimistic figure" in " ".join(said.split())
    [report] = [line.removeprefix("Report: ") for line in said.splitlines() if line.startswith("Report: ")]
    assert Path(report).is_relative_to(root / "reports" / "b")
    assert {path.name for path in Path(report).parent.iterdir()} == {
        "report.html", "sweep.json", "recipe.json", "progress.png", "importance.png", "slices.png",
        "SOURCE.txt",
    }  # fmt: skip


def test_the_run_page_shows_the_verdict_the_trials_and_the_pictures(root, finished, monkeypatch) -> None:
    from tasks.cache import Cached
    from tasks.show_sweep import concluded

    shown: dict[str, str] = {}
    monkeypatch.setattr("tasks.ui.markdown", lambda key, text, description: shown.update({key: text}))
    store, ref = Store(root), Ref.parse(finished[1]["sweep"])
    concluded(Cached(ref, True, store.manifest(ref), store.path(ref)))
    text = shown["sweep"]
    assert text.count("](data:image/png;base64,") == 3
    assert len(re.findall(r"^\| \d+ \| (?:complete|pruned) \|", text, flags=re.M)) == 12


def test_weights_to_start_from_are_refused_before_anything_is_read(artifacts, monkeypatch) -> None:
    start = Advanced.model_validate({"resume_from": "champion"})
    with pytest.raises(ConfigError, match="resume_from: has no part in a sweep"):
        search(monkeypatch, Path("nowhere"), advanced=start)
    assert not artifacts.exists()
