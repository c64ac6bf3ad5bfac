"""What every test may use: one thread, a small market, and real data where there is some."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# Before numpy or torch are imported: tests run side by side, one core each.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

os.environ.pop("CARRYFLOW_STORE", None)  # what tests make is nobody else's

import pytest  # noqa: E402


def pytest_configure() -> None:
    """Let Ctrl-C reach the processes that tests start.

    What a shell starts in the background ignores it, and hands that down to its children.
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def artifacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An artifact root of its own."""
    root = tmp_path / "artifacts"
    monkeypatch.setenv("CARRYFLOW_ARTIFACTS", str(root))
    return root


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A week of a generated market: opportunities.csv and market_history.csv."""
    from rl.market.synthetic import write_sample

    out = tmp_path_factory.mktemp("market") / "sample"
    write_sample(out, days=7, rows_per_hour=20, seed=0)
    return out


@pytest.fixture(scope="session")
def real_data() -> Iterator[Path]:
    """Folder of real market data, named by CARRYFLOW_REAL_DATA."""
    folder = os.environ.get("CARRYFLOW_REAL_DATA")
    if not folder:
        pytest.skip("set CARRYFLOW_REAL_DATA to a folder with opportunities and a market history to run this")
    yield Path(folder)
