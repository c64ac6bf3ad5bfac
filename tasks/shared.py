"""How the local store and the shared one keep together.

Every artifact that is used lies in the local store, verified; the shared one is where it comes from, and
goes to. Of two machines that make one artifact at once the first wins: the other takes the winner's for its
own, so that what is made of it has the same inputs everywhere. What a local store has published is never
exchanged.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.errors import ArtifactError
from schemas.manifest import Ref
from tasks.connection import SharedStoreError
from tasks.manifests import ArtifactDamaged, ArtifactForeign
from tasks.remote import Remote

if TYPE_CHECKING:
    from tasks.store import Store

LOG = logging.getLogger("carryflow")


def bring(store: Store, remote: Remote, ref: Ref, lacking: ArtifactError) -> bool:
    """Take an artifact from the shared store into the local one.

    Args:
        store: The local one.
        remote: The shared one.
        ref: The artifact.
        lacking: Why the local store cannot give it; damage there is told.

    Returns:
        False where the shared store does not have it either.

    Raises:
        ArtifactDamaged: What lies in the shared store is.
        SharedStoreError: The store cannot be used.
    """
    with store.tmp() as folder:
        if not remote.fetch(ref, folder):
            return False
        if isinstance(lacking, ArtifactDamaged):
            LOG.warning(
                "artifact %s was altered or deleted here (it %s): taken from the shared store",
                ref,
                lacking.what.rstrip("."),
            )
        else:
            LOG.info("artifact %s comes from the shared store", ref)
        store.place(folder, ref, also=remote.url)
    return True


def publish(store: Store, remote: Remote, ref: Ref, folder: Path) -> None:
    """Publish a folder that holds an artifact in both stores, or another machine's that was first.

    The shared store comes first, so that nobody on this machine has been handed what lost. Where it cannot be
    used the artifact is published here all the same, and the next run that finds it gives it to the others.

    Raises:
        SharedStoreError: The store cannot be used.
    """
    replace = False
    try:
        while not remote.offer(ref, folder, replace=replace):
            with store.tmp() as theirs:
                try:
                    fetched = remote.fetch(ref, theirs)
                except ArtifactForeign as foreign:
                    LOG.warning("%s in the shared store stays as it is: %s", ref, foreign.what)
                    break
                except ArtifactDamaged:
                    replace = True
                    continue
                if fetched:
                    LOG.info("another machine has made %s meanwhile: its result is used", ref)
                    store.place(theirs, ref, also=remote.url)
                    return
    except SharedStoreError:
        store.place(folder, ref)
        raise
    store.place(folder, ref, also=remote.url)


def share(store: Store, ref: Ref) -> None:
    """Give an artifact that was found here, verified, to the others, unless that is known to be done.

    Raises:
        SharedStoreError: The store cannot be used.
    """
    remote = store.remote
    if remote is None or store.is_in(ref, remote.url):
        return
    if not remote.offer(ref, store.path(ref)):
        LOG.info("another machine has published %s too: each goes on with its own", ref)
    store.mark(ref, also=remote.url)
