"""A pickle that somebody put in the place of any file we read is never run."""

from __future__ import annotations

import gzip
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from rl.checkpoint import load_checkpoint
from rl.resume import ResumeState
from schemas.errors import UserError
from tasks.bundles import Bundles
from tasks.ingest import ingest
from tasks.ledger import Ledger
from tasks.locks import owner
from tasks.registry import Registry
from tasks.store import Store
from tests.tasks.made import VERSION, kept

PROJECT = Path(__file__).parents[2]


class Planted:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = str(mark)

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


@pytest.fixture
def payload(mark: Path) -> bytes:
    planted = pickle.dumps(Planted(mark))
    pickle.loads(planted)  # noqa: S301  it does what it is made for
    assert mark.is_dir()
    mark.rmdir()
    return planted


def test_no_checkpoint_or_resume_state_is_unpickled(payload: bytes, mark: Path, tmp_path: Path) -> None:
    for name in ("a.safetensors", "a.pt", "a.pkl"):
        (tmp_path / name).write_bytes(payload)
        with pytest.raises(UserError):
            load_checkpoint(tmp_path / name)
    state = ResumeState(tmp_path, "x")
    for path in (state.newest, state.before):
        path.write_bytes(payload)
    assert state.load() is None
    assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["opportunities.csv", "a.csv.gz", "a.csv.zst", "a.pkl", "market_history.csv"]
)
def test_no_data_file_is_unpickled(
    name: str, payload: bytes, mark: Path, tmp_path: Path, artifacts: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / name).write_bytes(gzip.compress(payload) if name.endswith(".gz") else payload)
    with pytest.raises(UserError):
        ingest(folder)
    assert not mark.exists()


def test_no_file_of_an_artifact_is_unpickled(
    payload: bytes, mark: Path, sample: Path, artifacts: Path
) -> None:
    from schemas.trading import MarketRules
    from tasks.features import features

    made = ingest(sample)
    for path in sorted(made.path.rglob("*")):
        if path.is_file():
            whole = path.read_bytes()
            path.write_bytes(payload)
            with pytest.raises(UserError):
                features(made.ref, rules=MarketRules(), episode_hours=24)
            path.write_bytes(whole)
    assert Store(artifacts).verify(made.ref)
    assert not mark.exists()


def test_no_file_of_a_book_is_unpickled(payload: bytes, mark: Path, artifacts: Path) -> None:
    kept(artifacts, VERSION)
    registry, ledger, bundles = Registry(artifacts, "b"), Ledger(artifacts, "b"), Bundles(artifacts, "b")
    ledger.append("trial", version=VERSION)
    for path in [p for p in bundles.folder(VERSION).rglob("*") if p.is_file()]:
        whole = path.read_bytes()
        path.unlink()  # a hard link shares its bytes
        path.write_bytes(payload)
        with pytest.raises(UserError):
            bundles.verify(VERSION)
        path.write_bytes(whole)
    registry.path.write_bytes(payload)
    with pytest.raises(UserError):
        registry.state()
    ledger.path.write_bytes(payload + b"\n")
    with pytest.raises(UserError):
        ledger.read()
    lock = artifacts / "books" / "b" / "locks" / "x.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_bytes(payload)
    assert owner(lock) is None
    assert not mark.exists()


def test_parquet_cannot_smuggle_one_in_as_a_type(payload: bytes, mark: Path, tmp_path: Path) -> None:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    field = pa.field("x", pa.int64()).with_metadata(
        {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": payload}
    )
    pq.write_table(
        pa.table({"x": [1]}, schema=pa.schema([field], {b"pandas": payload})), tmp_path / "a.parquet"
    )
    with suppress(ValueError):  # its metadata is no JSON
        pd.read_parquet(tmp_path / "a.parquet")
    pq.read_table(tmp_path / "a.parquet")
    assert not mark.exists()


def test_prefect_keeps_no_result_and_looks_for_none(tmp_path: Path, mark: Path, payload: bytes) -> None:
    """With Prefect's own settings turned on, a planted record would be read; ours win."""
    code = (
        "import os, flows\n"
        "from prefect.settings import get_current_settings as now\n"
        "from tasks.step import uncached_task\n"
        "from flows.data_to_model import data_to_model\n"
        "kept = now().results.persist_by_default, now().tasks.default_persist_result, "
        "data_to_model.persist_result\n"
        "task = uncached_task(lambda: 1, name='x')\n"
        "key = task.cache_policy.compute_key(task_ctx=None, inputs={}, flow_parameters={})\n"
        "print(kept, task.persist_result, task.result_storage_key, key)\n"
    )
    hostile = {"PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true", "PREFECT_TASKS_DEFAULT_PERSIST_RESULT": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **hostile, "PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "(False, False, False) False None None"
