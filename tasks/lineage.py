"""Where a run's results come from: every artifact with its inputs, and the files of the data at the start."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from schemas.manifest import Manifest, Ref
from tasks import ui
from tasks.store import Store, content_hash, resolve_root

_DIGITS: Final = 12


def show_lineage(refs: Iterable[str]) -> None:
    """Put the lineage of a run's artifacts on its page; outside a run, do nothing.

    Args:
        refs: The artifacts in the order of their making; empty ones are left out.
    """
    if ui.in_run():
        found = [Ref.parse(ref) for ref in refs if ref]
        ui.markdown("lineage", lineage_markdown(Store(resolve_root()), found), "What came from what")


def lineage_markdown(store: Store, refs: list[Ref]) -> str:
    """Return what came from what as markdown.

    Args:
        store: Where the artifacts are.
        refs: The artifacts, the data set among them.
    """
    manifests = [(ref, store.manifest(ref)) for ref in refs]
    rows = [
        [
            ref.step, f"`{ref.key[:_DIGITS]}`", made.created[:19].replace("T", " "), _inputs(made),
            f"`{content_hash(made)[:_DIGITS]}`", f"`{made.code[:_DIGITS]}`",
        ]
        for ref, made in manifests
    ]  # fmt: skip
    said = "The content of an artifact is what later ones have among their inputs."
    parts = [
        "# Lineage",
        said,
        ui.table(["step", "artifact", "made (UTC)", "inputs", "content", "code"], rows),
    ]
    for ref, _ in manifests:
        if (told := store.path(ref) / "dataset.json").is_file():
            files = json.loads(told.read_text(encoding="utf-8"))["files"]
            parts += [
                "## Files",
                ui.table(["file", "table", "rows", "sha256"], [_file(one) for one in files]),
            ]
    if manifests:
        libraries = ", ".join(f"{name} {version}" for name, version in manifests[-1][1].versions.items())
        parts.append(f"Made with {libraries}.")
    return "\n\n".join(parts)


def _inputs(made: Manifest) -> str:
    return ", ".join(f"{name} `{content[:_DIGITS]}`" for name, content in sorted(made.inputs.items()))


def _file(facts: dict[str, Any]) -> list[Any]:
    return [f"`{facts['name']}`", facts["table"], facts["rows"], f"`{facts['sha256'][:_DIGITS]}`"]
