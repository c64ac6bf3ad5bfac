"""Which artifacts are needed, and by whom: books, running processes, and whatever those come from.

A manifest names its parents by the hash of their content, a JSON file inside an artifact others by their key,
and weights that a training started from by the hash of their file. So an artifact needs every artifact of
which one of these hashes stands in its manifest or in one of its JSON files.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, NamedTuple

from schemas.errors import ArtifactError
from schemas.manifest import Manifest, Ref
from schemas.registry import RegistryState
from schemas.retention import RetentionPolicy
from tasks import leases
from tasks.bundles import BundleForeign, Bundles
from tasks.registry import Registry
from tasks.store import MANIFEST, ArtifactDamaged, ArtifactForeign, Store, content_hash

_HASH: Final = re.compile(r"[0-9a-f]{16,64}")
_WEIGHTS: Final = ".safetensors"
DAY_S: Final = 86_400.0

OF_AN_ALIAS: Final = "an alias or an approval of book {book}"
OF_A_VERSION: Final = "a version of book {book}"
IN_USE: Final = "a running process"
OF_OTHERS: Final = "what is kept"
FOREIGN: Final = "another version of carryflow, which wrote it"


@dataclass(frozen=True)
class Survey:
    """The artifacts of a store at one moment.

    Attributes:
        known: Every artifact with its manifest.
        foreign: Those of which another version of the program wrote the manifest, with its text.
        damaged: Those whose manifest cannot be trusted.
    """

    known: dict[Ref, Manifest]
    foreign: dict[Ref, str]
    damaged: frozenset[Ref]

    @cached_property
    def refs(self) -> list[Ref]:
        """Every artifact, by step and key."""
        return sorted([*self.known, *self.foreign, *self.damaged], key=str)

    @cached_property
    def _named(self) -> dict[str, set[Ref]]:
        """The artifacts that a hash may mean: by content, by weights among their files, by key."""
        named: dict[str, set[Ref]] = {}
        for ref, manifest in self.known.items():
            weights = [entry.sha256 for entry in manifest.files if entry.path.endswith(_WEIGHTS)]
            for name in (content_hash(manifest), *weights):
                named.setdefault(name, set()).add(ref)
        for ref in self.refs:
            named.setdefault(ref.key, set()).add(ref)
        return named

    def mentioned(self, text: str) -> set[Ref]:
        """Return every artifact that a text names by a hash."""
        return {ref for name in set(_HASH.findall(text)) for ref in self._named.get(name, ())}


def survey(store: Store) -> Survey:
    """Read every manifest of a store; files are not looked at."""
    known: dict[Ref, Manifest] = {}
    foreign: dict[Ref, str] = {}
    damaged: set[Ref] = set()
    for ref in store.refs():
        try:
            known[ref] = store.manifest(ref)
        except ArtifactForeign:
            foreign[ref] = (store.path(ref) / MANIFEST).read_text(encoding="utf-8")
        except ArtifactDamaged:
            damaged.add(ref)
        except ArtifactError:
            continue  # it went while we looked
    return Survey(known, foreign, frozenset(damaged))


class Needed:
    """What is needed now; ask it while the store's gate is held alone, or its answer may be old.

    Raises:
        ArtifactError: A registry, or the folder of a version, cannot be read: nobody can say what it needs.
    """

    def __init__(self, store: Store, found: Survey, policy: RetentionPolicy) -> None:
        self._store, self._found, self._policy = store, found, policy
        self._parents: dict[Ref, set[Ref]] = {}
        self._moment: _Moment | None = None
        self._look()

    def why(self, ref: Ref) -> str | None:
        """Return who needs an artifact, or None where nobody does; whether it is still there is not asked."""
        if _moment(self._store) != self._moment:
            self._look()
        if ref in self._roots:
            return f"needed by {self._roots[ref]}"
        if self._lately(ref):
            return f"used in the last {days(self._policy.store_days)}"
        return f"needed by {OF_OTHERS}" if ref in self._reached else None

    def _look(self) -> None:
        # What is held is read once: asked again a moment later it may be less, and more again when compared.
        now = _moment(self._store)
        if self._moment is None or now.books != self._moment.books:
            self._of_books = _of_books(self._store, self._found, self._policy)
        self._moment = now
        self._roots = dict(self._of_books)
        for name in now.held:
            with suppress(ValueError):
                self._roots.setdefault(Ref.parse(name), IN_USE)
        for ref in self._found.foreign:
            self._roots.setdefault(ref, FOREIGN)
        young = {ref for ref in self._found.refs if self._lately(ref)}
        self._reached = self._with_parents(young | set(self._roots))

    def _with_parents(self, needed: Iterable[Ref]) -> set[Ref]:
        """Return some artifacts and everything they come from, as far as it is there."""
        reached: set[Ref] = set()
        waiting = list(needed)
        while waiting:
            ref = waiting.pop()
            if ref not in reached:
                reached.add(ref)
                if ref not in self._parents:  # it is never edited, so it says the same for ever
                    self._parents[ref] = self._found.mentioned(_says(self._store, self._found, ref))
                waiting += self._parents[ref]
        return reached

    def _lately(self, ref: Ref) -> bool:
        return time.time() - self._store.last_used(ref) < self._policy.store_days * DAY_S


def days(number: float) -> str:
    """Return a limit in words."""
    return f"{number:g} day{'' if number == 1 else 's'}"


class _Moment(NamedTuple):
    """What decides who needs what, and may change while a collection is at work."""

    held: frozenset[str]
    books: tuple[tuple[str, int, int], ...]


def _moment(store: Store) -> _Moment:
    files = [
        *(store.root / "books").glob("*/registry.json"),
        *(store.root / "books").glob("*/versions/*/*.json"),
    ]
    stamps = []
    for path in sorted(files):
        with suppress(FileNotFoundError):
            found = path.stat()
            stamps.append((str(path), found.st_ino, found.st_mtime_ns))
    return _Moment(frozenset(leases.held(store.root)), tuple(stamps))


def _of_books(store: Store, found: Survey, policy: RetentionPolicy) -> dict[Ref, str]:
    needed: dict[Ref, str] = {}
    for book in books(store.root):
        for ref, why in _of_book(store, found, book, policy).items():
            needed.setdefault(ref, why)
    return needed


def books(root: Path) -> list[str]:
    """List the books below an artifact root."""
    return sorted(path.name for path in (root / "books").glob("[a-z0-9]*") if path.is_dir())


def named_versions(state: RegistryState) -> set[str]:
    """Return the versions that an alias, what awaits approval, or the history of a registry names."""
    moves = {v for m in state.history for v in (m.before, m.after, m.candidate)}
    pointing = {*state.aliases.values(), *(one.version for one in state.awaiting.values())}
    return {version for version in moves | pointing if version is not None}


def _of_book(store: Store, found: Survey, book: str, policy: RetentionPolicy) -> dict[Ref, str]:
    state = Registry(store.root, book).state()
    bundles = Bundles(store.root, book)
    named = named_versions(state)
    pointed = {*state.aliases.values(), *(one.version for one in state.awaiting.values())}
    needed = {Ref.parse(one.judgement): OF_AN_ALIAS.format(book=book) for one in state.awaiting.values()}
    for version, record in sorted(state.versions.items(), key=lambda one: one[0] not in pointed):
        if policy.versions == "named" and version not in named and _is_whole(bundles, version):
            continue
        why = (OF_AN_ALIAS if version in pointed else OF_A_VERSION).format(book=book)
        for ref in [record.ref, *_origins(found, bundles, version)]:
            needed.setdefault(ref, why)
    return needed


def _is_whole(bundles: Bundles, version: str) -> bool:
    try:
        bundles.verify(version)
    except ArtifactError:
        return False
    return True


def _origins(found: Survey, bundles: Bundles, version: str) -> set[Ref]:
    """Return what a version's folder says it comes from; where it says nothing, what names the version."""
    try:
        bundle = bundles.read(version)
        return found.mentioned(bundle.model_dump_json(include={"origins"}))
    except BundleForeign:
        raise
    except ArtifactError:
        pass  # registered before books kept versions, or damaged
    mine = {ref: one for ref, one in found.known.items() if one.summary.get("version") == version}
    contents = {content_hash(one) for one in mine.values()}
    judged = {ref for ref, one in found.known.items() if one.inputs.get("backtest") in contents}
    return judged | set(mine)


def _says(store: Store, found: Survey, ref: Ref) -> str:
    """Return all that an artifact says of others: its manifest without its own files, and its JSON files."""
    if (manifest := found.known.get(ref)) is not None:
        texts = [manifest.model_dump_json(include={"inputs", "params", "summary"})]
    elif ref in found.foreign:
        texts = [found.foreign[ref]]
    else:
        return ""
    for path in store.path(ref).rglob("*.json"):
        if path.name != MANIFEST:
            with suppress(OSError, UnicodeDecodeError):
                texts.append(path.read_text(encoding="utf-8"))
    return "\n".join(texts)
