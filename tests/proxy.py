"""A TCP proxy between a driver and its server, for faults of the network that can be timed.

It runs in the test's own event loop. What the driver sends is only looked at, never changed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

HOST = "127.0.0.1"
CHUNK = 65536

Fault = Literal["lost", "answer lost", "cut", "silent", "slow"]


@dataclass
class Proxy:
    """Forwards bytes, until it is told otherwise.

    Attributes:
        port: Where it listens.
        links: The connections through it that are open.
        delay: Seconds that each answer of the server is held back.
    """

    server_port: int
    port: int = 0
    delay: float = 0.0
    links: list[Link] = field(default_factory=list)
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _refuses: bool = False
    _word: re.Pattern[bytes] | None = None
    _fault: Fault = "cut"
    _then_refuse: bool = False
    hit: asyncio.Event = field(default_factory=asyncio.Event)

    def silence(self) -> None:
        """Forward nothing any more, in either direction; connections stay open."""
        self._open.clear()

    def resume(self) -> None:
        """Forward again, beginning with what was held back."""
        self._open.set()

    def refuse(self) -> None:
        """Hang up on whoever connects from now on."""
        self._refuses = True

    def accept(self) -> None:
        """Undo `refuse`."""
        self._refuses = False

    def cut(self) -> None:
        """Close all connections, on both sides."""
        for link in list(self.links):
            link.cut()

    def at(self, word: str, fault: Fault, *, then_refuse: bool = False) -> None:
        """Prepare one fault for when the driver next sends a word, such as ``COMMIT``.

        Args:
            word: What to look for in the bytes that the driver sends.
            fault: ``lost`` cuts the connection before the server gets it; ``answer lost`` cuts it
                when the server answers, and keeps the answer; ``cut`` cuts it as soon as the server
                has it; ``silent`` stops forwarding before the server gets it; ``slow`` forwards it
                and holds the answer back for `delay` seconds.
            then_refuse: Whether nobody can connect afterwards.
        """
        self._word = re.compile(rb"(?<![A-Z])" + word.encode())  # no AUTOCOMMIT, please
        self._fault, self._then_refuse = fault, then_refuse
        self.hit.clear()

    def _is_hit(self, data: bytes) -> bool:
        if self._word is None or not self._word.search(data):
            return False
        self._word = None
        self._refuses = self._refuses or self._then_refuse
        self.hit.set()
        return True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        link = Link(self, reader, writer, *await asyncio.open_connection(HOST, self.server_port))
        self.links.append(link)
        try:
            await link.run()
        finally:
            link.cut()
            self.links.remove(link)

    async def _up(self, link: Link, data: bytes) -> None:
        """Forward what the driver sent."""
        await self._open.wait()
        if self._is_hit(data):
            if self._fault == "lost":
                link.cut()
                return
            if self._fault == "silent":
                self.silence()
                await self._open.wait()
            link.keeps_answer = self._fault == "answer lost"
            link.delay = self.delay if self._fault == "slow" else 0.0
            link.to_server.write(data)
            await link.to_server.drain()
            if self._fault == "cut":
                link.cut()
            return
        link.to_server.write(data)
        await link.to_server.drain()

    async def _down(self, link: Link, data: bytes) -> None:
        """Forward what the server answered."""
        await self._open.wait()
        if link.keeps_answer:
            link.cut()
            return
        if link.delay:
            await asyncio.sleep(link.delay)
            link.delay = 0.0
        link.to_driver.write(data)
        await link.to_driver.drain()


@dataclass
class Link:
    """One connection of a driver and what belongs to it on the server's side."""

    proxy: Proxy
    from_driver: asyncio.StreamReader
    to_driver: asyncio.StreamWriter
    from_server: asyncio.StreamReader
    to_server: asyncio.StreamWriter
    keeps_answer: bool = False
    delay: float = 0.0

    async def run(self) -> None:
        """Forward until one side hangs up."""
        pumps = [
            asyncio.create_task(self._pump(self.from_driver, self.proxy._up)),  # noqa: SLF001
            asyncio.create_task(self._pump(self.from_server, self.proxy._down)),  # noqa: SLF001
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, forward) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await forward(self, data)
            await self.proxy._open.wait()  # noqa: SLF001  (a silent network tells nobody of an end)

    def cut(self) -> None:
        """Reset both sides."""
        self.to_driver.transport.abort()
        self.to_server.transport.abort()


@asynccontextmanager
async def proxy_to(server_port: int) -> AsyncIterator[Proxy]:
    """Run a proxy to a server on this machine until the block ends."""
    proxy = Proxy(server_port)
    proxy.resume()
    server = await asyncio.start_server(proxy._serve, HOST, 0)  # noqa: SLF001
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.resume()
        proxy.cut()
        while proxy.links:  # noqa: ASYNC110  (they end by themselves, in a moment)
            await asyncio.sleep(0.001)
