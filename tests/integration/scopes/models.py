"""Three small tables, the services that use them, and a look at them from outside."""

from __future__ import annotations

from contextlib import closing

from sqlalchemy import ForeignKey, ForeignKeyConstraint, String, make_url
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.schema import CreateTable

from tests.databases import Database


class Base(DeclarativeBase):
    """The tables of these tests."""


class Author(Base):
    """Has notes, loaded when they are asked for."""

    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    notes: Mapped[list[Note]] = relationship(back_populates="author", lazy="select")


class Note(Base):
    """A text that can be stored once."""

    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(50), unique=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship(back_populates="notes", lazy="select")


class Comment(Base):
    """Points at a note; where the database can, it asks whether that note exists only at COMMIT."""

    __tablename__ = "comment"
    __table_args__ = (
        ForeignKeyConstraint(
            ["note_id"], ["note.id"], deferrable=True, initially="DEFERRED", name="comment_note"
        ).ddl_if(callable_=lambda _ddl, _on, _bind, dialect, **_kw: dialect.name != "mysql"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    note_id: Mapped[int] = mapped_column()


class Notes:
    """An async service."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, text: str) -> Note:
        """Insert a note now."""
        note = Note(text=text)
        self.session.add(note)
        await self.session.flush()
        return note


class Authors:
    """Another async service."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, name: str) -> Author:
        """Insert an author now."""
        author = Author(name=name)
        self.session.add(author)
        await self.session.flush()
        return author


class SyncNotes:
    """A sync service."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, text: str) -> Note:
        """Insert a note now."""
        note = Note(text=text)
        self.session.add(note)
        self.session.flush()
        return note


class SyncAuthors:
    """Another sync service."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, name: str) -> Author:
        """Insert an author now."""
        author = Author(name=name)
        self.session.add(author)
        self.session.flush()
        return author


def create_tables(database: Database) -> None:
    """Create the tables from outside, so that the pools under test stay cold."""
    dialect = make_url(database.url).get_dialect()()
    with closing(database.probe.connect()) as connection, closing(connection.cursor()) as cursor:
        for table in Base.metadata.sorted_tables:
            cursor.execute(str(CreateTable(table).compile(dialect=dialect)))


def stored(database: Database) -> list[str]:
    """Read the texts of all notes that are stored, through a connection of its own."""
    return [note for (note,) in database.probe.rows("SELECT text FROM note ORDER BY id")]
