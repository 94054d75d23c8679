"""What people really write: blocks that are skipped out of, updates at once, data in disguise."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any, Optional

import attrs
import msgspec
import pydantic
import pytest
from aiogram import Router
from aiogram.dispatcher.event.bases import CancelHandler, SkipHandler
from aiogram.filters import StateFilter
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.types import ErrorEvent, Message
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from sqla_safe import (
    AsyncScope,
    FsmDataError,
    ReadOnlyScopeError,
    RollbackOnlyError,
    current_scope,
    scoped_services,
)
from sqla_safe.ext.aiogram import ScopeMiddleware
from tests.integration.aiogram.support import Chat, Note, Notes, checked_out


class Steps(StatesGroup):
    one = State()


# control flow out of a block that has joined


@pytest.mark.parametrize("deep", [1, 2])
async def test_skip_handler_out_of_a_joined_block_is_no_error(chat: Chat, deep: int) -> None:
    """The next handler goes on in the same scope, and all of it is stored."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def first(message: Message) -> None:
        async with scoped_services(chat.sessions, Notes) as notes:
            await notes.add("a")
            if deep == 1:
                raise SkipHandler
            async with scoped_services(chat.sessions, Notes):
                raise SkipHandler

    @chat.dispatcher.message()
    async def second(message: Message, notes: Notes) -> str:
        await notes.add("b")
        return "second"

    assert await chat.write() == "second"
    assert await chat.stored() == ["a", "b"]


async def test_cancel_handler_out_of_a_joined_block_is_no_error(chat: Chat) -> None:
    """It ends the update, and what was written is stored."""
    chat.use()

    @chat.dispatcher.message()
    async def handler(message: Message) -> None:
        async with scoped_services(chat.sessions, Notes) as notes:
            await notes.add("a")
            raise CancelHandler

    with pytest.raises(CancelHandler):
        await chat.write()
    assert await chat.stored() == ["a"]


async def test_skipping_does_not_hide_an_error_before_it(chat: Chat) -> None:
    """A joined block that has failed stays failed, whatever is raised afterwards."""
    chat.use()

    @chat.dispatcher.message()
    async def handler(message: Message) -> None:
        try:
            async with scoped_services(chat.sessions, Notes) as notes:
                await notes.add("a")
                raise ZeroDivisionError  # noqa: TRY301
        except ZeroDivisionError:
            raise SkipHandler from None

    with pytest.raises(RollbackOnlyError):
        await chat.write()
    assert await chat.stored() == []


