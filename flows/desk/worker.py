"""`make worker`: a process worker of the desk's pool, named after this machine."""

from __future__ import annotations

import os
import socket
import sys

from flows import settings
from flows.desk.deploy import POOL


def main() -> None:
    """Start the worker in place of this process."""
    settings.apply()
    name = f"{POOL} {socket.gethostname()}"
    words = ["-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", name]
    os.execv(sys.executable, [sys.executable, *words])


if __name__ == "__main__":
    main()
