"""What views keep for an engine, or for a class made at run time, goes with it."""

from __future__ import annotations

import gc
import linecache
import traceback
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, make_dataclass
from typing import Any, cast

import pytest
from sqlalchemy import Engine, ForeignKey, String, TypeDecorator, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_safe import fetch
from sqla_safe.views._views import RUN_TIME_CLASSES
from tests.engines import in_memory


class Base(DeclarativeBase):
    pass


class Upper(TypeDecorator[str]):
    """SQLAlchemy's function for its values holds the dialect."""

    impl = String
    cache_ok = True

    def process_result_value(self, value: Any, dialect: Any) -> str:
        return str(value).upper() if value != "bad" else str(1 / 0)


class Word(Base):
    __tablename__ = "words"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(Upper(10))


class Lower(TypeDecorator[str]):
    """It asks the dialect what to send."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str:
        return f"{value}{getattr(dialect, 'mark', '')}"

    def process_result_value(self, value: Any, dialect: Any) -> str:
        return str(value).removesuffix(getattr(dialect, "mark", ""))


class Shelf(Base):
    __tablename__ = "shelves"
    key: Mapped[str] = mapped_column(Lower, primary_key=True)
    books: Mapped[list[Book]] = relationship()


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_key: Mapped[str] = mapped_column(Lower, ForeignKey(Shelf.key))


@dataclass(frozen=True)
class BookCard:
    id: int


@dataclass(frozen=True)
class ShelfCard:
    key: str
    books: tuple[BookCard, ...]


@dataclass(frozen=True)
class WordCard:
    id: int
    text: str


@contextmanager
def filled(word: str) -> Iterator[Engine]:
    """Give a database with one word."""
    with in_memory(Base) as engine:
        with engine.begin() as connection:
            connection.execute(insert(Word.__table__).values(id=1, text=word))
        yield engine


def words(engine: Engine) -> list[str]:
    """Return the words, by a statement that is repeated."""
    with Session(engine) as session:
        return [one.text for _ in range(3) for one in fetch(session, WordCard, select(Word))]


def used_up() -> weakref.ref[Any]:
    """Use an engine and return its dialect, weakly."""
    with filled("a") as engine:
        assert words(engine) == ["A"] * 3
        return weakref.ref(engine.dialect)


def test_engines_are_let_go() -> None:
    """All but the last one, also where a type holds the dialect."""
    seen = [used_up() for _ in range(6)]
    gc.collect()
    assert sum(one() is not None for one in seen) <= 1


def shelved(mark: str) -> weakref.ref[Any]:
    """Use an engine of a kind of its own, and return its dialect, weakly."""
    with in_memory(Base) as engine:
        cast("Any", engine.dialect).mark = mark
        with engine.begin() as connection:
            connection.execute(insert(Shelf).values(key="a"))
            connection.execute(insert(Book).values(id=1, shelf_key="a"))
        with Session(engine) as session:
            for _ in range(3):
                assert fetch(session, ShelfCard, select(Shelf)) == [ShelfCard("a", (BookCard(1),))]
        return weakref.ref(engine.dialect)


def test_keys_are_bound_as_each_dialect_wants() -> None:
    """A type may ask the dialect what to send, and what is kept for one is not sent to another."""
    seen = [shelved(mark) for mark in "xyz"]
    gc.collect()
    assert sum(one() is not None for one in seen) <= 1


def sources() -> list[str]:
    """Return the files whose lines are kept for tracebacks."""
    return [name for name in linecache.cache if name.startswith("<sqla_safe view Passing")]


def test_the_code_of_a_moment_is_let_go() -> None:
    """Its lines are kept for as long as it can be in a traceback."""
    with filled("a") as engine, Session(engine) as session:
        for number in range(RUN_TIME_CLASSES + 50):
            into = make_dataclass(f"Passing{number}", [("id", int)], frozen=True)
            fetch(session, into, select(Word))
    gc.collect()
    assert 0 < len(sources()) <= RUN_TIME_CLASSES


def test_lines_stay_for_another_engine() -> None:
    """The same code is made for each; a traceback shows it while one of them is there."""
    with filled("bad") as engine:
        used_up()
        gc.collect()
        with pytest.raises(ZeroDivisionError) as caught:
            words(engine)
        shown = "".join(traceback.format_exception(caught.value))
        assert "<sqla_safe view WordCard" in shown
        assert "(c1)" in shown