async def test_skip_handler_out_of_a_nested_block_undoes_that_block(chat: Chat) -> None:
    """A savepoint is left by an exception, and only what it holds is undone."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes) -> None:
        await notes.add("a")
        async with scoped_services(chat.sessions, Notes, propagation="nested") as inner:
            await inner.add("b")
            raise SkipHandler

    await chat.write()
    assert await chat.stored() == ["a"]


async def test_without_the_middleware_skipping_rolls_back(chat: Chat) -> None:
    """A block of its own is left by an exception as any other: nobody has said otherwise."""

    @chat.dispatcher.message()
    async def handler(message: Message) -> None:
        async with scoped_services(chat.sessions, Notes) as notes:
            await notes.add("a")
            raise SkipHandler

    await chat.write()
    assert await chat.stored() == []


# many at once


async def test_updates_at_once_have_scopes_of_their_own(chat: Chat, engine: AsyncEngine) -> None:
    """Neither session nor services are shared, and one failure touches no other update."""
    chat.use(Notes)
    together, scopes = asyncio.Barrier(4), []

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, scope: AsyncScope[AsyncSession]) -> None:
        scopes.append((scope, notes, notes.session))
        await together.wait()
        if message.text == "bad":
            raise ZeroDivisionError
        await notes.add(message.text or "")

    texts = ["a", "bad", "b", "c"]
    await asyncio.gather(*(chat.write(text) for text in texts), return_exceptions=True)
    assert [len({id(one[n]) for one in scopes}) for n in range(3)] == [4, 4, 4]
    assert sorted(await chat.stored()) == ["a", "b", "c"]
    assert checked_out(engine) == 0


async def test_a_hundred_updates_with_a_pool_of_two(chat: Chat, engine: AsyncEngine) -> None:
    """A connection is held for the statements only, not while the handler waits for others."""
    chat.use(Notes)
    waiting = asyncio.Barrier(20)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, scope: AsyncScope[AsyncSession]) -> None:
        await notes.add(message.text or "")
        await scope.commit()
        await waiting.wait()  # would never be passed if each handler kept its connection

    async with asyncio.timeout(30):
        await asyncio.gather(*(chat.write(f"{n:03}") for n in range(100)))
    assert len(await chat.stored()) == 100
    assert checked_out(engine) == 0


# other places for the middleware


async def test_an_inner_middleware_serves_its_first_update(chat: Chat) -> None:
    """On `message.middleware` annotations are seen to from the first update on."""
    router = Router()
    router.message.middleware(ScopeMiddleware(chat.sessions, Notes))
    chat.dispatcher.include_router(router)

    @router.message()
    async def handler(message: Message, notes: Notes) -> str:
        await notes.add(message.text or "")
        return "done"

    assert [await chat.write("a"), await chat.write("b")] == ["done", "done"]
    assert await chat.stored() == ["a", "b"]


async def test_two_routers_with_a_middleware_each(chat: Chat) -> None:
    """Their error handlers get one scope, and the arguments of either."""
    for name in ("first", "second"):
        router = Router(name=name)
        router.message.outer_middleware(ScopeMiddleware(chat.sessions, Notes))

        @router.message(lambda message, name=name: message.text == name)
        async def handler(message: Message, notes: Notes) -> None:
            await notes.add("lost")
            raise ZeroDivisionError

        chat.dispatcher.include_router(router)

    @chat.dispatcher.errors()
    async def on_error(event: ErrorEvent, notes: Notes, scope: AsyncScope[AsyncSession]) -> None:
        assert notes.session is scope.session
        await notes.add(f"kept {event.update.message.text}")

    for name in ("first", "second"):
        await chat.write(name)
    assert await chat.stored() == ["kept first", "kept second"]


async def test_read_only_holds_for_the_handler_and_not_for_error_handlers(chat: Chat) -> None:
    """A write is refused with its own error, which an error handler on the same scope may see."""
    chat.use(Notes, read_only=True)
    seen = []

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes) -> None:
        await notes.add("a")

    @chat.dispatcher.errors()
    async def on_error(event: ErrorEvent) -> None:
        seen.append(type(event.exception))

    await chat.write()
    assert seen == [ReadOnlyScopeError]


# what handlers ask for


async def test_optional_annotations_are_served(chat: Chat) -> None:
    """`Notes | None` and `Optional[Notes]` are Notes, with and without a default."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(
        message: Message,
        one: Notes | None,
        two: Optional[Notes] = None,  # noqa: UP045
        three: Notes | int = 3,
    ) -> tuple[Any, ...]:
        return type(one), one is two, three

    assert await chat.write() == (Notes, True, 3)


async def test_keyword_only_parameters_and_kwargs(chat: Chat) -> None:
    """Annotated keyword-only parameters are served; `**kwargs` gets what has a name."""
    chat.use(Notes, by_name=Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, *, notes: Notes, **rest: Any) -> bool:
        return rest["by_name"] is notes and rest["scope"] is current_scope(chat.sessions)

    assert await chat.write()


# errors after the commit, and within error handlers


async def test_a_failing_on_commit_reaches_the_error_handlers(chat: Chat) -> None:
    """The data is stored, and the error handler is told so by an exception group."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, scope: AsyncScope[AsyncSession]) -> None:
        await notes.add("a")
        scope.on_commit(lambda: 1 / 0)

    @chat.dispatcher.errors()
    async def on_error(event: ErrorEvent) -> Any:
        return event.exception

    error = await chat.write()
    assert isinstance(error, ExceptionGroup)
    assert isinstance(error.exceptions[0], ZeroDivisionError)
    assert await chat.stored() == ["a"]


async def test_an_error_handler_that_fails_stores_nothing(chat: Chat) -> None:
    """Its own scope is rolled back, and its error leaves the dispatcher."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message) -> None:
        raise ZeroDivisionError

    @chat.dispatcher.errors()
    async def on_error(event: ErrorEvent, notes: Notes) -> None:
        await notes.add("a")
        raise KeyError

    with pytest.raises(KeyError):
        await chat.write()
    assert await chat.stored() == []


