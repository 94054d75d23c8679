"""A `Path` goes through association proxies as through the attributes that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any

import pytest
from sqlalchemy import ForeignKey, func, select
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    with_loader_criteria,
)

from sqla_safe import Path, ViewDataError, ViewDefinitionError, fetch, fetch_one, view_plan
from tests.engines import in_memory


class Base(DeclarativeBase):
    pass


class Town(Base):
    __tablename__ = "towns"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    @hybrid_property
    def loud(self) -> str:
        return self.name.upper()

    @loud.inplace.expression
    @classmethod
    def _loud(cls) -> Any:
        return func.upper(cls.name)

    @property
    def plain(self) -> str:
        return self.name


class Book(Base):
    __tablename__ = "books"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int | None] = mapped_column(ForeignKey("authors.id"))
    town_id: Mapped[int] = mapped_column(ForeignKey(Town.id))
    town: Mapped[Town] = relationship()
    author: Mapped[Author | None] = relationship(back_populates="books")
    place: AssociationProxy[str] = association_proxy("town", "name")


class Author(Base):
    __tablename__ = "authors"
    id: Mapped[int] = mapped_column(primary_key=True)
    books: Mapped[list[Book]] = relationship(back_populates="author", order_by=Book.id)
    titles: AssociationProxy[list[str]] = association_proxy("books", "title")
    towns: AssociationProxy[list[Town]] = association_proxy("books", "town")
    places: AssociationProxy[list[str]] = association_proxy("books", "place")
    nothing: AssociationProxy[list[str]] = association_proxy("books", "nothing")


@pytest.fixture
def session() -> Iterator[Session]:
    """Give a session with two authors, of whom one has written nothing."""
    with in_memory(Base) as engine, Session(engine) as session:
        rome, bonn = Town(id=1, name="Rome"), Town(id=2, name="Bonn")
        books = [Book(id=1, title="one", town=rome), Book(id=2, title="two", town=bonn)]
        session.add_all([Author(id=1, books=books), Author(id=2)])
        session.commit()
        yield session


def view(annotation: Any) -> Any:
    """Return a view with one field beside the key."""
    return make_dataclass("Seen", [("id", int), ("value", annotation)], frozen=True)


@dataclass(frozen=True)
class TownCard:
    name: str


CARDS = (TownCard("Rome"), TownCard("Bonn"))
PATHS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "of a column": (Annotated[tuple[str, ...], Path(Author.titles)], ("one", "two")),
    "of a relationship": (Annotated[tuple[TownCard, ...], Path(Author.towns)], CARDS),
    "of a proxy": (Annotated[tuple[str, ...], Path(Author.places)], ("Rome", "Bonn")),
    "and on": (Annotated[tuple[str, ...], Path(Author.towns, Town.name)], ("Rome", "Bonn")),
    "to a hybrid": (Annotated[tuple[str, ...], Path(Author.towns, Town.loud)], ("ROME", "BONN")),
    "at the end": (Annotated[tuple[str, ...], Path(Author.books, Book.place)], ("Rome", "Bonn")),
}


@pytest.mark.parametrize("way", list(PATHS))
def test_a_path_goes_through_a_proxy(session: Session, way: str) -> None:
    """To what it gives, or on from there; nothing leads to nothing."""
    annotation, expected = PATHS[way]
    one, other = fetch(session, view(annotation), select(Author).order_by(Author.id))
    assert one.value == expected
    assert other.value == ()


def test_a_path_goes_through_a_proxy_to_one(session: Session) -> None:
    """What it gives is joined."""
    into = view(Annotated[str, Path(Book.place)])
    assert fetch_one(session, into, select(Book).where(Book.id == 2)).value == "Bonn"
    assert len(view_plan(into, Book).statements()) == 1


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        (
            Annotated[tuple[int, ...], Path(Author.titles)],
            "Seen.value holds int, but Book.title holds str",
        ),
        (
            Annotated[tuple[str, ...], Path(Author.nothing)],
            "Seen.value: 'nothing' is no attribute of Book",
        ),
        (
            Annotated[str, Path(Author.titles)],
            "Seen.value is str, but Author.books is a collection",
        ),
        (
            Annotated[tuple[str, ...], Path(Author.titles, Town.name)],
            "Seen.value: Book.title is no relationship of Book",
        ),
    ],
)
def test_a_wrong_path_through_a_proxy_is_refused(annotation: Any, problem: str) -> None:
    """Where it is defined, in the names of what the proxy stands for."""
    with pytest.raises(ViewDefinitionError) as caught:
        view_plan(view(annotation), Author)
    assert problem in str(caught.value)


def test_a_proxy_of_another_class_is_refused() -> None:
    """It is not reached from here."""
    with pytest.raises(ViewDefinitionError, match=r"Author\.books is no relationship of Book"):
        view_plan(view(Annotated[tuple[str, ...], Path(Author.titles)]), Book)


def test_the_way_is_told_as_it_was_written(session: Session) -> None:
    """An error in the rows names the proxy."""
    into = view(Annotated[str, Path(Book.place)])
    hidden = select(Book).options(with_loader_criteria(Town, Town.id > 9))
    with pytest.raises(ViewDataError, match=r"Path\(Book\.place\) led to no row"):
        fetch(session, into, hidden)
