"""Avatars and their photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select, update
from sqlalchemy.orm import selectinload

from avatar_bot.models import Avatar, AvatarGender, AvatarPhoto, AvatarStatus, AvatarType, User
from avatar_bot.views import AvatarCard
from sqla_safe import afetch_one_or_none

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncSession

MIN_PHOTOS, MAX_PHOTOS = 3, 10


class AvatarBusyError(Exception):
    """The avatar is in training, and cannot be changed now."""


class TooManyPhotosError(Exception):
    """The avatar has as many photos as it can have."""


class DuplicatePhotoError(Exception):
    """The avatar has this photo already."""


class AvatarService:
    """Lists, creates and changes avatars."""

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

    async def count_avatars(self, user_id: int) -> int:
        """Return how many avatars the user has."""
        statement = select(func.count(Avatar.id)).where(Avatar.user_id == user_id)
        return await self.session.scalar(statement) or 0

    async def get_avatar(self, telegram_id: int, avatar_id: int) -> Avatar | None:
        """Return an avatar of this person, with its photos; nobody gets another one's."""
        return await self.session.scalar(_of_person(telegram_id, avatar_id))

    async def lock_avatar(self, telegram_id: int, avatar_id: int) -> Avatar | None:
        """Return an avatar as `get_avatar` does; until the commit nobody else changes it."""
        statement = _of_person(telegram_id, avatar_id).with_for_update(of=Avatar)
        return await self.session.scalar(statement.execution_options(populate_existing=True))

    async def get_page(self, telegram_id: int, page: int) -> tuple[AvatarCard | None, int]:
        """Return a page of the gallery, pages going round, and how many there are."""
        mine = select(Avatar).join(Avatar.user).where(User.telegram_id == telegram_id)
        total = await self.session.scalar(select(func.count()).select_from(mine.subquery())) or 0
        if not total:
            return None, 0
        shown = mine.order_by(Avatar.id).offset(page % total).limit(1)
        return await afetch_one_or_none(self.session, AvatarCard, shown), total

    async def create_avatar(
        self,
        user_id: int,
        name: str,
        gender: AvatarGender,
        kind: AvatarType = AvatarType.PORTRAIT,
        origin: str | None = None,
    ) -> Avatar:
        """Store a draft and return it; a user's first avatar is the main one.

        What the same `origin` has created before is returned as it is.
        """
        await self._lock_user(user_id)
        same = select(Avatar).where(Avatar.origin == origin)
        if origin is not None and (known := await self.session.scalar(same)) is not None:
            return known
        is_main = not await self.count_avatars(user_id)
        avatar = Avatar(user_id=user_id, name=name, gender=gender, type=kind, photos=[])
        avatar.origin, avatar.is_main = origin, is_main
        self.session.add(avatar)
        await self.session.flush()
        return avatar

    async def add_photo(
        self,
        avatar: Avatar,
        file_id: str,
        unique_id: str | None = None,
        order: int | None = None,
    ) -> AvatarPhoto:
        """Add a photo to an avatar that was loaded with its photos: as the last one, or by `order`.

        Raises:
            AvatarBusyError: The avatar is in training.
            DuplicatePhotoError: It has this photo already.
            TooManyPhotosError: It has `MAX_PHOTOS`.
        """
        unique_id = unique_id or file_id
        _refuse_photo(avatar, unique_id)
        if order is None:
            order = max((photo.upload_order for photo in avatar.photos), default=0) + 1
        photo = AvatarPhoto(file_id=file_id, unique_id=unique_id, upload_order=order)
        avatar.photos.append(photo)
        await self.session.flush()
        return photo

    async def make_main(self, avatar: Avatar) -> None:
        """Make this avatar the user's main one, and no other."""
        await self._lock_user(avatar.user_id)
        others = update(Avatar).where(Avatar.user_id == avatar.user_id, Avatar.id != avatar.id)
        await self.session.execute(others.values(is_main=False))
        avatar.is_main = True
        await self.session.flush()

    async def delete_avatar(self, avatar: Avatar) -> None:
        """Delete an avatar with its photos; the oldest one left becomes the main one.

        Raises:
            AvatarBusyError: The avatar is in training.
        """
        _refuse_busy(avatar)
        await self._lock_user(avatar.user_id)
        await self.session.delete(avatar)
        await self.session.flush()
        oldest = select(Avatar).where(Avatar.user_id == avatar.user_id).order_by(Avatar.id)
        left = await self.session.scalar(oldest.limit(1))
        if left is not None and avatar.is_main:
            left.is_main = True
            await self.session.flush()

    async def _lock_user(self, user_id: int) -> None:
        """Let two changes of which avatar is the main one wait for each other."""
        await self.session.execute(select(User.id).where(User.id == user_id).with_for_update())


def _of_person(telegram_id: int, avatar_id: int):  # noqa: ANN202  SQLAlchemy's long Select type
    person = select(User.id).where(User.telegram_id == telegram_id).scalar_subquery()
    statement = select(Avatar).where(Avatar.id == avatar_id, Avatar.user_id == person)
    return statement.options(selectinload(Avatar.photos))


def _refuse_busy(avatar: Avatar) -> None:
    if avatar.status is AvatarStatus.TRAINING:
        raise AvatarBusyError


def _refuse_photo(avatar: Avatar, unique_id: str) -> None:
    _refuse_busy(avatar)
    if unique_id in {photo.unique_id for photo in avatar.photos}:
        raise DuplicatePhotoError
    if len(avatar.photos) >= MAX_PHOTOS:
        raise TooManyPhotosError
