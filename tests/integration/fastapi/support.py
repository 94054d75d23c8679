"""A service that writes notes, and a client that sees when the response left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from tests.integration.scopes.models import Author, Note


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
