"""Avatars and the photos they are made from."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from avatar_bot.models.base import Base, CreatedAt

if TYPE_CHECKING:
    from avatar_bot.models.user import User


class AvatarGender(Enum):
    """Who the avatar shows."""

    MALE = "male"
    FEMALE = "female"


class AvatarType(Enum):
    """What the avatar is trained for."""

    PORTRAIT = "portrait"
    STYLE = "style"


class AvatarStatus(Enum):
    """How far an avatar has come."""

    DRAFT = "draft"
    TRAINING = "training"
    READY = "ready"
    FAILED = "failed"


class Avatar(CreatedAt, Base):
    """One avatar of one user.

    `origin` names the message whose button created it: however often that is pressed, there is one.
    """

    __tablename__ = "avatars"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    gender: Mapped[AvatarGender]
    type: Mapped[AvatarType] = mapped_column(default=AvatarType.PORTRAIT)
    status: Mapped[AvatarStatus] = mapped_column(default=AvatarStatus.DRAFT)
    is_main: Mapped[bool] = mapped_column(default=False)
    origin: Mapped[str | None] = mapped_column(String(64), unique=True)
    picture: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)

    user: Mapped[User] = relationship(back_populates="avatars")
    photos: Mapped[list[AvatarPhoto]] = relationship(
        back_populates="avatar",
        order_by="AvatarPhoto.upload_order",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )


class AvatarPhoto(CreatedAt, Base):
    """A photo the user sent for an avatar, by its Telegram file id."""

    __tablename__ = "avatar_photos"
    __table_args__ = (UniqueConstraint("avatar_id", "unique_id", name="uq_avatar_photos_photo"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    avatar_id: Mapped[int] = mapped_column(ForeignKey("avatars.id", ondelete="CASCADE"), index=True)
    file_id: Mapped[str] = mapped_column(String(255))
    unique_id: Mapped[str] = mapped_column(String(255))
    upload_order: Mapped[int]

    avatar: Mapped[Avatar] = relationship(back_populates="photos")
