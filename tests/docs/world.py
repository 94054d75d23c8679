"""The database and services that the examples of the documentation work on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

TELEGRAM_ID = 174171680


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    telegram_id: Mapped[int] = mapped_column(unique=True)
    balance: Mapped[int] = mapped_column(default=0)

    avatars: Mapped[list[Avatar]] = relationship(order_by="Avatar.id")


class Avatar(Base):
    __tablename__ = "avatars"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id))
    title: Mapped[str]
    version: Mapped[int] = mapped_column(default=1)

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  (SQLAlchemy's own form)


class UserService:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def by_telegram_id(self, telegram_id: int) -> User:
        found = await self.session.scalars(select(User).filter_by(telegram_id=telegram_id))
        return found.one()

    async def register(self, telegram_id: int) -> User:
        user = User(telegram_id=telegram_id)
        self.session.add(user)
        await self.session.flush()
        return user


class AvatarService:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def list_with_photos(self, user_id: int) -> list[Avatar]:
        return list(await self.session.scalars(select(Avatar).filter_by(user_id=user_id)))

    async def add(self, user_id: int, title: str) -> None:
        self.session.add(Avatar(user_id=user_id, title=title))
        await self.session.flush()


class Reports:
    """A service for sync scopes."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def users(self) -> int:
        return len(self.session.scalars(select(User.id)).all())


async def fill(engine: AsyncEngine) -> None:
    """Create the tables, and one user with two avatars."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        user = User(telegram_id=TELEGRAM_ID, balance=7)
        session.add(user)
        await session.flush()
        session.add_all([Avatar(user_id=user.id, title=title) for title in ("a", "b")])


def one_session_each(maker: async_sessionmaker[AsyncSession], service: Any) -> Any:
    """Return a service's own context manager, with a session of its own: how the bug begins."""

    @asynccontextmanager
    async def block() -> AsyncIterator[Any]:
        async with maker() as session, session.begin():
            yield service(session)

    return block
