"""The one cache: a step's result is looked up by all that determines it, and computed once where missing.

The key of a step covers its inputs, its parameters, the libraries it computes with and the code it reaches;
not the device, paths, verbosity or a time budget, which change how a result comes about and not what is asked
for.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import platform
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from schemas.manifest import FileEntry, Manifest, Ref
from tasks.files import canonical_json, plain, sha256_text, utc_now
from tasks.fingerprint import code_fingerprint, edited_since
from tasks.locks import Owner, hold
from tasks.shared import share
from tasks.store import ArtifactDamaged, ArtifactMissing, Store, content_hash

LOG = logging.getLogger("carryflow")
_LIBRARIES: Final = ("numpy", "pandas", "pyarrow", "pandera", "torch")
_PROVISIONAL: Final = "provisional"
_QUESTION_FORMAT: Final = 1  # of the question itself; a new layout of manifests asks nothing new


@dataclass(frozen=True)
class Partial:
    """What a computation returns that was cut short: something usable, but not what was asked for.

    Attributes:
        reached: How far it came, in updates, or whatever the step counts.
        summary: Small facts worth showing.
    """

    reached: int
    summary: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Linked:
    """What a computation returns that gave files of other artifacts a second name.

    Attributes:
        summary: Small facts worth showing.
        files: Path in its folder -> what the manifest of the other artifact, which was verified, says of it.
    """

    summary: Mapping[str, Any]
    files: Mapping[str, FileEntry]


@dataclass(frozen=True)
class Cached:
    """An artifact that is there, and whether it had to be made.

    Attributes:
        ref: Its name in the store.
        hit: It was found, not computed.
        manifest: What is known about it.
        path: Its folder, verified when this was made.
        adopted: It was computed, but what lies there is another machine's, which was first.
    """

    ref: Ref
    hit: bool
    manifest: Manifest
    path: Path
    adopted: bool = False

    @property
    def partial(self) -> bool:
        """The computation was cut short; asking again goes on with it."""
        return "reached" in self.manifest.params.get(_PROVISIONAL, {})

    @property
    def content(self) -> str:
        """One sha256 over its files; as a later step's input, equal content stops a ripple."""
        return content_hash(self.manifest)


@cache
def versions() -> dict[str, str]:
    """Return the versions that can change a result, read without importing the libraries."""
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            found[library] = "absent"
    return found


def cache_key(
    step: str, *, modules: tuple[str, ...], inputs: Mapping[str, str], params: Mapping[str, Any]
) -> str:
    """Return the key of a step's result: 64 hex digits.

    Args:
        step: The step's name, which is its folder in the store.
        modules: The step's shell modules, such as `("tasks.training",)`; see `tasks.fingerprint`.
        inputs: Name -> sha256 of each input.
        params: All else that the result depends on; JSON.

    Raises:
        TypeError: A parameter has no JSON form.
        ValueError: A parameter is not finite or uses a reserved name; a module does not exist.
    """
    if _PROVISIONAL in params:
        raise ValueError(f"{_PROVISIONAL!r} cannot be the name of a parameter")
    question = {
        "format": _QUESTION_FORMAT,
        "step": step,
        "inputs": dict(inputs),
        "params": dict(params),
        "versions": versions(),
        "code": code_fingerprint(*modules),
    }
    return sha256_text(canonical_json(question))


def lookup(
    store: Store, step: str, *, modules: tuple[str, ...], inputs: Mapping[str, str], params: Mapping[str, Any]
) -> Cached | None:
    """Return the artifact that answers the question, verified, from here or the shared store, or None.

    Nothing is computed. The arguments and errors are those of `cache_key`, and of `Store.verify` those of the
    shared store.
    """
    key = cache_key(step, modules=modules, inputs=inputs, params=params)
    return _look(store, Ref(step=step, key=key))[0]


def run_cached(
    store: Store,
    step: str,
    *,
    modules: tuple[str, ...],
    inputs: Mapping[str, str],
    params: Mapping[str, Any],
    compute: Callable[[Path], Mapping[str, Any] | Partial | Linked | None],
) -> Cached:
    """Return the artifact that answers the question, computing it where it is missing or cannot be trusted.

    Two runs on one machine that ask at once compute once: the second waits and finds the first one's. With a
    shared store, what another machine has made is found there; two machines that ask at once both compute,
    and the first one's result becomes that of both. A computation that raises or is killed publishes nothing.
    One that is cut short (`Partial`) is published under a key that includes how far it came, so that it never
    answers for the whole; its resume state stays. A result made while its code was edited is published for
    this run alone. Otherwise the resume state of the key is removed.

    Args:
        store: Where artifacts are.
        step: See `cache_key`, like the three that follow.
        modules: The step's shell modules.
        inputs: Name -> sha256 of each input.
        params: All else that the result depends on.
        compute: Fills the empty folder it is given, and returns a summary: small facts worth showing, beside
            what else is to be known of its result.

    Raises:
        TypeError: See `cache_key`.
        ValueError: See `cache_key`.
        SharedStoreError: The shared store cannot be used; what was computed is published here.
    """
    key = cache_key(step, modules=modules, inputs=inputs, params=params)
    ref = Ref(step=step, key=key)
    found, damage = _look(store, ref)
    if found is not None:
        share(store, ref)
        return found
    with hold(store.lock_path(ref), purpose=step, on_wait=lambda owner: _say_waiting(ref, owner)):
        found, damage = _look(store, ref)  # whoever held the lock may have made it
        if found is not None:
            return found
        if damage is not None:
            LOG.warning(
                "artifact %s was altered or deleted: rebuilding (it %s)", ref, damage.what.rstrip(".")
            )
        with store.tmp() as folder:
            outcome = compute(folder)
            provisional = _provisional(outcome, key, modules)
            summary = outcome.summary if isinstance(outcome, Partial | Linked) else outcome
            manifest = Manifest(
                step=step,
                key=sha256_text(canonical_json(provisional)) if provisional else key,
                inputs=dict(inputs),
                params=json.loads(canonical_json(dict(params)))
                | ({_PROVISIONAL: provisional} if provisional else {}),
                versions=versions(),
                code=code_fingerprint(*modules),
                created=utc_now(),
                summary=plain(summary or {}),
            )
            linked = outcome.files if isinstance(outcome, Linked) else {}
            published = store.publish(folder, manifest, linked=linked)
        if not provisional:
            store.discard_work(key)
    made = store.manifest(published)
    adopted = made.model_copy(update={"files": (), "seal": ""}) != manifest
    return Cached(published, False, made, store.path(published), adopted)


def _look(store: Store, ref: Ref) -> tuple[Cached | None, ArtifactDamaged | None]:
    try:
        manifest = store.verify(ref)
    except ArtifactMissing:
        return None, None
    except ArtifactDamaged as damage:
        return None, damage
    return Cached(ref, True, manifest, store.path(ref)), None


def _provisional(
    outcome: Mapping[str, Any] | Partial | Linked | None, key: str, modules: tuple[str, ...]
) -> dict[str, Any]:
    """Return why a result does not answer for its key; empty where it does."""
    why: dict[str, Any] = {}
    if isinstance(outcome, Partial):
        why["reached"] = outcome.reached
    if edited := edited_since(*modules):
        LOG.warning("%s was edited while the step was running: the result serves this run only", edited[0])
        why |= {"edited": edited, "nonce": secrets.token_hex(16)}
    return {"of": key, **why} if why else {}


def _say_waiting(ref: Ref, owner: Owner | None) -> None:
    LOG.info("waiting for %s, which is making %s", owner or "another process", ref)
