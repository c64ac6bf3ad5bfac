"""A store that several machines share, behind a URL that fsspec opens.

    <url>/artifacts/<step>/<key>.json     a manifest, as it lies beside every local copy; written last
    <url>/files/<2 digits>/<sha256>       what the manifests name; equal files are there once

An artifact exists there if and only if its manifest does. A file has the name of its content, so two writers
of one artifact never write over each other's bytes, and a reader gets what the manifest he read was made
with, or is told that it is damaged. What was begun and not finished is files that no manifest names.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple, TypeVar

from schemas.manifest import FileEntry, Manifest, Ref
from tasks.connection import VARIABLE, Connection, check_url
from tasks.files import sha256_file, sync
from tasks.manifests import REBUILD, ArtifactDamaged, parse_manifest

T = TypeVar("T")
U = TypeVar("U")

MANIFEST: Final = "manifest.json"
AT_ONCE: Final = 8
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Stored(NamedTuple):
    """One thing in a listing: its size in bytes and when it was written, in seconds since 1970."""

    bytes: int
    written: float


def remote_of_environment() -> Remote | None:
    """Return the shared store that `CARRYFLOW_STORE` names, or None.

    Raises:
        ConfigError: See `check_url`.
    """
    url = os.environ.get(VARIABLE)
    return Remote(check_url(url)) if url else None


class Remote:
    """The artifacts in a shared store.

    Every method raises `SharedStoreError` where the store does not answer after a few attempts, refuses, or
    is not there.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection = Connection(url)

    # -- artifacts ------------------------------------------------------------------------------------

    def read(self, ref: Ref) -> str | None:
        """Return the text of an artifact's manifest, or None where the artifact does not exist."""
        try:
            content = self._connection.ask(lambda fs: fs.cat_file(self._manifest(ref)))
        except FileNotFoundError:
            return None
        return bytes(content).decode("utf-8", errors="replace")  # what is no text has no valid seal either

    def fetch(self, ref: Ref, folder: Path) -> bool:
        """Fill an empty folder with an artifact, every file verified, its manifest last.

        Returns:
            False where the artifact does not exist.

        Raises:
            ArtifactDamaged: It was altered, or a part of it is missing.
        """
        text = self.read(ref)
        if text is None:
            return False
        manifest = _told(text, ref)
        self.each(lambda entry: self._download(ref, entry, folder / entry.path), manifest.files)
        for inside in {(folder / entry.path).parent for entry in manifest.files} - {folder}:
            sync(inside)
        (folder / MANIFEST).write_text(text, encoding="utf-8")
        sync(folder / MANIFEST)
        sync(folder)
        return True

    def offer(self, ref: Ref, folder: Path, *, replace: bool = False) -> bool:
        """Publish a folder that holds an artifact: its files, then its manifest, unless there is one.

        Args:
            ref: Its name.
            folder: Its files and its manifest, verified.
            replace: What is there is damaged: write every file again, and the manifest over the other one.

        Returns:
            Whether the artifact that is there now is this one. Otherwise another machine was first.
        """
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        there = self.read(ref)
        if not replace and there is not None:
            return there == text
        entries = _told(text, ref).files
        self.each(lambda entry: self._upload(entry, folder / entry.path, anew=replace), entries)
        # A server that takes no notice of "only if absent" lets a second manifest over the first. So does an
        # answer that got lost: then the refusal is of our own. Looking says what is so.
        with suppress(FileExistsError):
            self._write(self._manifest(ref), text.encode(), exclusive=not replace)
        return self.read(ref) == text

    # -- listings, for collection ---------------------------------------------------------------------

    def manifests(self) -> dict[Ref, Stored]:
        """List the artifacts that exist."""
        found = {}
        for name, stored in self._list("artifacts").items():
            step, _, key = name.removesuffix(".json").rpartition("/")
            with suppress(ValueError):
                found[Ref(step=step, key=key)] = stored
        return found

    def files(self) -> dict[str, Stored]:
        """List the files by their sha256, whether a manifest names them or not."""
        listed = self._list("files")
        return {name.rpartition("/")[2]: stored for name, stored in listed.items()}

    def remove(self, ref: Ref) -> None:
        """Remove a manifest, and with it the artifact; its files stay until nobody names them."""
        self._remove(self._manifest(ref))

    def remove_file(self, name: str) -> None:
        """Remove a file by its sha256, or by the name it has in the listing."""
        self._remove(self._file(name))

    def each(self, do: Callable[[T], U], things: Iterable[T]) -> list[U]:
        """Do something for several things at once; the first error is raised when no other is under way."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="shared-store") as pool:
            return list(pool.map(do, things))

    def check(self) -> str:
        """Return the URL after looking whether the bucket, or the folder, is there and lets us in."""
        self._connection.look()
        return self.url

    # -- one object -----------------------------------------------------------------------------------

    def _download(self, ref: Ref, entry: FileEntry, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection.ask(lambda fs: fs.get_file(self._file(entry.sha256), str(target)))
        except FileNotFoundError:
            raise _damaged(ref, f"{entry.path} is missing") from None
        if target.stat().st_size != entry.bytes:
            raise _damaged(ref, f"{entry.path} has {target.stat().st_size:,} of {entry.bytes:,} bytes")
        if sha256_file(target) != entry.sha256:
            raise _damaged(ref, f"{entry.path} has changed")
        sync(target)

    def _upload(self, entry: FileEntry, source: Path, *, anew: bool) -> None:
        target = self._file(entry.sha256)
        if not anew and self._size(target) == entry.bytes:
            return

        def put(fs: Any) -> None:
            # An object store shows a whole object or none, a disk what has been written so far.
            aside = self._unnamed() if self._connection.on_disk else target
            fs.put_file(str(source), aside)
            if aside != target:
                fs.mv(aside, target)
            if (arrived := fs.info(target)["size"]) != entry.bytes:
                raise OSError(f"of {entry.bytes:,} bytes {arrived:,} arrived")

        try:
            self._connection.ask(put)
        except FileNotFoundError as error:
            raise self._connection.trouble(error) from error

    def _write(self, path: str, content: bytes, *, exclusive: bool) -> None:
        """Write a small object in one step.

        Raises:
            FileExistsError: It should be new and is not.
        """

        def put(fs: Any) -> None:
            if not self._connection.on_disk:
                fs.pipe_file(path, content, mode="create" if exclusive else "overwrite")
                return
            aside = self._unnamed()
            fs.pipe_file(aside, content)
            fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            try:
                fs.link(aside, path) if exclusive else fs.mv(aside, path)
            finally:
                if fs.exists(aside):
                    fs.rm_file(aside)

        self._connection.ask(put)

    def _size(self, path: str) -> int | None:
        try:
            return int(self._connection.ask(lambda fs: fs.info(path)["size"]))
        except FileNotFoundError:
            return None

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._connection.ask(lambda fs: fs.rm_file(path))

    def _list(self, part: str) -> dict[str, Stored]:
        top = f"{self._connection.root}/{part}"
        found = self._connection.ask(lambda fs: fs.find(top, detail=True))
        return {
            str(name)[len(top) + 1 :]: Stored(int(info["size"]), _written(info))
            for name, info in found.items()
        }

    def _manifest(self, ref: Ref) -> str:
        return f"{self._connection.root}/artifacts/{ref.step}/{ref.key}.json"

    def _file(self, name: str) -> str:
        return f"{self._connection.root}/files/{name[:2]}/{name}"

    def _unnamed(self) -> str:
        """Return where to write what is not whole yet; left there by a kill, it is a file nobody names."""
        return self._file(secrets.token_hex(32))


def _told(text: str, ref: Ref) -> Manifest:
    """Return a manifest from elsewhere, in which no file is named that could lie outside of its folder."""
    try:
        manifest = parse_manifest(text, ref)
    except ArtifactDamaged as damage:
        what = f"{damage.what.rstrip('.')} (in the shared store)."
        raise type(damage)(what, damage.where, damage.remedy) from damage
    for entry in manifest.files:
        path = PurePosixPath(entry.path)
        plain = str(path) == entry.path and not path.is_absolute() and ".." not in path.parts
        if not plain or entry.path == MANIFEST or not _SHA256.fullmatch(entry.sha256):
            raise _damaged(ref, f"{entry.path!r} cannot be the name of a file of it")
    return manifest


def _damaged(ref: Ref, what: str) -> ArtifactDamaged:
    return ArtifactDamaged(f"was altered in the shared store: {what}.", str(ref), REBUILD)


def _written(info: dict[str, Any]) -> float:
    stamp = info.get("LastModified", info.get("mtime", 0.0))
    return float(stamp.timestamp() if hasattr(stamp, "timestamp") else stamp)
