"""A view of classes that are in databases of different kinds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest
from sqlalchemy import Engine, ForeignKey, Numeric, create_engine, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    with_loader_criteria,
)
from sqlalchemy.pool import StaticPool

from sqla_safe import fetch, stream_views

NOON = dt.datetime(2026, 1, 2, 12)  # noqa: DTZ001  (not every database has time zones)


class Base(DeclarativeBase):
    pass


class Owner(Base):
    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    things: Mapped[list[Thing]] = relationship(back_populates="owner", order_by="Thing.id")


class Thing(Base):
    __tablename__ = "things"
    id: Mapped[int] = mapped_column(primary_key=True)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    moment: Mapped[dt.datetime]
    owner_id: Mapped[int] = mapped_column(ForeignKey(Owner.id))
    owner: Mapped[Owner] = relationship(back_populates="things")


@dataclass(frozen=True)
class OwnerCard:
    id: int


@dataclass(frozen=True)
class ThingCard:
    price: Decimal
    moment: dt.datetime
    owner: OwnerCard


@dataclass(frozen=True)
class Card:
    id: int
    things: tuple[ThingCard, ...]


@pytest.fixture
def session(sync_engine: Engine) -> Iterator[Session]:
    """Give a session whose owners are in SQLite, and whose things are in the other database."""
    here = create_engine("sqlite://", poolclass=StaticPool)
    Owner.__table__.create(here)  # type: ignore[attr-defined]
    Base.metadata.create_all(sync_engine)
    with Session(here) as owners, Session(sync_engine) as things:
        owners.add(Owner(id=1))
        things.add(Owner(id=1))  # for its foreign key only
        things.flush()
        things.add(Thing(id=7, price=Decimal("1.50"), moment=NOON, owner_id=1))
        owners.commit()
        things.commit()
    with Session(binds={Owner: here, Thing: sync_engine}) as session:
        yield session
    here.dispose()


def test_each_level_is_asked_in_its_own_language(session: Session) -> None:
    """Keys are sent, and values read, as the database of the level wants it."""
    expected = Card(1, (ThingCard(Decimal("1.50"), NOON, OwnerCard(1)),))
    assert fetch(session, Card, select(Owner)) == [expected]
    assert list(stream_views(session, Card, select(Owner))) == [[expected]]
    assert fetch(session, ThingCard, select(Thing)) == list(expected.things)


KEPT = select(Owner).options(with_loader_criteria(Thing, Thing.price > 1))


def test_a_kept_statement_serves_every_kind_of_database(session: Session) -> None:
    """With criteria for the levels below, which are asked in the language of each."""
    here, there = session.get_bind(Owner), session.get_bind(Thing)
    Base.metadata.create_all(here)
    for bind in (here, there, here, there):
        with Session(bind) as one:
            [owner] = one.scalars(KEPT)
            expected = [
                Card(1, tuple(ThingCard(t.price, t.moment, OwnerCard(1)) for t in owner.things))
            ]
            assert fetch(one, Card, KEPT) == expected
            assert len(expected[0].things) == (bind is not here)
