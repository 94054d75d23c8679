"""What the handlers of an aiogram bot are given: services, by annotation or by name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from aiogram import F, Router
from aiogram.types import ErrorEvent, Message
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from sqla_safe import AsyncScope, NoScopeError, ScopeOptionError, current_scope, inject
from sqla_safe.ext.aiogram import ScopeMiddleware
from tests.integration.aiogram.support import Chat, Counter, Notes

if TYPE_CHECKING:
    from tests.integration.aiogram.support import Counter as OnlyForCheckers


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


async def test_a_plain_handler_is_refused_services_that_are_awaited(chat: Chat) -> None:
    """It runs in a thread: what it called would be a coroutine that nobody awaits."""
    chat.use(Notes, notes=Notes)

    @chat.dispatcher.message(F.text == "annotated")
    def annotated(message: Message, mine: Notes) -> None:
        pytest.fail("called")

    @chat.dispatcher.message(F.text == "named")
    def named(message: Message, notes: Any) -> None:
        pytest.fail("called")

    for name, parameter in (("annotated", "mine"), ("named", "notes")):
        with pytest.raises(ScopeOptionError) as caught:
            await chat.write(name)
        text = f"the handler {name} is a plain function with the parameter {parameter}, and"
        assert str(caught.value).startswith(text)
        assert f"Instead: async def {name}(...)" in str(caught.value)


class Audit:
    """Has nothing to wait for."""

    def __init__(self, session: AsyncSession) -> None:
        self.lines: list[str] = []


async def test_a_plain_handler_may_have_what_is_not_awaited(chat: Chat) -> None:
    """The scope, for its callbacks, and services without coroutines."""
    chat.use(audit=Audit)

    @chat.dispatcher.message()
    def handler(message: Message, audit: Audit, scope: Any) -> str:
        scope.on_commit(lambda: audit.lines.append("stored"))
        return type(audit).__name__

    assert await chat.write() == "Audit"
