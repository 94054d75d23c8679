"""The bot in processes of its own, one or several, and who spreads the updates over them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from aiohttp import ClientConnectionError, ClientSession, web

from avatar_bot.simulator.api import TOKEN

ROOT = Path(__file__).resolve().parents[3]
QUICK = str(Path(__file__).with_name("quick_bot.py"))


@asynccontextmanager
async def bot_process(address: str, *arguments: str, **variables: str) -> AsyncIterator[Process]:
    """Run `python -m avatar_bot` on a Bot API; at the end stop it as a container is stopped.

    It has to end with 0 then, unless the block has ended it in another way.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BOT_TOKEN": TOKEN}
    environment |= {"BOT_API_URL": address, **variables}
    command = [sys.executable, "-W", "error", *(arguments or ("-m", "avatar_bot"))]
    bot = await asyncio.create_subprocess_exec(*command, cwd=ROOT / "examples", env=environment)
    try:
        yield bot
    finally:
        if bot.returncode is None:
            bot.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(bot.wait(), 30) == 0


class Balancer:
    """Takes the posts of Telegram and hands them to the workers in turn.

    Attributes:
        pinned: Chats whose updates all go to one worker's port.
        handed: For each port, the updates that its worker has taken.
    """

    def __init__(self, ports: list[int], client: ClientSession) -> None:
        self.ports = ports
        self.pinned: dict[int, int] = {}
        self.handed: dict[int, list[Any]] = defaultdict(list)
        self._client = client
        self._turns = count()

    async def hand_over(self, request: web.Request) -> web.Response:
        """Hand over an update; when its worker is not there, to the next one."""
        update = await request.json()
        name = "X-Telegram-Bot-Api-Secret-Token"
        headers = {name: request.headers[name]}
        for port in self._order(update):
            url = f"http://127.0.0.1:{port}{request.path}"
            try:
                async with self._client.post(url, json=update, headers=headers) as answer:
                    self.handed[port].append(update)
                    return web.Response(status=answer.status)
            except ClientConnectionError:
                continue
        return web.Response(status=502)

    def _order(self, update: Any) -> list[int]:
        person = update.get("message", update.get("callback_query", {}))["from"]
        if (port := self.pinned.get(person["id"])) is not None:
            return [port]
        turn = next(self._turns) % len(self.ports)
        return self.ports[turn:] + self.ports[:turn]


@asynccontextmanager
async def balancing(port: int, workers: list[int]) -> AsyncIterator[Balancer]:
    """Listen on a port for the workers that listen on others."""
    async with ClientSession() as client:
        balancer, app = Balancer(workers, client), web.Application()
        app.router.add_post("/{path:.*}", balancer.hand_over)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
            yield balancer
        finally:
            await runner.cleanup()
