"""A version's own folder: everything to use it and to explain it, whatever becomes of the artifact store.

    books/<book>/versions/<version>/
        version.json              what lies here and its sha256; where it comes from, from the data on
        best_model.safetensors    weights, scaler, configs
        training.json             how the training went
        judgement-<digits>/       backtest.json, gates.json, report.html and its pictures

Files are hard links to the store's where the disk allows it, so that they take no room, else copies. What has
a name here is never changed: a later judgement comes as another folder, and `version.json`, replaced in one
step, says which one counts. So a process that is killed leaves the old bundle or the new one, whole.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

from schemas.bundle import BUNDLE, Bundle, Origin
from schemas.checkpoint import BEST_MODEL, TRAINING
from schemas.errors import ArtifactError
from schemas.formats import READABLE_BUNDLES, foreign
from schemas.manifest import FileEntry, Manifest, Ref
from tasks.files import canonical_json, sha256_file, sha256_text, sync, write_atomic
from tasks.locks import hold
from tasks.manifests import seal_of
from tasks.store import Store, book_dir, content_hash

BACKTEST: Final = "backtest.json"
_MODEL: Final = (BEST_MODEL, TRAINING)
_BEFORE: Final = ("ingest", "features", "train")
_EVIDENCE: Final = "judgement-"
_TEMPORARY: Final = ".tmp-"
_OTHER: Final = "Use that version of carryflow, or a newer one."
_MEND: Final = "Run the pipeline on the same data again: it is written anew."


class BundleMissing(ArtifactError):
    """The book keeps no folder of the version."""


class BundleDamaged(ArtifactError):
    """A version's folder was altered, or a part of it deleted."""


class BundleForeign(BundleDamaged):
    """Another version of the program wrote a version's folder in a way that cannot be read here."""


class Bundles:
    """The versions' folders of one book."""

    def __init__(self, root: Path, book: str) -> None:
        """Raises `ConfigError` where the book's name is not a valid one."""
        self.root, self.book = root, book
        self._book = book_dir(root, book)

    def folder(self, version: str) -> Path:
        """Return where a version's folder is, or would be."""
        return self._book / "versions" / version

    def read(self, version: str) -> Bundle:
        """Return what a version's folder says of itself, its seal verified; the files are not looked at.

        Raises:
            BundleMissing: There is none.
            BundleDamaged: It was altered, or another version of the program wrote it.
        """
        path = self.folder(version) / BUNDLE
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            if (path.parent / BEST_MODEL).exists():
                raise BundleDamaged(f"has no {BUNDLE} any more.", self._named(version), _MEND) from None
            what = "the book keeps no folder of its own for it."
            raise BundleMissing(what, self._named(version), _MEND) from None
        except (OSError, UnicodeDecodeError) as error:
            raise BundleDamaged(f"{BUNDLE} cannot be read ({error}).", self._named(version), _MEND) from error
        return self._parse(text, version)

    def _parse(self, text: str, version: str) -> Bundle:
        """Read `version.json`; its seal is of the text, so that one of an older version of it is whole."""
        damaged = BundleDamaged(f"{BUNDLE} was altered.", self._named(version), _MEND)
        try:
            content = json.loads(text)
            if refused := foreign(content, READABLE_BUNDLES):
                raise BundleForeign(f"{BUNDLE} {refused}", self._named(version), _OTHER)
            bundle = Bundle.model_validate(content)
        except ValueError:
            raise damaged from None
        if bundle.version != version or bundle.seal != seal_of(content):
            raise damaged
        return bundle

    def verify(self, version: str) -> Bundle:
        """Return a version's bundle after comparing every file with it.

        Raises:
            BundleMissing: There is none.
            BundleDamaged: It was altered, or a file is missing.
        """
        bundle = self.read(version)
        for entry in bundle.files:
            self._check(version, entry)
        return bundle

    def local(self, version: str, name: str = "") -> Path:
        """Return a file of a version, verified; by default its checkpoint.

        Args:
            version: The whole name of the version.
            name: `training.json`, or a file of the last judgement such as `gates.json`.

        Raises:
            BundleMissing: There is no folder, or no such file in it.
            BundleDamaged: It was altered or deleted.
        """
        bundle = self.read(version)
        wanted = {name, bundle.path_of(name)} if name else {bundle.checkpoint}
        for entry in bundle.files:
            if entry.path in wanted:
                return self._check(version, entry)
        raise BundleMissing(f"its folder holds no {name}.", self._named(version), _MEND)

    def write(
        self,
        store: Store,
        version: str,
        model: Ref,
        tested: Ref,
        judged: Ref,
        *,
        referred: Collection[str] = (),
    ) -> Bundle:
        """Keep a version with its last judgement; does nothing where that is there and whole.

        A checkpoint that is there and whole stays: equal versions have equal weights, scaler and configs.

        Args:
            store: Where the artifacts lie; each file is verified before it is taken.
            version: The name of the version.
            model: Its training.
            tested: Its backtest on the sealed window.
            judged: The judgement of that.
            referred: Reports of earlier judgements that must stay, as `report` names them.

        Raises:
            ArtifactError: An artifact is missing or was altered.
        """
        trained, replayed, verdict = (store.verify(ref) for ref in (model, tested, judged))
        evidence = {entry.path: store.path(judged) / entry.path for entry in verdict.files}
        evidence[BACKTEST] = store.path(tested) / BACKTEST
        hashes = {entry.path: entry.sha256 for entry in verdict.files}
        hashes |= {entry.path: entry.sha256 for entry in replayed.files if entry.path == BACKTEST}
        name = f"{_EVIDENCE}{sha256_text(canonical_json(hashes))[:12]}"
        folder = self.folder(version)
        with hold(self._book / "locks" / "versions.lock", purpose=f"keep {version}"):
            known = self._known(version)
            needed = {PurePosixPath(report).parent.name for report in referred}
            if known is not None and known.evidence == name and self._holds(known, name):
                _sweep(folder, keep=needed | {name})
                return known
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder, keep=needed | ({known.evidence} if known else set()))
            if known is None:
                for part in _MODEL:
                    _place(store.path(model) / part, folder / part)
            _place_folder(evidence, folder / name)
            origins = _origins(store, trained, replayed, verdict)
            if known is not None:  # of the training whose checkpoint is here
                origins |= {step: one for step, one in known.origins.items() if step in _BEFORE}
            files = [*_MODEL, *(f"{name}/{path}" for path in sorted(evidence))]
            bundle = Bundle(
                version=version,
                checkpoint=BEST_MODEL,
                evidence=name,
                files=tuple(_entry(folder, path) for path in files),
                origins=origins,
            )
            sync(folder)
            write_atomic(folder / BUNDLE, _render(bundle))
            sync(folder.parent)
            _sweep(folder, keep=needed | {name})
        return self.read(version)

    def report(self, version: str) -> str:
        """Return where the report of the last judgement lies, relative to the artifact root."""
        bundle = self.read(version)
        path = self.folder(version) / bundle.path_of("report.html")
        return path.relative_to(self.root).as_posix()

    def _known(self, version: str) -> Bundle | None:
        """Return the bundle that is there if what it holds of the model is whole."""
        with suppress(ArtifactError):
            bundle = self.read(version)
            return bundle if all(self._holds(bundle, part) for part in _MODEL) else None
        return None

    def _holds(self, bundle: Bundle, part: str) -> bool:
        """Say whether a file, or every file of a folder, is there and whole."""
        try:
            for entry in bundle.files:
                if entry.path.split("/")[0] == part:
                    self._check(bundle.version, entry)
        except BundleDamaged:
            return False
        return True

    def _check(self, version: str, entry: FileEntry) -> Path:
        path = self.folder(version) / entry.path
        try:
            same = path.stat().st_size == entry.bytes and sha256_file(path) == entry.sha256
        except FileNotFoundError:
            raise BundleDamaged(f"{entry.path} is missing.", self._named(version), _MEND) from None
        except OSError as error:
            what = f"{entry.path} cannot be read ({error.strerror})."
            raise BundleDamaged(what, self._named(version), _MEND) from error
        if not same:
            raise BundleDamaged(f"{entry.path} was altered.", self._named(version), _MEND)
        return path

    def _named(self, version: str) -> str:
        return f"version {version} of book {self.book}"


