"""How raw CSV files become a data set of clean rows; importing this package is cheap."""

from schemas.ingest.build import DatasetSummary, build_dataset
from schemas.ingest.instruments import Instruments, load_instruments
from schemas.ingest.sources import SourceFile, Sources, discover, input_fingerprint

__all__ = [
    "DatasetSummary",
    "Instruments",
    "SourceFile",
    "Sources",
    "build_dataset",
    "discover",
    "input_fingerprint",
    "load_instruments",
]
