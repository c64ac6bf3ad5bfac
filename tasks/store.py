"""The artifact store: immutable folders named by what made them.

    <root>/store/<step>/<key>/manifest.json     written last; an artifact exists if and only if this does
    <root>/work/<key>/                          resume state of steps that are not finished; no artifact
    <root>/work/published/                      which artifacts once existed, so that a deleted one is noticed
    <root>/work/locks/                          one lock per key that is being computed
    <root>/books/<book>/                        registry, ledger and locks of a book

Nothing published is edited. What cannot be verified is not trusted.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from schemas.errors import ArtifactError, ConfigError
from schemas.manifest import FileEntry, Manifest, Ref
from schemas.names import BOOK
from tasks.files import canonical_json, sha256_file, sha256_text, sync
from tasks.locks import try_lock, unlock

MANIFEST: Final = "manifest.json"
_TEMPORARY: Final = ".tmp-"
_KEY: Final = re.compile(r"[0-9a-f]{16,64}")
_REBUILD: Final = "Run the step that makes it again: it is rebuilt from its inputs."


class ArtifactMissing(ArtifactError):
    """No artifact of that name was ever published here."""


class ArtifactDamaged(ArtifactError):
    """An artifact was altered or deleted after it was published."""


def resolve_root(explicit: str | Path | None = None) -> Path:
    """Return the artifact root: the one asked for, else `CARRYFLOW_ARTIFACTS`, else `./artifacts`.

    The path is absolute, so that a later change of the current folder moves nothing.

    Raises:
        ConfigError: Something that is not a folder is in its place.
    """
    chosen = Path(explicit or os.environ.get("CARRYFLOW_ARTIFACTS") or "artifacts").expanduser().absolute()
    if chosen.exists() and not chosen.is_dir():
        raise ConfigError(
            "is not a folder.", str(chosen), "Name a folder for the artifacts with --artifacts."
        )
    return chosen


def book_dir(root: Path, book: str) -> Path:
    """Return the folder of a book; it may not exist yet.

    Raises:
        ConfigError: The name could not be a folder's, or could leave the root.
    """
    if not BOOK.fullmatch(book):
        raise ConfigError(
            f"{book!r} cannot be the name of a book.",
            "--book",
            "Use 1 to 64 of a-z, 0-9, - and _, the first a letter or a digit.",
        )
    return root / "books" / book


def content_hash(manifest: Manifest) -> str:
    """Return one sha256 over the names and hashes of an artifact's files: what it holds, whatever made it."""
    return sha256_text(canonical_json(sorted((entry.path, entry.sha256) for entry in manifest.files)))


