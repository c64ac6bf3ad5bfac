"""The desk as it is operated: deployed, scheduled, cancelled, killed, restarted; in this order."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.states import Cancelling

from schemas.checkpoint import TRAINING
from tasks.ledger import Ledger
from tasks.locks import owner
from tasks.registry import Registry
from tasks.store import Store
from tasks.turns import RUNNING
from tests.e2e.desk import DEAD_AFTER_S, PROJECT, Desk, tiny
from tests.e2e.screens import CHROMIUM, WHY_NOT, Page, desk_pages, take
from tests.e2e.test_interruptions import assert_whole
from tests.tasks.report.browser import read_png

pytestmark = [pytest.mark.prefect, pytest.mark.desk, pytest.mark.timeout(600)]

RETRAIN = "data-to-model/retrain"
LONG = 20_000  # episodes; minutes of training, and cut short by whoever asks
WORDS = (
    "data-quality",
    "data-report",
    "training",
    "backtest",
    "audit",
    "stress",
    "evidence",
    "report",
    "promotion",
    "lineage",
)


def resumed(desk: Desk) -> list[int]:
    """Return at which update each training went on that was cut short and published; 0 is from the start."""
    store = Store(desk.root)
    folders = [store.path(ref) for ref in store.refs("train") if not store.manifest(ref).summary["finished"]]
    return [json.loads((one / TRAINING).read_text(encoding="utf-8"))["resumed_at"] for one in folders]


def wait_for_training(desk: Desk, run: FlowRun) -> None:
    """Wait until a run trains and has saved a state to go on from."""
    work, since = desk.root / "work", run.created
    assert since is not None

    def saved() -> bool:
        assert desk.state(run) not in ("FAILED", "CRASHED"), desk.run(run).state
        states = work.glob("[0-9a-f]*/resume.safetensors")
        return any(path.stat().st_mtime > since.timestamp() for path in states)

    desk.wait(saved, "a training with a state to go on from")
    time.sleep(2.0)


def test_deploying_twice_changes_nothing_and_leaves_one_automation_of_each_name(desk: Desk) -> None:
    said = [desk.deploy() for _ in range(2)]
    assert said[0] == said[1]
    assert "retrain: 30 5 * * * Europe/Berlin, paused" in said[1]
    with desk.client() as client:
        names = [one.name for one in client.read_automations()]
    assert len(names) == len(set(names)) == 3
    assert "already" in desk.make("server")


def test_the_server_answers_nobody_without_the_secret_and_only_on_this_machine(desk: Desk) -> None:
    import httpx

    access = desk.folder / "access" / f"server-{desk.port}.env"
    assert access.stat().st_mode & 0o777 == 0o600
    user, _, word = desk.auth.partition(":")
    version = f"{desk.url}/admin/version"
    assert httpx.get(version, auth=(user, word)).status_code == 200
    assert httpx.get(version).status_code == 401
    assert httpx.get(version, auth=(user, "wrong")).status_code == 401
    assert httpx.post(f"{desk.url}/flow_runs/filter", json={}).status_code == 403
    without_token = httpx.post(f"{desk.url}/flow_runs/filter", json={}, auth=(user, word))
    assert (without_token.status_code, without_token.json()["detail"]) == (403, "Missing CSRF token.")
    listening = [
        line.split()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()
        if f":{desk.port:04X} " in line
    ]
    assert f"0100007F:{desk.port:04X}" in listening
    assert not any(address.startswith("00000000:") for address in listening)


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1}, {"book": "../x"}, {"preset": "wild"}, {"data": 5}, {"max_data_age_hours": -1},
        {"advanced": {"training": {"n_envs": "many"}}}, {"advanced": {"unknown": 1}},
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_refused_before_a_run_exists(
    desk: Desk, wrong: dict[str, Any], sample: Path
) -> None:
    from prefect.exceptions import PrefectHTTPStatusError

    with desk.client() as client:
        with pytest.raises(PrefectHTTPStatusError, match=r"409|422"):
            desk.request(RETRAIN, **{"data": str(sample), **wrong})
        assert client.read_flow_runs(flow_run_filter=runs_in("SCHEDULED", "PENDING", "RUNNING")) == []


def runs_in(*states: str) -> FlowRunFilter:
    return FlowRunFilter.model_validate({"state": {"type": {"any_": list(states)}}})


def test_after_downtime_late_runs_start_one_by_one_and_the_second_finds_everything(
    desk: Desk, sample: Path
) -> None:
    runs = [desk.request(RETRAIN, **tiny(sample)) for _ in range(3)]  # no worker is there yet
    desk.worker()
    ended = [desk.ended(run) for run in runs]
    names = sorted(str(run.state.name) for run in ended if run.state)
    assert names[:2] == ["Completed", "Completed"]
    assert names[2].startswith("Skipped: a retrain is running since ")
    tasks = [desk.tasks(run) for run in ended if run.state and run.state.name == "Completed"]
    computed, cached = sorted(tasks, key=lambda found: list(found.values()).count("Cached"))
    assert set(computed.values()) == {"Completed"}
    assert {name for name, state in cached.items() if state != "Cached"} == {"promote"}
    assert len(Registry(desk.root, "sample").versions()) == 1
    assert_whole(desk.root)


def test_a_retrain_from_a_second_terminal_is_named_shown_and_told_in_the_morning(
    desk: Desk, sample: Path
) -> None:
    told = len(desk.told)
    words = [
        f"-p={name}={value!r}".replace("'", '"') for name, value in tiny(sample).items() if name != "advanced"
    ]
    words.append(f"-p=advanced={json.dumps(tiny(sample)['advanced'])}")
    said = desk.prefect("deployment", "run", RETRAIN, *words, "--watch")
    assert "Completed" in said or "finished" in said, said
    with desk.client() as client:
        from prefect.client.schemas.sorting import FlowRunSort

        [run] = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)
        assert run.name == "retrain 2025-09-07 binance-bybit-hyperliquid"
        shown = {row.key for row in client.read_artifacts() if row.flow_run_id == run.id}
    assert shown == set(WORDS)
    desk.wait(lambda: len(desk.told) > told, "the morning's message", 60.0)
    message = desk.told[-1]
    assert message["subject"] == f"{run.name}: Completed"
    for part in ("Challenger: ", "Champion: Not promoted, because ", "Next run", f"/runs/flow-run/{run.id}"):
        assert part.lower() in message["body"].lower(), message["body"]
    [opening, *_] = Ledger(desk.root, "sample").read("opening")
    assert opening["flow_run"] == run.name


@pytest.mark.skipif(CHROMIUM is None, reason=WHY_NOT)
def test_the_main_pages_render_and_show_what_was_done(desk: Desk, tmp_path: Path) -> None:
    with desk.client() as client:
        deployment = client.read_deployment_by_name(RETRAIN)
        runs = client.read_flow_runs(flow_run_filter=runs_in("COMPLETED"))
    run = next(run for run in runs if run.state_name == "Completed" and run.name.startswith("retrain "))
    [judged] = Store(desk.root).refs("judgement")
    report = Store(desk.root).path(judged) / "report.html"
    pages = desk_pages(desk.url.removesuffix("/api"), str(run.id), run.name, str(deployment.id), report)
    shown = take(pages, tmp_path, desk.auth)
    for name in pages:
        picture = read_png((tmp_path / f"{name}.png").read_bytes())
        assert picture.std() > 0.02, f"{name} is blank"
    for key in WORDS:
        assert key in shown["artifacts"], key
    with pytest.raises(TimeoutError, match="does not show"):
        take({"runs": Page(pages["runs"].address, ("no such text",), patience_ms=3000)}, tmp_path, desk.auth)


def test_a_backtest_runs_by_its_deployment(desk: Desk, sample: Path) -> None:
    [version] = Registry(desk.root, "sample").versions()
    desk.worker()
    asked = {"data": str(sample), "model": version.version, "random_runs": 3, "preset": "moderate"}
    run = desk.ended(desk.request("backtest/backtest", **asked))
    assert run.state is not None and run.state.type == StateType.COMPLETED, run.state
    assert run.name == f"backtest 2025-09-07 binance-bybit-hyperliquid {version.version}"


def test_stale_data_fails_in_words_before_training_and_is_told_at_once(desk: Desk, sample: Path) -> None:
    told = len(desk.told)
    run = desk.ended(desk.request(RETRAIN, **tiny(sample, max_data_age_hours=26, seed=7)))
    assert run.state is not None and run.state.type == StateType.FAILED
    assert "the data is stale: its newest opportunity is " in str(run.state.message)
    assert set(desk.tasks(run)) == {"ingest"}
    desk.wait(lambda: len(desk.told) > told, "a message on the failure", 60.0)
    assert "the data is stale" in desk.told[-1]["body"]


def test_promote_moves_an_alias_by_its_form(desk: Desk) -> None:
    [version] = Registry(desk.root, "sample").versions()
    asked = {
        "version": version.version[:6],
        "alias": "challenger",
        "reason": "paper trade it",
        "book": "sample",
    }
    run = desk.ended(desk.request("promote/promote", **asked))
    assert run.state is not None and run.state.type == StateType.COMPLETED, run.state
    move = Registry(desk.root, "sample").history()[-1]
    assert (move.alias, move.after, move.reason, move.run) == (
        "challenger",
        version.version,
        "paper trade it",
        run.name,
    )
    again = desk.ended(desk.request("promote/promote", **(asked | {"version": "000000"})))
    assert again.state is not None and again.state.type == StateType.FAILED
    assert "there is no version '000000'" in str(again.state.message)


def look_at_the_curves(desk: Desk, run: FlowRun, out: Path) -> None:
    """See on the page of a run that trains how far it is, and its curves so far."""
    desk.wait(lambda: {"training", "training-progress"} <= set(desk.artifacts(run)), "curves of a training")
    found = desk.artifacts(run)
    assert desk.state(run) == "RUNNING" and 0.0 <= found["training-progress"].data < 100.0
    assert f" of {LONG:,} episodes" in found["training-progress"].description
    if CHROMIUM is None:
        return
    ui = desk.url.removesuffix("/api")
    page = Page(
        f"{ui}/artifacts/artifact/{found['training'].id}", ("Training, so far", "Signs, by now"), True
    )
    take({"training": page}, out, desk.auth)
    picture = read_png((out / "training.png").read_bytes())
    white = (picture > 0.99).all(axis=2).mean()
    assert white > 0.05, "the curves are a white picture on a dark page"


def test_cancelled_in_the_ui_a_training_ends_within_thirty_seconds_and_the_next_run_goes_on(
    desk: Desk, sample: Path, tmp_path: Path
) -> None:
    desk.worker()
    asked = tiny(sample, num_episodes=LONG)
    run = desk.request(RETRAIN, **asked)

    def still_training(run: FlowRun) -> bool:
        held = owner(desk.root / "books" / "sample" / "locks" / RUNNING)
        return held is not None and held.pid in desk.flow_processes(run)

    wait_for_training(desk, run)
    look_at_the_curves(desk, run, tmp_path)
    with desk.client() as client:
        client.set_flow_run_state(run.id, Cancelling())  # what the button does
    desk.wait(lambda: not still_training(run), "the end of a cancelled training", 30.0)
    # The worker then loads the flow anew to look for hooks, which takes a busy machine a while.
    desk.wait(lambda: desk.state(run) == "CANCELLED", "the end of a cancelled run")
    assert not desk.flow_processes(run)
    assert_whole(desk.root)
    after = desk.ended(desk.request(RETRAIN, **asked, time_budget=1.0))
    assert after.state is not None and after.state.type == StateType.COMPLETED, after.state
    [went_on_at] = resumed(desk)
    assert went_on_at > 0


def test_the_server_restarted_during_a_training_finds_it_running_and_it_completes(
    desk: Desk, sample: Path
) -> None:
    desk.worker()
    asked = tiny(sample, num_episodes=LONG, time_budget=25.0, seed=1)
    run = desk.request(RETRAIN, **asked)
    wait_for_training(desk, run)
    desk.stop(desk.started[0])
    assert desk.flow_processes(run)
    server = desk.start("server")
    desk.started.insert(0, desk.started.pop())
    assert desk.started[0] is server
    ended = desk.ended(run)
    assert ended.state is not None and ended.state.type == StateType.COMPLETED, ended.state
    assert {"train", "promote"} <= set(desk.tasks(run))


def test_killed_with_its_worker_a_run_is_called_crashed_and_told_and_the_next_one_goes_on(
    desk: Desk, sample: Path
) -> None:
    told, before = len(desk.told), resumed(desk)
    worker = desk.worker()
    asked = tiny(sample, num_episodes=LONG, seed=2)
    run = desk.request(RETRAIN, **asked)
    wait_for_training(desk, run)
    desk.kill(worker, *desk.flow_processes(run))  # as a power cut does
    assert desk.state(run) == "RUNNING"
    desk.wait(lambda: desk.state(run) == "CRASHED", "the end of a run that died", DEAD_AFTER_S + 120.0)
    assert "was not heard of" in str(desk.run(run).state)
    desk.wait(lambda: len(desk.told) > told, "a message on the crash", 60.0)
    assert "Crashed" in desk.told[-1]["subject"]
    desk.worker()
    after = desk.ended(desk.request(RETRAIN, **asked, time_budget=1.0))
    assert after.state is not None and after.state.type == StateType.COMPLETED, after.state
    now = resumed(desk)
    assert len(now) == len(before) + 1 and sum(now) > sum(before)
    assert_whole(desk.root)


def test_a_worker_killed_alone_takes_its_run_with_it_which_is_called_crashed(
    desk: Desk, sample: Path
) -> None:
    making = desk.worker()
    run = desk.request(RETRAIN, **tiny(sample, num_episodes=LONG, seed=3))
    wait_for_training(desk, run)
    [worker] = [pid for pid, words in desk.processes().items() if "prefect worker start" in words]
    os.kill(worker, signal.SIGKILL)
    making.wait(30)
    desk.started.remove(making)
    ended = desk.ended(run)
    assert ended.state is not None and ended.state.type == StateType.CRASHED, ended.state
    desk.wait(lambda: not desk.flow_processes(run), "the end of its process")
    assert_whole(desk.root)


def test_a_locked_database_delays_a_run_and_fails_none(desk: Desk, sample: Path) -> None:
    desk.worker()
    run = desk.request(RETRAIN, **tiny(sample))
    desk.wait(lambda: desk.state(run) == "RUNNING", "a run that runs")
    locked = sqlite3.connect(desk.folder / "prefect" / "prefect.db", timeout=60.0, isolation_level=None)
    try:
        locked.execute("BEGIN EXCLUSIVE")
        time.sleep(20.0)
        locked.execute("ROLLBACK")
    finally:
        locked.close()
    ended = desk.ended(run)
    assert ended.state is not None and ended.state.type == StateType.COMPLETED, ended.state


def test_a_scheduled_run_starts_by_itself_and_a_schedule_taken_out_of_the_file_is_gone(
    desk: Desk, sample: Path, tmp_path: Path
) -> None:
    desk.worker()
    kept = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))
    [retrain] = [one for one in kept["deployments"] if one["name"] == "retrain"]
    retrain["parameters"] = tiny(sample, book="sample")
    retrain["schedules"] = [{"cron": "* * * * *", "timezone": "Europe/Berlin", "active": True}]
    file = tmp_path / "prefect.yaml"
    file.write_text(yaml.safe_dump(kept), encoding="utf-8")
    assert "retrain: * * * * * Europe/Berlin\n" in desk.deploy(file) + "\n"

    def done() -> list[FlowRun]:
        with desk.client() as client:
            found = client.read_flow_runs(flow_run_filter=runs_in("COMPLETED"))
        return [run for run in found if run.auto_scheduled]

    desk.wait(lambda: bool(done()), "a scheduled run that completed")
    message = str(done()[0].state.message if done()[0].state else "")
    assert "Next run: 20" in message and " UTC" in message

    with desk.client() as client:  # a person pauses it in the UI, and it is deployed again
        there = client.read_deployment_by_name(RETRAIN)
        client.update_deployment_schedule(there.id, there.schedules[0].id, active=False)
    assert "retrain: * * * * * Europe/Berlin, paused" in desk.deploy(file)

    del retrain["schedules"]
    file.write_text(yaml.safe_dump(kept), encoding="utf-8")
    assert "retrain: on demand" in desk.deploy(file)
    with desk.client() as client:
        assert client.read_deployment_by_name(RETRAIN).schedules == []
        left = client.read_flow_runs(flow_run_filter=runs_in("SCHEDULED"))
    assert [run.name for run in left if run.auto_scheduled] == []


def test_no_secret_is_in_logs_artifacts_manifests_or_what_prefect_keeps_and_no_result_is(
    desk: Desk,
) -> None:
    hook = desk.hook.rpartition("/")[2]
    secrets = [desk.auth.partition(":")[2], hook, "planted-secret-of-the-desk"]
    with desk.client() as client:
        said = "\n".join(row.message for row in client.read_logs(None, limit=200))
        said += "\n".join(str(row.data) for row in client.read_artifacts())
        said += "\n".join(run.model_dump_json() for run in client.read_flow_runs())
        said += client.read_work_pool("carryflow").model_dump_json()
        said += "\n".join(one.model_dump_json() for one in client.read_deployments())
    files = [*desk.root.rglob("*"), *desk.folder.glob("*.log"), *(desk.folder / "prefect").rglob("*")]
    for secret in secrets:
        assert secret not in said
        found = [str(path) for path in files if path.is_file() and secret.encode() in path.read_bytes()]
        assert found == [], secret
    # Prefect keeps no result; the exceptions of failed flows it keeps whatever is said, but not as pickles.
    kept = [json.loads(path.read_text()) for path in (desk.folder / "prefect" / "storage").glob("*")]
    assert {record["__exc_type__"] for record in kept} <= {
        "schemas.errors.DataError",
        "schemas.errors.ArtifactError",
    }
