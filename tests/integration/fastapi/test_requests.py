"""One scope for each request: shared, and stored before the response leaves, or not at all."""

import asyncio
import functools
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from starlette.middleware.base import BaseHTTPMiddleware

from sqla_safe import (
    AsyncScope,
    NoScopeError,
    Scope,
    ScopeOptionError,
    ScopeSourceError,
    current_scope,
    inject,
    scoped_services,
)
from sqla_safe.ext.fastapi import Services, StreamServices, depends, setup_scopes
from tests.integration.fastapi.support import Notes, client, sent
from tests.integration.scopes.models import Note, SyncNotes

COUNT = select(func.count()).select_from(Note)


async def stored(sessions: Any) -> list[str]:
    """Read the texts from another session."""
    async with sessions() as session:
        return list(await session.scalars(select(Note.text).order_by(Note.id)))


async def store(sessions: Any, text: str) -> None:
    """Store a text by another session."""
    async with sessions.begin() as session:
        session.add(Note(text=text))


class Counter:
    """Needs another service."""

    def __init__(self, session: AsyncSession, notes: Notes, start: int = 0) -> None:
        self.session, self.notes, self.start = session, notes, start

    async def count(self) -> int:
        return self.start + (await self.session.scalar(COUNT) or 0)


async def test_the_data_is_stored_before_the_response_leaves(app: FastAPI, sessions) -> None:
    """Whoever reads the answer finds what it tells of."""
    seen: list[tuple[str, list[str]]] = []

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> str:
        await notes.add("a")
        return "ok"

    async def look(message: Any) -> None:
        seen.append((message["type"], await stored(sessions)))

    await sent(app, "/", look)
    assert seen == [("http.response.start", ["a"]), ("http.response.body", ["a"])]


async def test_without_it_the_response_leaves_first(app: FastAPI, sessions) -> None:
    """The bug that the module is for: FastAPI's own dependency commits after the response."""
    seen: list[list[str]] = []

    async def session() -> AsyncIterator[AsyncSession]:
        async with sessions.begin() as session:
            yield session

    @app.get("/")
    async def endpoint(session: Annotated[AsyncSession, Depends(session)]) -> str:
        session.add(Note(text="a"))
        return "ok"

    async def look(_message: Any) -> None:
        seen.append(await stored(sessions))

    await sent(app, "/", look)
    assert seen == [[], []]
    assert await stored(sessions) == ["a"]


async def test_a_commit_that_fails_is_an_error_for_the_client(app: FastAPI, sessions) -> None:
    """The second one violates the unique text only when the scope ends."""

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> str:
        await notes.add_late("a")
        return "ok"

    async with client(app) as browser:
        answers = [(await browser.get("/")).status_code for _ in range(2)]
    assert answers == [200, 500]
    assert await stored(sessions) == ["a"]


@pytest.mark.parametrize(
    ("error", "status"), [(HTTPException(404), 404), (ValueError("no"), 500)], ids=["404", "500"]
)
async def test_an_endpoint_that_raises_stores_nothing(
    app: FastAPI, sessions, error: Exception, status: int
) -> None:
    """`HTTPException` too: what it refuses is not stored."""

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> str:
        await notes.add("a")
        raise error

    async with client(app) as browser:
        assert (await browser.get("/")).status_code == status
    assert await stored(sessions) == []


async def test_parameters_and_dependencies_share_one_scope(app: FastAPI, sessions) -> None:
    """Services, scope, session, other dependencies and blocks inside: one transaction."""
    found: list[Any] = []

    async def author(notes: Services[Notes]) -> Notes:
        return notes

    @app.get("/")
    async def endpoint(
        notes: Services[Notes],
        same: Annotated[Notes, Depends(author)],
        scope: Services[AsyncScope[AsyncSession]],
        session: Services[AsyncSession],
    ) -> None:
        found.extend([notes is same, session is scope.session, notes.session is session])
        found.append(current_scope(sessions) is scope)
        async with scoped_services(sessions, Notes) as joined:
            found.append(joined is notes)

    async with client(app) as browser:
        assert (await browser.get("/")).status_code == 200
    assert found == [True] * 5


