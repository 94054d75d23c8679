"""Databases that nobody wrote anything for: keys go as a list, many of them in several statements.

SQLite stands in for them, under their names; their own dialects say what they would be sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, ForeignKey, ForeignKeyConstraint, event, insert, select
from sqlalchemy.dialects import mssql, oracle
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_safe import fetch, stream_views, view_plan
from tests.engines import in_memory

ROWS = 1_100


class Base(DeclarativeBase):
    pass


class Shop(Base):
    __tablename__ = "shops"
    town: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    shelves: Mapped[list[Shelf]] = relationship(order_by="Shelf.id")


class Shelf(Base):
    __tablename__ = "shelves"
    __table_args__ = (ForeignKeyConstraint(["town", "number"], ["shops.town", "shops.number"]),)
    id: Mapped[int] = mapped_column(primary_key=True)
    town: Mapped[int]
    number: Mapped[int]
    books: Mapped[list[Book]] = relationship(order_by="Book.id")


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey(Shelf.id))


@dataclass(frozen=True)
class BookCard:
    id: int


@dataclass(frozen=True)
class ShelfCard:
    id: int
    books: tuple[BookCard, ...]


@dataclass(frozen=True)
class ShopCard:
    town: int
    number: int
    shelves: tuple[ShelfCard, ...]


@contextmanager
def filled(name: str) -> Iterator[Engine]:
    """Give a database by that name: each shop has a shelf, and each shelf a book."""
    with in_memory(Base) as engine:
        numbers = range(ROWS)
        with engine.begin() as connection:
            connection.execute(insert(Shop), [{"town": n % 7, "number": n} for n in numbers])
            shelves = [{"id": n, "town": n % 7, "number": n} for n in numbers]
            connection.execute(insert(Shelf), shelves)
            connection.execute(insert(Book), [{"id": n, "shelf_id": n} for n in numbers])
        engine.dialect.name = name
        yield engine


@pytest.mark.parametrize("name", ["cockroachdb", "oracle", "mssql", "firebird"])
def test_lists_of_keys_find_every_row(name: str) -> None:
    """Of one column or two, whole and in batches, also when the statement is repeated."""
    expected = [ShopCard(n % 7, n, (ShelfCard(n, (BookCard(n),)),)) for n in range(ROWS)]
    statement = select(Shop).order_by(Shop.number)
    with filled(name) as engine, Session(engine) as session:
        for _ in range(3):
            assert fetch(session, ShopCard, select(Shop).order_by(Shop.number)) == expected
        batches = list(stream_views(session, ShopCard, statement, batch_size=600))
        assert [one for batch in batches for one in batch] == expected
        some = select(Shop).where(Shop.number < 3).order_by(Shop.number)
        assert fetch(session, ShopCard, some) == expected[:3]


@pytest.mark.parametrize(("name", "statements"), [("oracle", 1 + 3 + 2), ("mssql", 1 + 11 + 2)])
def test_a_statement_takes_so_many_keys(name: str, statements: int) -> None:
    """One thousand, divided by the columns of a key; or one hundred pairs of them."""
    with filled(name) as engine, Session(engine) as session:
        sent: list[Any] = []
        event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
        fetch(session, ShopCard, select(Shop))
        assert len(sent) == statements


def test_sql_server_compares_no_rows() -> None:
    """It has no IN for several columns at once: they are compared one by one."""
    plan = view_plan(ShopCard, Shop)
    [_, pairs, single] = plan.statements(mssql.dialect())
    assert "(shelves.town, shelves.number) IN" not in pairs
    assert "shelves.town = :sqla_safe_keys_0_0 AND shelves.number = :sqla_safe_keys_0_1" in pairs
    assert "books.shelf_id IN (" in single
    assert '(shelves.town, shelves."number") IN (' in plan.statements(oracle.dialect())[1]
