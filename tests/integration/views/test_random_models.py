"""Views of classes that nobody has thought of hold what their entities hold."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine, event, select, text
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, StaticPool

from sqla_safe import afetch, astream_views, fetch, scoped_services, stream_views, view_plan
from tests.databases import Database, mysql_database, postgres_database
from tests.integration.views.random_models import (
    Rows,
    View,
    World,
    rows,
    seen,
    store,
    views,
    worlds,
)

SOAK = float(os.environ.get("SQLA_SAFE_SOAK") or 0)
"""How large the long form is; 0 in a quick run."""


def random(examples: int) -> settings:
    """Return the settings of a test; only the long form takes the time to shrink what it finds."""
    phases = [Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if SOAK else [])]
    checks = list(HealthCheck)
    return settings(max_examples=examples, phases=phases, suppress_health_check=checks)


@dataclass(repr=False)
class Case:
    """Mapped classes, rows, and classes to show some of them."""

    world: World
    stored: Rows
    view: View

    def __repr__(self) -> str:
        """Return what a person needs to write it down as a test of its own."""
        world = f"{self.world.kinds}\n{self.world.ties}\n{self.world.keys}"
        return f"\n{world}\n{self.view!r}\n{self.stored!r}\n"[:20_000]

    def _repr_pretty_(self, printer: Any, _cycle: object) -> None:
        """Let Hypothesis print the same."""
        printer.text(repr(self))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Give all three."""
    world = draw(worlds())
    kind = draw(st.sampled_from([one for one in world.kinds if one.all_links()]))
    return Case(world, draw(rows(world)), draw(views(world, kind)))


@pytest.mark.timeout(0 if SOAK else 300)
@given(case=cases())
@random(max(40, int(2_000 * SOAK)))
def test_random_models(case: Case) -> None:
    """Whatever is mapped, stored and asked for: the values are those of the entities."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    agree(engine, case)
    engine.dispose()


@pytest.mark.skipif(not SOAK, reason="the long form: make soak")
@pytest.mark.timeout(0)
@given(case=cases())
@random(max(1, int(500 * SOAK)))
def test_random_models_on_postgres(pg_sync_engine: Engine, case: Case) -> None:
    """The same with the types, arrays and keys of PostgreSQL."""
    with pg_sync_engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    agree(pg_sync_engine, case)


@pytest.fixture
def mariadb_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give an empty MariaDB database."""
    with mysql_database("pymysql", request.getfixturevalue("mariadb")) as database:
        yield database


@pytest.mark.timeout(0 if SOAK else 300)
@given(case=cases())
@random(max(4, int(250 * SOAK)))
def test_random_models_on_mariadb(mariadb_database: Database, case: Case) -> None:
    """The same with lists of keys, in chunks, and one statement at a time."""
    engine = create_engine(mariadb_database.url, poolclass=NullPool)
    name = engine.url.database
    with closing(mariadb_database.probe.connect()) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    agree(engine, case)
    engine.dispose()


@pytest.mark.timeout(0 if SOAK else 300)
@given(case=cases())
@random(max(6, int(500 * SOAK)))
def test_random_models_of_async_sessions(case: Case) -> None:
    """The same with an `AsyncSession` and an async scope, on a thread of its own."""

    async def compare() -> None:
        engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
        await agree_async(engine, case)
        await engine.dispose()

    asyncio.run(compare())


@pytest.fixture
def asyncpg_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Give an empty PostgreSQL database for asyncpg."""
    with postgres_database("asyncpg", request.getfixturevalue("postgres")) as database:
        yield database


@pytest.mark.timeout(0 if SOAK else 300)
@given(case=cases())
@random(max(5, int(250 * SOAK)))
def test_random_models_on_asyncpg(asyncpg_database: Database, case: Case) -> None:
    """The same with a driver that decodes in binary, and wants parameters of the exact type."""

    async def compare() -> None:
        # What a connection knows of types is wrong as soon as they are dropped.
        engine = create_async_engine(asyncpg_database.url, poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.execute(text("DROP SCHEMA public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))
        await agree_async(engine, case)
        await engine.dispose()

    asyncio.run(compare())


TIMES = 3
"""The statement is kept when it comes for the third time."""


async def agree_async(engine: AsyncEngine, case: Case) -> None:
    """Store the rows, and see that the view shows what the entities have, in scopes too."""
    world, view = case.world, case.view
    async with engine.begin() as connection:
        await connection.run_sync(world.base.metadata.create_all)
    async with AsyncSession(engine) as session:
        await session.run_sync(store, world, case.stored)
    everything = select(view.kind.made).order_by(view.kind.made.id)
    async with AsyncSession(engine) as session:
        expected = await session.run_sync(read_entities, everything, view)
    most = len(view_plan(view.into, view.kind.made).statements())
    with counted(engine.sync_engine) as sent:
        for _ in range(TIMES):
            async with scoped_services(async_sessionmaker(engine)) as scope:
                found = await afetch(scope, view.into, everything)
            assert [seen(one, view, is_entity=False) for one in found] == expected
        assert len(sent) <= TIMES * most
    async with AsyncSession(engine) as session:
        batches = astream_views(session, view.into, everything, batch_size=2)
        streamed = [one async for batch in batches for one in batch]
    assert [seen(one, view, is_entity=False) for one in streamed] == expected
    world.base.registry.dispose()


def read_entities(session: Session, statement: Any, view: View) -> list[Any]:
    """Return what is seen of the entities."""
    return [seen(one, view, is_entity=True) for one in session.scalars(statement)]


def agree(engine: Engine, case: Case) -> None:
    """Store the rows, and see that the view shows what the entities have."""
    world, view = case.world, case.view
    world.base.metadata.create_all(engine)
    with Session(engine) as session:
        store(session, world, case.stored)
    everything = select(view.kind.made).order_by(view.kind.made.id)
    with Session(engine) as session:
        expected = read_entities(session, everything, view)
    most = len(view_plan(view.into, view.kind.made).statements())
    with Session(engine) as session, counted(engine) as sent:
        for _ in range(TIMES):
            found = fetch(session, view.into, everything)
            assert [seen(one, view, is_entity=False) for one in found] == expected
        assert len(sent) <= TIMES * most
        batches = list(stream_views(session, view.into, everything, batch_size=2))
        streamed = [one for batch in batches for one in batch]
        assert [seen(one, view, is_entity=False) for one in streamed] == expected
    world.base.registry.dispose()


@contextmanager
def counted(engine: Engine) -> Iterator[list[str]]:
    """Give the list of statements sent meanwhile."""
    sent: list[str] = []

    def note(*args: object) -> None:
        sent.append(str(args[2]))

    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)
