"""`make deploy`: what prefect.yaml says, on the server, and nothing of what it said before.

May be repeated. A schedule that was resumed or paused in the UI stays so while its times stay the same; one
that is in the file no longer is removed, which Prefect alone would not do.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from flows import settings
from flows.cli.terminal import print_error, print_note
from flows.desk.access import URL
from schemas.errors import ConfigError, UserError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import DeploymentSchedule
    from prefect.client.schemas.responses import DeploymentResponse

POOL: Final = "carryflow"
NOTIFY: Final = "CARRYFLOW_NOTIFY_URL"
_NOBODY: Final = "none"


def main(words: list[str] | None = None) -> None:
    """Deploy, and say what is on the server now."""
    from flows.desk.automations import DEAD_AFTER_S

    parser = argparse.ArgumentParser(prog="make deploy", description=__doc__)
    parser.add_argument("--file", type=Path, default=Path("prefect.yaml"), help="what to deploy")
    parser.add_argument(
        "--dead-after", type=float, default=DEAD_AFTER_S, metavar="SECONDS",
        help="a run of which nothing was heard for so long is called crashed",
    )  # fmt: skip
    asked = parser.parse_args(words)
    settings.apply()
    try:
        for line in deploy(asked.file, dead_after_s=asked.dead_after, notify=os.environ.get(NOTIFY, "")):
            print(line)
    except UserError as error:
        print_error(str(error))
        sys.exit(2)


def deploy(file: Path, *, dead_after_s: float, notify: str = "") -> list[str]:
    """Put the pool, the deployments, their schedules and the automations on the server.

    Args:
        file: A prefect.yaml.
        dead_after_s: See `automations.dead_runs`.
        notify: Address that gets a POST of JSON when a run ended; empty keeps what was given before, `none`
            ends it.

    Returns:
        What is there now, a line each.

    Raises:
        ConfigError: There is no server, it refuses the secret, or it refuses the file.
    """
    import yaml
    from prefect.client.orchestration import get_client

    _require_server()
    wanted = {one["name"]: one for one in yaml.safe_load(file.read_text(encoding="utf-8"))["deployments"]}
    with get_client(sync_client=True) as client:
        before = {one.name: one.schedules for one in _deployments(client)}
        _make_pool(client)
        _prefect("deploy", "--all", "--prefect-file", str(file))
        found = {one.name: one for one in _deployments(client)}
        for name, one in wanted.items():
            _settle_schedules(client, found[name], one.get("schedules") or [], before.get(name, []))
        _put_automations(client, dead_after_s, notify)
        for name in found.keys() - wanted.keys():
            print_note(f"deployment {name} is on the server and not in {file}; remove it in the UI.")
        return [_told(one) for one in _deployments(client) if one.name in wanted]


def _require_server() -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    url = os.environ.get(URL)
    if not url:
        raise ConfigError("is not set: there is no server to deploy to.", URL, "Use `make deploy`.")
    try:
        with get_client(sync_client=True) as client:
            client.read_work_pools(limit=1)
    except PrefectHTTPStatusError as error:
        if error.response.status_code != 401:
            raise
        raise ConfigError(
            "the server asks for a secret, and none that it knows was given.", url,
            "Set PREFECT_API_AUTH_STRING to the server's PREFECT_SERVER_API_AUTH_STRING.",
        ) from error  # fmt: skip
    except (OSError, RuntimeError) as error:
        raise ConfigError("no server answers.", url, "Start one in another terminal: make server") from error


def _make_pool(client: SyncPrefectClient) -> None:
    from prefect.exceptions import ObjectNotFound

    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        _prefect("work-pool", "create", POOL, "--type", "process")


def _prefect(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *words], capture_output=True, text=True
    )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split())
        raise ConfigError(f"`prefect {words[0]}` failed: {said[-500:]}")


def _deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """Return this project's deployments: those of its pool."""
    from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName

    return client.read_deployments(work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[POOL])))


def _settle_schedules(
    client: SyncPrefectClient,
    there: DeploymentResponse,
    wanted: list[dict[str, Any]],
    before: list[DeploymentSchedule],
) -> None:
    """Remove the schedules of a deployment that has none any more; else let a person's pause stand."""
    was_active = {_times(schedule): schedule.active for schedule in before}
    for schedule in there.schedules:
        if not wanted:
            client.delete_deployment_schedule(there.id, schedule.id)
        elif (active := was_active.get(_times(schedule), schedule.active)) != schedule.active:
            client.update_deployment_schedule(there.id, schedule.id, active=active)


def _times(schedule: DeploymentSchedule) -> str:
    return schedule.schedule.model_dump_json()


def _put_automations(client: SyncPrefectClient, dead_after_s: float, notify: str) -> None:
    from flows.desk import automations

    automations.put(client, automations.dead_runs(dead_after_s))
    if notify.lower() == _NOBODY:
        block = None
    elif notify:
        if not notify.startswith(("http://", "https://")):
            raise ConfigError("is not an address that starts with http:// or https://.", NOTIFY)
        block = automations.save_webhook(notify)
    else:
        block = automations.known_webhook(client)
    if block is not None:
        for one in automations.notifications(block):
            automations.put(client, one)
        return
    for name in (automations.MORNING, automations.FAILURE):
        automations.remove(client, name)
    print_note(f"nobody is notified: set {NOTIFY} to an address that takes a POST, and deploy again.")


def _told(deployment: DeploymentResponse) -> str:
    """Return a line on a deployment: what starts it."""
    words = []
    for schedule in deployment.schedules:
        cron = getattr(schedule.schedule, "cron", None) or type(schedule.schedule).__name__
        zone = getattr(schedule.schedule, "timezone", None) or "UTC"
        words.append(f"{cron} {zone}" + ("" if schedule.active else ", paused"))
    return f"{deployment.name}: {'; '.join(words) or 'on demand'}"


if __name__ == "__main__":
    main()
