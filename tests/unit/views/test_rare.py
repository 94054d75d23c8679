"""What few views have, and each that has it must have right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NewType, Protocol

import pytest
from sqlalchemy import Column, ForeignKey, Integer, Table, func, insert, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    column_property,
    foreign,
    mapped_column,
    relationship,
    with_loader_criteria,
)
from sqlalchemy.orm.collections import collection
from sqlalchemy.types import UserDefinedType

from sqla_safe import Expr, Path, ViewDefinitionError, fetch, fetch_one, view_plan
from tests.engines import in_memory
from tests.unit.views.models import Company, Node, Person, Post, User

UserId = NewType("UserId", int)


@dataclass(frozen=True)
class Titled:
    id: int


@dataclass(frozen=True)
class Numbered:
    id: UserId | int
    posts: tuple[Titled, ...]


@dataclass(frozen=True)
class Upwards:
    id: int
    parent: Annotated[Upwards, Path(Node.parent, depth=1)]


@dataclass(frozen=True)
class Chief:
    what: Annotated[Literal["manager"], Path(Person.kind)]
    name: str


@dataclass(frozen=True)
class Worker:
    loud: Annotated[str, Expr(lambda person: func.upper(person.name))]
    what: Annotated[Literal["engineer", "person"], Path(Person.kind)]


@dataclass(frozen=True)
class Firm:
    staff: tuple[Chief | Worker, ...]


class Point(UserDefinedType[Any]):
    """A type that does not say what its values are."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return its name in DDL."""
        return "TEXT"


class Words(Point):
    """A type that Python has no class for, as some of PostgreSQL's."""

    cache_ok = True

    @property
    def python_type(self) -> type[Any]:
        """There is none."""
        raise NotImplementedError


class Keyed(dict[str, Any]):
    """A dict that is filled by a rule of its own."""

    @collection.appender
    def put(self, pin: Any) -> None:
        """Take an entity."""
        self[pin.name] = pin

    @collection.remover
    def drop(self, pin: Any) -> None:
        """Lose an entity."""
        del self[pin.name]

    @collection.iterator
    def each(self) -> Iterator[Any]:
        """Give the entities."""
        return iter(self.values())


class Base(DeclarativeBase):
    pass


class Map(Base):
    __tablename__ = "maps"
    id: Mapped[int] = mapped_column(primary_key=True)
    centre: Mapped[Any] = mapped_column(Point)
    pins: Mapped[Any] = relationship("Pin", collection_class=Keyed)


class Pin(Base):
    __tablename__ = "pins"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    map_id: Mapped[int] = mapped_column(ForeignKey(Map.id))


class Scene(Base):
    """Text to search in, and what leads to it by way of other tables and subqueries."""

    __tablename__ = "scenes"
    id: Mapped[int] = mapped_column(primary_key=True)
    words: Mapped[Any] = mapped_column(Words, nullable=True)
    map_id: Mapped[int] = mapped_column(ForeignKey(Map.id))
    map: Mapped[Map] = relationship()


class Shot(Base):
    __tablename__ = "shots"
    id: Mapped[int] = mapped_column(primary_key=True)
    scenes: Mapped[list[Scene]] = relationship(secondary="cuts", order_by=Scene.id)


class Cut(Base):
    __tablename__ = "cuts"
    shot_id: Mapped[int] = mapped_column(ForeignKey(Shot.id), primary_key=True)
    scene_id: Mapped[int] = mapped_column(ForeignKey(Scene.id), primary_key=True)


counts = (
    select(Pin.map_id, func.count(Pin.id).label("size")).group_by(Pin.map_id).subquery("counts")
)


class Count(Base):
    __table__ = counts
    __mapper_args__: ClassVar[dict[str, Any]] = {"primary_key": [counts.c.map_id]}


first = aliased(Pin, select(Pin).where(Pin.name < "c").subquery("first"))
Map.count = relationship(
    Count, primaryjoin=foreign(counts.c.map_id) == Map.id, uselist=False, viewonly=True
)
Map.firsts = relationship(first, primaryjoin=foreign(first.map_id) == Map.id, viewonly=True)


frames = Table(
    "frames",
    Base.metadata,
    Column("id", Integer, primary_key=True),
    Column("shot_id", ForeignKey(Shot.id)),
)


class Framed(Base):
    """Two tables as one, in which a column of both is one attribute."""

    __table__ = Shot.__table__.join(frames)
    shot_id = column_property(Shot.__table__.c.id, frames.c.shot_id)
    frame_id = column_property(frames.c.id)


@dataclass(frozen=True)
class FramedCard:
    shot_id: int
    frame_id: int