async def test_two_requests_have_two_scopes(app: FastAPI, sessions) -> None:
    """Even at the same time."""
    scopes: list[Any] = []
    both = asyncio.Event()

    @app.get("/")
    async def endpoint(scope: Services[AsyncScope[AsyncSession]]) -> None:
        scopes.append(scope)
        if len(scopes) == 2:
            both.set()
        await both.wait()

    async with client(app) as browser:
        await asyncio.gather(browser.get("/"), browser.get("/"))
    assert scopes[0].session is not scopes[1].session


async def test_no_connection_is_taken_before_the_first_statement(app: FastAPI, engine) -> None:
    """A request that needs no database costs none."""
    held: list[int] = []

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> None:
        held.append(engine.sync_engine.pool.checkedout())

    async with client(app) as browser:
        await browser.get("/")
    assert held == [0]


async def test_services_that_need_more_are_set_up(sessions) -> None:
    """`inject`, given once to the application, is found by its class."""
    app = FastAPI()
    setup_scopes(app, sessions, inject(Counter, start=10))

    @app.get("/")
    async def endpoint(counter: Services[Counter], notes: Services[Notes]) -> int:
        assert counter.notes is notes
        await notes.add("a")
        return await counter.count()

    async with client(app) as browser:
        assert (await browser.get("/")).json() == 11


async def test_an_exception_handler_gets_no_dead_session(app: FastAPI, sessions) -> None:
    """It runs after the rollback: nothing is open, and a scope of its own is stored."""
    found: list[Any] = []

    @app.exception_handler(ZeroDivisionError)
    async def handler(request: Request, error: Exception) -> JSONResponse:
        try:
            current_scope(sessions)
        except NoScopeError:
            found.append("nothing is open")
        async with scoped_services(sessions, Notes) as notes:
            await notes.add("failed")
        return JSONResponse({}, status_code=418)

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> None:
        await notes.add("a")
        raise ZeroDivisionError

    async with client(app) as browser:
        assert (await browser.get("/")).status_code == 418
    assert found == ["nothing is open"]
    assert await stored(sessions) == ["failed"]


