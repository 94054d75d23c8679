"""A bot without handlers, one person who writes to it, and a table of notes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from itertools import count
from typing import Any

from aiogram import Bot, Dispatcher
from aiogram.client.session.base import BaseSession
from aiogram.fsm.storage.memory import MemoryStorage
from sqlalchemy import String, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_safe.ext.aiogram import ScopeMiddleware

Sessions = async_sessionmaker[AsyncSession]


class Base(DeclarativeBase):
    pass


class Note(Base):
    __tablename__ = "notes"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(50), unique=True)


class Notes:
    """Writes notes."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, text: str) -> Note:
        note = Note(text=text)
        self.session.add(note)
        await self.session.flush()
        return note


class Counter:
    """Counts notes, through a service of the same scope."""

    def __init__(self, session: AsyncSession, notes: Notes, start: int = 0) -> None:
        self.session, self.notes, self.start = session, notes, start

    async def count(self) -> int:
        return self.start + (await self.session.scalar(select(func.count(Note.id))) or 0)


class Wire(BaseSession):
    """Answers every method with true, and remembers them beside how much was stored then."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Any] = []

    async def make_request(self, bot: Bot, method: Any, timeout: Any = None) -> Any:  # noqa: ASYNC109
        """Remember a method."""
        self.sent.append(method)
        return True

    def stream_content(self, *given: Any, **named: Any) -> AsyncGenerator[bytes, None]:
        """Have no files."""
        raise NotImplementedError

    async def close(self) -> None:
        """Do nothing."""


class Chat:
    """A dispatcher with a middleware, and a person."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self.wire = Wire()
        self.bot = Bot("42:test", session=self.wire)
        self.dispatcher = Dispatcher(storage=MemoryStorage())
        self._numbers = count(1)

    def use(self, *services: Any, **options: Any) -> ScopeMiddleware:
        """Register a middleware as the documentation does."""
        middleware = ScopeMiddleware(self.sessions, *services, **options)
        self.dispatcher.update.outer_middleware(middleware)
        return middleware

    def message(self, text: str = "hi") -> dict[str, Any]:
        """Return an update."""
        anna = {"id": 7, "is_bot": False, "first_name": "Anna"}
        chat = {"id": 7, "type": "private"}
        content = {"message_id": 1, "date": 0, "chat": chat, "from": anna, "text": text}
        return {"update_id": next(self._numbers), "message": content}

    async def write(self, text: str = "hi") -> Any:
        """Feed an update; return what the dispatcher returns."""
        return await self.dispatcher.feed_raw_update(self.bot, self.message(text))

    async def stored(self) -> list[str]:
        """Return the texts that are in the database, seen from another session."""
        async with self.sessions() as session:
            return list(await session.scalars(select(Note.text).order_by(Note.id)))


def checked_out(engine: AsyncEngine) -> int:
    """Return how many connections are in use."""
    pool: Any = engine.sync_engine.pool
    return pool.checkedout()
