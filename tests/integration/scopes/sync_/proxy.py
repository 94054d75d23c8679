"""A TCP proxy in threads: it can cut the connection at COMMIT, fall silent, and refuse.

Each mischief is done once, to the connection that sends the next COMMIT.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from tests.servers import HOST

COMMIT = re.compile(rb"\bCOMMIT\b")  # and not PyMySQL's SET AUTOCOMMIT
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
        self._cut_at_answer: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

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
        """Stop, and leave neither a thread nor a socket behind."""
        _shut(self._listener)
        self._talks.set()
        self.cut()
        for thread in self._threads:
            thread.join(5)
        for end in [self._listener, *(end for pair in self._pairs for end in pair)]:
            end.close()

    def _start(self, work: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

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
                self._start(work, client, server)

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                self._talks.wait()
                if self.mischief != "none" and COMMIT.search(data):
                    mischief, self.mischief = self.mischief, "none"
                    self.refuses = self.refuses or self.refuses_after_commit
                    if mischief == "cut_before_commit":
                        break
                    if mischief == "cut_after_commit":
                        self._cut_at_answer.add(client)
                    if mischief == "silent_after_commit":
                        self._talks.clear()
                server.sendall(data)
        _shut(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                self._talks.wait()
                if client in self._cut_at_answer:
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
