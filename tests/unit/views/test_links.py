"""Relationships that are found in unusual ways."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import pytest
from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    UniqueConstraint,
    and_,
    event,
    insert,
    select,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    foreign,
    mapped_column,
    relationship,
    remote,
)

from sqla_safe import Path, ViewDefinitionError, fetch, view_plan
from tests.engines import in_memory


class Base(DeclarativeBase):
    pass


likes = Table(
    "likes",
    Base.metadata,
    Column("who", ForeignKey("people.id"), primary_key=True),
    Column("whom", ForeignKey("people.id"), primary_key=True),
)


class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    region: Mapped[str | None] = mapped_column(String(10))
    minimum: Mapped[int] = mapped_column(default=0)
    offers: Mapped[list[Offer]] = relationship(
        primaryjoin=lambda: and_(
            Person.region == foreign(Offer.region), foreign(Offer.price) >= Person.minimum
        ),
        order_by=lambda: Offer.id,
        viewonly=True,
    )
    dear: Mapped[list[Offer]] = relationship(
        primaryjoin=lambda: and_(
            Person.region == foreign(Offer.region), Offer.price >= Person.minimum
        ),
        order_by=lambda: Offer.id,
        viewonly=True,
    )
    regional: Mapped[list[Offer]] = relationship(
        primaryjoin=lambda: Person.region == foreign(Offer.region),
        order_by=lambda: Offer.id,
        viewonly=True,
    )
    liked: Mapped[list[Person]] = relationship(
        secondary=likes,
        primaryjoin=lambda: Person.id == likes.c.who,
        secondaryjoin=lambda: Person.id == likes.c.whom,
        order_by=lambda: Person.id,
    )
    later: Mapped[list[Person]] = relationship(
        primaryjoin=lambda: foreign(remote(Person.id)) > Person.id,
        order_by=lambda: Person.id,
        viewonly=True,
    )
    letter: Mapped[Letter | None] = relationship(order_by="Letter.id.desc()")
    badge: Mapped[Badge | None] = relationship()
    hidden: Mapped[list[Hidden]] = relationship(viewonly=True)
    first_liked: Mapped[Person | None] = relationship(
        secondary=likes,
        primaryjoin=lambda: Person.id == likes.c.who,
        secondaryjoin=lambda: Person.id == likes.c.whom,
        uselist=False,
        viewonly=True,
    )


class Offer(Base):
    __tablename__ = "offers"
    id: Mapped[int] = mapped_column(primary_key=True)
    region: Mapped[str]
    price: Mapped[int]


class Letter(Base):
    """Its foreign key alone is not unique: the order says which one is meant."""

    __tablename__ = "letters"
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id), index=True)
    __table_args__ = (UniqueConstraint("person_id", "id"),)


class Hidden(Base):
    """Its foreign key is no attribute."""

    __table__ = Table(
        "hidden",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("person_id", ForeignKey("people.id")),
    )
    __mapper_args__ = {"exclude_properties": ["person_id"]}  # noqa: RUF012
    id: Mapped[int]


class Badge(Base):
    __tablename__ = "badges"
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id))
    __table_args__ = (Index("one_badge", "person_id", unique=True),)


class Face(Base):
    """Has the key of its person."""

    __tablename__ = "faces"
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)


class Desk(Base):
    """A person has one."""

    __tablename__ = "desks"
    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey(Person.id), unique=True)


Person.face = relationship(Face, uselist=False)  # type: ignore[attr-defined]
Person.desk = relationship(Desk, uselist=False)  # type: ignore[attr-defined]
young = aliased(Person, select(Person).where(Person.id > 1).subquery())
Person.young = relationship(  # type: ignore[attr-defined]
    young, primaryjoin=Person.region == foreign(young.region), viewonly=True
)
Letter.young = relationship(  # type: ignore[attr-defined]
    young, primaryjoin=foreign(Letter.person_id) == young.id, viewonly=True
)
Badge.young = relationship(  # type: ignore[attr-defined]
    young, primaryjoin=foreign(Badge.person_id) == young.id, viewonly=True
)


@pytest.fixture
def session() -> Iterator[Session]:
    """Give a session with three people who like each other in a circle."""
    with in_memory(Base) as engine, Session(engine) as session:
        ann = Person(id=1, name="Ann", region="n", minimum=5, letter=Letter(id=1))
        bob = Person(id=2, name="Bob", region="n", badge=Badge(id=1))
        cid = Person(id=3, name="Cid")
        ann.liked, bob.liked, cid.liked = [bob], [cid], [ann]
        offers = [
            Offer(region="n", price=9),
            Offer(region="n", price=1),
            Offer(region="s", price=9),
        ]
        session.add_all([ann, bob, cid, *offers])
        session.flush()
        session.add(Letter(id=2, person_id=1))
        session.execute(insert(Hidden.__table__).values(id=5, person_id=2))
        session.commit()
        yield session


@dataclass(frozen=True)
class Named:
    name: str


@dataclass(frozen=True)
class Numbered:
    id: int


@dataclass(frozen=True)
class Card:
    name: str
    offers: tuple[Numbered, ...]
    regional: list[Numbered]
    liked: tuple[Named, ...]
    later: tuple[Named, ...]
    letter: Numbered | None
    badge: Numbered | None
    hidden: tuple[Numbered, ...]
    first_liked: Named | None
    young: tuple[Named, ...]
    last_letter: Annotated[int | None, Path(Person.badge, Badge.id)]


EVERYBODY = select(Person).order_by(Person.id)


def test_every_join_gives_what_the_entity_has(session: Session) -> None:
    """Conditions on the parent, keys that are no primary key, secondaries of one class, aliases."""
    sent: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *args: sent.append(args[2]))
    found = fetch(session, Card, EVERYBODY)
    assert len(sent) == 9
    for card, person in zip(found, session.scalars(EVERYBODY), strict=True):
        assert [one.id for one in card.offers] == [one.id for one in person.offers]
        assert [one.id for one in card.regional] == [one.id for one in person.regional]
        assert [one.name for one in card.liked] == [one.name for one in person.liked]
        assert [one.name for one in card.later] == [one.name for one in person.later]
        young_names = [one.name for one in person.young]  # type: ignore[attr-defined]
        assert [one.name for one in card.young] == young_names
    assert [card.hidden for card in found] == [(), (Numbered(5),), ()]
    assert [card.first_liked for card in found] == [Named("Bob"), Named("Cid"), Named("Ann")]
    assert [card.letter for card in found] == [Numbered(2), None, None]
    assert [card.badge for card in found] == [None, Numbered(1), None]


def test_a_shared_key_shares_no_list(session: Session) -> None:
    """Two objects whose key is the same have lists of their own."""
    ann, bob, _ = fetch(session, Card, EVERYBODY)
    assert ann.regional == bob.regional
    assert ann.regional is not bob.regional


@dataclass(frozen=True)
class Dear:
    dear: tuple[Numbered, ...]


@dataclass(frozen=True)
class Later:
    later: tuple[Named, ...]


def test_a_condition_may_need_the_parent(session: Session) -> None:
    """Beside the equation that finds its children."""
    found = fetch(session, Dear, EVERYBODY)
    entities = session.scalars(EVERYBODY).all()
    expected = [[one.id for one in each.dear] for each in entities]
    assert [[one.id for one in each.dear] for each in found] == expected
    assert expected[0] != expected[1]


def test_a_child_of_several_parents_is_one_object(session: Session) -> None:
    """By whatever condition they have found it."""
    ann, bob, _ = fetch(session, Later, EVERYBODY)
    assert ann.later == (Named("Bob"), Named("Cid"))
    assert ann.later[1] is bob.later[0]


@dataclass(frozen=True)
class HasYoung:
    young: Named | None


def test_an_alias_is_no_class(session: Session) -> None:
    """What a relationship leads to is the alias's rows only, for one as for many."""
    assert fetch(session, HasYoung, select(Letter).where(Letter.id == 1)) == [HasYoung(None)]
    assert fetch(session, HasYoung, select(Badge)) == [HasYoung(Named("Bob"))]


