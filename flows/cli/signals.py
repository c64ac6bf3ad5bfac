"""Ctrl-C and SIGTERM end the command within ten seconds, whatever it is doing.

Training writes its state every few seconds, so there is nothing to save at the end. What
could take long is saying goodbye to a server that died of the same Ctrl-C; a watcher thread
cuts that short.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Final

GRACE_S: Final = 6.0


class Terminated(BaseException):
    """SIGTERM arrived while no flow was running."""


def watch_signals() -> None:
    """Turn SIGTERM into `Terminated`, and end the process `GRACE_S` after either signal if it has not ended.

    The watcher reads the interpreter's wake-up socket, so it sees a signal whoever handles it:
    Prefect puts its own handler in place while a flow runs.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)
        end_soon_after_signals()


def end_soon_after_signals() -> None:
    """End the process `GRACE_S` after either signal if it has not ended; whoever handles them is left alone.

    For runs of a worker too: a cancelled one was seen to stay for the 30 s after which Prefect kills it. Does
    nothing where it was called before, or outside of the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.set_wakeup_fd(-1)
    if before != -1:
        signal.set_wakeup_fd(before, warn_on_full_buffer=False)
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, writer), name="signal-watch", daemon=True).start()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _watch(reader: socket.socket, writer: socket.socket) -> None:
    while True:  # `writer` is an argument only to be kept alive
        data = reader.recv(1)
        if not data:
            return
        number = data[0]
        if number in (signal.SIGINT, signal.SIGTERM):
            break
    time.sleep(GRACE_S)
    _stop_server()
    sys.stderr.flush()
    os._exit(128 + number)


def _stop_server() -> None:
    """End the server a script run started: it outlives a process that leaves by `os._exit`."""
    module = sys.modules.get("prefect.server.api.server")
    if module is None:
        return
    for server in list(module.SubprocessASGIServer._instances.values()):
        if server.server_process is not None:
            server.server_process.kill()
