"""What mypy --strict and pyright must infer of queues and the cache; not to be run."""

from __future__ import annotations

from typing import Any, assert_type

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from taskiq import InMemoryBroker

from sqla_safe import AsyncScope, transactional
from sqla_safe.ext.celery import RetryingTask, use_snapshots
from sqla_safe.ext.redis import SnapshotCache
from sqla_safe.ext.taskiq import RetryMiddleware, SnapshotMiddleware


class Base(DeclarativeBase):
    """A declarative base."""


class User(Base):
    """An entity."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)


class Users:
    """A service."""

    def __init__(self, session: AsyncSession) -> None: ...


maker = async_sessionmaker(create_async_engine("sqlite+aiosqlite://"))
broker = InMemoryBroker().with_middlewares(SnapshotMiddleware(User), RetryMiddleware(5))


@broker.task
@transactional(maker, Users, attempts=3)
async def work(users: Users, name: str) -> int:
    """A task whose caller gives the name only."""
    return 1


async def send() -> None:
    """Send it."""
    task = await work.kiq("a")
    assert_type((await task.wait_result()).return_value, int)


def celery(app: Any) -> None:
    """Set an application up."""
    use_snapshots(app, User, name="mine")
    app.task(base=RetryingTask)


async def cached(scope: AsyncScope[AsyncSession]) -> None:
    """Read through the cache."""
    cache = SnapshotCache(Redis(), User, ttl=60, lease=1, hold=5, prefix="mine")
    assert_type(cache, SnapshotCache[User])

    async def load() -> User | None:
        return None

    assert_type(await cache.get((1, "a"), load), User | None)
    await cache.invalidate_on_commit(scope, 1)
    await cache.invalidate(1)
