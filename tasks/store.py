"""The artifact store: immutable folders named by what made them.

    <root>/store/<step>/<key>/manifest.json     written last; an artifact exists if and only if this does
    <root>/work/<key>/                          resume state of steps that are not finished; no artifact
    <root>/work/published/                      which artifacts once existed, so that a deleted one is noticed
    <root>/work/locks/                          one lock per key that is being computed
    <root>/work/leases/                         what running processes have been handed
    <root>/books/<book>/                        registry, ledger and locks of a book

Nothing published is edited. What cannot be verified is not trusted.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from schemas.manifest import FileEntry, Manifest, Ref
from tasks import leases, shared
from tasks.files import plain_files, remove, sha256_file, sync, sync_all
from tasks.locks import gate, try_lock, unlock
from tasks.manifests import (
    REBUILD,
    ArtifactDamaged,
    ArtifactForeign,
    ArtifactMissing,
    content_hash,
    parse_manifest,
    render_manifest,
)
from tasks.remote import MANIFEST, Remote, remote_of_environment
from tasks.root import book_dir, resolve_root

__all__ = [
    "MANIFEST",
    "ArtifactDamaged",
    "ArtifactForeign",
    "ArtifactMissing",
    "Store",
    "book_dir",
    "content_hash",
    "resolve_root",
]

_TEMPORARY: Final = ".tmp-"
_KEY: Final = re.compile(r"[0-9a-f]{16,64}")


class Store:
    """Publishes artifacts and hands them out verified.

    With a shared store behind it (tasks/remote.py), what is not here is taken from there and verified, and
    what is published is published there too. Everything else below the root is of this machine alone.
    """

    def __init__(self, root: Path, remote: Remote | None = None) -> None:
        """Without one given, the shared store is that of `CARRYFLOW_STORE`, if any.

        Raises:
            ConfigError: It names none that could be.
        """
        self.root = Path(root).absolute()
        self.folder = self.root / "store"
        self.remote = remote_of_environment() if remote is None else remote

    def path(self, ref: Ref) -> Path:
        """Return where an artifact lies, or would; nothing is verified."""
        return self.folder / ref.step / ref.key

    def has(self, ref: Ref) -> bool:
        """Say whether an artifact exists here; nothing is verified."""
        return (self.path(ref) / MANIFEST).is_file()

    def refs(self, step: str | None = None) -> list[Ref]:
        """List the artifacts that exist here, of one step or of all, by step and key; copies do not count."""
        found = []
        for path in sorted(self.folder.glob(f"{step or '[a-z]*'}/*/{MANIFEST}")):
            with suppress(ValidationError):
                found.append(Ref(step=path.parts[-3], key=path.parts[-2]))
        return found

    def manifest(self, ref: Ref) -> Manifest:
        """Return an artifact's manifest, verified against its seal; files that are here are not looked at.

        Raises:
            ArtifactMissing: It was never published.
            ArtifactDamaged: It was altered or deleted, or another version of the program wrote it.
            SharedStoreError: It is not here, and the shared store cannot be used.
        """
        if self.remote is not None and not self.has(ref):
            return self.verify(ref)
        return self._manifest(ref)

    def _manifest(self, ref: Ref) -> Manifest:
        folder = self.path(ref)
        try:
            text = (folder / MANIFEST).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            if folder.exists() or self._marker(ref).exists():
                raise ArtifactDamaged("was deleted, at least in part.", str(ref), REBUILD) from None
            raise ArtifactMissing("does not exist.", str(ref), "`carryflow run` makes it.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactDamaged(f"has an unreadable manifest ({error}).", str(ref), REBUILD) from error
        return parse_manifest(text, ref)

    def verify(self, ref: Ref) -> Manifest:
        """Return an artifact's manifest after comparing every file with it: size, sha256, and none too many.

        From then on this process is known to use it, so that `carryflow gc` leaves it alone. What is missing
        or damaged here is taken from the shared store, where there is one; what is whole is never fetched.

        Raises:
            ArtifactMissing: It was never published.
            ArtifactDamaged: It was altered or deleted.
            SharedStoreError: It is not here, and the shared store cannot be used.
        """
        self._use(ref)
        try:
            return self._verify(ref)
        except (ArtifactMissing, ArtifactDamaged) as lacking:
            if self.remote is None or not shared.bring(self, self.remote, ref, lacking):
                raise
        return self._verify(ref)

    def _verify(self, ref: Ref) -> Manifest:
        manifest, folder = self._manifest(ref), self.path(ref)
        expected = {entry.path: entry for entry in manifest.files}
        try:
            found = plain_files(folder, but=MANIFEST)
            if odd := sorted(set(expected) ^ set(found)):
                state = "is missing" if odd[0] in expected else "does not belong to it"
                raise ArtifactDamaged(f"was altered: {odd[0]} {state}.", str(ref), REBUILD)
            for name, path in found.items():
                entry = expected[name]
                if path.stat().st_size != entry.bytes or sha256_file(path) != entry.sha256:
                    raise ArtifactDamaged(f"was altered: {name} has changed.", str(ref), REBUILD)
        except (OSError, ValueError) as error:
            raise ArtifactDamaged(f"cannot be read ({error}).", str(ref), REBUILD) from error
        return manifest

    def local(self, ref: Ref) -> Path:
        """Return the folder of an artifact, every file of it verified.

        Raises:
            UserError: See `verify`.
        """
        self.verify(ref)
        return self.path(ref)

    def workdir(self, key: str) -> Path:
        """Return the folder for the resume state of a key, making it where absent."""
        folder = self._work(key)
        with gate(self.gate):
            folder.mkdir(parents=True, exist_ok=True)
            os.utime(folder)
        return folder

    def discard_work(self, key: str) -> None:
        """Remove the resume state of a key, if any."""
        shutil.rmtree(self._work(key), ignore_errors=True)

    def lock_path(self, ref: Ref) -> Path:
        """Return the file whose lock gives the right to compute an artifact."""
        return self.root / "work" / "locks" / f"{ref.step}-{ref.key}.lock"

    @property
    def gate(self) -> Path:
        """The file by which those who use the store and `carryflow gc` keep out of each other's way."""
        return leases.gate_of(self.root)

    def last_used(self, ref: Ref) -> float:
        """Return when an artifact was published or found last, in seconds since 1970; 0 where it is gone."""
        times = [0.0]
        for path in (self._marker(ref), self.path(ref) / MANIFEST, self.path(ref)):
            with suppress(OSError):
                times.append(path.stat().st_mtime)
        return max(times)

    def set_aside(self, ref: Ref) -> Path:
        """Take an artifact out of the store in one step; what is returned is trash that nobody reads.

        Killed on the way it is there, whole, or trash. It leaves no mark, so that nobody misses it later.
        """
        self._marker(ref).unlink(missing_ok=True)
        aside = self._aside("unused")
        self.path(ref).rename(aside)
        sync(self.path(ref).parent)
        return aside

    @contextmanager
    def tmp(self) -> Iterator[Path]:
        """Yield an empty folder to fill for `publish`; what is not published is gone afterwards.

        The folder is locked while its process lives. Folders that killed processes left are removed first.
        """
        self._sweep()
        handle = None
        while handle is None:
            folder = self.folder / f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}"
            folder.mkdir(parents=True)
            handle = try_lock(folder, folder=True)  # None: another process's sweep was faster than our lock
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            unlock(handle)

    def publish(
        self, folder: Path, manifest: Manifest, *, linked: Mapping[str, FileEntry] | None = None
    ) -> Ref:
        """Make a folder of `tmp` an artifact in one rename, once all of it is on the disk.

        An artifact that is there and verifies is kept, so publishing twice is publishing once. A damaged one
        is replaced. Where another machine has published it in the shared store, its artifact is taken.

        Args:
            folder: What `tmp` yielded, filled.
            manifest: All but its files and seal, which are filled in here.
            linked: By their path here, files that are second names of files of artifacts published or found
                here, with what those artifacts say of them: they have been hashed, and are on the disk.

        Raises:
            ValueError: The folder is not one of `tmp`, or holds what is not a plain file.
            SharedStoreError: It is published here alone: the shared store cannot be used.
        """
        if folder.parent != self.folder or not folder.name.startswith(_TEMPORARY):
            raise ValueError(f"{folder} was not made by Store.tmp()")
        ref = Ref(step=manifest.step, key=manifest.key)
        found = plain_files(folder, but=MANIFEST)
        known = linked or {}
        entries = tuple(
            FileEntry(
                path=name,
                sha256=known[name].sha256 if name in known else sha256_file(path),
                bytes=path.stat().st_size,
            )
            for name, path in sorted(found.items())
        )
        manifest_path = folder / MANIFEST
        manifest_path.write_text(
            render_manifest(manifest.model_copy(update={"files": entries})), encoding="utf-8"
        )
        written = [path for name, path in found.items() if name not in known]
        # The rename is what makes it an artifact: before it, no order among these matters.
        sync_all([*written, manifest_path, *{path.parent for path in found.values()} - {folder}, folder])
        leases.pin(self.root, str(ref))
        if self.remote is None:
            self.place(folder, ref)
        else:
            shared.publish(self, self.remote, ref, folder)
        return ref

    def place(self, folder: Path, ref: Ref, *, also: str = "") -> None:
        """Give a whole artifact, made in a folder of `tmp`, its name; see `mark` for `also`."""
        self._rename(folder, ref)
        self.mark(ref, also=also)

    def mark(self, ref: Ref, *, also: str = "") -> None:
        """Note that an artifact exists here, so that a deleted one is noticed, and in which shared store."""
        self._marker(ref).parent.mkdir(parents=True, exist_ok=True)
        self._marker(ref).touch()
        if also and not self.is_in(ref, also):
            with self._marker(ref).open("a", encoding="utf-8") as file:
                file.write(f"{also}\n")

    def is_in(self, ref: Ref, url: str) -> bool:
        """Say whether an artifact that exists here is known to exist in a shared store."""
        with suppress(OSError):
            return url in self._marker(ref).read_text(encoding="utf-8").splitlines()
        return False

    def _rename(self, folder: Path, ref: Ref) -> None:
        target = self.path(ref)
        target.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                folder.rename(target)  # fails where a folder with anything in it has the name
            except OSError:
                if not target.exists():
                    raise
            else:
                sync(target.parent)
                return
            with suppress(ArtifactDamaged, ArtifactMissing):
                self._verify(ref)
                return
            with suppress(FileNotFoundError):  # another process may be replacing it too
                aside = self._aside("damaged")
                target.rename(aside)
                remove(aside)

    def _use(self, ref: Ref) -> None:
        leases.pin(self.root, str(ref))
        with suppress(OSError):  # gone, never published, or not ours to touch
            os.utime(self._marker(ref))

    def _aside(self, why: str) -> Path:
        return self.folder / f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}-{why}"

    def _work(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not an artifact key")
        return self.root / "work" / key

    def _marker(self, ref: Ref) -> Path:
        return self.root / "work" / "published" / f"{ref.step}-{ref.key}"

    def _sweep(self) -> None:
        """Remove the temporary folders whose process has died: those whose lock is free."""
        for left in self.folder.glob(f"{_TEMPORARY}*"):
            if (handle := try_lock(left, folder=True)) is not None:
                remove(left)
                unlock(handle)