class Store:
    """Publishes artifacts and hands them out verified.

    `publish` and `local` are all that callers use of the layout, so that a remote root can stand behind them.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        self.folder = self.root / "store"

    def path(self, ref: Ref) -> Path:
        """Return where an artifact lies, or would; nothing is verified."""
        return self.folder / ref.step / ref.key

    def has(self, ref: Ref) -> bool:
        """Say whether an artifact exists; nothing is verified."""
        return (self.path(ref) / MANIFEST).is_file()

    def refs(self, step: str | None = None) -> list[Ref]:
        """List the artifacts that exist, of one step or of all, by step and key; copies do not count."""
        found = []
        for path in sorted(self.folder.glob(f"{step or '[a-z]*'}/*/{MANIFEST}")):
            with suppress(ValidationError):
                found.append(Ref(step=path.parts[-3], key=path.parts[-2]))
        return found

    def manifest(self, ref: Ref) -> Manifest:
        """Return an artifact's manifest, verified against its seal; the files are not looked at.

        Raises:
            ArtifactMissing: It was never published here.
            ArtifactDamaged: It was altered or deleted.
        """
        folder = self.path(ref)
        try:
            text = (folder / MANIFEST).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            if folder.exists() or self._marker(ref).exists():
                raise ArtifactDamaged("was deleted, at least in part.", str(ref), _REBUILD) from None
            raise ArtifactMissing("does not exist.", str(ref), "`carryflow run` makes it.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ArtifactDamaged(f"has an unreadable manifest ({error}).", str(ref), _REBUILD) from error
        try:
            manifest = Manifest.model_validate_json(text)
        except ValidationError:
            raise ArtifactDamaged("has an altered manifest.", str(ref), _REBUILD) from None
        if (manifest.step, manifest.key) != (ref.step, ref.key) or text != _render(manifest):
            raise ArtifactDamaged("has an altered manifest.", str(ref), _REBUILD)
        return manifest

    def verify(self, ref: Ref) -> Manifest:
        """Return an artifact's manifest after comparing every file with it: size, sha256, and none too many.

        Raises:
            ArtifactMissing: It was never published here.
            ArtifactDamaged: It was altered or deleted.
        """
        manifest, folder = self.manifest(ref), self.path(ref)
        expected = {entry.path: entry for entry in manifest.files}
        try:
            found = _files(folder)
            if odd := sorted(set(expected) ^ set(found)):
                state = "is missing" if odd[0] in expected else "does not belong to it"
                raise ArtifactDamaged(f"was altered: {odd[0]} {state}.", str(ref), _REBUILD)
            for name, path in found.items():
                entry = expected[name]
                if path.stat().st_size != entry.bytes or sha256_file(path) != entry.sha256:
                    raise ArtifactDamaged(f"was altered: {name} has changed.", str(ref), _REBUILD)
        except (OSError, ValueError) as error:
            raise ArtifactDamaged(f"cannot be read ({error}).", str(ref), _REBUILD) from error
        return manifest

    def local(self, ref: Ref) -> Path:
        """Return the folder of an artifact, every file of it verified.

        Raises:
            ArtifactMissing: It was never published here.
            ArtifactDamaged: It was altered or deleted.
        """
        self.verify(ref)
        return self.path(ref)

    def workdir(self, key: str) -> Path:
        """Return the folder for the resume state of a key, making it where absent."""
        folder = self._work(key)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def discard_work(self, key: str) -> None:
        """Remove the resume state of a key, if any."""
        shutil.rmtree(self._work(key), ignore_errors=True)

    def lock_path(self, ref: Ref) -> Path:
        """Return the file whose lock gives the right to compute an artifact."""
        return self.root / "work" / "locks" / f"{ref.step}-{ref.key}.lock"

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

    def publish(self, folder: Path, manifest: Manifest) -> Ref:
        """Make a folder of `tmp` an artifact; files first, manifest last, then one rename.

        An artifact that is there and verifies is kept, so publishing twice is publishing once. A damaged one
        is replaced.

        Args:
            folder: What `tmp` yielded, filled.
            manifest: All but its files and seal, which are filled in here.

        Raises:
            ValueError: The folder is not one of `tmp`, or holds what is not a plain file.
        """
        if folder.parent != self.folder or not folder.name.startswith(_TEMPORARY):
            raise ValueError(f"{folder} was not made by Store.tmp()")
        ref = Ref(step=manifest.step, key=manifest.key)
        found = _files(folder)
        entries = tuple(
            FileEntry(path=name, sha256=sha256_file(path), bytes=path.stat().st_size)
            for name, path in sorted(found.items())
        )
        for inside in [*found.values(), *{path.parent for path in found.values()} - {folder}]:
            sync(inside)
        manifest_path = folder / MANIFEST
        manifest_path.write_text(_render(manifest.model_copy(update={"files": entries})), encoding="utf-8")
        sync(manifest_path)
        sync(folder)
        self._rename(folder, ref)
        self._marker(ref).parent.mkdir(parents=True, exist_ok=True)
        self._marker(ref).touch()
        return ref

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
                self.verify(ref)
                return
            with suppress(FileNotFoundError):  # another process may be replacing it too
                aside = self.folder / f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}-damaged"
                target.rename(aside)
                _remove(aside)

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
                _remove(left)
                unlock(handle)


def _files(folder: Path) -> dict[str, Path]:
    """Return the files below a folder, but its manifest, by their path with forward slashes.

    What the Finder leaves in every folder somebody looked into is not counted: looking is not altering.

    Raises:
        ValueError: There is a symbolic link or another thing that has no bytes of its own.
    """
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise ValueError(f"{name} is not a plain file")
            if name in names and name != ".DS_Store":
                found[path.relative_to(folder).as_posix()] = path
    found.pop(MANIFEST, None)
    return found


def _render(manifest: Manifest) -> str:
    """Return the text of a manifest, sealed: a hash of all the rest of it makes any edit show."""
    content = manifest.model_dump(mode="json", exclude={"seal"})
    content["seal"] = sha256_text(canonical_json(content))
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
