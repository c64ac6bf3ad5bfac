"""The desk's server on PostgreSQL: deployed twice, a run by a worker, and every row where it belongs."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.schemas.objects import StateType

from tests.e2e.desk import open_desk
from tests.e2e.helpers import free_port

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [
    Path(found) for found in [shutil.which("initdb")] if found
]
pytestmark = [
    pytest.mark.prefect,
    pytest.mark.desk,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not BINARIES, reason="PostgreSQL is not installed (Debian: apt-get install postgresql)"
    ),
]


def account() -> str | None:
    """Return the account to run the database as: it refuses to be root's."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no account `postgres`")


@pytest.fixture
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An address of a database of its own, and the folder of PostgreSQL's programs."""
    import tempfile

    programs, user, port = BINARIES[-1].parent, account(), free_port()
    folder = Path(
        tempfile.mkdtemp(prefix="carryflow-pg-")
    )  # pytest's own folders are closed to other accounts
    if user:
        shutil.chown(folder, user)
    data = folder / "data"

    def say(*words: object) -> None:
        subprocess.run([str(w) for w in words], check=True, user=user, cwd=folder, stdout=subprocess.DEVNULL)

    options = f"-h 127.0.0.1 -p {port} -k {folder}"
    try:
        say(programs / "initdb", "-D", data, "-U", "desk", "--auth=trust", "--encoding=UTF8")
        say(programs / "pg_ctl", "-D", data, "-l", folder / "log", "-o", options, "-w", "-t", "120", "start")
        say(programs / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "desk", "prefect")
        yield f"postgresql+asyncpg://desk@127.0.0.1:{port}/prefect", programs
    finally:
        subprocess.run(
            [programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop"], user=user, cwd=folder,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        shutil.rmtree(folder, ignore_errors=True)


def test_the_server_keeps_its_runs_in_postgresql(database: tuple[str, Path], tmp_path: Path) -> None:
    address, programs = database
    with open_desk(tmp_path, PREFECT_SERVER_DATABASE_CONNECTION_URL=address) as desk:
        assert desk.deploy() == desk.deploy()
        asked = {"version": "abcdef", "alias": "champion", "reason": "a test", "book": "sample"}
        run = desk.request("promote/promote", **asked)
        desk.start("worker")
        ended = desk.ended(run)
        assert ended.state is not None and ended.state.type == StateType.FAILED
        assert "there is no version 'abcdef'" in str(ended.state.message)
        desk.wait(lambda: bool(desk.told), "a message on the failure", 60.0)
    plain = address.replace("+asyncpg", "")
    query = "select state_name from flow_run"
    found = subprocess.run(
        [programs / "psql", plain, "-Atc", query], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["Failed"]
    assert not list((tmp_path / "prefect").glob("prefect.db*")), "and nothing in SQLite"
