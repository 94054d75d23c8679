"""What the benchmarks make of their models: nested classes of each kind that people use for it."""

from __future__ import annotations

import datetime as dt  # noqa: TC003  (pydantic reads annotations at run time)
from dataclasses import dataclass
from decimal import Decimal  # noqa: TC003  (the same)

import msgspec
from pydantic import BaseModel, ConfigDict


class PhotoModel(BaseModel):
    """A photo, for pydantic."""

    model_config = ConfigDict(from_attributes=True, frozen=True)
    id: int
    url: str
    width: int
    height: int


class AvatarModel(BaseModel):
    """An avatar, for pydantic."""

    model_config = ConfigDict(from_attributes=True, frozen=True)
    id: int
    name: str
    status: str
    created_at: dt.datetime
    photos: tuple[PhotoModel, ...]


class UserModel(BaseModel):
    """A user, for pydantic."""

    model_config = ConfigDict(from_attributes=True, frozen=True)
    id: int
    telegram_id: int
    name: str
    email: str | None
    balance: Decimal
    is_active: bool
    created_at: dt.datetime
    avatars: tuple[AvatarModel, ...]


class PhotoStruct(msgspec.Struct, frozen=True):
    """A photo, for msgspec."""

    id: int
    url: str
    width: int
    height: int


class AvatarStruct(msgspec.Struct, frozen=True):
    """An avatar, for msgspec."""

    id: int
    name: str
    status: str
    created_at: dt.datetime
    photos: tuple[PhotoStruct, ...]


class UserStruct(msgspec.Struct, frozen=True):
    """A user, for msgspec."""

    id: int
    telegram_id: int
    name: str
    email: str | None
    balance: Decimal
    is_active: bool
    created_at: dt.datetime
    avatars: tuple[AvatarStruct, ...]


class PhotoView(PhotoStruct, frozen=True, gc=False):
    """A photo, for a view."""


class AvatarView(AvatarStruct, frozen=True, gc=False):
    """An avatar, for a view."""

    photos: tuple[PhotoView, ...]


class UserView(UserStruct, frozen=True, gc=False):
    """A user, for a view."""

    avatars: tuple[AvatarView, ...]


@dataclass(frozen=True, slots=True)
class PhotoCard:
    """A photo, by hand."""

    id: int
    url: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class AvatarCard:
    """An avatar, by hand."""

    id: int
    name: str
    status: str
    created_at: dt.datetime
    photos: tuple[PhotoCard, ...]


@dataclass(frozen=True, slots=True)
class UserCard:
    """A user, by hand."""

    id: int
    telegram_id: int
    name: str
    email: str | None
    balance: Decimal
    is_active: bool
    created_at: dt.datetime
    avatars: tuple[AvatarCard, ...]
