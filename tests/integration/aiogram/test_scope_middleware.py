"""One scope for each update of an aiogram bot."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import pytest
from aiogram.dispatcher.event.bases import UNHANDLED
from aiogram.methods import SendMessage
from aiogram.types import Message
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import sessionmaker

from sqla_safe import (
    AsyncScope,
    RollbackOnlyError,
    ScopeOptionError,
    ScopeSourceError,
    ScopeTimeoutError,
    ServiceBuildError,
    current_scope,
    scoped_services,
)
from sqla_safe.ext.aiogram import ScopeMiddleware
from tests.integration.aiogram.support import Chat, Counter, Notes, Sessions, checked_out
from tests.integration.containers.support import import_without


async def test_a_handler_that_returns_has_stored(chat: Chat) -> None:
    """What a service wrote is in the database when the update has been handled."""
    chat.use(notes=Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Any) -> str:
        await notes.add(message.text)
        return "done"

    assert await chat.write("a") == "done"
    assert await chat.stored() == ["a"]


async def test_a_handler_that_raises_has_stored_nothing(chat: Chat) -> None:
    """Its error leaves the dispatcher unchanged, and the scope is rolled back."""
    chat.use(notes=Notes)
    error = ValueError("no")

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes) -> None:
        await notes.add("a")
        raise error

    with pytest.raises(ValueError, match="no") as raised:
        await chat.write()
    assert raised.value is error
    assert await chat.stored() == []


async def test_a_cancelled_handler_has_stored_nothing(chat: Chat, engine: AsyncEngine) -> None:
    """A cancellation, such as that of a shutdown, rolls back and gives the connection back."""
    chat.use(notes=Notes)
    reached = asyncio.Event()

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes) -> None:
        await notes.add("a")
        reached.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(chat.write())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await chat.stored(), checked_out(engine)) == ([], 0)


async def test_blocks_in_a_handler_join(chat: Chat) -> None:
    """`scoped_services` anywhere below works on the session and the instances of the update."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, scope: Any) -> bool:
        async with scoped_services(chat.sessions, Notes) as inner:
            await inner.add("a")
        return inner is notes and current_scope(chat.sessions).session is scope.session

    assert await chat.write()
    assert await chat.stored() == ["a"]


async def test_a_swallowed_error_of_a_joined_block_stores_nothing(chat: Chat) -> None:
    """Half of an update is never stored: the end of the scope says so."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes) -> None:
        await notes.add("a")
        try:
            async with scoped_services(chat.sessions, Notes) as inner:
                await inner.add("a")
        except IntegrityError:
            pass

    with pytest.raises(RollbackOnlyError, match="the error was swallowed"):
        await chat.write()
    assert await chat.stored() == []


async def test_no_statement_takes_no_connection(chat: Chat, engine: AsyncEngine) -> None:
    """An update that needs no database, or that nobody handles, costs no connection."""
    chat.use(Notes)
    seen = []

    @chat.dispatcher.message(lambda message: message.text == "known")
    async def handler(message: Message, notes: Notes) -> None:
        seen.append(checked_out(engine))

    await chat.write("known")
    assert await chat.write("unknown") is UNHANDLED
    assert seen == [0]


async def test_the_scope_is_opened_where_the_middleware_was_made(chat: Chat) -> None:
    """`opened_at` names a line of the bot and not one of aiogram."""
    chat.use()

    @chat.dispatcher.message()
    async def handler(message: Message, scope: AsyncScope[AsyncSession]) -> str:
        return scope.opened_at

    assert "support.py:" in await chat.write()


# answers after the commit


async def test_on_commit_answers_after_the_data_is_stored(chat: Chat) -> None:
    """The callback finds the row, and sends what `message.answer` returns."""
    chat.use(Notes)
    seen = []

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, scope: AsyncScope[AsyncSession]) -> None:
        async def look() -> None:
            seen.extend(await chat.stored())

        await notes.add("a")
        scope.on_commit(look)
        scope.on_commit(lambda: message.answer("stored"))
        assert chat.wire.sent == []

    await chat.write()
    assert (seen, chat.wire.sent[0].text) == (["a"], "stored")


async def test_on_commit_does_not_answer_after_a_rollback(chat: Chat) -> None:
    """Nobody is told of what was not stored."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, scope: AsyncScope[AsyncSession]) -> None:
        scope.on_commit(lambda: message.answer("stored"))
        await notes.add("a")
        await notes.add("a")

    with pytest.raises(IntegrityError):
        await chat.write()
    assert chat.wire.sent == []


async def test_a_returned_method_is_sent_after_the_commit(chat: Chat) -> None:
    """The dispatcher gets the method back from a scope that has ended."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes) -> SendMessage:
        await notes.add("a")
        return message.answer("stored")

    assert isinstance(await chat.write(), SendMessage)
    assert await chat.stored() == ["a"]


async def test_commit_releases_the_connection_for_a_slow_call(
    chat: Chat, engine: AsyncEngine
) -> None:
    """After `scope.commit()` the work is stored, and the pool has its connection back."""
    chat.use(Notes)
    seen: list[Any] = []

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, scope: AsyncScope[AsyncSession]) -> None:
        await notes.add("a")
        await scope.commit()
        seen.extend([checked_out(engine), await chat.stored()])
        await notes.add("b")

    await chat.write()
    assert seen == [0, ["a"]]
    assert await chat.stored() == ["a", "b"]


# options and refusals


async def test_a_timeout_bounds_the_update(chat: Chat) -> None:
    """A handler that takes too long is rolled back with `ScopeTimeoutError`."""
    chat.use(Notes, timeout=0.05)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes) -> None:
        await notes.add("a")
        await asyncio.sleep(10)

    with pytest.raises(ScopeTimeoutError):
        await chat.write()
    assert await chat.stored() == []


def test_only_an_async_sessionmaker_is_taken() -> None:
    """Anything else is refused where the middleware is made."""
    maker: Any = sessionmaker(create_engine("sqlite://"))
    for wrong in (maker, maker.kw["bind"], None):
        with pytest.raises(ScopeSourceError):
            ScopeMiddleware(wrong)


def test_an_impossible_option_is_refused_at_once() -> None:
    """A wrong timeout does not wait for the first update."""
    maker: Sessions = async_sessionmaker()
    with pytest.raises(ScopeOptionError):
        ScopeMiddleware(maker, timeout=-1)


async def test_a_service_that_cannot_be_built_is_named(chat: Chat) -> None:
    """The first update that asks for it raises, before any connection is taken."""
    broken: Any = Counter
    chat.use(broken)

    @chat.dispatcher.message()
    async def handler(message: Message, counter: Counter) -> None: ...

    with pytest.raises(ServiceBuildError, match="Counter"):
        await chat.write()


def test_it_works_without_a_dispatcher() -> None:
    """Called by hand, as in a unit test of a handler, it still opens a scope."""
    middleware = ScopeMiddleware(async_sessionmaker())

    async def handler(event: Any, data: dict[str, Any]) -> bool:
        return bool(data["scope"].is_active)

    event: Any = None
    assert asyncio.run(middleware(handler, event, {}))


def test_importing_sqla_safe_imports_no_aiogram() -> None:
    """The integration is loaded only by those who import it."""
    code = "import sqla_safe, sys; from sqla_safe import *; assert 'aiogram' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_a_missing_framework_gives_one_line() -> None:
    """It names the extra."""
    said = "aiogram is not installed. Instead: pip install 'sqla-safe[aiogram]' [SQS140]"
    assert import_without("aiogram") == said
