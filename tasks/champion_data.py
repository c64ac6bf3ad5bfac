"""What is known of the data that a book's champion was trained on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from schemas.drift import REFERENCE, Reference
from schemas.errors import ArtifactError
from schemas.manifest import Ref
from schemas.version import Windows
from tasks.bundles import BundleMissing, Bundles
from tasks.registry import Registry
from tasks.store import Store, content_hash


@dataclass(frozen=True)
class ChampionData:
    """The champion of a book, and where its training data can be looked up.

    Attributes:
        version: Which.
        data: Hash of its data set.
        windows: What it was trained, chosen and tested on.
        kept: The distributions that its folder keeps; None where it keeps none.
        dataset: Its data set, where the store has it and nothing is kept.
        unknown: Why neither is there, in a sentence; empty where one is.
    """

    version: str
    data: str
    windows: Windows
    kept: Reference | None = None
    dataset: Ref | None = None
    unknown: str = ""


def champion_data(root: Path, book: str) -> ChampionData | None:
    """Return what is known of the champion's training data; None where no champion reigns.

    Args:
        root: Root of the artifacts.
        book: Whose champion.
    """
    record = Registry(root, book).current("champion")
    if record is None:
        return None
    version, data, windows = record.version, record.data, record.windows
    try:
        text = Bundles(root, book).local(version, REFERENCE).read_text(encoding="utf-8")
        return ChampionData(version, data, windows, kept=Reference.model_validate_json(text))
    except BundleMissing:
        why = "was registered before a version kept what drift is told by"
    except (ArtifactError, ValidationError, OSError):
        why = "has a folder that was altered, so that what drift is told by cannot be trusted"
    store = Store(root)
    for ref in store.refs("ingest"):
        with suppress(ArtifactError):
            if content_hash(store.manifest(ref)) == data and store.verify(ref):
                return ChampionData(version, data, windows, dataset=ref)
    unknown = (
        f"The champion {version} {why}, and its data set is not in the store. Ingest that data again, or "
        f"make room with `carryflow registry retire champion`."
    )
    return ChampionData(version, data, windows, unknown=unknown)
