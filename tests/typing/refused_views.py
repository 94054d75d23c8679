"""The static errors of views that we want users to see."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from sqla_safe import Path, afetch, fetch, fetch_one_or_none, view_plan


class Base(DeclarativeBase):
    """The declarative base."""


class User(Base):
    """A person."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@dataclass(frozen=True)
class Card:
    """A view."""

    name: str


def wrong_views(session: Session, asession: AsyncSession) -> None:
    """The other kind of session, an instance, a name that does not exist, and a None forgotten."""
    fetch(asession, Card, select(User))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    fetch(session, Card("x"), select(User))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    fetch(session, Card, "SELECT 1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    fetch(session, Card, select(User), [{"user_id": 1}])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    fetch(session, Card, select(User), batch_size=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    str(fetch(session, Card, select(User))[0].nmae)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    str(fetch_one_or_none(session, Card, select(User)).name)  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    fetch(session, Card, select(User))[0].name = "y"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    view_plan(Card, User())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Path("name")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def wrong_async_views(session: Session, asession: AsyncSession) -> None:
    """The other kind of session, and an await that was forgotten."""
    await afetch(session, Card, select(User))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    str(afetch(asession, Card, select(User))[0].name)  # type: ignore[index]  # pyright: ignore[reportIndexIssue, reportUnknownArgumentType, reportUnknownMemberType]
