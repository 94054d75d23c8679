"""A TCP proxy in threads: it can cut the connection at COMMIT, fall silent, and refuse."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from tests.servers import HOST

Mischief = Literal["none", "cut_before_commit", "cut_after_commit", "silent_after_commit"]


class Proxy:
    """Passes bytes on between clients and one server, until it is told to misbehave."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self._talks = threading.Event()
        self._talks.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self.mischief: Mischief = "none"
        self.refuses = False
        self.refuses_after_commit = False
        self.commits = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def behave(self) -> None:
        """Pass everything on from now on."""
        self.mischief, self.refuses, self.refuses_after_commit = "none", False, False
        self._talks.set()

    def fall_silent(self) -> None:
        """Pass nothing on, in neither direction, and keep the connections open."""
        self._talks.clear()

    def cut(self) -> None:
        """Close all connections on both sides."""
        for pair in self._pairs:
            for end in pair:
                _shut(end)

    def close(self) -> None:
        """Stop."""
        _shut(self._listener)
        self._listener.close()
        self._talks.set()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuses:
                client.close()
                continue
            server = socket.create_connection((HOST, self._server_port))
            self._pairs.append((client, server))
            for work in (self._to_server, self._to_client):
                threading.Thread(target=work, args=(client, server), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                self._talks.wait()
                if b"COMMIT" in data.upper():
                    self.commits += 1
                    self.refuses = self.refuses or self.refuses_after_commit
                    if self.mischief == "cut_before_commit":
                        break
                    if self.mischief == "silent_after_commit":
                        self._talks.clear()
                server.sendall(data)
        _shut(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                self._talks.wait()
                if self.commits and self.mischief == "cut_after_commit":
                    break
                client.sendall(data)
        _shut(client, server)


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_to(port: int | None) -> Iterator[Proxy]:
    """Run a proxy to a server on this machine."""
    assert port is not None
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
