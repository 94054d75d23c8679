"""Rows with a version, and with columns that the database sets."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar

from sqlalchemy import JSON, FetchedValue, ForeignKey, Integer, event, text
from sqlalchemy.orm import DeclarativeBase, Mapped, composite, mapped_column, relationship
from sqlalchemy.schema import DDL

from tests.unit.snapshots.models.computed import Point


class Base(DeclarativeBase):
    """The tables of versioned rows."""


class Page(Base):
    __tablename__ = "page"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str | None]
    meta: Mapped[Any] = mapped_column(JSON, nullable=True)
    draft: Mapped[str | None] = mapped_column(deferred=True)
    version: Mapped[int] = mapped_column()
    links: Mapped[list[Link]] = relationship(back_populates="page", order_by="Link.id")

    __mapper_args__: ClassVar = {"version_id_col": version}


class Link(Base):
    """Has no version."""

    __tablename__ = "link"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]
    note: Mapped[str | None]
    page_id: Mapped[int | None] = mapped_column(ForeignKey("page.id"))
    page: Mapped[Page | None] = relationship(back_populates="links")
    point: Mapped[Point | None] = composite(
        Point,
        mapped_column("x", Integer, nullable=True),
        mapped_column("y", Integer, nullable=True),
    )


class Token(Base):
    """Has a version that is no number."""

    __tablename__ = "token"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[str] = mapped_column()

    __mapper_args__: ClassVar = {
        "version_id_col": version,
        "version_id_generator": lambda _: uuid.uuid4().hex,
    }


class Item(Base):
    """Joined inheritance, with the version in the table of the base class."""

    __tablename__ = "item"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    version: Mapped[int] = mapped_column()

    __mapper_args__: ClassVar = {
        "polymorphic_on": "kind",
        "polymorphic_identity": "item",
        "version_id_col": version,
    }


class Book(Item):
    __tablename__ = "book"
    __mapper_args__: ClassVar = {"polymorphic_identity": "book"}

    id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    pages: Mapped[int]


class Stamped(Base):
    """Two of its columns are the database's."""

    __tablename__ = "stamped"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    made: Mapped[int] = mapped_column(server_default=text("5"))
    changes: Mapped[int] = mapped_column(server_default=text("0"), server_onupdate=FetchedValue())


event.listen(
    Stamped.__table__,
    "after_create",
    DDL(
        "CREATE TRIGGER stamp AFTER UPDATE ON stamped "
        "BEGIN UPDATE stamped SET changes = 7 WHERE id = NEW.id; END"
    ),
)
