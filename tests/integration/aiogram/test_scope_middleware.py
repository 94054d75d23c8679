"""One scope for each update of an aiogram bot."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from aiogram import Router
from aiogram.dispatcher.event.bases import UNHANDLED, CancelHandler, SkipHandler
from aiogram.methods import SendMessage
from aiogram.types import ErrorEvent, Message
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import sessionmaker

from sqla_safe import (
    AsyncScope,
    NoScopeError,
    RollbackOnlyError,
    ScopeClosedError,
    ScopeOptionError,
    ScopeSourceError,
    ScopeTimeoutError,
    ServiceBuildError,
    current_scope,
    inject,
    scoped_services,
)
from sqla_safe.ext.aiogram import ScopeMiddleware
from tests.integration.aiogram.support import Chat, Counter, Notes, Sessions, checked_out
from tests.integration.containers.support import import_without

if TYPE_CHECKING:
    from tests.integration.aiogram.support import Counter as OnlyForCheckers


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


# what handlers get


async def test_annotations_choose_the_service(chat: Chat) -> None:
    """A parameter of any name gets the service of its annotation, built once for an update."""
    chat.use(Notes, inject(Counter, start=5))

    @chat.dispatcher.message()
    async def handler(
        message: Message,
        n: Notes,
        c: Annotated[Counter, "the counter"],
        db: AsyncSession,
        s: AsyncScope[AsyncSession],
    ) -> int:
        assert c.notes is n
        assert n.session is c.session is db is s.session
        await n.add("a")
        return await c.count()

    assert await chat.write() == 6


async def test_an_annotation_for_checkers_only_is_found_by_name(chat: Chat) -> None:
    """A class imported under `TYPE_CHECKING` cannot be read, and its name says enough."""
    chat.use(inject(Counter), Notes)

    async def handler(message: Message, counter: OnlyForCheckers, notes: Any) -> None: ...

    handler.__annotations__["counter"] = "support.Counter"
    handler.__annotations__["notes"] = "Unknown[int]"

    async def checked(message: Message, counter: Any, notes: Any = None) -> tuple[bool, Any]:
        return isinstance(counter, Counter), notes

    checked.__annotations__ = handler.__annotations__
    chat.dispatcher.message.register(checked)
    assert await chat.write() == (True, None)


async def test_a_service_can_be_named_and_annotated(chat: Chat) -> None:
    """A named service is found by its class too, and an annotation beats a name."""
    chat.use(Notes, notes=inject(Counter))

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, other: Counter) -> tuple[type, type]:
        return type(notes), type(other)

    assert await chat.write() == (Notes, Counter)


async def test_filters_get_named_services(chat: Chat) -> None:
    """A filter can ask the database, in the scope of the update."""
    chat.use(counter=inject(Counter))

    async def is_first(message: Message, counter: Counter, scope: Any) -> dict[str, Any] | bool:
        return {"seen": scope} if await counter.count() == 0 else False

    @chat.dispatcher.message(is_first)
    async def handler(message: Message, seen: Any, scope: Any) -> bool:
        return seen is scope

    assert await chat.write() is True


async def test_every_kind_of_callable_can_be_a_handler(chat: Chat) -> None:
    """Bound methods, partials and objects are read like functions."""
    chat.use(Notes)

    class Handlers:
        async def method(self, message: Message, notes: Notes, extra: int = 1) -> object:
            return type(notes), extra

    @dataclass
    class Unhashable:
        text: str

        async def __call__(self, message: Message, notes: Notes) -> object:
            return type(notes), self.text

    for callback in (Handlers().method, partial(Handlers().method, extra=2), Unhashable("x")):
        chat.dispatcher.message.handlers.clear()
        chat.dispatcher.message.register(callback)
        handled = await chat.write()
        if asyncio.iscoroutine(handled):  # aiogram does not await objects whose __call__ is async
            handled = await handled
        assert handled in {(Notes, 1), (Notes, 2), (Notes, "x")}


async def test_child_routers_are_served(chat: Chat) -> None:
    """Handlers of routers that are included get their annotations as well."""
    chat.use(Notes)
    router = Router()
    chat.dispatcher.include_router(router)

    @router.message()
    async def handler(message: Message, notes: Notes) -> type:
        return type(notes)

    assert [await chat.write(), await chat.write()] == [Notes, Notes]


async def test_a_router_can_have_a_scope_alone(chat: Chat) -> None:
    """On the outer middleware of one router, the others know nothing of it."""
    router = Router()
    router.message.outer_middleware(ScopeMiddleware(chat.sessions, Notes))
    chat.dispatcher.include_router(router)

    @router.message(lambda message: message.text == "inside")
    async def inside(message: Message, notes: Notes) -> None:
        await notes.add("a")

    @chat.dispatcher.message(lambda message: message.text == "outside")
    async def outside(message: Message, scope: Any = None) -> Any:
        with pytest.raises(NoScopeError):
            current_scope(chat.sessions)
        return scope

    await chat.write("inside")
    assert await chat.write("outside") is None
    assert await chat.stored() == ["a"]


async def forget_dispatcher(handler: Any, event: Any, data: dict[str, Any]) -> Any:
    """Do as aiogram did up to 3.28."""
    data.pop("dispatcher", None)
    return await handler(event, data)


@pytest.mark.parametrize("on", ["update", "router"])
async def test_an_older_aiogram_does_not_name_the_dispatcher(chat: Chat, on: str) -> None:
    """Annotations and error handlers are seen to all the same."""
    chat.dispatcher.update.outer_middleware(forget_dispatcher)
    router = Router()
    chat.dispatcher.include_router(router)
    observer = chat.dispatcher.update if on == "update" else router.message
    observer.outer_middleware(ScopeMiddleware(chat.sessions, Notes))
    chat.dispatcher.update.outer_middleware(forget_dispatcher)

    @router.message()
    async def handler(message: Message, notes: Notes) -> None:
        await notes.add("lost")
        raise ZeroDivisionError

    @chat.dispatcher.errors()
    async def on_error(event: ErrorEvent, notes: Notes) -> None:
        await notes.add("kept")

    await chat.write()
    assert await chat.stored() == ["kept"]


async def test_two_databases_do_not_mix(chat: Chat, engine: AsyncEngine) -> None:
    """Two middlewares give two scopes; a service is built from its own."""
    other = async_sessionmaker(engine, info={"other": True})
    chat.use(Notes)
    chat.dispatcher.update.outer_middleware(
        ScopeMiddleware(other, inject(Counter), scope_name="second")
    )

    @chat.dispatcher.message()
    async def handler(
        message: Message, notes: Notes, counter: Counter, scope: Any, second: Any
    ) -> bool:
        return notes.session is scope.session is not counter.session is second.session

    assert await chat.write()


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


# control flow


async def test_skip_handler_is_no_error(chat: Chat) -> None:
    """The next handler works in the same scope, with arguments of its own, and both are stored."""
    chat.use(Notes)
    scopes = []

    @chat.dispatcher.message()
    async def first(message: Message, mine: Notes, scope: Any) -> None:
        scopes.append(scope)
        await mine.add("a")
        raise SkipHandler

    @chat.dispatcher.message()
    async def second(message: Message, notes: Notes, scope: Any, mine: Any = None) -> Any:
        scopes.append(scope)
        await notes.add("b")
        return mine

    assert await chat.write() is None
    assert scopes[0] is scopes[1]
    assert await chat.stored() == ["a", "b"]


async def test_skip_handler_out_of_an_update_is_committed(chat: Chat) -> None:
    """A router's own middleware sees `SkipHandler` of an inner middleware, and commits too."""
    router = Router()
    router.message.outer_middleware(ScopeMiddleware(chat.sessions, notes=Notes))
    chat.dispatcher.include_router(router)

    @router.message.outer_middleware
    async def skip(handler: Any, event: Any, data: Any) -> None:
        await data["notes"].add("a")
        raise SkipHandler

    assert await chat.write() is UNHANDLED
    assert await chat.stored() == ["a"]


