"""How raw CSV files become a data set of clean rows; importing this package is cheap."""

from schemas.ingest.build import DatasetSummary, build_dataset
from schemas.ingest.instruments import Instruments, load_instruments
from schemas.ingest.progress import OnProgress, Progress
from schemas.ingest.sources import (
    Fingerprint,
    SourceFile,
    Sources,
    discover,
    fingerprints,
    named_hashes,
)

__all__ = [
    "DatasetSummary",
    "Fingerprint",
    "Instruments",
    "OnProgress",
    "Progress",
    "SourceFile",
    "Sources",
    "build_dataset",
    "discover",
    "fingerprints",
    "load_instruments",
    "named_hashes",
]