def _origins(store: Store, trained: Manifest, replayed: Manifest, verdict: Manifest) -> dict[str, Origin]:
    """Follow a version back to its data by the hashes that manifests give of what went in."""
    found = {"train": _origin(trained), "backtest": _origin(replayed), "judgement": _origin(verdict)}
    for step, asked in (
        ("features", trained.inputs.get("features")),
        ("audit", verdict.inputs.get("audit")),
    ):
        if asked is not None:
            found[step] = _search(store, step, asked)
    features = found["features"].manifest if "features" in found else None
    dataset = verdict.inputs.get("dataset") if features is None else features.inputs.get("dataset")
    if dataset is not None:
        found["ingest"] = _search(store, "ingest", dataset)
    order = ("ingest", "features", "train", "backtest", "audit", "judgement")
    return {step: found[step] for step in order if step in found}


def _search(store: Store, step: str, content: str) -> Origin:
    for ref in store.refs(step):
        with suppress(ArtifactError):
            manifest = store.manifest(ref)
            if content_hash(manifest) == content:
                return _origin(manifest)
    return Origin(content=content, manifest=None)


def _origin(manifest: Manifest) -> Origin:
    return Origin(content=content_hash(manifest), manifest=manifest.model_copy(update={"files": ()}))


def _place(source: Path, target: Path) -> None:
    """Give a file a second name, or a copy where the disk knows no second names; in one step."""
    temporary = target.with_name(f"{_TEMPORARY}{target.name}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copyfile(source, temporary)
        sync(temporary)
    temporary.replace(target)


def _place_folder(files: Mapping[str, Path], target: Path) -> None:
    """Make a folder of files, in one step; what has its name is no whole one, and goes."""
    temporary = target.with_name(f"{_TEMPORARY}{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    for name, source in files.items():
        (temporary / name).parent.mkdir(parents=True, exist_ok=True)
        _place(source, temporary / name)
    sync(temporary)
    shutil.rmtree(target, ignore_errors=True)
    temporary.replace(target)


def _sweep(folder: Path, *, keep: set[str]) -> None:
    """Remove what killed processes left, and judgements that no longer count."""
    for path in list(folder.iterdir()):
        if path.name.startswith((_TEMPORARY, _EVIDENCE)) and path.name not in keep:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _entry(folder: Path, path: str) -> FileEntry:
    return FileEntry(path=path, sha256=sha256_file(folder / path), bytes=(folder / path).stat().st_size)


def _render(bundle: Bundle) -> str:
    content = bundle.model_dump(mode="json", exclude={"seal"})
    sealed = Bundle.model_validate({**content, "seal": seal_of(content)})
    return sealed.model_dump_json(indent=1) + "\n"
