"""How raw CSV files become a data set of clean rows; importing this package is cheap."""

from schemas.ingest.build import DatasetSummary, build_dataset
from schemas.ingest.sources import (
    Fingerprint,
    SourceFile,
    Sources,
    discover,
    fingerprints,
    input_fingerprint,
    named_hashes,
)

__all__ = [
    "DatasetSummary",
    "Fingerprint",
    "SourceFile",
    "Sources",
    "build_dataset",
    "discover",
    "fingerprints",
    "input_fingerprint",
    "named_hashes",
]
