"""The newest result of each book where a person finds it: one folder with report, pictures and tables."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from schemas.manifest import Ref
from tasks.store import Store, resolve_root

SOURCE = "SOURCE.txt"


def publish_report(tested: str, judged: str, *, book: str, name: str) -> Path:
    """Lay a backtest's tables and its report into `reports/<book>/<name>/`.

    What lies there is a copy for people; the artifacts stay what programs read.

    Args:
        tested: Ref of the backtest.
        judged: Ref of its judgement.
        book: Whose.
        name: Such as a version.

    Returns:
        The path of report.html.
    """
    root = resolve_root()
    store = Store(root)
    target = root / "reports" / book / name
    source = f"{tested}\n{judged}\n"
    known = target / SOURCE
    if not (known.is_file() and known.read_text(encoding="utf-8") == source):
        _replace(target, [store.local(Ref.parse(ref)) for ref in (tested, judged)], source)
    return target / "report.html"


def _replace(target: Path, folders: list[Path], source: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    fresh.chmod(0o755)
    try:
        for folder in folders:
            for path in folder.iterdir():
                if path.name != "manifest.json":
                    shutil.copyfile(path, fresh / path.name)
        (fresh / SOURCE).write_text(source, encoding="utf-8")
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
            target.replace(old / "old")
            shutil.rmtree(old, ignore_errors=True)
        fresh.replace(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
