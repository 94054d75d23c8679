"""What pages show: classes that are filled straight from the database, without entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from avatar_bot.models import AvatarStatus, AvatarType, User, UserBalance
from sqla_safe import Path


@dataclass(frozen=True, slots=True)
class PhotoCard:
    """A photo that an avatar is made from."""

    file_id: str


@dataclass(frozen=True, slots=True)
class AvatarCard:
    """A page of the gallery."""

    id: int
    name: str
    type: AvatarType
    status: AvatarStatus
    is_main: bool
    picture: bytes | None
    photos: tuple[PhotoCard, ...]


@dataclass(frozen=True, slots=True)
class BalanceCard:
    """What a user has; no coins at all where nobody ever gave any."""

    coins: Annotated[int | None, Path(User.balance, UserBalance.coins)]
