"""Notes, the services that write them, and a client that sees when the response left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy import ForeignKey, String, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50))
    notes: Mapped[list[Note]] = relationship(back_populates="author", lazy="select")


class Note(Base):
    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(50), unique=True)
    author_id: Mapped[int | None] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author | None] = relationship(back_populates="notes", lazy="select")


class Notes:
    """Writes notes."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, text: str, author: Author | None = None) -> Note:
        note = Note(text=text, author=author)
        self.session.add(note)
        await self.session.flush()
        return note

    async def add_late(self, text: str) -> None:
        """Write it only at the end of the scope."""
        self.session.add(Note(text=text))

    async def texts(self) -> list[str]:
        return list(await self.session.scalars(select(Note.text).order_by(Note.id)))

    async def stream(self) -> AsyncIterator[str]:
        async for text in await self.session.stream_scalars(select(Note.text).order_by(Note.id)):
            yield text


class SyncNotes:
    """Writes notes, for endpoints that run in threads."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def add(self, text: str) -> Note:
        note = Note(text=text)
        self.session.add(note)
        self.session.flush()
        return note


@asynccontextmanager
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Give a client whose requests run in this loop; errors of the server are answers with 500."""
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


async def sent(app: FastAPI, path: str, on_message: Any) -> None:
    """Send one GET by hand, and look at each message of the response when it leaves."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
    }

    body = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        return next(body, None) or await asyncio.Future()  # then it stays connected

    async def send(message: Any) -> None:
        result = on_message(message)
        if result is not None:
            await result

    await app(scope, receive, send)
