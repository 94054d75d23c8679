"""What becomes of an update whose handler does not return: errors, and aiogram's control flow."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import pytest
from aiogram import Router
from aiogram.dispatcher.event.bases import UNHANDLED, CancelHandler, SkipHandler
from aiogram.types import ErrorEvent, Message
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from sqla_safe import AsyncScope, ScopeClosedError, inject
from sqla_safe.ext.aiogram import ScopeMiddleware
from tests.integration.aiogram.support import Chat, Counter, Note, Notes

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


async def test_the_error_handlers_see_what_an_entity_lacked(chat: Chat) -> None:
    """A note on the exception names the attribute and the repair, without a guard."""
    chat.use(Notes)
    seen: list[str] = []

    @chat.dispatcher.message()
    async def show(message: Message, session: AsyncSession) -> None:
        session.add(note := Note(text="a"))
        await session.flush()
        session.expire(note)
        session.expunge(note)
        _ = note.text

    @chat.dispatcher.errors()
    async def handle(event: ErrorEvent) -> None:
        seen.extend(event.exception.__notes__)

    await chat.write()
    assert "SQS101 Note.text was read after its scope had ended" in seen[0]
    assert "test_errors.py" in seen[0]


async def test_a_failed_commit_names_the_handler(chat: Chat) -> None:
    """The scope was opened by the middleware, and no frame of the error is the handler's."""
    chat.use(Notes)
    seen: list[str] = []

    @chat.dispatcher.message()
    async def swallow(message: Message, notes: Notes) -> None:
        await notes.add("a")
        with suppress(IntegrityError):
            await notes.add("a")

    @chat.dispatcher.errors()
    async def handle(event: ErrorEvent) -> None:
        seen.extend(event.exception.__notes__)

    await chat.write()
    assert re.fullmatch(
        r"sqla_safe: at the end of the scope of .*test_errors.py:\d+ in swallow", seen[0]
    )


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
