"""The same users with libraries that people use for it, as these libraries' own documents write it.

pydantic-resolve: response models whose `resolve_*` methods name a loader, which asks for the rows
of all keys at once. Its loaders ask for columns here: entities would be slower, and pydantic would
load their relationships one by one. SQLModel: table models with `Relationship`, `selectinload`, and
another model without a table that reads the answer. Importing this fails where one is missing.
"""

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from aiodataloader import DataLoader
from models import Avatar, Photo, User
from pydantic import BaseModel, ConfigDict
from pydantic_resolve import Loader, Resolver, build_list
from sqlalchemy import DateTime, Numeric, Row, Select, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, selectinload
from sqlmodel import Field, Relationship, SQLModel
from sqlmodel import select as sqlmodel_select

# --- pydantic-resolve --------------------------------------------------------

USER_COLUMNS = select(
    User.id,
    User.telegram_id,
    User.name,
    User.email,
    User.balance,
    User.is_active,
    User.created_at,
).order_by(User.id)
AVATAR_COLUMNS = select(
    Avatar.user_id, Avatar.id, Avatar.name, Avatar.status, Avatar.created_at
).order_by(Avatar.id)
PHOTO_COLUMNS = select(Photo.avatar_id, Photo.id, Photo.url, Photo.width, Photo.height).order_by(
    Photo.id
)


async def rows(session: Session | AsyncSession, statement: Select[Any]) -> Sequence[Row[Any]]:
    """Return the rows of a statement, from a session of either kind."""
    if isinstance(session, AsyncSession):
        return (await session.execute(statement)).all()
    return session.execute(statement).all()


class AvatarsOf(DataLoader[int, list[Row[Any]]]):
    """Loads the avatars of users."""

    session: Session | AsyncSession

    async def batch_load_fn(self, keys: list[int]) -> list[list[Row[Any]]]:
        """Return the avatars of each of these users."""
        found = await rows(self.session, AVATAR_COLUMNS.where(Avatar.user_id.in_(keys)))
        return list(build_list(found, keys, lambda avatar: avatar.user_id))


class PhotosOf(DataLoader[int, list[Row[Any]]]):
    """Loads the photos of avatars."""

    session: Session | AsyncSession

    async def batch_load_fn(self, keys: list[int]) -> list[list[Row[Any]]]:
        """Return the photos of each of these avatars."""
        found = await rows(self.session, PHOTO_COLUMNS.where(Photo.avatar_id.in_(keys)))
        return list(build_list(found, keys, lambda photo: photo.avatar_id))


class PhotoAnswer(BaseModel):
    """A photo."""

    model_config = ConfigDict(from_attributes=True)
    id: int
    url: str
    width: int
    height: int


class AvatarAnswer(BaseModel):
    """An avatar, without its photos at first."""

    model_config = ConfigDict(from_attributes=True)
    id: int
    name: str
    status: str
    created_at: dt.datetime
    photos: list[PhotoAnswer] = []

    def resolve_photos(self, loader: Any = Loader(PhotosOf)) -> Any:  # noqa: B008  (its own way)
        """Ask for its photos."""
        return loader.load(self.id)


class UserAnswer(BaseModel):
    """A user, without avatars at first."""

    model_config = ConfigDict(from_attributes=True)
    id: int
    telegram_id: int
    name: str
    email: str | None
    balance: Decimal
    is_active: bool
    created_at: dt.datetime
    avatars: list[AvatarAnswer] = []

    def resolve_avatars(self, loader: Any = Loader(AvatarsOf)) -> Any:  # noqa: B008  (its own way)
        """Ask for its avatars."""
        return loader.load(self.id)


async def by_resolver(session: Session | AsyncSession, size: int) -> list[UserAnswer]:
    """Ask for users, and let pydantic-resolve ask for the rest."""
    found = await rows(session, USER_COLUMNS.where(User.id <= size))
    users = [UserAnswer.model_validate(row) for row in found]
    return list(await Resolver(global_loader_param={"session": session}).resolve(users))


# --- SQLModel ----------------------------------------------------------------


class PhotoBase(SQLModel):
    """What a photo has."""

    url: str
    width: int
    height: int


class AvatarBase(SQLModel):
    """What an avatar has."""

    name: str
    status: str
    created_at: dt.datetime = Field(sa_type=DateTime(timezone=True))  # type: ignore[call-overload]


class UserBase(SQLModel):
    """What a user has."""

    telegram_id: int
    name: str
    email: str | None
    balance: Decimal = Field(sa_type=Numeric(10, 2))  # type: ignore[call-overload]
    is_active: bool
    created_at: dt.datetime = Field(sa_type=DateTime(timezone=True))  # type: ignore[call-overload]


class UserTable(UserBase, table=True):
    """A user in the database."""

    __tablename__ = "users"
    id: int | None = Field(default=None, primary_key=True)
    avatars: list["AvatarTable"] = Relationship(
        back_populates="user", sa_relationship_kwargs={"order_by": "AvatarTable.id"}
    )


class AvatarTable(AvatarBase, table=True):
    """An avatar in the database."""

    __tablename__ = "avatars"
    id: int | None = Field(default=None, primary_key=True)
    user_id: int = Field(foreign_key="users.id", index=True)
    user: UserTable = Relationship(back_populates="avatars")
    photos: list["PhotoTable"] = Relationship(
        back_populates="avatar", sa_relationship_kwargs={"order_by": "PhotoTable.id"}
    )


class PhotoTable(PhotoBase, table=True):
    """A photo in the database."""

    __tablename__ = "photos"
    id: int | None = Field(default=None, primary_key=True)
    avatar_id: int = Field(foreign_key="avatars.id", index=True)
    avatar: AvatarTable = Relationship(back_populates="photos")


class PhotoPublic(PhotoBase):
    """A photo, in an answer."""

    id: int


class AvatarPublic(AvatarBase):
    """An avatar, in an answer."""

    id: int
    photos: list[PhotoPublic] = []


class UserPublic(UserBase):
    """A user, in an answer."""

    id: int
    avatars: list[AvatarPublic] = []


def by_sqlmodel(session: Session, size: int) -> list[UserPublic]:
    """Load table models, and read them with those of the answer."""
    paths = selectinload(UserTable.avatars).selectinload(AvatarTable.photos)  # type: ignore[arg-type]
    statement = sqlmodel_select(UserTable).where(UserTable.id <= size).order_by(UserTable.id)  # type: ignore[operator,arg-type]
    users = session.scalars(statement.options(paths)).all()
    return [UserPublic.model_validate(user) for user in users]
