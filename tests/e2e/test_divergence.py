"""A training that diverges: what a person is told, and what is left to go on with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rl.checkpoint import load_checkpoint
from tasks.store import Store
from tests.e2e.helpers import TINY_FLAGS, Run

pytestmark = pytest.mark.prefect


def test_a_number_that_is_none_ends_in_one_line_that_names_it_and_a_checkpoint_to_start_from(
    run: Run, root: Path, sample: Path, tmp_path: Path
) -> None:
    words = ["train", "--data", sample, "--num-episodes", 8, *TINY_FLAGS]
    words += ["--checkpoint-dir", tmp_path / "checkpoints"]
    before = Store(root).refs("train")
    failed = run(*words, "--learning-rate", "1e20", root=root, code=2)
    said = [line for line in failed.err.splitlines() if "Error: " in line]
    assert len(said) == 1
    assert re.match(r"Error: [a-z_.0-9 -]+: training stopped: a number that is not finite, ", said[0])
    assert "Traceback" not in failed.err
    assert Store(root).refs("train") == before, "nothing is published"
    assert not (tmp_path / "checkpoints").exists()

    found = re.search(r"The last good state is (\S+\.safetensors); --resume-from starts from it", said[0])
    assert found is not None
    kept = load_checkpoint(Path(found[1]))
    assert all(tensor.isfinite().all() for tensor in kept.weights.values())
    assert kept.info.progress.update == 0

    done = run(*words, "--resume-from", found[1], root=root)
    assert "Trained 8 episodes" in done.out
    assert (tmp_path / "checkpoints" / "best_model.safetensors").is_file()
