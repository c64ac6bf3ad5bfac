"""Who may use the desk's server: one secret, in a file that only its owner can read.

`make server` makes it; `make deploy`, `make worker` and the command line find it by the server's port. It is
only ever given to a server on this machine: for any other, `PREFECT_API_AUTH_STRING` has to be set.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from schemas.errors import ConfigError

AUTH: Final = "PREFECT_API_AUTH_STRING"
SERVER_AUTH: Final = "PREFECT_SERVER_API_AUTH_STRING"
URL: Final = "PREFECT_API_URL"
FOLDER: Final = "CARRYFLOW_ACCESS"
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_LINE: Final = re.compile(rf"^export {AUTH}=(\S+)$", re.MULTILINE)
_TEXT: Final = """\
# Made by `make server`. Whoever can read this can use the server and run code as its workers do.
# In a terminal: . {path}
export {url_name}={url}
export {auth_name}={auth}
"""


def access_file(port: int) -> Path:
    """Return the file of the server on a port; it may not exist yet."""
    named = os.environ.get(FOLDER)
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / ".prefect"
    return folder / f"server-{port}.env"


def make_access(port: int) -> str:
    """Return the secret of the server on a port, making it where there is none.

    Raises:
        ConfigError: The file is there and is no such file.
    """
    path = access_file(port)
    path.parent.mkdir(parents=True, exist_ok=True)
    auth = f"carryflow:{secrets.token_urlsafe(32)}"
    text = _TEXT.format(
        path=path, url_name=URL, url=f"http://127.0.0.1:{port}/api", auth_name=AUTH, auth=auth
    )
    # Whole before it has its name: of two that make it at once the second reads what the first has written.
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.link(partial, path)
    except FileExistsError:
        path.chmod(0o600)
        found = _LINE.search(path.read_text(encoding="utf-8"))
        if found is None:
            raise ConfigError(
                f"holds no line `export {AUTH}=...`.", str(path), "Delete it; it is made again."
            ) from None
        return found[1]
    finally:
        partial.unlink(missing_ok=True)
    return auth


def known_auth(url: str) -> str | None:
    """Return the secret of a server on this machine that `make server` started, or None.

    A file that others can read, or that is not ours, is not believed.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.hostname not in LOOPBACK or port is None:
        return None
    path = access_file(port)
    try:
        facts = path.lstat()
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & 0o077:
            return None
        found = _LINE.search(path.read_text(encoding="utf-8"))
    except OSError:
        return None
    return found[1] if found else None
