"""Rule 8: a server that stops answering cannot hang the end of a scope."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest
from sqlalchemy import text

from sqla_safe import CommitOutcomeUnknownError, configure, scoped_services
from tests.integration.scopes.async_.support import (
    on_postgres,
    on_servers,
    only_on,
)
from tests.integration.scopes.models import Note, Notes, stored
from tests.patience import ends_within, in_time

CLEANUP = 0.3
"""Seconds of `cleanup_timeout` here."""


def ends_in_time():
    """Assert that the block takes no longer than the clean-up may."""
    return ends_within(CLEANUP)


@on_servers
async def test_error_between_statements(proxied):
    """An error leaves the block in time and unchanged although ROLLBACK gets no answer."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)
    own = KeyError("own")
    with pytest.raises(KeyError) as caught:
        async with scoped_services(proxied.maker) as scope:
            await scope.get(Notes).add("a")
            proxied.proxy.silence()
            before = time.monotonic()
            raise own
    in_time(before, CLEANUP)
    assert caught.value is own
    assert scope.outcome == "rolled_back"
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []


@only_on("asyncpg")
async def test_error_with_the_default_timeout(proxied):
    """Without configuration the end takes no longer than 2 seconds."""
    with pytest.raises(KeyError):
        async with scoped_services(proxied.maker, Notes) as notes:
            await notes.add("a")
            proxied.proxy.silence()
            before = time.monotonic()
            raise KeyError
    in_time(before, 2.0)
    assert proxied.engine.pool.checkedout() == 0


@on_postgres
async def test_cancelled_between_statements(proxied):
    """A scope that is cancelled while the server is silent ends in time."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)

    async def victim() -> None:
        async with scoped_services(proxied.maker, Notes) as notes:
            await notes.add("a")
            proxied.proxy.silence()
            began.set()
            await asyncio.sleep(30)

    began = asyncio.Event()
    task = asyncio.create_task(victim())
    await began.wait()
    with ends_in_time():
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []


@on_servers
@pytest.mark.parametrize("times", [1, 3])
async def test_cancelled_in_a_statement(proxied, times):
    """A scope that is cancelled, also often, in a statement without an answer ends in time."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)

    async def victim() -> None:
        async with scoped_services(proxied.maker, Notes) as notes:
            await notes.add("a")
            proxied.proxy.silence()
            began.set()
            await notes.session.execute(text("SELECT 1"))

    began = asyncio.Event()
    task = asyncio.create_task(victim())
    await began.wait()
    await asyncio.sleep(0.02)
    with ends_in_time():
        for _ in range(times):
            task.cancel()
            await asyncio.sleep(0.005)
        await asyncio.wait([task])
    assert task.cancelled()
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []


@on_postgres
async def test_anyio_scope_in_a_statement(proxied):
    """An anyio scope that is cancelled in a statement without an answer ends in time."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)
    async with scoped_services(proxied.maker) as warm:
        await warm.session.execute(text("SELECT 1"))
    before = time.monotonic()
    with anyio.move_on_after(0.2) as limit:
        async with scoped_services(proxied.maker, Notes) as notes:
            await notes.add("a")
            proxied.proxy.silence()
            await notes.session.execute(text("SELECT 1"))
    in_time(before, 0.2 + CLEANUP)
    assert limit.cancelled_caught
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []


@on_postgres
async def test_timeout_in_a_statement(proxied):
    """asyncio.timeout around a statement without an answer raises TimeoutError in time."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)
    with pytest.raises(TimeoutError):
        async with scoped_services(proxied.maker, Notes) as notes:
            await notes.add("a")
            proxied.proxy.silence()
            before = time.monotonic()
            async with asyncio.timeout(0.1):
                await notes.session.execute(text("SELECT 1"))
    in_time(before, 0.1 + CLEANUP)
    assert proxied.engine.pool.checkedout() == 0


@on_servers
async def test_commit_without_an_answer(proxied):
    """A COMMIT that gets no answer ends in time, saying that nobody knows its outcome."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)
    proxied.proxy.at("COMMIT", "silent")
    with pytest.raises(CommitOutcomeUnknownError):
        async with scoped_services(proxied.maker) as scope:
            await scope.get(Notes).add("a")
            before = time.monotonic()
    in_time(before, CLEANUP)
    assert scope.outcome == "unknown"
    assert proxied.engine.pool.checkedout() == 0


@on_postgres
async def test_flush_without_an_answer(proxied):
    """A last flush that gets no answer can be cancelled, and ends in time."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)

    async def victim() -> None:
        async with scoped_services(proxied.maker) as scope:
            await scope.session.execute(text("SELECT 1"))
            scope.session.add(Note(text="a"))
            proxied.proxy.silence()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            task = asyncio.create_task(victim())
            await asyncio.shield(task)
    with ends_in_time():
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []


@on_servers
async def test_many_scopes_at_once(proxied):
    """A whole pool of scopes over a server that fell silent ends in time, and no slot is lost."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)
    ready = asyncio.Barrier(6)
    silent = asyncio.Event()

    async def victim(number: int) -> None:
        async with scoped_services(proxied.maker, Notes) as notes:
            await notes.add(str(number))
            await ready.wait()
            await silent.wait()
            raise KeyError(number)

    tasks = [asyncio.create_task(victim(number)) for number in range(5)]
    await ready.wait()
    proxied.proxy.silence()
    with ends_in_time():
        silent.set()
        await asyncio.wait(tasks)
    assert [task.exception().args for task in tasks] == [(number,) for number in range(5)]
    assert proxied.engine.pool.checkedout() == 0


@on_postgres
async def test_server_that_answers_late_is_waited_for(proxied):
    """A server that takes less than cleanup_timeout for its answer keeps its connection."""
    configure(proxied.maker, cleanup_timeout=CLEANUP)
    proxied.proxy.delay = CLEANUP / 3
    proxied.proxy.at("COMMIT", "slow")
    async with scoped_services(proxied.maker, Notes) as notes:
        await notes.add("a")
    assert proxied.engine.pool.checkedin() == 1
    assert stored(proxied.database) == ["a"]
