"""Views of random rows hold what the entities hold: of every type, in targets of every kind."""

from __future__ import annotations

import asyncio
import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    JSON,
    BigInteger,
    Date,
    DateTime,
    Double,
    Engine,
    Enum,
    ForeignKey,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Uuid,
    delete,
    event,
    insert,
    select,
)
from sqlalchemy.dialects.mysql import VARBINARY
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_safe import afetch, fetch, stream_views
from tests.databases import Database
from tests.integration.views.values import KINDS, VALUES, Cents, InCents, Level, Rank, array_of

RANDOM = settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Base(DeclarativeBase):
    pass


LEVELS = Enum(Level, name="in_levels")


class Owner(Base):
    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str | None] = mapped_column(String(60))
    big: Mapped[int | None] = mapped_column(BigInteger)
    flag: Mapped[bool | None]
    money: Mapped[Decimal | None] = mapped_column(Numeric(18, 4))
    number: Mapped[float | None] = mapped_column(Double)
    by_name: Mapped[Level | None] = mapped_column(Enum(Level))
    by_value: Mapped[Level | None] = mapped_column(
        Enum(Level, values_callable=lambda kind: [one.value for one in kind], name="by_value")
    )
    rank: Mapped[Rank | None] = mapped_column(Enum(Rank, native_enum=False))
    data: Mapped[Any | None] = mapped_column(JSON)
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)
    day: Mapped[dt.date | None]
    hour: Mapped[dt.time | None]
    naive: Mapped[dt.datetime | None]
    aware: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    span: Mapped[dt.timedelta | None] = mapped_column(Interval)
    token: Mapped[uuid.UUID | None]
    token_text: Mapped[str | None] = mapped_column(Uuid(as_uuid=False))
    cents: Mapped[Cents | None] = mapped_column(InCents)
    numbers: Mapped[list[int | None] | None] = mapped_column(array_of(BigInteger))
    prices: Mapped[list[Decimal | None] | None] = mapped_column(array_of(Numeric(10, 2)))
    levels: Mapped[list[Level | None] | None] = mapped_column(
        array_of(Enum(Level, name="in_levels"))
    )
    things: Mapped[list[Thing]] = relationship(back_populates="owner", order_by="Thing.id.desc()")


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey(Owner.id))
    text: Mapped[str | None] = mapped_column(String(60))
    money: Mapped[Decimal | None] = mapped_column(Numeric(18, 4))
    by_value: Mapped[Level | None] = mapped_column(
        Enum(Level, values_callable=lambda kind: [one.value for one in kind], name="thing_value")
    )
    aware: Mapped[dt.datetime | None] = mapped_column(DateTime(timezone=True))
    cents: Mapped[Cents | None] = mapped_column(InCents)
    data: Mapped[Any | None] = mapped_column(JSON)
    owner: Mapped[Owner] = relationship(back_populates="things")


# --- random rows -------------------------------------------------------------

THING_FIELDS = ("text", "money", "by_value", "aware", "cents", "data")


