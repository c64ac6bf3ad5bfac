"""`make server`: a Prefect server with a secret and CSRF protection, heard on this machine only.

It listens elsewhere only if asked (`HOST=0.0.0.0`), and then says what that means.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from base64 import b64encode
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from flows.cli.terminal import print_error, print_note
from flows.desk.access import LOOPBACK, SERVER_AUTH, access_file, make_access
from schemas.errors import ConfigError, UserError

_PATIENCE_S: Final = 10.0


def main(words: list[str] | None = None) -> None:
    """Start the server in place of this process; do nothing where it runs already."""
    parser = argparse.ArgumentParser(prog="make server", description=__doc__)
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    asked = parser.parse_args(words)
    try:
        own = os.environ.get(SERVER_AUTH)
        auth = own or make_access(asked.port)
        if _answers(asked.port, auth):
            print(f"A server answers on http://127.0.0.1:{asked.port} already.")
            return
        if not own:
            path = access_file(asked.port)
            print(f"The UI asks for a secret: the value of PREFECT_API_AUTH_STRING in {path}.")
            print(f"For `prefect` in another terminal: . {path}")
        if asked.host not in LOOPBACK:
            print_note(
                f"it listens on {asked.host}: whoever reaches that and knows the secret can run code here. "
                "Passwords travel unencrypted unless something in front of it speaks TLS."
            )
    except UserError as error:
        print_error(str(error))
        sys.exit(2)
    os.environ.update(server_settings(asked.port, asked.host, auth))
    sys.stdout.flush()
    words = ["-m", "prefect", "server", "start", "--host", asked.host, "--port", str(asked.port)]
    os.execv(sys.executable, [sys.executable, *words])


def server_settings(port: int, host: str, auth: str) -> dict[str, str]:
    """Return what the server reads from its environment; a database of one's own stays as it is set."""
    return {
        SERVER_AUTH: auth,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_HOST": host,
        "PREFECT_SERVER_API_PORT": str(port),  # the UI asks here; `--port` alone leaves it at 4200
        "PREFECT_UI_URL": os.environ.get("PREFECT_UI_URL", f"http://127.0.0.1:{port}"),  # links in messages
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": os.environ.get("CARRYFLOW_SERVER_LOG", "WARNING"),
        "DO_NOT_TRACK": "1",
    }


def _answers(port: int, auth: str) -> bool:
    """Say whether our server is there; raise where the port is another's."""
    request = Request(f"http://127.0.0.1:{port}/api/admin/version")
    request.add_header("Authorization", f"Basic {b64encode(auth.encode()).decode()}")
    taken = ConfigError(
        f"port {port} is in use by another program.", remedy="Choose one: make server PORT=..."
    )
    try:
        with urlopen(request, timeout=_PATIENCE_S) as answer:
            if answer.status == 200:
                return True
            raise taken
    except HTTPError as error:
        if error.code == 401:
            raise ConfigError(
                f"a server that has another secret answers on port {port}.",
                remedy="Stop it, or choose another port: make server PORT=...",
            ) from error
        raise taken from error
    except (URLError, OSError) as error:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                raise taken from error
        return False


if __name__ == "__main__":
    main()
