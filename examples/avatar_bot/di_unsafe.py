"""How the bot used to make its services: every service opens and commits a session of its own.

Kept to show the bug. Whatever a service returns belongs to a session that is gone as soon as the
`async with` block of that service ends.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from avatar_bot.services import AvatarService, UserService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncSession

    from avatar_bot.engine import Sessions


@asynccontextmanager
async def get_session(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """Open a session, commit at the end, and close it."""
    session = sessions()
    try:
        yield session
        await session.commit()
    except Exception:
        await session.rollback()
        raise
    finally:
        await session.close()


@asynccontextmanager
async def get_user_service(sessions: Sessions) -> AsyncIterator[UserService]:
    """Give a `UserService` with its own session."""
    async with get_session(sessions) as session:
        yield UserService(session)


@asynccontextmanager
async def get_avatar_service(sessions: Sessions) -> AsyncIterator[AvatarService]:
    """Give an `AvatarService` with its own session."""
    async with get_session(sessions) as session:
        yield AvatarService(session)
