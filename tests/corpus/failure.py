"""What a refusal has to be."""

from __future__ import annotations

from pathlib import Path

from schemas.errors import DataError


def require_clean_failure(error: DataError, out: Path) -> None:
    """Hold a refusal against what a person needs: one line, a place, a remedy, and nothing written."""
    sentence = str(error)
    assert error.what and error.where and error.remedy, sentence
    assert "\n" not in sentence and "Traceback" not in sentence
    assert len(sentence) < 1_200, sentence
    assert not out.exists()
