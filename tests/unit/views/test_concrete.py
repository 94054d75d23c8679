"""Concrete table inheritance: a union of tables, each of which numbers its own rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from sqlalchemy import select
from sqlalchemy.ext.declarative import ConcreteBase
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, aliased, mapped_column

from sqla_safe import fetch
from tests.engines import in_memory


class Base(DeclarativeBase):
    pass


class Cat(ConcreteBase, Base):
    __tablename__ = "cats"
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "cat", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Lion(Cat):
    __tablename__ = "lions"
    __mapper_args__: ClassVar[dict[str, Any]] = {"polymorphic_identity": "lion", "concrete": True}
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    mane: Mapped[str] = mapped_column(default="short")


@dataclass(frozen=True)
class Named:
    id: int
    name: str


@dataclass(frozen=True)
class CatCard:
    id: int


@dataclass(frozen=True)
class LionCard:
    id: int
    name: str
    mane: str


@pytest.fixture
def session() -> Iterator[Session]:
    """Give a session with no beasts."""
    with in_memory(Base) as engine, Session(engine) as session:
        yield session


def test_copied_conditions_have_their_own_values(session: Session) -> None:
    """For a union of tables SQLAlchemy copies them with parameters under other names."""
    session.add_all([Cat(id=1, name="Tom"), Cat(id=2, name="Kit"), Lion(id=3, name="Leo")])
    session.commit()
    for number in (2, 1, 3, 1):
        found = fetch(session, Named, select(Cat).where(Cat.id == number))
        assert [one.id for one in found] == [number]
    into: Any = LionCard | CatCard
    beasts = fetch(session, into, select(Cat).order_by(Cat.id))
    assert beasts == [CatCard(1), CatCard(2), LionCard(3, "Leo", "short")]


@pytest.mark.parametrize("alias", [False, True])
def test_tables_number_their_rows_each_on_its_own(session: Session, alias: bool) -> None:
    """A cat and a lion with the same number are two."""
    session.add_all([Cat(id=1, name="Tom"), Lion(id=1, name="Leo"), Lion(id=2, name="Nala")])
    session.commit()
    entity: Any = aliased(Cat) if alias else Cat
    cats = select(entity).order_by(entity.name)
    expected = [one.name for one in session.scalars(cats)]
    assert [one.name for one in fetch(session, Named, cats)] == expected == ["Leo", "Nala", "Tom"]


def test_a_table_is_never_joined_to_another(session: Session) -> None:
    """A union of classes reads it in a statement of its own."""
    session.add_all([Cat(id=1, name="Tom"), Lion(id=1, name="Leo")])
    session.commit()
    into: Any = Named | LionCard
    found = fetch(session, into, select(Cat).order_by(Cat.name))
    assert found == [LionCard(1, "Leo", "short"), Named(1, "Tom")]
