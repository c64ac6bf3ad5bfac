"""The server's secret: made once, readable by its owner only, and never given to another machine's server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flows import settings
from flows.desk import server
from flows.desk.access import AUTH, FOLDER, URL, access_file, known_auth, make_access
from schemas.errors import ConfigError

HERE = "http://127.0.0.1:4277/api"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of secrets of its own."""
    monkeypatch.setenv(FOLDER, str(tmp_path / "access"))
    monkeypatch.delenv(AUTH, raising=False)
    return tmp_path / "access"


def test_a_secret_is_made_once_and_only_its_owner_can_read_it() -> None:
    made = make_access(4277)
    assert make_access(4277) == made == known_auth(HERE)
    assert access_file(4277).stat().st_mode & 0o777 == 0o600
    assert len(made.partition(":")[2]) >= 32
    assert make_access(4278) != made


def test_of_many_that_make_a_secret_at_once_all_have_the_same_and_none_meets_half_a_file() -> None:
    from concurrent.futures import ThreadPoolExecutor

    for port in range(4300, 4330):
        with ThreadPoolExecutor(8) as pool:
            made = set(pool.map(make_access, [port] * 16))
        assert len(made) == 1
        assert list(access_file(port).parent.glob(f".*{port}*")) == []


def test_sourced_in_a_shell_the_file_sets_address_and_secret() -> None:
    made = make_access(4277)
    words = f'. {access_file(4277)}; echo "${URL} ${AUTH}"'
    done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [HERE, made]


@pytest.mark.parametrize(
    "url",
    ["http://desk.example:4277/api", "http://127.0.0.1.example:4277/api", "http://127.0.0.1/api", "http://[",
     "", "http://127.0.0.1:4278/api", "http://127.0.0.1@evil.example:4277/api"],
)  # fmt: skip
def test_no_other_server_is_given_it(url: str) -> None:
    make_access(4277)
    assert known_auth(url) is None


def test_a_file_that_others_can_read_or_a_link_is_not_believed(tmp_path: Path) -> None:
    make_access(4277)
    path = access_file(4277)
    path.chmod(0o640)
    assert known_auth(HERE) is None
    path.chmod(0o600)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert known_auth(HERE) is None


def test_the_command_line_uses_it_unless_one_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_access(4277)
    monkeypatch.setenv(URL, HERE)
    settings.apply()
    assert os.environ[AUTH] == made
    monkeypatch.setenv(AUTH, "own:own")
    settings.apply()
    assert os.environ[AUTH] == "own:own"
    monkeypatch.setenv(URL, "http://desk.example:4277/api")
    monkeypatch.delenv(AUTH)
    settings.apply()
    assert AUTH not in os.environ


def test_a_file_that_holds_no_secret_is_refused_in_words() -> None:
    make_access(4277)
    access_file(4277).write_text("nothing", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no line"):
        make_access(4277)


def test_git_ignores_the_folder_it_lies_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER)
    project = Path(__file__).parents[2]
    assert access_file(4277).parent == project / ".prefect"
    assert ".prefect/" in (project / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_a_port_in_use_by_something_else_is_refused_in_words() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code = (
            "import flows.desk.server as s; s._PATIENCE_S = 1.0\n"
            f"s.main(['--port', '{port}'])"
        )  # fmt: skip
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: port {port} is in use by another program. Choose one")


def test_the_server_is_told_to_ask_for_the_secret_and_to_protect_forms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = server.server_settings(4277, "127.0.0.1", "a:b")
    assert told["PREFECT_SERVER_API_AUTH_STRING"] == "a:b"
    assert told["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] == "true"
    assert (told["PREFECT_SERVER_API_HOST"], told["PREFECT_SERVER_API_PORT"]) == ("127.0.0.1", "4277")
    code = (
        "from prefect.settings import get_current_settings as now\n"
        "api = now().server.api\n"
        "print(api.auth_string.get_secret_value(), api.csrf_protection_enabled, api.host, api.port)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **told}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["a:b", "True", "127.0.0.1", "4277"], "Prefect knows these names"