async def test_cancel_handler_is_no_error(chat: Chat) -> None:
    """It ends the update as aiogram means it, and what was written is stored."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes) -> None:
        await notes.add("a")
        raise CancelHandler

    with pytest.raises(CancelHandler):
        await chat.write()
    assert await chat.stored() == ["a"]


# error handlers


async def test_error_handlers_get_a_scope_of_their_own(chat: Chat) -> None:
    """It is open, is not the one that failed, and stores what the error handler writes."""
    chat.use(Notes, counter=inject(Counter))
    scopes = []

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, scope: Any) -> None:
        scopes.append(scope)
        await notes.add("lost")
        raise ZeroDivisionError

    @chat.dispatcher.errors()
    async def on_error(event: ErrorEvent, notes: Notes, counter: Any, scope: Any) -> str:
        scopes.append(scope)
        await notes.add("kept")
        return f"{await counter.count()} stored"

    assert await chat.write() == "1 stored"
    assert [scope.outcome for scope in scopes] == ["rolled_back", "committed"]
    assert await chat.stored() == ["kept"]


async def test_error_handlers_get_no_dead_session_through_other_keys(chat: Chat) -> None:
    """What the middleware put into aiogram's data is gone, and what was there before is back."""
    chat.dispatcher["notes"] = "the bot's own"
    chat.use(notes=Notes)
    data_after: list[dict[str, Any]] = []

    @chat.dispatcher.update.outer_middleware
    async def fail(handler: Any, event: Any, data: Any) -> None:
        await handler(event, data)

    async def watch(handler: Any, event: Any, data: Any) -> Any:
        try:
            return await handler(event, data)
        finally:
            data_after.append(dict(data))

    chat.dispatcher.update.outer_middleware._middlewares.insert(0, watch)  # noqa: SLF001
    await chat.write()
    assert data_after[0]["notes"] == "the bot's own"
    assert "scope" not in data_after[0]


