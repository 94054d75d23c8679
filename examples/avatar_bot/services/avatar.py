"""Avatars and their photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from avatar_bot.models import Avatar, AvatarGender, AvatarPhoto, AvatarType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession


class AvatarService:
    """Lists and creates avatars."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get_user_avatars_with_photos(self, user_id: int) -> Sequence[Avatar]:
        """Return the user's avatars, oldest first, each with its photos loaded."""
        statement = (
            select(Avatar)
            .where(Avatar.user_id == user_id)
            .options(selectinload(Avatar.photos))
            .order_by(Avatar.id)
        )
        return (await self.session.scalars(statement)).all()

    async def create_avatar(
        self, user_id: int, name: str, gender: AvatarGender, kind: AvatarType = AvatarType.PORTRAIT
    ) -> Avatar:
        """Store a draft and return it; a user's first avatar is the main one."""
        known = await self.session.scalar(select(Avatar.id).where(Avatar.user_id == user_id))
        avatar = Avatar(
            user_id=user_id, name=name, gender=gender, type=kind, is_main=known is None, photos=[]
        )
        self.session.add(avatar)
        await self.session.flush()
        return avatar

    async def add_photo(self, avatar: Avatar, file_id: str) -> AvatarPhoto:
        """Append a photo to an avatar that was loaded with its photos."""
        photo = AvatarPhoto(file_id=file_id, upload_order=len(avatar.photos) + 1)
        avatar.photos.append(photo)
        await self.session.flush()
        return photo
