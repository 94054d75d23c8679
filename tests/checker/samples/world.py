"""What the samples share: models, services, and sessionmakers of each kind."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy import ForeignKey, create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    deferred,
    mapped_column,
    relationship,
    selectinload,
    sessionmaker,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

engine = create_async_engine("sqlite+aiosqlite://")
Keeping = async_sessionmaker(engine, expire_on_commit=False)
Expiring = async_sessionmaker(engine)
SyncSession = sessionmaker(create_engine("sqlite://"))


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    biography: Mapped[str] = deferred(mapped_column())
    updated_at: Mapped[str] = mapped_column(onupdate=func.now())
    balance: Mapped[Balance] = relationship(back_populates="user")
    avatars: Mapped[list[Avatar]] = relationship(back_populates="user")
    roles: Mapped[list[Role]] = relationship(lazy="selectin")


class Balance(Base):
    __tablename__ = "balances"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    coins: Mapped[int]
    user: Mapped[User] = relationship(back_populates="balance")


class Avatar(Base):
    __tablename__ = "avatars"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    user: Mapped[User] = relationship(back_populates="avatars")


class Photo(Base):
    __tablename__ = "photos"

    id: Mapped[int] = mapped_column(primary_key=True)
    avatar_id: Mapped[int] = mapped_column(ForeignKey("avatars.id"))
    updated_at: Mapped[str] = mapped_column(onupdate=func.now())
    avatar: Mapped[Avatar] = relationship(backref="photos")


class Note(Base):
    __tablename__ = "notes"
    __mapper_args__: ClassVar = {"eager_defaults": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    updated_at: Mapped[str] = mapped_column(onupdate=func.now())


class Role(Base):
    __tablename__ = "roles"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))


class UserService:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get(self, user_id: int) -> User | None:
        return await self.session.get(User, user_id)

    async def with_balance(self, user_id: int) -> User | None:
        statement = select(User).where(User.id == user_id).options(selectinload(User.balance))
        return (await self.session.scalars(statement)).one_or_none()


@asynccontextmanager
async def user_service() -> AsyncIterator[UserService]:
    session = Keeping()
    try:
        yield UserService(session)
        await session.commit()
    except Exception:
        await session.rollback()
        raise
    finally:
        await session.close()
