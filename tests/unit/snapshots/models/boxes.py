"""Every kind of collection that a relationship can have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.ext.orderinglist import ordering_list
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    attribute_keyed_dict,
    keyfunc_mapping,
    mapped_column,
    relationship,
)
from sqlalchemy.orm.collections import collection


class Base(DeclarativeBase):
    """The tables of the boxes."""


class Shelf(list["Slide"]):
    """A list of the user's own."""

    def first(self) -> Slide:
        """Return the first slide."""
        return self[0]


class Bag:
    """A collection that is no list, set or dict, but looks like a set."""

    __emulates__ = None

    def __init__(self) -> None:
        self.kept: list[Coin] = []

    @collection.appender
    def add(self, coin: Coin) -> None:
        """Put a coin in."""
        self.kept.append(coin)

    @collection.remover
    def take(self, coin: Coin) -> None:
        """Take a coin out."""
        self.kept.remove(coin)

    @collection.iterator
    def coins(self) -> Any:
        """Look through the coins."""
        return iter(self.kept)


class Queue:
    """A collection that looks like a list."""

    def __init__(self) -> None:
        self.waiting: list[Person] = []

    @collection.appender
    def append(self, person: Person) -> None:
        """Stand in line."""
        self.waiting.append(person)

    @collection.remover
    def remove(self, person: Person) -> None:
        """Leave the line."""
        self.waiting.remove(person)

    @collection.iterator
    def __iter__(self) -> Any:
        """Look along the line."""
        return iter(self.waiting)


class Box(Base):
    __tablename__ = "box"

    id: Mapped[int] = mapped_column(primary_key=True)
    listed: Mapped[list[Item]] = relationship(order_by="Item.id", cascade="all")
    chosen: Mapped[set[Choice]] = relationship(back_populates="box")
    notes: Mapped[dict[str, Note]] = relationship(
        collection_class=attribute_keyed_dict("key"), back_populates="box"
    )
    by_size: Mapped[dict[Any, Size]] = relationship(
        collection_class=keyfunc_mapping(lambda size: (size.width, size.height))
    )
    slides: Mapped[list[Slide]] = relationship(
        order_by="Slide.position", collection_class=ordering_list("position")
    )
    shelf: Mapped[Shelf] = relationship("Slide", collection_class=Shelf, viewonly=True)
    bag: Mapped[Bag] = relationship("Coin", collection_class=Bag)
    queue: Mapped[Queue] = relationship("Person", collection_class=Queue)

    item_names: AssociationProxy[list[str]] = association_proxy("listed", "name")
    choice_names: AssociationProxy[set[str]] = association_proxy("chosen", "name")
    note_texts: AssociationProxy[dict[str, str]] = association_proxy("notes", "text")


class Item(Base):
    __tablename__ = "item"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))
    maker_id: Mapped[int | None] = mapped_column(ForeignKey("maker.id"))
    maker: Mapped[Maker | None] = relationship()
    maker_name: AssociationProxy[str | None] = association_proxy("maker", "name")
    maker_city: AssociationProxy[str | None] = association_proxy("maker", "city_name")


class Maker(Base):
    __tablename__ = "maker"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    city_id: Mapped[int | None] = mapped_column(ForeignKey("city.id"))
    city: Mapped[City | None] = relationship()
    city_name: AssociationProxy[str | None] = association_proxy("city", "name")
    items: Mapped[list[Item]] = relationship(order_by="Item.id", viewonly=True)
    item_boxes: AssociationProxy[list[int]] = association_proxy("items", "box_id")


class City(Base):
    __tablename__ = "city"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Choice(Base):
    __tablename__ = "choice"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))
    box: Mapped[Box | None] = relationship(back_populates="chosen")


class Note(Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[str]
    text: Mapped[str]
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))
    box: Mapped[Box | None] = relationship(back_populates="notes")


class Size(Base):
    __tablename__ = "size"

    id: Mapped[int] = mapped_column(primary_key=True)
    width: Mapped[int]
    height: Mapped[int]
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))


class Slide(Base):
    __tablename__ = "slide"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    position: Mapped[int | None]
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))


class Coin(Base):
    __tablename__ = "coin"

    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))


class Person(Base):
    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    box_id: Mapped[int | None] = mapped_column(ForeignKey("box.id"))


def full_box() -> Box:
    """Make a box with something in every collection."""
    box = Box(
        id=1,
        listed=[Item(id=1, name="pen"), Item(id=2, name="ink")],
        chosen={Choice(id=1, name="red"), Choice(id=2, name="blue")},
        slides=[Slide(id=1, title="intro"), Slide(id=2, title="end")],
    )
    box.listed[0].maker = Maker(id=1, name="Bic", city=City(id=1, name="Paris"))
    box.notes["a"] = Note(id=1, key="a", text="alpha")
    box.notes["b"] = Note(id=2, key="b", text="beta")
    size = Size(id=1, width=3, height=4)
    box.by_size[3, 4] = size
    box.bag.add(Coin(id=1))
    box.queue.append(Person(id=1))
    box.queue.append(Person(id=2))
    return box
