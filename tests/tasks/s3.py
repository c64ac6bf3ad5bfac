"""An S3-compatible server on loopback, and a way to it that breaks when told to."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress


class Proxy:
    """Forwards connections on loopback, and cuts them: by bytes, as often as asked, or all of them."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cut: list[str] = []
        """Which way each cut went: up to the server, down from it."""
        self._mutex = threading.Lock()
        self._open: set[socket.socket] = set()
        self._arms: dict[str, list[int]] = {"up": [], "down": []}
        self._passed = {"up": 0, "down": 0}
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def arm(self, way: str, *after: int) -> None:
        """Cut the connection by which so many bytes have gone one way since now, or since the cut before."""
        with self._mutex:
            self._arms[way], self._passed[way] = list(after), 0

    def close(self) -> None:
        """Be gone: nothing listens, and what was open is cut."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._mutex:
            for one in self._open:
                _reset(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            with self._mutex:
                self._open |= {client, server}
            for pair in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, way: str) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 14):
                with self._mutex:
                    self._passed[way] += len(data)
                    arms = self._arms[way]
                    if arms and self._passed[way] > arms[0]:
                        data = data[: max(0, len(data) - (self._passed[way] - arms.pop(0)))]
                        self._passed[way] = 0
                        self.cut.append(way)
                        target.sendall(data)
                        break
                target.sendall(data)
        for one in (source, target):
            _reset(one)


def _reset(one: socket.socket) -> None:
    """Close a connection as a broken one is closed: at once, and with an error at the other end."""
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RDWR)
    one.close()
