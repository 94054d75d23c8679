"""Users with avatars, photos, a team and tags: an ordinary mapping."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Column, ForeignKey, Table
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """The tables of the gallery."""


user_tag = Table(
    "user_tag",
    Base.metadata,
    Column("user_id", ForeignKey("user.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
)


class Team(Base):
    __tablename__ = "team"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    members: Mapped[list[User]] = relationship(back_populates="team", order_by="User.id")


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    balance: Mapped[int] = mapped_column(default=10)
    password: Mapped[str] = mapped_column(default="hunter2", info={"sensitive": True})
    settings: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    bio: Mapped[str | None] = mapped_column(deferred=True)
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    team: Mapped[Team | None] = relationship(back_populates="members")
    avatars: Mapped[list[Avatar]] = relationship(back_populates="user", order_by="Avatar.id")
    tags: Mapped[list[Tag]] = relationship(
        secondary=user_tag, back_populates="users", order_by="Tag.id"
    )

    def greeting(self) -> str:
        """Greet, from a column."""
        return f"Hello {self.name}"


class Avatar(Base):
    __tablename__ = "avatar"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    user: Mapped[User | None] = relationship(back_populates="avatars")
    photos: Mapped[list[Photo]] = relationship(back_populates="avatar", order_by="Photo.id")


class Photo(Base):
    __tablename__ = "photo"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]
    avatar_id: Mapped[int | None] = mapped_column(ForeignKey("avatar.id"))
    avatar: Mapped[Avatar | None] = relationship(back_populates="photos")


class Tag(Base):
    __tablename__ = "tag"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    users: Mapped[list[User]] = relationship(
        secondary=user_tag, back_populates="tags", order_by="User.id"
    )


def lisa() -> User:
    """Make a user with two avatars, three photos, two tags, a team, and nested settings."""
    return User(
        id=1,
        name="Lisa",
        bio="Painted in 1503",
        settings={"theme": "dark", "sizes": [1, {"unit": "px"}]},
        team=Team(id=1, name="Louvre"),
        tags=[Tag(id=1, name="oil"), Tag(id=2, name="poplar")],
        avatars=[
            Avatar(id=1, name="Mona", photos=[Photo(id=1, url="1.jpg"), Photo(id=2, url="2.jpg")]),
            Avatar(id=2, name="Gioconda", photos=[Photo(id=3, url="3.jpg")]),
        ],
    )


def many(count: int) -> list[User]:
    """Make users, each with two avatars of one photo, all in one team and with one tag."""
    team, tag = Team(id=1, name="Louvre"), Tag(id=1, name="oil")
    return [
        User(
            id=number,
            name=f"user {number}",
            bio=f"bio {number}",
            team=team,
            tags=[tag],
            avatars=[
                Avatar(name="first", photos=[Photo(url="1.jpg")]),
                Avatar(name="second", photos=[Photo(url="2.jpg")]),
            ],
        )
        for number in range(1, count + 1)
    ]
