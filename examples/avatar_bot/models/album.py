"""Albums that are being answered: Telegram sends each of their photos as a message of its own."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from avatar_bot.models.base import Base, CreatedAt


class AlbumPart(CreatedAt, Base):
    """What became of one photo of an album; the row goes when the album is answered."""

    __tablename__ = "album_parts"

    id: Mapped[int] = mapped_column(primary_key=True)
    album: Mapped[str] = mapped_column(String(64), index=True)
    result: Mapped[str] = mapped_column(String(16))