class Sized(Protocol):
    """Whatever has a length; it cannot be asked for at run time."""

    def __len__(self) -> int:
        """The length."""
        ...


@dataclass(frozen=True)
class CountCard:
    size: int


@dataclass(frozen=True)
class MapCard:
    id: int
    count: CountCard | None
    firsts: tuple[Titled, ...]


@dataclass(frozen=True)
class SceneCard:
    words: Any
    place: Annotated[int, Path(Scene.map, Map.id)]


@dataclass(frozen=True)
class ShotCard:
    scenes: tuple[SceneCard, ...]


@dataclass(frozen=True)
class PinCard:
    name: Sized
    again: Annotated[str, Expr(lambda pin: pin.name)]


@dataclass(frozen=True)
class Centre:
    centre: str


@dataclass(frozen=True)
class Pins:
    pins: dict[str, Titled]


@pytest.fixture
def maps() -> Iterator[Session]:
    """Give a session on a database with a map."""
    with in_memory(Base) as engine, Session(engine) as session:
        session.add(Map(id=1, centre="1 2"))
        session.add_all([Pin(id=1, name="a", map_id=1), Pin(id=2, name="d", map_id=1)])
        session.add_all([Scene(id=1, map_id=1), Shot(id=1), Cut(shot_id=1, scene_id=1)])
        session.commit()
        yield session


def test_a_type_written_twice_is_one(session: Session) -> None:
    """A name for a type is the type."""
    assert fetch_one(session, Numbered, select(User).where(User.id == 3)) == Numbered(3, ())


def test_the_end_of_a_depth_is_none() -> None:
    """A field whose class is cut off there must allow it."""
    with pytest.raises(ViewDefinitionError, match="at the end of its depth it is None; write Upw"):
        view_plan(Upwards, Node)


def test_a_field_with_another_name_chooses_the_class(session: Session) -> None:
    """By a Path to the discriminator; what is computed says nothing of the class."""
    [firm] = fetch(session, Firm, select(Company))
    assert firm.staff == (
        Chief("manager", "Mia"),
        Worker("EVE", "engineer"),
        Worker("PAT", "person"),
    )


def test_a_kept_statement_keeps_its_options(session: Session) -> None:
    """Each time it is executed, for all levels."""
    kept = select(User).where(User.id == 1).options(with_loader_criteria(Post, Post.id > 2))
    for _ in range(3):
        assert fetch(session, Numbered, kept) == [Numbered(UserId(1), (Titled(3),))]


def test_a_plan_is_made_of_a_class() -> None:
    """Once, however often it is asked for; an instance is none."""
    assert str(view_plan(Titled, User)) == str(view_plan(Titled, User))
    with pytest.raises(ViewDefinitionError, match="this is an instance; write Titled, its class"):
        view_plan(Titled(1), User)  # type: ignore[arg-type]


def test_a_type_that_keeps_silent_may_be_anything(maps: Session) -> None:
    """Nobody can say what a column of it holds."""
    assert fetch(maps, Centre, select(Map)) == [Centre("1 2")]


def test_what_leads_to_subqueries_is_followed(maps: Session) -> None:
    """A class that is mapped to a SELECT, and a relationship to an alias of one."""
    assert fetch(maps, MapCard, select(Map)) == [MapCard(1, CountCard(2), (Titled(1),))]


def test_a_secondary_table_and_a_join_go_together(maps: Session) -> None:
    """In one statement for the scenes, to-one relationships joined."""
    assert fetch(maps, ShotCard, select(Shot)) == [ShotCard((SceneCard(None, 1),))]


def test_a_field_may_be_whatever_python_cannot_ask(maps: Session) -> None:
    """A Protocol is believed; an Expr may be an attribute as it is."""
    found = fetch(maps, PinCard, select(Pin).order_by(Pin.id))
    assert found == [PinCard("a", "a"), PinCard("d", "d")]


def test_a_dict_with_a_rule_of_its_own_is_refused() -> None:
    """A view cannot know the keys."""
    with pytest.raises(ViewDefinitionError, match=r"Pins\.pins"):
        view_plan(Pins, Map)


def test_a_class_of_two_tables_is_read_by_the_first_column() -> None:
    """The second one's NULL is never met: the join compares the two."""
    with in_memory(Base) as engine, Session(engine) as own:
        own.execute(insert(Shot), [{"id": 3}, {"id": 4}])
        own.execute(frames.insert(), [{"id": 1, "shot_id": 3}, {"id": 2, "shot_id": None}])
        assert fetch(own, FramedCard, select(Framed)) == [FramedCard(3, 1)]
