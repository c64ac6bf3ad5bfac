"""Collection: removing what nobody needs and nobody has used for long, while runs go on beside it.

Only whole things are removed, each in one rename to a name that no reader trusts, and deleted afterwards; a
process that is killed leaves trash that the next collection, or the next run, deletes. Whether a thing may go
is looked at again at that moment, with the gate of `tasks.leases` held alone, so that no run can be handed it
in between.

Books are never touched: registry, ledger, the versions' own folders and what paper trading keeps.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.errors import ConfigError
from schemas.ingest.build import QUARANTINE_FILE
from schemas.manifest import Ref
from schemas.retention import Fate, GcReport, Item, PrefectRuns, RetentionPolicy
from tasks import leases, ui
from tasks.files import remove, utc_now
from tasks.gc_shared import collect_shared
from tasks.locks import LockBusy, gate, hold, is_locked, try_lock, unlock
from tasks.prefect_runs import collect_runs
from tasks.reachable import DAY_S, OF_AN_ALIAS, Needed, days, survey
from tasks.registry import Registry
from tasks.remote import remote_of_environment
from tasks.store import Store, resolve_root

TRASH: Final = ".tmp-"
KEY: Final = re.compile(r"[0-9a-f]{16,64}")
LAYING_DAYS: Final = 1.0  # a report that is being laid out has no lock, and takes seconds
MOVING: Final = "needed by a process that is making it"
LEFT: Final = "left by a process that has ended"


HEADER: Final = ["what", "fate", "count", "MB", "why"]


def sweep(policy: RetentionPolicy, *, dry_run: bool = False, prefect: bool = True) -> GcReport:
    """Remove what nobody needs below the artifact root, and old flow runs from Prefect's database.

    The shared store, if there is one, is left alone unless the policy says how old must be what goes there.

    Args:
        policy: How long what is kept.
        dry_run: Look, and change nothing.
        prefect: Look at Prefect's database too, where there is a server.

    Raises:
        UserError: See `collect` and `collect_shared`; or the Prefect server that was named does not answer.
    """
    root = resolve_root()
    report = collect(root, policy, dry_run=dry_run)
    if (remote := remote_of_environment()) is not None:
        found: list[Item] = []
        if policy.shared_days:
            ui.say(f"Looking at {remote.url}", transient=True)
            found = collect_shared(Store(root), remote, policy, dry_run=dry_run)
        report = report.model_copy(update={"shared": remote.url, "items": (*report.items, *found)})
    if prefect:
        runs = collect_runs(policy.prefect_days, dry_run=dry_run)
        report = report.model_copy(update={"prefect": runs})
    ui.markdown("retention", _markdown(report), "What was kept and removed, and why")
    return report


def words(report: GcReport) -> tuple[list[list[Any]], list[str]]:
    """Return the rows of a report's table, removed things first, and the lines below it."""
    rows = [
        [row.what, _fate(row.fate, report.dry_run), row.count, row.bytes / 1e6, row.why]
        for row in sorted(report.rows, key=lambda row: (row.fate != "removed", row.what))
    ]
    count, size = report.total("removed")
    removed = f"{count:,} {'would go' if report.dry_run else 'removed'}, {size / 1e6:,.1f} MB"
    lines = [f"{removed}; {report.total('kept')[0]:,} kept."]
    if report.shared and not report.policy.shared_days:
        lines.append(f"The shared store ({report.shared}) was left alone: --shared-days looks at it too.")
    runs = report.prefect
    if runs.left_alone:
        lines.append(f"Prefect's database was left alone: {runs.left_alone}.")
    else:
        lines.append(
            f"Prefect's database ({runs.server}): {runs.runs:,} flow runs that ended more than "
            f"{days(report.policy.prefect_days)} ago and {runs.artifacts:,} artifacts of them "
            f"{'would go' if report.dry_run else 'removed'}."
        )
    return rows, lines


