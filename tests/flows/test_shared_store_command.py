"""Two machines, one shared store, the same commands: what one has made, the other finds."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.cli.main import app
from flows.naming import data_name
from schemas.checkpoint import BEST_MODEL
from schemas.manifest import Ref
from tasks import connection
from tasks.manifests import content_hash
from tasks.registry import Registry
from tasks.store import Store

TINY = {
    "n_envs": 4, "n_cohorts": 2, "rollout_steps": 24, "batch_size": 96, "n_epochs": 1, "episode_hours": 24,
    "burn_in_share": 0.0, "threads": 1,
}  # fmt: skip
SMALL = ["--set", "stress.placebo_runs=1", "--set", "audit_times=2", "--set", "ladder.bound=false"]
RUN = ["--num-episodes", 8, *SMALL, *(w for k, v in TINY.items() for w in ("--set", f"training.{k}={v}"))]


@pytest.fixture
def hits(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Flows run here, without a server; which of their artifacts were found."""
    import flows.backtest
    import flows.data_to_model
    import flows.launch

    found: dict[str, bool] = {}

    def call(step: Any, *args: Any, **kwargs: Any) -> Any:
        made = step.fn(*args, **kwargs)
        if isinstance(made, tuple):
            return made
        ref = made if isinstance(made, Ref) else made.data
        found[ref.step] = not isinstance(made, Ref)
        return ref

    for module, name in ((flows.data_to_model, "data_to_model"), (flows.backtest, "backtest")):
        monkeypatch.setattr(module, "call", call)
        monkeypatch.setattr(module, name, getattr(module, name).fn)
    monkeypatch.setattr(flows.launch, "in_prefect", lambda **_: nullcontext())
    return found


@pytest.fixture(autouse=True)
def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command puts into the environment ends with its test."""
    monkeypatch.setenv(connection.VARIABLE, "")
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", "")
    monkeypatch.setattr(connection, "PAUSES_S", (0.05,))


def test_a_run_of_another_machine_is_found_end_to_end(
    carryflow: Callable[..., Any], hits: dict[str, bool], sample: Path, tmp_path: Path
) -> None:
    mounted, here, there = tmp_path / "mounted", tmp_path / "here", tmp_path / "there"
    mounted.mkdir()
    shared = ["--store", f"file://{mounted}"]
    ran = carryflow("run", "--data", sample, *RUN, "--artifacts", here, *shared)
    assert ran.code == 0, ran.err
    assert not any(hits.values())
    steps = set(hits)
    made = {str(ref): content_hash(Store(here).manifest(ref)) for ref in Store(here).refs()}
    hits.clear()

    ran = carryflow("run", "--data", sample, *RUN, "--artifacts", there, *shared)
    assert ran.code == 0, ran.err
    assert set(hits) == steps
    assert all(hits.values())
    found = {str(ref): content_hash(Store(there).manifest(ref)) for ref in Store(there).refs()}
    assert found.items() <= made.items()
    assert set(made) - set(found) == {ref for ref in made if "-day/" in ref}  # parts of what is found whole
    versions = [set(Registry(root, "default").state().versions) for root in (here, there)]
    assert versions[0] == versions[1] != set()
    hits.clear()

    model = Store(here).path(Store(here).refs("train")[0]) / BEST_MODEL
    replay = ["backtest", "--data", sample, "--preset", "moderate", "--random-runs", 1, *SMALL]
    replay += ["--checkpoint", model, *shared]
    ran = carryflow(*replay, "--artifacts", tmp_path / "empty")
    assert ran.code == 0, ran.err
    assert hits["ingest"]
    features = Store(tmp_path / "empty").manifest(Store(tmp_path / "empty").refs("features")[0])
    assert (
        features.summary["days_reused"] == features.summary["days"] > 0
    )  # without a split: another artifact
    ran = carryflow(*replay, "--artifacts", tmp_path / "empty too")
    assert ran.code == 0, ran.err
    assert all(hits.values())

    os.environ["CARRYFLOW_ARTIFACTS"] = str(tmp_path / "elsewhere")  # told where the step did not run
    assert data_name(Store(here).refs("ingest")[0])


def test_a_store_that_is_gone_is_one_sentence_and_the_run_goes_on_without_it(
    carryflow: Callable[..., Any], hits: dict[str, bool], sample: Path, tmp_path: Path
) -> None:
    command = ["validate", "--data", sample, "--artifacts", tmp_path / "here"]
    gone = carryflow(*command, "--store", f"file://{tmp_path}/unmounted")
    assert gone.code == 2
    assert f"there is no folder {tmp_path}/unmounted. Make it, or mend --store" in " ".join(gone.err.split())
    os.environ[connection.VARIABLE] = ""
    assert carryflow(*command).code == 0


@pytest.mark.parametrize("url", ["s3://key:planted@bucket", "ftp://planted"])
def test_a_url_that_is_refused_is_not_repeated(
    carryflow: Callable[..., Any], sample: Path, tmp_path: Path, url: str
) -> None:
    said = carryflow("validate", "--data", sample, "--artifacts", tmp_path / "here", "--store", url)
    assert said.code == 2
    assert "--store: " in said.err
    assert "planted" not in said.out + said.err


def test_status_tells_of_the_shared_store_and_of_what_stays_here(
    carryflow: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, mounted = tmp_path / "here", tmp_path / "mounted"
    missing = carryflow("status", "--artifacts", here, "--store", f"file://{mounted}", "--json")
    report = json.loads(missing.out)
    assert any(f"The shared store failed: file://{mounted}: there is no" in one for one in report["reasons"])
    assert report["environment"]["shared store"].startswith(f"file://{mounted} does not answer")
    mounted.mkdir()
    there = carryflow("status", "--artifacts", here, "--store", f"file://{mounted}")
    assert (
        f"shared store: file://{mounted} answers; registry, ledger, locks, resume state and paper portfolios "
        f"stay below {here}" in there.out
    )


def test_every_command_that_works_on_artifacts_can_share_them() -> None:
    """All but those of `registry`, whose books stay on their machine."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    flags = {
        name: {flag for parameter in command.params for flag in parameter.opts}
        for name, command in commands.items()
    }
    there = {name for name, own in flags.items() if "--artifacts" in own}
    assert len(there) > 10
    assert {name for name in there if "--store" not in flags[name]} == set()
