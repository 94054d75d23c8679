"""A small mapping for every driver, and one of PostgreSQL's own types."""

from __future__ import annotations

import enum
import ipaddress
import uuid
from contextlib import closing
from typing import Any

from sqlalchemy import JSON, Enum, ForeignKey, Integer, String, make_url
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, INET, INT4RANGE, JSONB, TSTZRANGE, Range
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.schema import CreateTable

from tests.databases import Database


class Base(DeclarativeBase):
    """The tables for every driver."""


class User(Base):
    __tablename__ = "customer"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    settings: Mapped[Any] = mapped_column(JSON)
    bio: Mapped[str | None] = mapped_column(String(50), deferred=True)
    version: Mapped[int] = mapped_column()
    avatars: Mapped[list[Avatar]] = relationship(back_populates="user", order_by="Avatar.id")

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy reads it


class Avatar(Base):
    __tablename__ = "avatar"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    user: Mapped[User] = relationship(back_populates="avatars")
    photos: Mapped[list[Photo]] = relationship(back_populates="avatar", order_by="Photo.id")


class Photo(Base):
    __tablename__ = "photo"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(String(50))
    avatar_id: Mapped[int] = mapped_column(ForeignKey("avatar.id"))
    avatar: Mapped[Avatar] = relationship(back_populates="photos")


class Users:
    """An async service."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def by_id(self, key: int) -> User:
        """Give a user, with nothing related loaded."""
        return await self.session.get_one(User, key)


class PostgresBase(DeclarativeBase):
    """The table of PostgreSQL's own types."""


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Everything(PostgresBase):
    __tablename__ = "everything"

    id: Mapped[int] = mapped_column(primary_key=True)
    numbers: Mapped[list[int] | None] = mapped_column(ARRAY(Integer))
    grid: Mapped[list[list[str]] | None] = mapped_column(ARRAY(String, dimensions=2))
    document: Mapped[Any] = mapped_column(JSONB)
    span: Mapped[Range[int] | None] = mapped_column(INT4RANGE)
    during: Mapped[Range[Any] | None] = mapped_column(TSTZRANGE)
    token: Mapped[uuid.UUID | None] = mapped_column(PG_UUID(as_uuid=True))
    address: Mapped[ipaddress.IPv4Address | None] = mapped_column(INET)
    network: Mapped[ipaddress.IPv4Network | None] = mapped_column(CIDR)
    level: Mapped[Level | None] = mapped_column(Enum(Level, name="level"))


def lisa(key: int = 1) -> User:
    """Make a user with two avatars and three photos."""
    return User(
        id=key,
        name="Lisa",
        bio="Painted in 1503",
        settings={"theme": "dark", "sizes": [1, {"unit": "px"}]},
        avatars=[
            Avatar(name="Mona", photos=[Photo(url="1.jpg"), Photo(url="2.jpg")]),
            Avatar(name="Gioconda", photos=[Photo(url="3.jpg")]),
        ],
    )


def create_tables(database: Database) -> None:
    """Create the tables from outside."""
    dialect = make_url(database.url).get_dialect()()
    with closing(database.probe.connect()) as connection, closing(connection.cursor()) as cursor:
        for table in Base.metadata.sorted_tables:
            cursor.execute(str(CreateTable(table).compile(dialect=dialect)))
