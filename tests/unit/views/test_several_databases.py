"""Sessions that know several databases, and sizes of batches that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from sqlalchemy import Engine, ForeignKey, create_engine, event, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    ORMExecuteState,
    Session,
    mapped_column,
    relationship,
    with_loader_criteria,
)
from sqlalchemy.pool import StaticPool

from sqla_safe import Path, ViewStatementError, astream_views, fetch, stream_views


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owners"

    id: Mapped[int] = mapped_column(primary_key=True)
    things: Mapped[list[Thing]] = relationship()


class Thing(Base):
    __tablename__ = "things"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("owners.id"))
    owner: Mapped[Owner] = relationship(viewonly=True)


class Beast(Base):
    __tablename__ = "beasts"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("owners.id"))
    owner: Mapped[Owner | None] = relationship(viewonly=True)
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "beast"}  # noqa: RUF012


class Wolf(Beast):
    __mapper_args__ = {"polymorphic_identity": "wolf"}  # noqa: RUF012


@dataclass(frozen=True)
class ThingCard:
    id: int


@dataclass(frozen=True)
class OwnerCard:
    id: int
    things: tuple[ThingCard, ...]


@pytest.fixture
def engines() -> Iterator[tuple[Engine, Engine]]:
    """Give two databases: an owner in the first, its thing in the second."""
    made = create_engine("sqlite://", poolclass=StaticPool), create_engine("sqlite://")
    for engine in made:
        Base.metadata.create_all(engine)
    with Session(made[0]) as one, Session(made[1]) as two, one.begin(), two.begin():
        one.add(Owner(id=1))
        two.add(Thing(id=7, owner_id=1))
    yield made
    for engine in made:
        engine.dispose()


def cards(session: Session) -> list[OwnerCard]:
    """Load the owners with their things."""
    return fetch(session, OwnerCard, select(Owner))


def test_each_level_is_asked_of_its_own_database(engines):
    """`binds` of a session decide for collections as they do for entities."""
    with Session(binds={Owner: engines[0], Thing: engines[1]}) as session:
        assert cards(session) == [OwnerCard(1, (ThingCard(7),))]


def test_binds_win_over_bind(engines):
    """A session with a bind of its own and one for a class asks the latter for it."""
    with Session(engines[0], binds={Thing: engines[1]}) as session:
        assert cards(session) == [OwnerCard(1, (ThingCard(7),))]


def test_a_session_that_routes_is_asked(engines):
    """An overridden `get_bind` decides for each level."""

    class Routing(Session):
        def get_bind(self, mapper=None, **arguments):
            clause = arguments.get("clause")
            is_thing = mapper is not None and mapper.class_ is Thing
            is_thing = is_thing or (mapper is None and "things" in str(clause))
            return engines[1] if is_thing else engines[0]

    with Routing() as session:
        assert cards(session) == [OwnerCard(1, (ThingCard(7),))]


def test_a_session_that_routes_by_statement_is_asked(engines):
    """Also where the class alone says nothing, and the session has a bind of its own."""

    class Routing(Session):
        def get_bind(self, mapper=None, *, clause=None, **_):
            return engines["things" in str(clause)]

    for _ in range(3):
        with Routing(engines[0]) as session:
            assert cards(session) == [OwnerCard(1, (ThingCard(7),))]


@dataclass(frozen=True)
class Owned:
    id: int
    owner: OwnerCard | None
    owner_id: Annotated[int | None, Path(Thing.owner, Owner.id)]


OWNED = Owned(7, OwnerCard(1, (ThingCard(7),)), 1)
THINGS = select(Thing)


@pytest.mark.parametrize("has_bind", [False, True])
@pytest.mark.parametrize("listens", [False, True])
def test_nothing_is_joined_over_databases(engines, has_bind, listens):
    """A to-one whose rows are elsewhere is asked for there, and only then."""
    there = engines[1] if has_bind else None
    for _ in range(3):
        with Session(engines[1]) as session:
            assert fetch(session, Owned, THINGS) == [Owned(7, None, None)]
        with Session(there, binds={Owner: engines[0], Thing: engines[1]}) as session:
            if listens:
                event.listen(session, "do_orm_execute", lambda _: None)
            assert fetch(session, Owned, THINGS) == [OWNED]
            assert list(stream_views(session, Owned, THINGS)) == [[OWNED]]


@dataclass(frozen=True)
class BeastCard:
    kind: Literal["beast"]
    owner: ThingCard | None


@dataclass(frozen=True)
class WolfCard:
    kind: Literal["wolf"]
    id: int


def test_a_listener_is_heard_where_nothing_is_joined(engines):
    """Criteria of a subclass hide its rows in a union, in whatever way the rest is asked for."""
    into: Any = BeastCard | WolfCard
    with Session(binds={Owner: engines[0], Beast: engines[1]}) as session:
        session.add_all([Beast(id=1, owner_id=1), Wolf(id=2), Wolf(id=3)])
        session.commit()
        everything = select(Beast).order_by(Beast.id)
        beast = BeastCard("beast", ThingCard(1))
        wolves = [WolfCard("wolf", 2), WolfCard("wolf", 3)]
        assert fetch(session, into, everything) == [beast, *wolves]

        @event.listens_for(session, "do_orm_execute")
        def hide(state: ORMExecuteState) -> None:
            state.statement = state.statement.options(with_loader_criteria(Wolf, Wolf.id != 2))

        assert fetch(session, into, everything) == [beast, wolves[1]]


def test_a_class_that_is_bound_to_nothing_is_joined(engines):
    """A session that knows one class only is believed to have all in its database."""
    with Session(binds={Thing: engines[1]}) as session:
        assert fetch(session, HasOwner, THINGS) == [HasOwner(7, None)]


@dataclass(frozen=True)
class HasOwner:
    id: int
    owner: ThingCard | None


@pytest.mark.parametrize("size", [0, -1, True, 1.5])
def test_batch_size_must_be_positive(size):
    """Anything else would give nothing, or everything at once."""
    with pytest.raises(ViewStatementError, match="batch_size"), Session() as session:
        stream_views(session, ThingCard, select(Thing), batch_size=size)


async def test_batch_size_must_be_positive_when_async():
    """The same, at the first batch."""
    with pytest.raises(ViewStatementError, match="batch_size"):
        async for _ in astream_views(AsyncSession(), ThingCard, select(Thing), batch_size=0):
            pass
