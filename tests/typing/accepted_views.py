"""What views return, for both type checkers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypedDict, assert_type

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session

from sqla_safe import (
    AsyncScope,
    Expr,
    Path,
    Scope,
    ViewPlan,
    afetch,
    afetch_one,
    afetch_one_or_none,
    astream_views,
    fetch,
    fetch_one,
    fetch_one_or_none,
    stream_views,
    view_plan,
)


class Base(DeclarativeBase):
    """The declarative base."""


class User(Base):
    """A person."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@dataclass(frozen=True)
class Card:
    """A dataclass."""

    id: int
    title: Annotated[str, Path(User.name)]
    users: Annotated[int, Expr(lambda _: select(func.count(User.id)).scalar_subquery())]


class Pair(NamedTuple):
    """A NamedTuple."""

    id: int


class Shape(TypedDict):
    """A TypedDict."""

    id: int


def views(session: Session, scope: Scope[Session], registry: scoped_session[Session]) -> None:
    """The class that is given is the class that comes."""
    statement = select(User).where(User.id > 1).order_by(User.id).limit(5)
    assert_type(fetch(session, Card, statement), list[Card])
    assert_type(fetch(scope, Pair, select(User)), list[Pair])
    assert_type(fetch(registry, Shape, select(User), validate=False), list[Shape])
    assert_type(fetch(session, Card, statement)[0].title, str)
    assert_type(fetch_one(session, Card, statement), Card)
    assert_type(fetch_one_or_none(scope, Card, statement), Card | None)
    assert_type(fetch(session, Card, statement, {"user_id": 1}), list[Card])
    assert_type(fetch_one(scope, Card, statement, params={"user_id": 1}, validate=False), Card)
    assert_type(stream_views(scope, Card, statement, batch_size=10), Iterator[list[Card]])
    assert_type(view_plan(Card, User), ViewPlan[Card])
    assert_type(view_plan(Card, User).statements(), tuple[str, ...])


async def async_views(
    session: AsyncSession,
    scope: AsyncScope[AsyncSession],
    registry: async_scoped_session[AsyncSession],
) -> None:
    """The same for the asynchronous family."""
    assert_type(await afetch(session, Card, select(User)), list[Card])
    assert_type(await afetch(scope, Card, select(User)), list[Card])
    assert_type(await afetch(registry, Card, select(User)), list[Card])
    assert_type(await afetch_one(scope, Card, select(User)), Card)
    assert_type(await afetch(scope, Card, select(User), {"user_id": 1}), list[Card])
    assert_type(await afetch_one_or_none(scope, Card, select(User)), Card | None)
    assert_type(astream_views(scope, Card, select(User)), AsyncIterator[list[Card]])
