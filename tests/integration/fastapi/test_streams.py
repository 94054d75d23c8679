"""Endpoints whose work goes on while the response is on its way: streams and WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Annotated, Any

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession

from sqla_safe import (
    AsyncScope,
    ReadOnlyScopeError,
    ScopeClosedError,
    ScopeOptionError,
    scoped_services,
)
from sqla_safe.ext.fastapi import Services, StreamServices, depends
from tests.integration.fastapi.support import Notes, client, sent
from tests.integration.fastapi.test_requests import stored
from tests.integration.scopes.models import Note


async def filled(sessions: Any) -> None:
    """Store three notes."""
    async with sessions.begin() as session:
        session.add_all([Note(text=text) for text in "abc"])


async def test_a_stream_keeps_its_scope_until_it_has_been_sent(
    app: FastAPI, sessions, engine
) -> None:
    """The rows come one by one from an open connection, which then goes back."""
    await filled(sessions)
    held: list[int] = []

    @app.get("/")
    async def endpoint(notes: StreamServices[Notes]) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async for text in notes.stream():
                held.append(engine.sync_engine.pool.checkedout())
                yield text

        return StreamingResponse(lines())

    async with client(app) as browser:
        assert (await browser.get("/")).text == "abc"
    assert held == [1, 1, 1]
    assert engine.sync_engine.pool.checkedout() == 0


async def test_the_requests_own_scope_is_too_short_for_a_stream(app: FastAPI, sessions) -> None:
    """It has ended when the stream begins: the error names it, nothing is read by accident."""
    failed: list[Exception] = []

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            try:
                async for text in notes.stream():
                    yield text
            except ScopeClosedError as error:
                failed.append(error)

        return StreamingResponse(lines())

    async with client(app) as browser:
        await browser.get("/")
    assert len(failed) == 1


async def test_what_is_written_before_the_stream_is_stored_before_it(
    app: FastAPI, sessions
) -> None:
    """The request's own scope and that of the stream are independent, in either order."""
    seen: list[list[str]] = []

    @app.get("/")
    async def endpoint(
        rows: StreamServices[Notes], log: Services[Notes], more: StreamServices[Notes]
    ) -> StreamingResponse:
        assert rows is more
        async with scoped_services(sessions, Notes) as joined:
            assert joined is log
        await log.add("d")

        async def lines() -> AsyncIterator[str]:
            async for text in rows.stream():
                yield text

        return StreamingResponse(lines())

    async def look(message: Any) -> None:
        seen.append([message.get("body", b"").decode(), *await stored(sessions)])

    await sent(app, "/", look)
    assert seen[:2] == [["", "d"], ["d", "d"]]


async def test_a_stream_does_not_write(app: FastAPI, sessions) -> None:
    """An error could not reach the client any more; whoever wants to, says so."""
    failed: list[Exception] = []

    @app.get("/refused")
    async def refused(notes: StreamServices[Notes]) -> None:
        try:
            await notes.add("a")
        except ReadOnlyScopeError as error:
            failed.append(error)
            raise

    writing = depends(sessions, Notes, stream=True, read_only=False)

    async def allowed(notes: Annotated[Notes, writing]) -> None:
        await notes.add("b")

    allowed.__annotations__ = {"notes": Annotated[Notes, writing]}
    app.get("/allowed")(allowed)

    async with client(app) as browser:
        assert (await browser.get("/refused")).status_code == 500
        assert (await browser.get("/allowed")).status_code == 200
    assert len(failed) == 1
    assert await stored(sessions) == ["b"]


async def test_a_client_that_leaves_a_stream_frees_the_connection(
    app: FastAPI, sessions, engine
) -> None:
    """The scope ends although the generator was not read to its end."""
    await filled(sessions)
    reached = asyncio.Event()

    @app.get("/")
    async def endpoint(notes: StreamServices[Notes]) -> StreamingResponse:
        async def lines() -> AsyncIterator[str]:
            async for text in notes.stream():
                yield text
                reached.set()
                await asyncio.sleep(60)

        return StreamingResponse(lines())

    task = asyncio.create_task(sent(app, "/", lambda _message: None))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert engine.sync_engine.pool.checkedout() == 0


@pytest.mark.parametrize("path", ["/blocks", "/commits"])
async def test_websockets_have_a_scope_for_each_message(
    app: FastAPI, sessions, engine, path: str
) -> None:
    """A block or a commit for each message: stored before the answer, no connection is held."""

    @app.websocket("/blocks")
    async def blocks(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            async with scoped_services(sessions, Notes) as notes:
                await notes.add(text)
            await socket.send_text("stored")

    @app.websocket("/commits")
    async def commits(
        socket: WebSocket, notes: Services[Notes], scope: Services[AsyncScope[AsyncSession]]
    ) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await notes.add(text)
            await scope.commit()
            await socket.send_text("stored")

    async def say(text: str) -> list[str]:
        await coming.put({"type": "websocket.receive", "text": text})
        assert (await leaving.get())["text"] == "stored"
        assert engine.sync_engine.pool.checkedout() == 0
        return await stored(sessions)

    coming: asyncio.Queue[Any] = asyncio.Queue()
    leaving: asyncio.Queue[Any] = asyncio.Queue()
    socket = {"type": "websocket", "path": path, "query_string": b"", "headers": []}
    await coming.put({"type": "websocket.connect"})
    task = asyncio.create_task(app(socket, coming.get, leaving.put))
    assert (await leaving.get())["type"] == "websocket.accept"
    assert await say("a") == ["a"]
    assert await say("b") == ["a", "b"]
    await coming.put({"type": "websocket.disconnect", "code": 1000})
    await task


@pytest.mark.parametrize("kind", ["async", "plain", "partial"])
async def test_a_generator_is_refused_a_scope_that_ends_before_it_runs(app: FastAPI, kind) -> None:
    """Its answer would be a success without a body; the error names the parameter to change."""

    async def streaming(notes: Services[Notes]) -> AsyncIterator[str]:
        async for text in notes.stream():
            yield text

    def plain(notes: Services[Notes]) -> Iterator[str]:
        yield "a"

    kinds = {"async": streaming, "plain": plain, "partial": partial(plain)}
    app.get("/", response_model=None)(kinds[kind])
    with pytest.raises(ScopeOptionError) as caught:
        await sent(app, "/", lambda _message: None)
    name = "streaming" if kind == "async" else "plain"
    assert str(caught.value).startswith(
        f"the endpoint {name} is a generator function: it runs when the scope of its parameter "
        "notes has ended. Instead: notes: StreamServices[Notes]"
    )
