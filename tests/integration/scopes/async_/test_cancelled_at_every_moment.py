"""Rule 8: the outcome is known, at whatever moment a cancellation comes."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import scoped_services
from tests.integration.scopes.async_.cancelled import Work, idle, nothing, result_of
from tests.integration.scopes.async_.support import on_servers
from tests.integration.scopes.models import Note, Notes, stored

MOMENTS = 24
"""At how many moments of one scope's life the cancellation comes."""


async def pass_time(seconds: float) -> None:
    """Let other tasks run for so long, more exactly than asyncio.sleep can."""
    due = time.perf_counter() + seconds
    while time.perf_counter() < due:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def cancelled_after(seconds: float, how: str, work) -> BaseException | None:
    """Run a coroutine and cancel it after so many seconds; return what left it."""
    if how == "by anyio":
        left = None

        async def run() -> None:
            nonlocal left
            try:
                await work
            except BaseException as error:
                left = error
                raise

        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await pass_time(seconds)
            group.cancel_scope.cancel()
        return left
    task = asyncio.create_task(work)
    await pass_time(seconds)
    for _ in range({"once": 1, "twice": 2, "thrice": 3}[how]):
        task.cancel()
        await pass_time(0.0002)
    return await result_of(task)


@pytest.mark.parametrize("how", ["once", "twice", "thrice", "by anyio"])
@pytest.mark.parametrize("pool_of", ["cold", "warm"])
async def test_at_every_moment(maker, async_engine, async_database, how, pool_of):
    """Whenever the cancellation comes, the outcome is committed exactly when the data is stored."""
    scopes = {}

    async def work(name: str) -> None:
        async with scoped_services(maker) as scopes[name]:
            await scopes[name].get(Notes).add(name)
            scopes[name].session.add(Note(text=f"{name} too"))

    await work("the first")
    before = time.perf_counter()
    if pool_of == "cold":
        await async_engine.dispose()
    await work("the second")
    needed = time.perf_counter() - before
    for moment in range(MOMENTS):
        if pool_of == "cold":
            await async_engine.dispose()
        name = f"{moment}"
        error = await cancelled_after(1.2 * needed * moment / MOMENTS, how, work(name))
        assert async_engine.pool.checkedout() == 0
        if error is not None and name in scopes:
            assert isinstance(error, asyncio.CancelledError)
            if scopes[name].outcome == "committed":
                assert any("stored" in note for note in error.__notes__)
    texts = stored(async_database)
    for name, scope in scopes.items():
        assert scope.outcome in ("committed", "rolled_back")
        kept = [text for text in texts if text in (name, f"{name} too")]
        assert kept == ([name, f"{name} too"] if scope.outcome == "committed" else [])
    assert {scope.outcome for scope in scopes.values()} == {"committed", "rolled_back"}


@on_servers
async def test_while_waiting_for_a_connection(async_database, maker, make_async_engine):
    """A scope that is cancelled while the pool has no connection for it loses none."""
    engine = make_async_engine(async_database, pool_size=1)
    small = async_sessionmaker(engine)
    holder = Work(small, idle, "holder")
    await holder.began.wait()
    waiting = [Work(small, nothing, str(number)) for number in range(5)]
    await asyncio.sleep(0.02)
    for work in waiting:
        work.task.cancel()
    for work in waiting:
        assert isinstance(await work.result(), asyncio.CancelledError)
        assert work.scope.outcome == "rolled_back"
    holder.task.cancel()
    await holder.result()
    assert engine.pool.checkedout() == 0
    async with scoped_services(small, Notes) as notes:
        await notes.add("next")
    assert stored(async_database) == ["next"]