def collect(root: Path, policy: RetentionPolicy, *, dry_run: bool = False) -> GcReport:
    """Remove what nobody needs from below an artifact root; Prefect's database is another's business.

    Args:
        root: Of the artifacts.
        policy: How long what is kept.
        dry_run: Look, and change nothing.

    Raises:
        ArtifactError: A registry, or the folder of a version, cannot be read: nobody can say what it needs.
        LockBusy: Another collection is at work here.
    """
    if not root.is_dir():
        raise ConfigError("does not exist.", str(root), "Name the folder of the artifacts with --artifacts.")
    collector = _Collector(Store(root), policy, dry_run)
    alone = nullcontext() if dry_run else hold(root / "work" / "gc.lock", purpose="gc", timeout=0)
    with alone:
        collector.artifacts()
        collector.work()
        collector.marks()
        collector.reports()
        collector.trash()
    return GcReport(
        generated=utc_now(),
        dry_run=dry_run,
        policy=policy,
        items=tuple(sorted(collector.items, key=lambda item: (item.what, item.name))),
        prefect=PrefectRuns(left_alone="nobody asked for it"),
    )


@dataclass
class _Collector:
    """One collection. Each of its public methods looks at one kind of thing."""

    store: Store
    policy: RetentionPolicy
    dry_run: bool
    items: list[Item] = field(default_factory=list)

    def artifacts(self) -> None:
        """Remove artifacts that nobody needs, and that nobody has found or made for long."""
        found = survey(self.store)
        with self._alone():
            needed = Needed(self.store, found, self.policy)
        for number, ref in enumerate(found.refs, start=1):
            ui.say(f"Looking at artifact {number} of {len(found.refs)}", transient=True)
            folder = self.store.path(ref)
            bad_rows = folder / QUARANTINE_FILE
            size, quarantined = _freed(folder), _freed(bad_rows)
            has_bad_rows = bad_rows.is_file()
            kept = self._remove_artifact(ref, needed)
            gone = _unused(self.policy.store_days)
            gone = f"damaged, {gone}" if ref in found.damaged else gone
            self._settle(f"store/{ref.step}", folder, size - quarantined, kept, gone)
            if has_bad_rows:  # one file of a data set, which lives as long as that does
                self._settle("quarantine", bad_rows, quarantined, kept, gone)

    def work(self) -> None:
        """Remove resume state that nobody goes on with, or whose artifact is there by now."""
        done = {ref.key for ref in self.store.refs()}
        for folder in sorted((self.store.root / "work").glob("[0-9a-f]*")):
            key = folder.name
            if not folder.is_dir() or not KEY.fullmatch(key):
                continue
            size = _freed(folder)
            with self._alone():
                kept = self._work_needed(folder, finished=key in done)
                aside = None if kept or self.dry_run else self._set_aside(folder)
            gone = "its artifact is finished" if key in done else _unused(self.policy.work_days)
            self._settle("work", folder, size, kept, gone, aside)

    def marks(self) -> None:
        """Remove marks of artifacts that are long gone, locks nobody holds, and leases of the dead."""
        work = self.store.root / "work"
        for mark in sorted((work / "published").glob("*-*")):
            step, _, key = mark.name.rpartition("-")
            if not (self.store.folder / step / key).exists() and self._old(mark, self.policy.store_days):
                self._unlink("marks and locks", mark, "its artifact was deleted long ago")
        for lock in sorted((work / "locks").glob("*.lock")):
            if self.dry_run and not is_locked(lock):
                self._unlink("marks and locks", lock, LEFT)
            elif not self.dry_run and (handle := try_lock(lock)) is not None:
                self._unlink("marks and locks", lock, LEFT)
                unlock(handle)
        with self._alone():
            for lease in leases.left(self.store.root):
                self._unlink("marks and locks", lease, LEFT)

    def reports(self) -> None:
        """Remove reports laid out long ago, but those of versions under an alias."""
        for book in sorted(path for path in (self.store.root / "reports").glob("[a-z0-9]*") if path.is_dir()):
            for folder in sorted(path for path in book.iterdir() if not path.name.startswith(".")):
                size = _freed(folder)
                with self._alone():
                    kept = self._report_needed(book.name, folder)
                    aside = None if kept or self.dry_run else self._set_aside(folder)
                self._settle("reports", folder, size, kept, _unused(self.policy.reports_days), aside)

    def trash(self) -> None:
        """Remove what killed processes left under names that no reader trusts."""
        root = self.store.root
        found = {left for place in ("store", "work", "reports/*") for left in root.glob(f"{place}/{TRASH}*")}
        hidden = [path for path in root.glob("reports/*/.*") if path.is_dir()]
        found |= {path for path in hidden if self._old(path, LAYING_DAYS)}
        for path in sorted(found):
            if not is_locked(path):
                self._settle("trash", path, _freed(path), None, LEFT, None if self.dry_run else path)

    # -- what may go ----------------------------------------------------------------------------------

    def _remove_artifact(self, ref: Ref, needed: Needed) -> str | None:
        """Remove an artifact, or return why not."""
        lock = self.store.lock_path(ref)
        if why := needed.why(ref):
            return why
        if self.dry_run:
            return MOVING if is_locked(lock) else None
        try:
            with hold(lock, purpose="gc", timeout=0), self._alone():
                if why := needed.why(ref):
                    return why
                aside = self.store.set_aside(ref)
        except LockBusy:
            return MOVING
        self._delete(aside)
        return None

    def _work_needed(self, folder: Path, *, finished: bool) -> str | None:
        locks = (self.store.root / "work" / "locks").glob(f"*-{folder.name}.lock")
        if any(is_locked(lock) for lock in locks):
            return MOVING
        if finished or self._old(folder, self.policy.work_days):
            return None
        return f"written in the last {days(self.policy.work_days)}"

    def _report_needed(self, book: str, folder: Path) -> str | None:
        state = Registry(self.store.root, book).state()
        version = folder.name.partition("-")[0]
        if version in state.aliases.values() or state.awaited_by(version):
            return f"of {OF_AN_ALIAS.format(book=book)}"
        if self._old(folder, self.policy.reports_days):
            return None
        return f"laid out in the last {days(self.policy.reports_days)}"

    def _old(self, path: Path, limit_days: float) -> bool:
        """Say whether nothing of a file or folder was written for so many days."""
        newest = 0.0
        for one in [path, *path.rglob("*")]:
            with suppress(OSError):
                newest = max(newest, one.lstat().st_mtime)
        return time.time() - newest >= limit_days * DAY_S

    # -- how it goes ----------------------------------------------------------------------------------

    def _alone(self) -> AbstractContextManager[None]:
        return nullcontext() if self.dry_run else gate(self.store.gate, alone=True)

    def _set_aside(self, folder: Path) -> Path:
        aside = folder.with_name(f"{TRASH}{os.getpid()}-{secrets.token_hex(4)}")
        folder.rename(aside)
        return aside

    def _delete(self, trash: Path) -> None:
        """Delete trash, unless it is a folder that a living process has just begun to fill."""
        if not trash.is_dir():
            remove(trash)
        elif (handle := try_lock(trash, folder=True)) is not None:
            remove(trash)
            unlock(handle)

    def _unlink(self, what: str, path: Path, why: str) -> None:
        self._note(what, path, _freed(path), "removed", why)
        if not self.dry_run:
            path.unlink(missing_ok=True)

    def _settle(
        self, what: str, folder: Path, size: int, kept: str | None, gone: str, aside: Path | None = None
    ) -> None:
        self._note(what, folder, size, "removed" if kept is None else "kept", kept or gone)
        if aside is not None:
            self._delete(aside)

    def _note(self, what: str, path: Path, size: int, fate: Fate, why: str) -> None:
        name = path.relative_to(self.store.root).as_posix()
        self.items.append(Item(what=what, name=name, bytes=size, fate=fate, why=why))


def _unused(limit_days: float) -> str:
    return f"not used for {days(limit_days)}" if limit_days else "not in use"


def _freed(path: Path) -> int:
    """Return the bytes that removing a file or folder frees: those of files that have no other name."""
    size = 0
    for one in [path, *path.rglob("*")]:
        with suppress(OSError):
            found = one.lstat()
            size += found.st_size if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else 0
    return size


def _fate(fate: Fate, dry_run: bool) -> str:
    return "would go" if dry_run and fate == "removed" else fate


def _markdown(report: GcReport) -> str:
    rows, lines = words(report)
    return "\n\n".join([ui.table(HEADER, rows), *lines])
