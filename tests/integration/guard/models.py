"""Tables with everything that can be missing from an entity: relationships, columns."""

from __future__ import annotations

from contextlib import closing
from datetime import datetime

from sqlalchemy import ForeignKey, String, func, make_url
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.schema import CreateTable

from tests.databases import Database


class Base(DeclarativeBase):
    """The tables of these tests."""


class Team(Base):
    __tablename__ = "team"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))


class User(Base):
    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    bio: Mapped[str] = mapped_column(String(50), deferred=True, default="a long one")
    team_id: Mapped[int | None] = mapped_column(ForeignKey("team.id"))
    changed: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    team: Mapped[Team | None] = relationship(lazy="select")
    posts: Mapped[list[Post]] = relationship(back_populates="user", lazy="select")
    badges: Mapped[list[Badge]] = relationship(lazy="selectin")

    @hybrid_property
    def titles(self) -> list[str]:
        return [post.title for post in self.posts]


class Post(Base):
    __tablename__ = "post"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    title: Mapped[str] = mapped_column(String(50))
    user: Mapped[User | None] = relationship(back_populates="posts", lazy="select")


class Badge(Base):
    __tablename__ = "badge"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    title: Mapped[str] = mapped_column(String(50))


class Channel(Base):
    __tablename__ = "channel"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(50))
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "channel"}  # noqa: RUF012


class EmailChannel(Channel):
    __tablename__ = "email_channel"

    id: Mapped[int] = mapped_column(ForeignKey("channel.id"), primary_key=True)
    address: Mapped[str] = mapped_column(String(50))
    __mapper_args__ = {"polymorphic_identity": "email"}  # noqa: RUF012


KEYS = (1, 2, 3, 4)
ROWS = (
    "INSERT INTO team (id, name) VALUES (1, 'red')",
    *(
        f"INSERT INTO person (id, name, bio, team_id) VALUES ({n}, 'user {n}', 'bio', 1)"
        for n in KEYS
    ),
    *(f"INSERT INTO post (id, user_id, title) VALUES ({n}0, {n}, 'post {n}')" for n in KEYS),
    *(f"INSERT INTO badge (id, user_id, title) VALUES ({n}, {n}, 'badge')" for n in KEYS),
    "INSERT INTO channel (id, kind) VALUES (1, 'email')",
    "INSERT INTO email_channel (id, address) VALUES (1, 'a@example.org')",
)


def fill(database: Database) -> None:
    """Create the tables and store four users, without the driver under test."""
    dialect = make_url(database.url).get_dialect()()
    tables = Base.metadata.sorted_tables
    ddl = [str(CreateTable(table).compile(dialect=dialect)) for table in tables]
    with closing(database.probe.connect()) as connection, closing(connection.cursor()) as cursor:
        for statement in (*ddl, *ROWS):
            cursor.execute(statement)
        if not getattr(connection, "autocommit", True):
            connection.commit()
