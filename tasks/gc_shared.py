"""Collection in a shared store: only where somebody asks for it, and by the age of what was published.

No lock reaches over machines, so nothing here rests on one. What a killed writer left has no manifest that
names it, and is looked at after a day at the earliest, when no writer is still busy with it. An artifact goes
by its manifest first; a reader who is just fetching it finds a file missing and makes it again. Whatever two
machines do at the same moment, the worst is work done twice.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Final

from schemas.errors import ArtifactError
from schemas.manifest import Manifest, Ref
from schemas.retention import Item, RetentionPolicy
from tasks.manifests import ArtifactForeign, parse_manifest
from tasks.reachable import DAY_S, FOREIGN, Needed, Survey, days, survey
from tasks.remote import Remote, Stored
from tasks.store import Store

HERE: Final = "needed or used on this machine"
PARENT: Final = "needed by what is kept"
NAMED: Final = "named by an artifact"
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def collect_shared(store: Store, remote: Remote, policy: RetentionPolicy, *, dry_run: bool) -> list[Item]:
    """Remove from a shared store what is older than the policy's limit, but for what this machine needs.

    Args:
        store: The local one: what `carryflow gc` keeps there is kept in the shared store too.
        remote: The shared one.
        policy: Its `shared_days` is the limit, and must be one.
        dry_run: Look, and change nothing.

    Raises:
        ArtifactError: A registry, or the folder of a version, cannot be read.
        SharedStoreError: The store cannot be used.
    """
    if policy.shared_days == 0:
        raise ValueError("nobody said how old must be what goes")
    limit = days(policy.shared_days)
    oldest = time.time() - policy.shared_days * DAY_S
    listed = remote.manifests()
    texts = _texts(remote, listed)
    kept = _kept(store, policy, listed, texts, oldest)
    items = []
    for ref in sorted(listed, key=str):
        why = kept.get(ref)
        if why is None and not dry_run:
            remote.remove(ref)
        gone = f"published more than {limit} ago"
        items.append(_item(f"shared/{ref.step}", f"artifacts/{ref}.json", listed[ref], why, gone))

    found = remote.files()
    # Somebody may have published since the manifests were listed.
    known = set(listed) if dry_run else set(kept)
    named = _named(texts[ref] for ref in kept if ref in texts)
    named |= _named(_texts(remote, set(remote.manifests()) - known).values())
    for name, stored in sorted(found.items()):
        young = f"written in the last {limit}" if stored.written > oldest else None
        why = NAMED if name in named else young
        if why is None and not dry_run:
            remote.remove_file(name)
        items.append(_item("shared/files", f"files/{name}", stored, why, "no artifact names it"))
    return items


def _texts(remote: Remote, refs: Iterable[Ref]) -> dict[Ref, str]:
    wanted = list(refs)
    return {ref: text for ref, text in zip(wanted, remote.each(remote.read, wanted), strict=True) if text}


def _named(texts: Iterable[str]) -> set[str]:
    """Return every file that manifests name; also those of one that another version of the program wrote."""
    return {name for text in texts for name in _SHA256.findall(text)}


def _kept(
    store: Store, policy: RetentionPolicy, listed: dict[Ref, Stored], texts: dict[Ref, str], oldest: float
) -> dict[Ref, str]:
    """Return what stays and why: what is young, what this machine needs, and what either comes from."""
    known: dict[Ref, Manifest] = {}
    kept: dict[Ref, str] = {}
    for ref, text in texts.items():
        try:
            known[ref] = parse_manifest(text, ref)
        except ArtifactForeign:
            kept[ref] = f"needed by {FOREIGN}"
        except ArtifactError:
            continue  # damaged: it goes by its age
    here = survey(store)
    needed = Needed(store, here, policy)
    kept |= {ref: HERE for ref in here.refs if ref in listed and needed.why(ref) is not None}
    young = f"published in the last {days(policy.shared_days)}"
    kept |= {ref: young for ref, stored in listed.items() if stored.written > oldest}
    there = Survey(known, {}, frozenset())
    waiting = list(kept)
    while waiting:
        ref = waiting.pop()
        if ref in known:
            says = known[ref].model_dump_json(include={"inputs", "params", "summary"})
            parents = there.mentioned(says) - set(kept)
            waiting += parents
            kept |= dict.fromkeys(parents, PARENT)
    return kept


def _item(what: str, name: str, stored: Stored, why: str | None, gone: str) -> Item:
    fate = "kept" if why else "removed"
    return Item(what=what, name=f"shared/{name}", bytes=stored.bytes, fate=fate, why=why or gone)