async def test_an_error_handler_that_skips_leaves_it_to_the_next(chat: Chat) -> None:
    """`SkipHandler` is no error there either, and both work in one scope."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message) -> None:
        raise ZeroDivisionError

    @chat.dispatcher.errors()
    async def first(event: ErrorEvent, notes: Notes) -> None:
        await notes.add("a")
        raise SkipHandler

    @chat.dispatcher.errors()
    async def second(event: ErrorEvent, notes: Notes) -> None:
        await notes.add("b")

    await chat.write()
    assert await chat.stored() == ["a", "b"]


# FSM data


@dataclass
class Kept:
    note: Any


class Struct(msgspec.Struct):
    note: Any


@attrs.define
class Attrs:
    note: Any


class Model(pydantic.BaseModel):
    note: Any


@dataclass
class Slotted:
    __slots__ = ("note",)
    note: Any


async def rows_of(notes: Notes) -> list[Any]:
    """Return rows, each of which holds an entity."""
    return list(await notes.session.execute(select(Note, Note.id)))


DISGUISES = {
    "a row": lambda note, rows: rows[0],
    "a list of rows": lambda note, rows: rows,
    "a row's mapping": lambda note, rows: rows[0]._mapping,  # noqa: SLF001  it is public
    "a dataclass": lambda note, rows: Kept([note]),
    "a dataclass with slots": lambda note, rows: Slotted(note),
    "a struct": lambda note, rows: Struct(note),
    "an attrs class": lambda note, rows: Attrs(note),
    "a pydantic model": lambda note, rows: [Model(note=note)],
    "a deque": lambda note, rows: deque([note]),
    "values of a dictionary": lambda note, rows: {1: note}.values(),
}


@pytest.mark.parametrize("how", DISGUISES)
async def test_entities_in_disguise_are_refused(chat: Chat, how: str) -> None:
    """Rows, dataclasses and what else a query or a program wraps entities in."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, state: FSMContext) -> None:
        note = await notes.add("a")
        await state.update_data(kept=DISGUISES[how](note, await rows_of(notes)))

    with pytest.raises(FsmDataError, match="Note"):
        await chat.write()


async def test_plain_rows_are_plain_data(chat: Chat) -> None:
    """Rows of columns hold no entity."""
    chat.use(Notes)

    @chat.dispatcher.message()
    async def handler(message: Message, notes: Notes, state: FSMContext) -> Any:
        await notes.add("a")
        row = (await notes.session.execute(select(Note.id, Note.text))).one()
        return await state.update_data(row=row, values=list(row))

    assert (await chat.write())["values"][1] == "a"


async def test_state_filters_and_states_work_as_before(chat: Chat) -> None:
    """The checked storage is still the storage: filters see the state, handlers change it."""
    chat.use(Notes)

    @chat.dispatcher.message(StateFilter(Steps.one))
    async def second(message: Message, state: FSMContext) -> str:
        await state.clear()
        return "second"

    @chat.dispatcher.message()
    async def first(message: Message, state: FSMContext) -> str:
        await state.set_state(Steps.one)
        await state.update_data(a=1)
        return "first"

    assert [await chat.write() for _ in range(3)] == ["first", "second", "first"]


async def test_a_sessionmaker_of_another_class_is_served(engine: AsyncEngine) -> None:
    """A session class of one's own, asked for by its name."""

    class OwnSession(AsyncSession):
        pass

    chat = Chat(async_sessionmaker(engine, class_=OwnSession))
    chat.use()

    @chat.dispatcher.message()
    async def handler(message: Message, session: OwnSession, same: AsyncSession) -> bool:
        return isinstance(session, OwnSession) and session is same

    assert await chat.write()
