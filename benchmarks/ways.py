"""Every way to the users with their avatars and photos, on each driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from core import by_core, by_hand, by_hand_built
from databases import url
from drivers import bare_async_driver, bare_sync_driver
from figures import Skipped
from models import Avatar, User
from pydantic import TypeAdapter
from shapes import UserCard, UserModel, UserStruct, UserView
from sqlalchemy import bindparam, create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, selectinload

from sqla_safe import afetch, fetch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AsyncExitStack

    from sqlalchemy import Engine, Select
    from sqlalchemy.ext.asyncio import AsyncEngine

    Ways = dict[str, Callable[[int], Any]]

P, CONVERT, H, BUILT, R = "P", "convert", "H", "built", "R"
CORE, KEPT, KEPT_CARD, P_KEPT = "core", "kept", "kept-dataclass", "p-kept"
RESOLVE, SQLMODEL = "resolve", "sqlmodel"
STRUCT, CARD = "view", "dataclass"
TITLES = {
    P: "P: selectinload, pydantic",
    CONVERT: "selectinload, msgspec.convert",
    RESOLVE: "pydantic-resolve",
    SQLMODEL: "SQLModel, selectinload, response model",
    H: "H: Core rows by hand, msgspec",
    BUILT: "the same, statements built once",
    CORE: "Core statements of a view, built once, rows only",
    KEPT: "view, msgspec Struct, statement built once",
    KEPT_CARD: "view, frozen dataclass, statement built once",
    P_KEPT: "P, statement built once",
    R: "R: bare driver, rows only",
    STRUCT: "view, msgspec Struct",
    CARD: "view, frozen dataclass",
}

USERS = TypeAdapter(list[UserModel])


def entities(session: Session, size: int) -> Sequence[User]:
    """Load the users with what they have."""
    paths = selectinload(User.avatars).selectinload(Avatar.photos)
    return session.scalars(chosen(size).options(paths)).all()


def chosen(size: int) -> Select[tuple[User]]:
    """Return the SELECT of so many users."""
    return select(User).where(User.id <= size).order_by(User.id)


def validated(session: Session, size: int) -> list[UserModel]:
    """Load the users, and let pydantic read them."""
    return USERS.validate_python(entities(session, size), from_attributes=True)


CHOSEN = select(User).where(User.id <= bindparam("size")).order_by(User.id)
"""Built once, as an application's constant would be."""
WITH_PATHS = CHOSEN.options(selectinload(User.avatars).selectinload(Avatar.photos))


def validated_kept(session: Session, size: int) -> list[UserModel]:
    """Load the users with a statement that is a constant, and let pydantic read them."""
    users = session.scalars(WITH_PATHS, {"size": size}).all()
    return USERS.validate_python(users, from_attributes=True)


def converted(session: Session, size: int) -> list[UserStruct]:
    """Load the users, and let msgspec read them."""
    return msgspec.convert(entities(session, size), list[UserStruct], from_attributes=True)


BY_SESSION: dict[str, Callable[[Session, int], object]] = {
    P: validated,
    P_KEPT: validated_kept,
    CONVERT: converted,
    H: by_hand,
    BUILT: by_hand_built,
    CORE: by_core,
}
AWAITED: dict[str, Callable[[Session | AsyncSession, int], Awaitable[object]]] = {}
"""Ways that are asynchronous with a session of either kind."""
VIEWS: dict[str, type[Any]] = {STRUCT: UserView, CARD: UserCard}
CONSTANTS: dict[str, type[Any]] = {KEPT: UserView, KEPT_CARD: UserCard}

try:
    import competitors
except ImportError as error:
    MISSING = [Skipped("pydantic-resolve and SQLModel", f"{error.name} is not installed")]
else:
    MISSING = []
    BY_SESSION[SQLMODEL] = competitors.by_sqlmodel
    AWAITED[RESOLVE] = competitors.by_resolver


def sync_ways(engine: Engine) -> Ways:
    """Return every way through a session."""

    def way(work: Callable[[Session, int], object]) -> Callable[[int], object]:
        def within(size: int) -> object:
            with Session(engine) as session:
                return work(session, size)

        return within

    def view(into: type[Any]) -> Callable[[int], object]:
        return way(lambda session, size: fetch(session, into, chosen(size)))

    def constant(into: type[Any]) -> Callable[[int], object]:
        return way(lambda session, size: fetch(session, into, CHOSEN, {"size": size}))

    def awaited(work: Callable[[Session, int], Awaitable[object]]) -> Callable[[int], object]:
        async def within(size: int) -> object:
            with Session(engine) as session:
                return await work(session, size)

        return within

    made = {name: way(work) for name, work in BY_SESSION.items()}
    made |= {name: awaited(work) for name, work in AWAITED.items()}
    made |= {name: view(into) for name, into in VIEWS.items()}
    return made | {name: constant(into) for name, into in CONSTANTS.items()}


def async_ways(engine: AsyncEngine) -> Ways:
    """Return every way through an asynchronous session."""

    def way(work: Callable[[Session, int], object]) -> Callable[[int], object]:
        async def within(size: int) -> object:
            async with AsyncSession(engine) as session:
                return await session.run_sync(work, size)

        return within

    def view(into: type[Any]) -> Callable[[int], object]:
        async def within(size: int) -> object:
            async with AsyncSession(engine) as session:
                return await afetch(session, into, chosen(size))

        return within

    def constant(into: type[Any]) -> Callable[[int], object]:
        async def within(size: int) -> object:
            async with AsyncSession(engine) as session:
                return await afetch(session, into, CHOSEN, {"size": size})

        return within

    def awaited(work: Callable[[AsyncSession, int], Awaitable[object]]) -> Callable[[int], object]:
        async def within(size: int) -> object:
            async with AsyncSession(engine) as session:
                return await work(session, size)

        return within

    made = {name: way(work) for name, work in BY_SESSION.items()}
    made |= {name: awaited(work) for name, work in AWAITED.items()}
    made |= {name: view(into) for name, into in VIEWS.items()}
    return made | {name: constant(into) for name, into in CONSTANTS.items()}


async def ways_of(driver: str, database: str, stack: AsyncExitStack) -> Ways:
    """Return every way on a driver; what is open is closed with the stack."""
    if driver in {"sqlite", "psycopg"}:
        engine = create_engine(url(driver, database))
        stack.callback(engine.dispose)
        return sync_ways(engine) | {R: bare_sync_driver(driver, database, stack)}
    async_engine = create_async_engine(url(driver, database))
    stack.push_async_callback(async_engine.dispose)
    return async_ways(async_engine) | {R: await bare_async_driver(driver, database, stack)}