@dataclass(frozen=True)
class FaceCard:
    person_id: int


@dataclass(frozen=True)
class Unique:
    face: FaceCard | None
    badge: Numbered | None
    desk: Numbered | None


def test_what_is_unique_is_joined(session: Session) -> None:
    """By a key, a constraint or an index: it cannot make two rows of one."""
    session.add_all([Face(person_id=1), Desk(id=8, person_id=1)])
    session.commit()
    sent: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *args: sent.append(args[2]))
    assert fetch(session, Unique, EVERYBODY.limit(2)) == [
        Unique(FaceCard(1), None, Numbered(8)),
        Unique(None, Numbered(1), None),
    ]
    assert len(sent) == 1


@dataclass(frozen=True)
class Regional:
    regional: tuple[Numbered, ...]


def test_nobody_is_asked_for_no_key(session: Session) -> None:
    """NULL leads nowhere, and needs no statement to say so."""
    sent: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *args: sent.append(args[2]))
    assert fetch(session, Regional, select(Person).where(Person.id == 3)) == [Regional(())]
    assert len(sent) == 1


class Shelf(Base):
    __tablename__ = "shelves"
    name: Mapped[str] = mapped_column(primary_key=True)
    books: Mapped[list[Book]] = relationship(order_by="Book.id")


class Book(Base):
    """Its database sorts by less than makes two shelves different."""

    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf: Mapped[str] = mapped_column(String(collation="NOCASE"), ForeignKey(Shelf.name))


@dataclass(frozen=True)
class ShelfCard:
    name: str
    books: tuple[Numbered, ...]


def test_a_key_may_come_again(session: Session) -> None:
    """Among rows that are sorted by it, where the database takes another one for the same."""
    session.add_all([Shelf(name="a"), Shelf(name="A")])
    session.flush()
    session.add_all([Book(id=number, shelf="aA"[number % 2]) for number in range(6)])
    session.commit()
    found = fetch(session, ShelfCard, select(Shelf).order_by(Shelf.name))
    assert [(one.name, [book.id for book in one.books]) for one in found] == [
        ("A", [1, 3, 5]),
        ("a", [0, 2, 4]),
    ]


@dataclass(frozen=True)
class ByLetter:
    letter: Annotated[int | None, Path(Person.letter, Letter.id)]


def test_a_path_goes_where_no_join_can(session: Session) -> None:
    """What could make two rows of one is asked for in a statement of its own."""
    found = fetch(session, ByLetter, EVERYBODY)
    assert [one.letter for one in found] == [2, None, None]
    with pytest.raises(ViewDefinitionError, match=r"Letter\.id can be NULL: write letter: int"):
        view_plan(SureOfLetter, Person)


@dataclass(frozen=True)
class SureOfLetter:
    letter: Annotated[int, Path(Person.letter, Letter.id)]


@dataclass(frozen=True)
class Locked:
    name: str
    badge: Numbered | None


def test_a_locking_statement_is_not_joined_to(session: Session) -> None:
    """PostgreSQL refuses to lock the empty side of a join."""
    sent: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *args: sent.append(args[2]))
    fetch(session, Locked, EVERYBODY.with_for_update())
    assert "JOIN" not in sent[0]
    assert len(sent) == 2