async def test_base_http_middleware_changes_nothing(app: FastAPI, sessions) -> None:
    """It runs the application in another task, and cancels what is late."""
    seen: list[list[str]] = []

    class Middleware(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Any:
            response = await call_next(request)
            seen.append(await stored(sessions))
            return response

    app.add_middleware(Middleware)

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> None:
        await notes.add("a")

    async with client(app) as browser:
        assert (await browser.get("/")).status_code == 200
    assert seen == [["a"]]


async def test_a_background_task_cannot_use_the_requests_services(app: FastAPI, sessions) -> None:
    """They are closed with the request's scope; a scope of its own works."""
    failed: list[str] = []

    async def later(notes: Notes) -> None:
        try:
            await notes.add("b")
        except Exception as error:
            failed.append(type(error).__name__)
        async with scoped_services(sessions, Notes) as own:
            await own.add("c")

    @app.get("/")
    async def endpoint(notes: Services[Notes], tasks: BackgroundTasks) -> None:
        await notes.add("a")
        tasks.add_task(later, notes)

    async with client(app) as browser:
        await browser.get("/")
    assert failed == ["ScopeClosedError"]
    assert await stored(sessions) == ["a", "c"]


async def test_a_background_task_can_be_made_to_depend_on_the_commit(app: FastAPI) -> None:
    """Added in `on_commit`, it still runs after the response, and never after a rollback."""
    ran: list[str] = []

    @app.get("/{word}")
    async def endpoint(
        word: str, scope: Services[AsyncScope[AsyncSession]], tasks: BackgroundTasks
    ) -> None:
        scope.get(Notes)
        scope.session.add(Note(text="same"))
        scope.on_commit(lambda: tasks.add_task(ran.append, word))

    async with client(app) as browser:
        assert (await browser.get("/first")).status_code == 200
        assert (await browser.get("/second")).status_code == 500
    assert ran == ["first"]


async def test_an_error_of_the_end_names_the_endpoint(app: FastAPI) -> None:
    """The scope was opened for the application, and no frame of the error is the endpoint's."""

    @app.get("/")
    async def twice(notes: Services[Notes]) -> None:
        await notes.add("a")
        await notes.add_late("a")

    with pytest.raises(IntegrityError) as caught:
        await sent(app, "/", lambda _message: None)
    [note] = [note for note in caught.value.__notes__ if "at the end of" in note]
    assert re.search(r"test_requests.py:\d+ in twice$", note)


async def test_an_error_of_the_endpoint_itself_gets_no_such_note(app: FastAPI) -> None:
    """Its frames tell where it was."""

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> None:
        raise LookupError

    with pytest.raises(LookupError) as caught:
        await sent(app, "/", lambda _message: None)
    assert not hasattr(caught.value, "__notes__")


async def test_sync_endpoints_run_in_threads(sync_sessions) -> None:
    """A `sessionmaker` gives sync services; blocks inside join, and the data is stored."""
    app = FastAPI()
    setup_scopes(app, sync_sessions)
    found: list[Any] = []
    seen: list[int] = []

    @app.get("/")
    def endpoint(notes: Services[SyncNotes], scope: Services[Scope[Session]]) -> None:
        notes.add("a")
        found.append(current_scope(sync_sessions)._unit is scope._unit)
        with scoped_services(sync_sessions, SyncNotes) as joined:
            found.append(joined is notes)

    def look(_message: Any) -> None:
        with sync_sessions() as session:
            seen.append(session.scalar(COUNT))

    await sent(app, "/", look)
    assert (found, seen) == ([True, True], [1, 1])


async def test_a_sync_endpoint_that_raises_stores_nothing(sync_sessions) -> None:
    """Its scope is rolled back in a thread."""
    app = FastAPI()
    setup_scopes(app, sync_sessions)

    @app.get("/")
    def endpoint(notes: Services[SyncNotes]) -> None:
        notes.add("a")
        raise HTTPException(409)

    async with client(app) as browser:
        assert (await browser.get("/")).status_code == 409
    with sync_sessions() as session:
        assert session.scalar(COUNT) == 0


class Unawaited:
    """Has nothing to wait for."""

    def __init__(self, session: AsyncSession) -> None:
        self.texts = ["a"]


def with_plain_functions(app: FastAPI) -> None:
    """Add endpoints with a plain function on their way, which is right."""

    async def texts(notes: Services[Notes]) -> list[str]:
        return await notes.texts()

    def repository(session: Services[AsyncSession]) -> Notes:
        return Notes(session)

    @app.get("/dependency")
    def plain(texts: Annotated[list[str], Depends(texts)]) -> list[str]:
        return texts

    @app.get("/repository")
    async def awaiting(notes: Annotated[Notes, Depends(repository)]) -> list[str]:
        return await notes.texts()

    @app.get("/scope")
    def later(scope: Services[AsyncScope[AsyncSession]]) -> list[str]:
        scope.on_commit(lambda: None)
        return ["a"]

    @app.get("/sync")
    def sync(mine: Services[Unawaited]) -> list[str]:
        return mine.texts

    @app.get("/stream")
    def stream(notes: StreamServices[Notes]) -> StreamingResponse:
        return StreamingResponse(f'["{text}"]' async for text in notes.stream())


@pytest.mark.parametrize("service", [Notes, AsyncSession], ids=["service", "session"])
async def test_a_plain_endpoint_is_refused_async_services(app: FastAPI, sessions, service) -> None:
    """It could not await them: what it called would be a success that stored nothing."""
    router = APIRouter()

    @router.get("/")
    def register(notes: Services[service]) -> str:
        notes.add("a")
        return "ok"

    app.include_router(router)
    with pytest.raises(ScopeOptionError) as caught:
        await sent(app, "/", lambda _message: None)
    assert str(caught.value) == (
        "the endpoint register is a plain function with the parameter notes, and a service of an "
        "async_sessionmaker needs a coroutine one. Instead: async def register(...), or a "
        "sessionmaker in place of the async_sessionmaker [SQS156]"
    )
    assert await stored(sessions) == []


@pytest.mark.parametrize("path", ["dependency", "repository", "scope", "sync", "stream"])
async def test_plain_functions_that_await_nothing_are_served(app: FastAPI, sessions, path) -> None:
    """Dependencies make repositories, endpoints take what was awaited, or start a stream."""
    with_plain_functions(app)
    await store(sessions, "a")
    async with client(app) as browser:
        assert (await browser.get(f"/{path}")).json() == ["a"]


async def test_a_decorated_endpoint_is_what_its_decorator_makes_of_it(app: FastAPI) -> None:
    """A plain function that a coroutine function wraps runs in the loop."""

    def endpoint(notes: Services[Notes]) -> Any:
        return notes.add("a")

    @app.get("/")
    @functools.wraps(endpoint)
    async def awaiting(notes: Services[Notes]) -> int:
        return (await endpoint(notes)).id

    async with client(app) as browser:
        assert (await browser.get("/")).json() == 1


async def test_a_task_of_a_sync_request_joins_nothing(sync_sessions) -> None:
    """Only the endpoint's own threads share its scope."""
    app = FastAPI()
    setup_scopes(app, sync_sessions)
    found: list[bool] = []

    async def child() -> None:
        with pytest.raises(NoScopeError):
            current_scope(sync_sessions)
        found.append(True)

    @app.get("/")
    async def endpoint(notes: Services[SyncNotes]) -> None:
        current_scope(sync_sessions)
        await asyncio.create_task(child())

    async with client(app) as browser:
        assert (await browser.get("/")).status_code == 200
    assert found == [True]


async def test_options_belong_to_the_dependency(app: FastAPI, sessions) -> None:
    """`depends` takes those of `scoped_services`; equal ones share a scope."""
    read_only = depends(sessions, read_only=True, timeout=5)
    found: list[Any] = []

    @app.get("/")
    async def endpoint(
        scope: Annotated[AsyncScope[AsyncSession], read_only],
        same: Annotated[AsyncScope[AsyncSession], depends(sessions, read_only=True, timeout=5)],
        notes: Annotated[Notes, depends(sessions, Notes, read_only=True, timeout=5)],
    ) -> None:
        found.extend([scope is same, notes.session is scope.session])
        await notes.add("a")

    async with client(app) as browser:
        assert (await browser.get("/")).status_code == 500
    assert found == [True, True]
    assert await stored(sessions) == []


async def test_a_client_that_goes_away_stores_nothing(app: FastAPI, sessions) -> None:
    """A cancelled request is rolled back, and its connection goes back."""
    reached = asyncio.Event()

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> None:
        await notes.add("a")
        reached.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(sent(app, "/", lambda _message: None))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored(sessions) == []


async def test_an_application_without_a_sessionmaker_says_what_to_call(sessions) -> None:
    """The first request does."""
    app = FastAPI()

    @app.get("/")
    async def endpoint(notes: Services[Notes]) -> None: ...

    @app.get("/stream")
    async def stream(notes: StreamServices[Notes]) -> None: ...

    for path in ("/", "/stream"):
        with pytest.raises(ScopeSourceError, match=r"setup_scopes\(app, Session\)"):
            await sent(app, path, lambda _message: None)


def test_only_sessionmakers_and_known_options_are_taken(engine, sessions) -> None:
    """Anything else is refused where the application is put together."""
    with pytest.raises(ScopeSourceError):
        setup_scopes(FastAPI(), engine)
    with pytest.raises(ScopeSourceError):
        depends(engine)
    with pytest.raises(ScopeOptionError):
        depends(sessions, isolation_level="AUTOCOMMIT")


def test_a_missing_framework_gives_one_line() -> None:
    """It names the extra; what else is missing is not blamed on it."""
    code = (
        "import sys; sys.modules['fastapi'] = None\n"
        "try: import sqla_safe.ext.fastapi\n"
        "except ImportError as error: print(type(error).__name__, error, end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = "fastapi is not installed. Instead: pip install 'sqla-safe[fastapi]' [SQS140]"
    assert done.stdout == f"MissingExtraError {expected}"
