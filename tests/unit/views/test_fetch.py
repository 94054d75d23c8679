from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from sqla_safe import afetch, afetch_one, astream_views, fetch, scoped_services
from tests.unit.views.conftest import store
from tests.unit.views.models import NOON, Base, User


@dataclass(frozen=True, slots=True)
class CommentCard:
    id: int
    text: str


@dataclass(frozen=True, slots=True)
class PostCard:
    id: int
    text: str
    comments: tuple[CommentCard, ...]


@dataclass(frozen=True, slots=True)
class CityCard:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class UserCard:
    id: int
    name: str
    balance: Decimal
    created_at: dt.datetime
    city: CityCard | None
    posts: tuple[PostCard, ...]


class CityStruct(msgspec.Struct, frozen=True):
    name: str


class UserStruct(msgspec.Struct, frozen=True):
    name: str
    city: CityStruct | None


def test_nested_classes_are_filled(session: Session, sent: list[str]) -> None:
    """Columns, a to-one and two levels of collections, with three statements."""
    ann, bob, _ = fetch(session, UserCard, select(User).order_by(User.id))
    assert ann == UserCard(
        id=1,
        name="Ann",
        balance=Decimal("12.50"),
        created_at=NOON.replace(tzinfo=None),
        city=CityCard(1, "Amaurot"),
        posts=(
            PostCard(1, "one", (CommentCard(1, "c1"),)),
            PostCard(2, "two", (CommentCard(2, "c2"), CommentCard(3, "c3"))),
            PostCard(3, "three", ()),
        ),
    )
    assert bob.city is ann.city
    assert len(sent) == 3


def test_structs_are_filled(session: Session) -> None:
    """The same for msgspec."""
    found = fetch(session, UserStruct, select(User).where(User.id == 1))
    assert found == [UserStruct("Ann", CityStruct("Amaurot"))]


async def test_async_sessions_and_scopes() -> None:
    """`afetch` and its family take an AsyncSession and an AsyncScope."""
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    maker = async_sessionmaker(engine)
    async with maker() as session:
        await session.run_sync(store)
    async with maker() as session:
        [ann] = await afetch(session, UserCard, select(User).where(User.id == 1))
    async with scoped_services(maker) as scope:
        assert await afetch_one(scope, UserCard, select(User).where(User.id == 1)) == ann
        batches = [
            batch async for batch in astream_views(scope, UserCard, select(User), batch_size=2)
        ]
    assert [len(batch) for batch in batches] == [2, 1]
    await engine.dispose()