def rows_with(names: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Return values for columns, NULL among them."""
    return st.fixed_dictionaries({name: st.none() | VALUES[name] for name in names})


OWNERS = st.lists(
    st.tuples(rows_with(VALUES), st.lists(rows_with(THING_FIELDS), max_size=3)), max_size=4
)


def store(session: Session, owners: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> None:
    """Store these rows, and nothing else."""
    session.execute(delete(Thing))
    session.execute(delete(Owner))
    session.add_all(
        Owner(**values, things=[Thing(**thing) for thing in things]) for values, things in owners
    )
    session.commit()


# --- random targets ----------------------------------------------------------


class Target(NamedTuple):
    """A class to fill, and what of an entity it shows."""

    into: Any
    names: list[str]
    inner: list[str]


@st.composite
def targets(draw: st.DrawFn) -> Target:
    """Give a class with some of the fields, and another for what is below."""
    names = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, unique=True))
    inner = draw(st.lists(st.sampled_from(THING_FIELDS), min_size=1, unique=True))
    kinds = st.sampled_from(list(KINDS.values()))
    below = draw(kinds)({name: hint(Thing, name) for name in inner})
    own = {name: hint(Owner, name) for name in names}
    return Target(draw(kinds)(own | {"things": tuple[below, ...]}), names, inner)


def hint(entity: Any, name: str) -> Any:
    """Return what the column is said to hold."""
    spelled = entity.__annotations__[name].removeprefix("Mapped[").removesuffix("]")
    return eval(spelled, globals())  # noqa: S307  (an annotation of this module)


def shown(one: Any, names: list[str]) -> list[tuple[type, str]]:
    """Return what can be told of an object's values."""
    read = one.__getitem__ if isinstance(one, dict) else lambda name: getattr(one, name)
    return [(type(read(name)), repr(read(name))) for name in names]


def below(one: Any) -> Any:
    """Return the things of an entity or a view."""
    return one["things"] if isinstance(one, dict) else one.things


def told(found: list[Any], target: Target) -> list[Any]:
    """Return everything that a target shows."""
    return [
        (shown(one, target.names), [shown(thing, target.inner) for thing in below(one)])
        for one in found
    ]


ALL = select(Owner).order_by(Owner.id)


@given(owners=OWNERS, target=targets())
@RANDOM
def test_random_rows(tables: Engine, owners: Any, target: Target) -> None:
    """Whatever is stored and asked for, it is what reading the entities gives."""
    with Session(tables) as session:
        store(session, owners)
        expected = told(list(session.scalars(ALL)), target)
        assert told(fetch(session, target.into, ALL), target) == expected
        batches = stream_views(session, target.into, ALL, batch_size=2)
        assert told([one for batch in batches for one in batch], target) == expected
        assert len(expected) == len(owners)


@pytest.fixture
def tables(sync_engine: Engine) -> Engine:
    """Give a database with the tables."""
    Base.metadata.create_all(sync_engine)
    return sync_engine


class Loop(NamedTuple):
    """An engine, and the loop that it lives in."""

    runner: asyncio.Runner
    engine: AsyncEngine


@pytest.fixture
def loop(async_database: Database) -> Iterator[Loop]:
    """Give a loop with an asynchronous engine: one for all examples of a test."""
    with asyncio.Runner() as runner:
        engine = create_async_engine(async_database.url)
        runner.run(create_tables(engine))
        yield Loop(runner, engine)
        runner.run(engine.dispose())


async def create_tables(engine: AsyncEngine) -> None:
    """Make the tables."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


@given(owners=OWNERS, target=targets())
@RANDOM
def test_random_rows_async(loop: Loop, owners: Any, target: Target) -> None:
    """The same with an AsyncSession, whose drivers decode in their own ways."""

    async def compare() -> None:
        async with AsyncSession(loop.engine) as session:
            await session.run_sync(store, owners)
            found = told(await afetch(session, target.into, ALL), target)
            assert found == await session.run_sync(lambda s: told(list(s.scalars(ALL)), target))

    loop.runner.run(compare())


# --- keys of every kind ------------------------------------------------------

KEYS: dict[str, tuple[Any, list[Any]]] = {
    "text": (String(40), ["", "a", "\u00e4'\"\\\\", "{1,2}", "NULL"]),
    "raw": (LargeBinary().with_variant(VARBINARY(20), "mysql"), [b"", b"\xff\x00", b"a"]),
    "money": (Numeric(10, 2), [Decimal("1.10"), Decimal("-2.00"), Decimal("0.00")]),
    "day": (Date(), [dt.date(2026, 1, 2), dt.date(1999, 12, 31)]),
    "moment": (DateTime(), [dt.datetime(2026, 1, 2, 3, 4, 5), dt.datetime(1999, 1, 1)]),  # noqa: DTZ001
    "aware": (
        DateTime(timezone=True).with_variant(DateTime(), "mysql"),
        [dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC), dt.datetime(1999, 1, 1, tzinfo=dt.UTC)],
    ),
    "by_name": (Enum(Level, name="key_name"), list(Level)),
    "rank": (Enum(Rank, native_enum=False), list(Rank)),
    "cents": (InCents(), [Cents(1), Cents(20)]),
    "token": (Uuid(), [uuid.UUID(int=1), uuid.UUID(int=2**127)]),
    "token_text": (Uuid(as_uuid=False), [str(uuid.UUID(int=1)), str(uuid.UUID(int=2**127))]),
    "big": (BigInteger(), [-(2**63), 0, 2**63 - 1]),
}


class Keyed(DeclarativeBase):
    pass


def keyed(name: str, kind: Any) -> tuple[Any, Any]:
    """Return a class with such a key, and one that refers to it."""
    parent = type(
        f"Parent_{name}",
        (Keyed,),
        {
            "__tablename__": f"parent_{name}",
            "id": mapped_column(kind, primary_key=True, autoincrement=False),
            "children": relationship(f"Child_{name}", order_by=f"Child_{name}.id"),
        },
    )
    child = type(
        f"Child_{name}",
        (Keyed,),
        {
            "__tablename__": f"child_{name}",
            "id": mapped_column(Integer, primary_key=True),
            "parent_id": mapped_column(ForeignKey(f"parent_{name}.id")),
        },
    )
    return parent, child


PAIRS = {name: keyed(name, kind) for name, (kind, _) in KEYS.items()}


@dataclass(frozen=True)
class Child:
    id: int


@dataclass(frozen=True)
class Parent:
    id: Any
    children: tuple[Child, ...]


def keys_hold(session: Session, name: str) -> None:
    """Store two children for each key, and see that the views have them."""
    parent, child = PAIRS[name]
    _, values = KEYS[name]
    session.add_all(parent(id=key, children=[child(), child()]) for key in values)
    session.commit()
    entities = session.scalars(select(parent)).all()
    expected = {one.id: [child.id for child in one.children] for one in entities}
    found = fetch(session, Parent, select(parent))
    assert {one.id: [child.id for child in one.children] for one in found} == expected
    assert [len(one.children) for one in found] == [2] * len(values)


@pytest.fixture
def keyed_tables(sync_engine: Engine) -> Engine:
    """Give a database with a pair of tables for each kind of key."""
    Keyed.metadata.create_all(sync_engine)
    return sync_engine


def test_keys_of_every_kind(keyed_tables: Engine, subtests: pytest.Subtests) -> None:
    """A collection is found by its key, whatever the key's type."""
    for name in KEYS:
        with subtests.test(name), Session(keyed_tables) as session:
            keys_hold(session, name)


async def test_keys_of_every_kind_async(
    async_engine: AsyncEngine, subtests: pytest.Subtests
) -> None:
    """The same for drivers that want parameters of the exact type."""
    async with async_engine.begin() as connection:
        await connection.run_sync(Keyed.metadata.create_all)
    for name in KEYS:
        with subtests.test(name):
            async with AsyncSession(async_engine) as session:
                await session.run_sync(keys_hold, name)


def test_statements_do_not_grow_with_rows_async(loop: Loop) -> None:
    """One for the root and one for its collection, for one row and for ten thousand."""
    sent: list[str] = []
    event.listen(
        loop.engine.sync_engine, "before_cursor_execute", lambda *args: sent.append(args[2])
    )

    async def count(size: int) -> int:
        async with AsyncSession(loop.engine) as session:
            await session.run_sync(fill, size)
            sent.clear()
            found = await afetch(session, Wide, ALL)
            assert [len(one.things) for one in found] == [2] * size
            return len(sent)

    assert [loop.runner.run(count(size)) for size in (1, 10_000)] == [2, 2]


@dataclass(frozen=True, slots=True)
class WideThing:
    id: int


@dataclass(frozen=True, slots=True)
class Wide:
    id: int
    things: tuple[WideThing, ...]


def fill(session: Session, size: int) -> None:
    """Store so many owners with two things each, and nothing else."""
    store(session, [])
    session.execute(insert(Owner), [{"id": number} for number in range(1, size + 1)])
    session.execute(insert(Thing), [{"owner_id": n // 2 + 1} for n in range(size * 2)])
    session.commit()
