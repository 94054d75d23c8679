"""Several photos at once: each is stored at once, and all of them are answered together.

The photos of an album may come to several processes. They meet in the database: whoever has stored
the newest one, and hears of no other for a moment, answers for all of them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from avatar_bot.services import AlbumService
from sqla_safe import scoped_services

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from aiogram.types import Message

    from avatar_bot.engine import Sessions

QUIET_SECONDS = 0.5
"""How long nothing must arrive until the photos of an album are answered."""


def album_of(message: Message) -> str:
    """Return what the photos of an album have in common, and no other photo has."""
    return f"{message.chat.id}:{message.media_group_id}"


class Albums:
    """Finds out who answers for an album."""

    def __init__(self, sessions: Sessions, quiet: float = QUIET_SECONDS) -> None:
        self.sessions = sessions
        self.quiet = quiet
        self._arriving: Counter[str] = Counter()

    async def collect_unknown(self, message: Message) -> bool:
        """Tell whether this photo of an album that nobody wants is the one to answer."""
        album = album_of(message)
        return await self.collect(album, self._note(album)) is not None

    async def _note(self, album: str) -> int:
        async with scoped_services(self.sessions, AlbumService) as albums:
            return await albums.add(album, "unknown")

    async def collect(self, album: str, storing: Awaitable[int]) -> Counter[str] | None:
        """Store a part of an album; return what became of all, or None if another one answers."""
        part = await self._stored(album, storing)
        await asyncio.sleep(self.quiet)
        while album in self._arriving:  # noqa: ASYNC110  each time it must be quiet anew
            await asyncio.sleep(self.quiet)
        async with scoped_services(self.sessions, AlbumService) as albums:
            return await albums.take(album, part)

    async def _stored(self, album: str, storing: Awaitable[int]) -> int:
        """Wait for a part, while this process knows that there is one more to wait for."""
        self._arriving[album] += 1
        try:
            return await storing
        finally:
            self._arriving[album] -= 1
            self._arriving += Counter()  # forgets what is zero