async def test_the_error_goes_on_when_nobody_handles_it(chat: Chat) -> None:
    """An error handler that returns UNHANDLED leaves the error to the dispatcher."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message) -> None:
        raise ZeroDivisionError

    @chat.dispatcher.errors()
    async def on_error(event: ErrorEvent, notes: Notes) -> object:
        await notes.add("kept")
        return UNHANDLED

    with pytest.raises(ZeroDivisionError):
        await chat.write()
    assert await chat.stored() == ["kept"]


async def test_a_failed_commit_reaches_the_error_handlers(chat: Chat) -> None:
    """An error of the end of the scope is an error of the update."""
    chat.use()

    @chat.dispatcher.message()
    async def handler(message: Message, scope: AsyncScope[AsyncSession]) -> None:
        scope.set_rollback_only("not today")

    @chat.dispatcher.errors()
    async def on_error(event: ErrorEvent) -> str:
        return type(event.exception).__name__

    assert await chat.write() == "RollbackOnlyError"


async def test_a_middleware_on_errors_too_is_not_doubled(chat: Chat) -> None:
    """Whoever registers it for errors himself gets one scope there, not two."""
    middleware = chat.use()
    chat.dispatcher.errors.outer_middleware(middleware)

    @chat.dispatcher.message()
    async def handler(message: Message) -> None:
        raise ZeroDivisionError

    @chat.dispatcher.errors()
    async def on_error(event: ErrorEvent, scope: AsyncScope[AsyncSession]) -> None:
        await scope.commit()  # allowed in an outermost scope alone

    await chat.write()
    assert len(chat.dispatcher.errors.outer_middleware) == 1


async def test_a_service_kept_from_an_update_is_dead(chat: Chat) -> None:
    """A service that a handler leaves in a global fails at its first use, with the line."""
    chat.use(Notes)
    kept = []

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes) -> None:
        kept.append(notes)

    await chat.write()
    with pytest.raises(ScopeClosedError, match=r"support\.py"):
        await kept[0].add("a")


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
