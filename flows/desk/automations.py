"""What the server does by itself: end runs that died, and tell a person how runs went.

Each automation is replaced by its name, so deploying again leaves one of each.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState, SendNotification
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.types import SecretDict

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

TAG: Final = "carryflow"
MORNING: Final = "carryflow: how a retrain ended"
FAILURE: Final = "carryflow: a run failed"
DEAD: Final = "carryflow: a run died"
BLOCK: Final = "carryflow"
DEAD_AFTER_S: Final = 180.0  # six heartbeats; restarting the server takes less
_SUBJECT: Final = "{{ flow_run.name }}: {{ flow_run.state.name }}"
_BODY: Final = "{{ flow_run.state.message }}\n{{ flow_run|ui_url }}"


def dead_runs(after_s: float) -> AutomationCore:
    """Return the automation that calls a run crashed of which nothing was heard for a while.

    Any later state of the run counts as being heard of, whatever its name.

    Args:
        after_s: Seconds of silence; several heartbeats, and longer than a restart of the server.
    """
    message = f"Its process was not heard of for {after_s:g} s: it was killed, or its machine went down."
    return AutomationCore(
        name=DEAD,
        description="Without this a killed run stays Running for ever.",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=after_s),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, message=message)],
    )


def notifications(block: UUID) -> list[AutomationCore]:
    """Return what tells a person: each retrain that ended, and at once each run of a deployment that failed.

    Args:
        block: The notification block to send with.
    """
    tell = SendNotification(block_document_id=block, subject=_SUBJECT, body=_BODY)
    retrain = {"prefect.resource.role": "deployment", "prefect.resource.name": "retrain"}
    ours = {"prefect.resource.role": "tag", "prefect.resource.id": f"prefect.tag.{TAG}"}
    failed = {f"prefect.flow-run.{name}" for name in ("Failed", "Crashed", "TimedOut")}
    return [
        _reactive(MORNING, {"prefect.flow-run.Completed"}, retrain, tell),
        _reactive(FAILURE, failed, ours, tell),
    ]


def _reactive(
    name: str, expect: set[str], related: dict[str, str], action: SendNotification
) -> AutomationCore:
    return AutomationCore(
        name=name,
        trigger=EventTrigger(
            expect=expect,
            match=ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]}),
            match_related=ResourceSpecification(related),
            for_each={"prefect.resource.id"},
            posture=Posture.Reactive,
            threshold=1,
            within=timedelta(0),
        ),
        actions=[action],
    )


def put(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Make an automation, or replace what has its name; of several of one name, one is left."""
    there = client.read_automations_by_name(automation.name)
    for spare in there[1:]:
        client.delete_automation(spare.id)
    if there:
        client.update_automation(there[0].id, automation)
    else:
        client.create_automation(automation)


def remove(client: SyncPrefectClient, name: str) -> None:
    """Remove every automation of a name."""
    for there in client.read_automations_by_name(name):
        client.delete_automation(there.id)


def save_webhook(url: str) -> UUID:
    """Keep the address to notify as a block, the address itself as a secret in it, and return its id.

    What is posted is JSON with `subject`, `body`, and both as `text`, which chat programs understand.
    """
    block = CustomWebhookNotificationBlock(
        name=BLOCK,
        url="{{address}}",
        json_data={"subject": "{{subject}}", "body": "{{body}}", "text": "{{subject}}\n{{body}}"},
        secrets=SecretDict({"address": url}),
    )
    saved = block.save(BLOCK, overwrite=True)
    assert isinstance(saved, UUID)
    return saved


def known_webhook(client: SyncPrefectClient) -> UUID | None:
    """Return the block that an earlier deploy saved, or None."""
    from prefect.exceptions import ObjectNotFound

    slug = CustomWebhookNotificationBlock.get_block_type_slug()
    try:
        return client.read_block_document_by_name(BLOCK, slug).id
    except ObjectNotFound:
        return None
