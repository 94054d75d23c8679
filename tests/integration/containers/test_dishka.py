"""A request container of dishka is a scope: it stores, or it rolls back and says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable

import pytest
from dishka import Provider, make_async_container, make_container, provide
from dishka import Scope as Lifetime
from dishka.exceptions import ExitError
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session

from sqla_safe import AsyncScope, Scope, ScopeClosedError, ScopeSourceError, inject, scoped_services
from sqla_safe.ext.dishka import ScopeProvider
from tests.integration.containers.support import Counter, import_without, stored, sync_stored
from tests.integration.scopes.models import Note, Notes, SyncNotes


async def test_a_request_stores_what_its_services_wrote(sessions) -> None:
    """When the container is left, the data is in the database."""
    async with make_async_container(ScopeProvider(sessions, Notes))() as request:
        await (await request.get(Notes)).add("a")
    assert await stored(sessions) == ["a"]


async def test_a_request_that_fails_stores_nothing(sessions) -> None:
    """The error leaves the container as it is."""
    container = make_async_container(ScopeProvider(sessions, Notes))
    with pytest.raises(KeyError):
        async with container() as request:
            await (await request.get(Notes)).add("a")
            raise KeyError
    assert await stored(sessions) == []


async def test_without_it_a_request_that_fails_is_stored(sessions) -> None:
    """The bug that the module is for: ``async with sessionmaker.begin()`` in a provider commits."""

    class Plain(Provider):
        scope = Lifetime.REQUEST

        @provide
        async def session(self) -> AsyncIterable[AsyncSession]:
            async with sessions.begin() as session:
                yield session

    with pytest.raises(KeyError):
        async with make_async_container(Plain())() as request:
            (await request.get(AsyncSession)).add(Note(text="half"))
            raise KeyError
    assert await stored(sessions) == ["half"]


async def test_a_cancelled_request_stores_nothing(sessions) -> None:
    """Its cancellation goes on."""
    container = make_async_container(ScopeProvider(sessions, Notes))
    reached = asyncio.Event()

    async def work() -> None:
        async with container() as request:
            await (await request.get(Notes)).add("a")
            reached.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await stored(sessions) == []


async def test_a_commit_that_fails_leaves_the_container(sessions) -> None:
    """In dishka's own group."""
    container = make_async_container(ScopeProvider(sessions))
    with pytest.raises(ExitError) as raised:
        async with container() as request:
            session = await request.get(AsyncSession)
            session.add_all([Note(text="a"), Note(text="a")])
    assert isinstance(raised.value.exceptions[0], IntegrityError)


async def test_everything_of_a_request_shares_one_scope(sessions) -> None:
    """Scope, session, services, classes of other providers, and blocks inside."""

    class Own(Provider):
        notes = provide(Counter, scope=Lifetime.REQUEST)

    provider = ScopeProvider(sessions, Notes)
    other = Own()
    other.provide(lambda: 3, provides=int, scope=Lifetime.REQUEST)
    async with make_async_container(provider, other)() as request:
        scope = await request.get(AsyncScope)
        assert await request.get(AsyncScope[AsyncSession]) is scope
        assert await request.get(AsyncSession) is scope.session
        counter = await request.get(Counter)
        assert (counter.session, counter.start) == (scope.session, 3)
        assert counter.notes is await request.get(Notes)
        async with scoped_services(sessions, Notes) as joined:
            assert joined is counter.notes


async def test_inject_is_given_by_its_class(sessions) -> None:
    """Services that need more can be made by sqla_safe too."""
    container = make_async_container(ScopeProvider(sessions, inject(Counter, start=5)))
    async with container() as request:
        assert (await request.get(Counter)).start == 5


async def test_a_services_life_ends_with_the_request(sessions) -> None:
    """Kept in a global, it fails at its first use."""
    async with make_async_container(ScopeProvider(sessions, Notes))() as request:
        notes = await request.get(Notes)
    with pytest.raises(ScopeClosedError):
        await notes.add("a")


async def test_own_session_classes_and_options_are_known(sessions) -> None:
    """They are given by their own class too."""

    class Special(AsyncSession):
        pass

    maker = async_sessionmaker(sessions.kw["bind"], class_=Special)
    container = make_async_container(ScopeProvider(maker, read_only=True, timeout=5))
    async with container() as request:
        assert await request.get(Special) is await request.get(AsyncSession)
        assert (await request.get(AsyncScope[Special])).session is await request.get(Special)


async def test_a_second_database_is_a_component(sessions, tmp_path) -> None:
    """Two providers, two transactions."""
    other = async_sessionmaker(sessions.kw["bind"])
    first, second = ScopeProvider(sessions), ScopeProvider(other, component="other")
    async with make_async_container(first, second)() as request:
        mine = await request.get(AsyncSession)
        assert await request.get(AsyncSession, component="other") is not mine


def test_sync_containers_work_the_same(sync_sessions) -> None:
    """With a `sessionmaker`."""
    container = make_container(ScopeProvider(sync_sessions, SyncNotes))
    with container() as request:
        request.get(SyncNotes).add("a")
        assert request.get(Session) is request.get(Scope).session
        assert request.get(Scope[Session]) is request.get(Scope)
    with pytest.raises(KeyError), container() as request:
        request.get(SyncNotes).add("b")
        raise KeyError
    assert sync_stored(sync_sessions) == ["a"]


def test_only_a_sessionmaker_is_taken(sessions) -> None:
    """An engine is refused where the provider is made."""
    with pytest.raises(ScopeSourceError):
        ScopeProvider(sessions.kw["bind"])


def test_a_missing_framework_gives_one_line() -> None:
    """It names the extra."""
    said = "dishka is not installed. Instead: pip install 'sqla-safe[dishka]' [SQS140]"
    assert import_without("dishka") == said
