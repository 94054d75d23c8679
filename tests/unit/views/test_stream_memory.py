"""The memory of a stream is that of a batch, however many rows there are."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, ForeignKey, create_engine, insert, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from sqla_safe import astream_views, fetch, stream_views

USERS = 40_000
BATCH = 1_000
LIMIT = 10 * 1024 * 1024
"""Five times under what is promised; a stream took 1.5 MB, and all at once 20 MB."""


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    avatars: Mapped[list[Avatar]] = relationship(order_by="Avatar.id")


class Avatar(Base):
    __tablename__ = "avatars"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey(User.id), index=True)
    name: Mapped[str]


@dataclass(frozen=True, slots=True)
class AvatarCard:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class UserCard:
    id: int
    name: str
    avatars: tuple[AvatarCard, ...]


ALL = select(User).order_by(User.id)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the file of a database with many users, each with an avatar."""
    path = str(tmp_path_factory.mktemp("stream") / "users.db")
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    names = [{"id": number, "name": f"user {number}"} for number in range(1, USERS + 1)]
    with engine.begin() as connection:
        connection.execute(insert(User), names)
        connection.execute(insert(Avatar), [{"user_id": one["id"], "name": "a"} for one in names])
    engine.dispose()
    return path


@pytest.fixture
def engine(path: str) -> Iterator[Engine]:
    """Give an engine on it."""
    engine = create_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


@pytest.fixture
def traced() -> Iterator[None]:
    """Follow allocations during a test."""
    gc.collect()
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
def test_a_stream_holds_a_batch(engine: Engine) -> None:
    """Forty thousand users take a small part of 20 MB."""
    with Session(engine) as session:
        seen = sum(len(batch) for batch in stream_views(session, UserCard, ALL, batch_size=BATCH))
    assert seen == USERS
    assert tracemalloc.get_traced_memory()[1] < LIMIT


@pytest.mark.usefixtures("traced")
async def test_an_async_stream_holds_a_batch(path: str) -> None:
    """The same with an AsyncSession."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    seen = 0
    async with AsyncSession(engine) as session:
        async for batch in astream_views(session, UserCard, ALL, batch_size=BATCH):
            seen += len(batch)
    await engine.dispose()
    assert seen == USERS
    assert tracemalloc.get_traced_memory()[1] < LIMIT


@pytest.mark.usefixtures("traced")
def test_all_at_once_takes_more(engine: Engine) -> None:
    """The measure can tell: the same users in one list are far over the limit."""
    with Session(engine) as session:
        found = fetch(session, UserCard, ALL)
    assert len(found) == USERS
    assert tracemalloc.get_traced_memory()[1] > LIMIT
