"""Texts that the database finds equal and Python does not: it says whose the rows are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from sqlalchemy import (
    Column,
    Engine,
    ForeignKey,
    ForeignKeyConstraint,
    String,
    Table,
    insert,
    select,
)
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    with_loader_criteria,
)

from sqla_safe import Path, fetch, stream_views
from tests.engines import in_memory

NOCASE = String(20, collation="NOCASE")
ANY_CASE = String(20).with_variant(NOCASE, "sqlite")


class Base(DeclarativeBase):
    pass


marked = Table(
    "marked",
    Base.metadata,
    Column("word", ANY_CASE, ForeignKey("words.key"), primary_key=True),
    Column("mark", ForeignKey("marks.id"), primary_key=True),
)


class Word(Base):
    __tablename__ = "words"
    key: Mapped[str] = mapped_column(ANY_CASE, primary_key=True)
    uses: Mapped[list[Use]] = relationship(order_by="Use.id", back_populates="word")
    unsorted: Mapped[list[Use]] = relationship(viewonly=True)
    marks: Mapped[list[Mark]] = relationship(secondary=marked, order_by="Mark.id")


class Use(Base):
    __tablename__ = "uses"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    word_key: Mapped[str] = mapped_column(ANY_CASE, ForeignKey(Word.key))
    word: Mapped[Word] = relationship(back_populates="uses")


class Mark(Base):
    __tablename__ = "marks"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Place(Base):
    __tablename__ = "places"
    book: Mapped[str] = mapped_column(ANY_CASE, primary_key=True)
    page: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    notes: Mapped[list[Note]] = relationship(order_by="Note.id")


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    book: Mapped[str] = mapped_column(ANY_CASE)
    page: Mapped[int]
    __table_args__ = (ForeignKeyConstraint(["book", "page"], ["places.book", "places.page"]),)


def store(engine: Engine) -> None:
    """Fill a database; every key is written otherwise where it is referred to."""
    uses = [(1, "abc"), (2, "ABC"), (3, "X"), (4, "Abc"), (5, "same")]
    with engine.begin() as connection:
        connection.execute(insert(Word), [{"key": key} for key in ("Abc", "x", "same", "lone")])
        connection.execute(insert(Mark), [{"id": number} for number in (1, 2)])
        connection.execute(insert(Use), [{"id": n, "word_key": key} for n, key in uses])
        connection.execute(
            marked.insert(), [{"word": "ABC", "mark": 2}, {"word": "abc", "mark": 1}]
        )
        connection.execute(insert(Place), [{"book": "B", "page": 1}, {"book": "b", "page": 2}])
        connection.execute(
            insert(Note), [{"id": 1, "book": "b", "page": 1}, {"id": 2, "book": "B", "page": 2}]
        )


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give a filled database."""
    with in_memory(Base) as engine:
        store(engine)
        yield engine


@dataclass(frozen=True)
class Numbered:
    id: int


@dataclass(frozen=True)
class WordCard:
    key: str
    uses: tuple[Numbered, ...]
    unsorted: list[Numbered]
    marks: list[Numbered]
    numbers: Annotated[tuple[int, ...], Path(Word.uses, Use.id)]


@dataclass(frozen=True)
class PlaceCard:
    book: str
    page: int
    notes: tuple[Numbered, ...]


def shown(session: Session, statement: Any) -> list[tuple[Any, ...]]:
    """Return what the entities have."""
    return [
        (
            word.key,
            [use.id for use in word.uses],
            sorted(use.id for use in word.unsorted),
            [mark.id for mark in word.marks],
            [use.id for use in word.uses],
        )
        for word in session.scalars(statement)
    ]


def ids(found: Any) -> list[int]:
    """Return the numbers of views."""
    return [one.id for one in found]


def viewed(cards: Any) -> list[tuple[Any, ...]]:
    """Return the same of views."""
    return [
        (one.key, ids(one.uses), sorted(ids(one.unsorted)), ids(one.marks), [*one.numbers])
        for one in cards
    ]


WORDS = select(Word).order_by(Word.key)


def test_rows_are_found_whatever_the_case(session: Session) -> None:
    """As lazy loading finds them, in lists and in streams."""
    expected = shown(session, WORDS)
    assert expected[0] == ("Abc", [1, 2, 4], [1, 2, 4], [1, 2], [1, 2, 4])
    for _ in range(3):
        assert viewed(fetch(session, WordCard, WORDS)) == expected
    batches = stream_views(session, WordCard, WORDS, batch_size=3)
    assert viewed(one for batch in batches for one in batch) == expected


def test_keys_of_two_columns_are_found_too(session: Session) -> None:
    """A text beside a number."""
    places = select(Place).order_by(Place.page)
    first, second = fetch(session, PlaceCard, places)
    assert (first.notes, second.notes) == ((Numbered(1),), (Numbered(2),))


def test_criteria_hold_for_what_is_found_so(session: Session) -> None:
    """Those of the statement reach the rows below."""
    statement = WORDS.options(with_loader_criteria(Use, Use.id != 2))
    assert ids(fetch(session, WordCard, statement)[0].uses) == [1, 4]


def test_it_is_asked_only_where_that_matters(session: Session, sent: list[str]) -> None:
    """A statement more for each collection, and none where the texts are the same."""
    fetch(session, WordCard, WORDS.where(Word.key == "same"))
    assert len(sent) == 5
    del sent[:]
    fetch(session, WordCard, WORDS.where(Word.key == "x"))
    assert len(sent) == 1 + 3 * 2 + 1
