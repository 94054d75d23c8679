"""Two tasks or threads on one session, outside of scopes."""

from __future__ import annotations

import asyncio
import threading

import pytest
from sqlalchemy import event

from sqla_safe import ConcurrentUseError
from tests.integration.guard.models import User
from tests.integration.guard.support import of


async def test_gather_on_one_session_is_refused(amaker):
    """The error names both tasks; the block ends well and the pool is whole."""
    with pytest.raises(ConcurrentUseError) as caught:
        async with amaker() as session:
            await asyncio.gather(*(session.get(User, n) for n in (1, 2, 3)))
    assert of(caught.value).code == "SQS153"
    async with amaker() as session:
        assert (await session.get(User, 1)).name == "user 1"


async def test_a_gather_of_the_sessions_own_coroutines_has_a_line(amaker):
    """Such tasks hold no code of the user's: the line that waits for them is named."""
    with pytest.raises(ConcurrentUseError) as caught:
        async with amaker() as session:
            await asyncio.gather(session.get(User, 1), session.get(User, 2))
    assert "tests/integration/guard/test_concurrent_use.py:" in caught.value.second_at
    assert of(caught.value).read == caught.value.second_at


async def test_gather_in_a_begin_block_is_refused(amaker):
    """The second waits for the first to finish, so that the block can roll back."""
    with pytest.raises(ConcurrentUseError):
        async with amaker.begin() as session:
            await asyncio.gather(*(session.get(User, n) for n in (1, 2, 3)))
    async with amaker() as session:
        assert (await session.get(User, 1)).name == "user 1"


async def test_a_warm_session_is_watched_too(amaker):
    """It does not take a connection that is still being opened."""
    async with amaker() as session:
        await session.get(User, 4)
        with pytest.raises(ConcurrentUseError):
            await asyncio.gather(*(session.get(User, n) for n in (1, 2, 3)))


async def test_one_after_the_other_is_fine(amaker):
    """Overlap counts, not ownership."""
    async with amaker() as session:
        for n in (1, 2, 3):
            await asyncio.create_task(session.get(User, n))
        assert await asyncio.wait_for(session.get(User, 4), 5)


def test_threads_on_one_session_are_refused(maker):
    """A thread that comes while another's statement runs is told so."""
    inside, go_on = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def wait(*_: object) -> None:
        inside.set()
        go_on.wait(5)

    def use() -> None:
        inside.wait(5)
        try:
            session.get(User, 2)
        except ConcurrentUseError as error:
            failed.append(error)
        finally:
            go_on.set()

    thread = threading.Thread(target=use, name="second")
    with maker() as session:
        event.listen(session.connection(), "before_cursor_execute", wait)
        thread.start()
        session.get(User, 1)
        thread.join(5)
    [error] = failed
    assert "thread 'second'" in str(error)
