"""Relationships that the mapping itself loads eagerly."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import DDL, FetchedValue, ForeignKey, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The tables of the eager."""


class Top(Base):
    __tablename__ = "top"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None]
    middles: Mapped[list[Middle]] = relationship(lazy="select", order_by="Middle.id")
    others: Mapped[list[Other]] = relationship(lazy="selectin")


class Middle(Base):
    __tablename__ = "middle"

    id: Mapped[int] = mapped_column(primary_key=True)
    top_id: Mapped[int | None] = mapped_column(ForeignKey("top.id"))
    joined: Mapped[list[Leaf]] = relationship(lazy="joined")
    selected: Mapped[list[Other]] = relationship(lazy="selectin")


class Leaf(Base):
    __tablename__ = "leaf"

    id: Mapped[int] = mapped_column(primary_key=True)
    middle_id: Mapped[int | None] = mapped_column(ForeignKey("middle.id"))


class Other(Base):
    __tablename__ = "other"

    id: Mapped[int] = mapped_column(primary_key=True)
    middle_id: Mapped[int | None] = mapped_column(ForeignKey("middle.id"))
    top_id: Mapped[int | None] = mapped_column(ForeignKey("top.id"))


class Counted(Base):
    """Its version is made by the database."""

    __tablename__ = "counted"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[int] = mapped_column(server_default="1", server_onupdate=FetchedValue())

    __mapper_args__: ClassVar[dict[str, Any]] = {
        "version_id_col": version,
        "version_id_generator": False,
        "eager_defaults": False,
    }


event.listen(
    Counted.__table__,
    "after_create",
    DDL(
        "CREATE TRIGGER count AFTER UPDATE OF name ON counted "
        "BEGIN UPDATE counted SET version = OLD.version + 1 WHERE id = NEW.id; END"
    ),
)
