"""What of a run that stopped is looked at before it goes on."""

from __future__ import annotations

from pathlib import Path

import torch

from rl.resume import ResumeState, earlier_rows


def test_the_rows_of_a_run_that_goes_on_are_read_from_its_newest_state(tmp_path: Path) -> None:
    assert earlier_rows(tmp_path) == []
    rows = torch.tensor([[1.0, 8.0], [2.0, 16.0]], dtype=torch.float64)
    ResumeState(tmp_path, "a run").save({"metrics": rows}, {"columns": ["update", "episodes"]})
    assert earlier_rows(tmp_path) == [{"update": 1.0, "episodes": 8.0}, {"update": 2.0, "episodes": 16.0}]
    newest = tmp_path / "resume.safetensors"
    newest.write_bytes(newest.read_bytes()[:-5])
    assert earlier_rows(tmp_path) == [], "curves are no reason to end a training"
