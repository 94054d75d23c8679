"""The models that the benchmarks share: users with avatars with photos, as bots keep them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from sqlalchemy import DateTime, Engine, ForeignKey, Numeric, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

AVATARS = 5
PHOTOS = 4
OBJECTS = 1 + AVATARS + AVATARS * PHOTOS  # of one user
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


class Base(DeclarativeBase):
    """The declarative base."""


class User(Base):
    """A person."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    telegram_id: Mapped[int]
    name: Mapped[str]
    email: Mapped[str | None]
    balance: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    is_active: Mapped[bool]
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))

    avatars: Mapped[list[Avatar]] = relationship(back_populates="user", order_by="Avatar.id")


class Avatar(Base):
    """What a user trains."""

    __tablename__ = "avatars"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    name: Mapped[str]
    status: Mapped[str]
    created_at: Mapped[dt.datetime] = mapped_column(DateTime(timezone=True))

    user: Mapped[User] = relationship(back_populates="avatars")
    photos: Mapped[list[Photo]] = relationship(back_populates="avatar", order_by="Photo.id")


class Photo(Base):
    """What an avatar is trained with."""

    __tablename__ = "photos"

    id: Mapped[int] = mapped_column(primary_key=True)
    avatar_id: Mapped[int] = mapped_column(ForeignKey(Avatar.id), index=True)
    url: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]

    avatar: Mapped[Avatar] = relationship(back_populates="photos")


def stored(users: int) -> Engine:
    """Return a SQLite database in memory with so many users, and theirs."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    store(engine, users)
    return engine


def store(engine: Engine, users: int) -> None:
    """Make the tables, and so many users with theirs."""
    Base.metadata.create_all(engine)
    with Session(engine) as session, session.begin():
        session.add_all(_user(number) for number in range(users))


def _user(number: int) -> User:
    avatars = [
        Avatar(
            name=f"Avatar {place}",
            status="ready",
            created_at=NOON,
            photos=[
                Photo(url=f"https://example.org/{number}/{place}/{n}.jpg", width=640, height=480)
                for n in range(PHOTOS)
            ],
        )
        for place in range(AVATARS)
    ]
    return User(
        telegram_id=1_000_000 + number,
        name=f"User {number}",
        email=f"user{number}@example.org" if number % 2 else None,
        balance=Decimal("12.50"),
        is_active=True,
        created_at=NOON,
        avatars=avatars,
    )
