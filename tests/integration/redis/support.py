"""A cache of users, as one process of an application has it, and a loader that counts."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from sqla_safe import asnapshot, scoped_services
from sqla_safe.ext.redis import SnapshotCache
from tests.integration.tasks.support import User


class Shelf:
    """One process: its cache, and how often it went to the database."""

    def __init__(
        self, client: Redis, sessions: async_sessionmaker[AsyncSession], **options: Any
    ) -> None:
        self.client, self.sessions = client, sessions
        self.cache = SnapshotCache(client, User, **{"ttl": 60, **options})
        self.loads = 0
        self.gate: asyncio.Event | None = None
        """When set, a load waits here between reading the database and returning."""

    def other_process(self, **options: Any) -> Shelf:
        """Return another process with the same server and database."""
        return Shelf(self.client, self.sessions, **options)

    async def load(self, key: int = 1) -> User | None:
        """Load a user from the database."""
        self.loads += 1
        async with scoped_services(self.sessions, read_only=True) as scope:
            user = await scope.session.get(User, key)
            snap = None if user is None else await asnapshot(user, User.avatars)
        if self.gate is not None:
            await self.gate.wait()
        return snap

    async def name(self) -> str:
        """Return the user's name as a reader gets it."""
        user = await self.cache.get(1, self.load)
        assert user is not None
        return user.name

    async def rename(self, name: str, error: Exception | None = None) -> None:
        """Change the name in a scope that says so, and fail at its end if asked to."""
        async with scoped_services(self.sessions) as scope:
            await self.cache.invalidate_on_commit(scope, 1)
            user = await scope.session.get_one(User, 1)
            user.name = name
            await scope.session.flush()
            if error is not None:
                raise error

    async def keys(self) -> list[str]:
        """Return what is on the server."""
        return sorted(key.decode() for key in await self.client.keys("*"))
