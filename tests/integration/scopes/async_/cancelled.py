"""What the tests of cancellation share: a scope in a task of its own, and its end."""

from __future__ import annotations

import asyncio

from sqla_safe import scoped_services
from tests.integration.scopes.async_.support import slow_select
from tests.integration.scopes.models import Notes


async def result_of(task) -> BaseException | None:
    """Wait for the end of a task and return its exception (gather would make a new one)."""
    await asyncio.wait([task])
    try:
        await task
    except BaseException as error:
        return error
    return None


async def at_work(begun: asyncio.Event) -> None:
    """Wait until a statement was given to the driver, and a moment for aiosqlite's thread."""
    await begun.wait()
    await asyncio.sleep(0.03)


class Work:
    """One scope in a task of its own, and what became of it."""

    def __init__(self, maker, body, text: str = "a") -> None:
        self.scope = None
        self.ran = []
        self.began = asyncio.Event()
        self._maker = maker
        self._body = body
        self._text = text
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with scoped_services(self._maker) as self.scope:
            self.scope.on_commit(lambda: self.ran.append("commit"))
            self.scope.on_rollback(lambda: self.ran.append("rollback"))
            await self.scope.get(Notes).add(self._text)
            self.began.set()
            await self._body(self.scope)

    async def result(self) -> BaseException | None:
        """Wait for the end; return what left the block."""
        return await result_of(self.task)


async def nothing(_scope) -> None:
    """End the block at once."""


async def idle(_scope) -> None:
    """Keep the transaction open over something slow."""
    await asyncio.sleep(30)


async def slow_statement(database):
    """Return a body that runs a slow statement."""
    statement = slow_select(database, 1 if database.dialect == "sqlite" else 3)

    async def body(scope) -> None:
        await scope.session.execute(statement)

    return body
