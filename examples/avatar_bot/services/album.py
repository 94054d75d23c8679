"""Albums: several processes store their photos, and one of them answers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select

from avatar_bot.models import AlbumPart

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession


class AlbumService:
    """Keeps what became of the photos of an album until somebody answers for all of them."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, album: str, result: str) -> int:
        """Keep what became of a photo, and return the number of this part."""
        part = AlbumPart(album=album, result=result)
        self.session.add(part)
        await self.session.flush()
        return part.id

    async def take(self, album: str, part: int) -> Counter[str] | None:
        """Return what became of the photos, if `part` is the newest one; each is taken once.

        Of several that ask at the same moment one gets the photos, and the others None.
        """
        mine = AlbumPart.album == album
        newest = select(func.max(AlbumPart.id)).where(mine).scalar_subquery()
        taken = delete(AlbumPart).where(mine, newest == part).returning(AlbumPart.result)
        options = {"synchronize_session": False}  # nothing of it is in this session
        return Counter(await self.session.scalars(taken, execution_options=options)) or None
