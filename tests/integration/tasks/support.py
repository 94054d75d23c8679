"""A user with avatars, and an error as the database gives it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)
    balance: Mapped[Decimal] = mapped_column(default=Decimal("1.50"))
    avatars: Mapped[list[Avatar]] = relationship(lazy="select")


class Avatar(Base):
    __tablename__ = "avatars"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class Stranger(Base):
    __tablename__ = "strangers"

    id: Mapped[int] = mapped_column(primary_key=True)


class Users:
    """An async service."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, name: str) -> User:
        self.session.add(user := User(name=name, avatars=[Avatar(name="Mona")]))
        await self.session.flush()
        return user


class SyncUsers:
    """A sync service."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, name: str) -> User:
        self.session.add(user := User(name=name, avatars=[Avatar(name="Mona")]))
        self.session.flush()
        return user


class LockedError(Exception):
    """SQLite's answer to a writer that came too late."""

    sqlite_errorcode = 5
    sqlite_errorname = "SQLITE_BUSY"


def busy() -> OperationalError:
    """Return an error after which the same work may well succeed."""
    return OperationalError("UPDATE users", {}, LockedError("database is locked"))


async def stored(sessions: Any) -> list[str]:
    """Read the names from another session."""
    async with sessions() as session:
        return list(await session.scalars(select(User.name).order_by(User.id)))


def sync_stored(sessions: Any) -> list[str]:
    """Read the names from another session."""
    with sessions() as session:
        return list(session.scalars(select(User.name).order_by(User.id)))
