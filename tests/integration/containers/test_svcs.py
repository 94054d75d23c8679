"""A container of svcs inside a scope: it stores, or it rolls back and says so."""

from __future__ import annotations

import pytest
import svcs
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from sqla_safe import AsyncScope, Scope, ScopeClosedError, ScopeSourceError, inject, scoped_services
from sqla_safe.ext.svcs import add_scope, scoped_container
from tests.integration.containers.support import Counter, import_without, stored, sync_stored
from tests.integration.scopes.models import Note, Notes, SyncNotes


@pytest.fixture
def registry() -> svcs.Registry:
    """Give an empty registry."""
    return svcs.Registry()


async def test_a_container_stores_what_its_services_wrote(registry, sessions) -> None:
    """When the block ends, the data is in the database."""
    async with scoped_container(registry, sessions, Notes) as container:
        await (await container.aget(Notes)).add("a")
    assert await stored(sessions) == ["a"]


async def test_a_block_that_fails_stores_nothing(registry, sessions) -> None:
    """Its error leaves it unchanged."""
    with pytest.raises(KeyError):
        async with scoped_container(registry, sessions, Notes) as container:
            await (await container.aget(Notes)).add("a")
            raise KeyError
    assert await stored(sessions) == []


async def test_without_it_a_block_that_fails_is_stored(registry, sessions) -> None:
    """The bug that the module is for: a factory around `sessionmaker.begin()` commits."""

    async def factory():
        async with sessions.begin() as session:
            yield session

    registry.register_factory(AsyncSession, factory)
    with pytest.raises(KeyError):
        async with svcs.Container(registry) as container:
            (await container.aget(AsyncSession)).add(Note(text="half"))
            raise KeyError
    assert await stored(sessions) == ["half"]


async def test_without_it_a_commit_that_fails_is_silent(registry, sessions) -> None:
    """The other one: svcs logs what goes wrong at the end, and the block ends well."""

    async def factory():
        async with sessions.begin() as session:
            yield session

    registry.register_factory(AsyncSession, factory)
    async with svcs.Container(registry) as container:
        session = await container.aget(AsyncSession)
        session.add_all([Note(text="a"), Note(text="a")])
    assert await stored(sessions) == []


async def test_a_commit_that_fails_is_raised(registry, sessions) -> None:
    """Success means stored."""
    with pytest.raises(IntegrityError):
        async with scoped_container(registry, sessions) as container:
            session = await container.aget(AsyncSession)
            session.add_all([Note(text="a"), Note(text="a")])


async def test_everything_shares_one_scope(registry, sessions) -> None:
    """Scope, session, services, factories of the registry, and blocks inside."""

    async def counter(container: svcs.Container) -> Counter:
        return Counter(*await container.aget(AsyncSession, Notes))

    registry.register_factory(Counter, counter)
    async with scoped_container(registry, sessions, Notes) as container:
        scope = await container.aget_abstract(AsyncScope)
        assert await container.aget(AsyncSession) is scope.session
        found = await container.aget(Counter)
        assert (found.session, found.notes) == (scope.session, container.get(Notes))
        async with scoped_services(sessions, Notes) as joined:
            assert joined is found.notes


async def test_a_plain_factory_gets_the_async_session(registry, sessions) -> None:
    """An async session has an `__aenter__`, which `get()` of svcs refuses unless it is known."""

    def notes(container: svcs.Container) -> Notes:
        return Notes(container.get(AsyncSession))

    registry.register_factory(Notes, notes)
    async with scoped_container(registry, sessions) as container:
        scope = await container.aget_abstract(AsyncScope)
        assert container.get(Notes).session is scope.session


async def test_inject_is_given_by_its_class(registry, sessions) -> None:
    """Services that need more can be made by sqla_safe too."""
    async with scoped_container(registry, sessions, inject(Counter, start=5)) as container:
        assert (await container.aget(Counter)).start == 5


async def test_a_services_life_ends_with_the_block(registry, sessions) -> None:
    """Kept in a global, it fails at its first use."""
    async with scoped_container(registry, sessions, Notes) as container:
        notes = await container.aget(Notes)
    with pytest.raises(ScopeClosedError):
        await notes.add("a")


async def test_a_container_made_elsewhere_can_be_given_a_scope(registry, sessions) -> None:
    """For the framework integrations of svcs, which make their own."""
    async with (
        scoped_services(sessions) as scope,
        svcs.Container(registry) as container,
    ):
        add_scope(container, scope, Notes)
        await (await container.aget(Notes)).add("a")
    assert await stored(sessions) == ["a"]


def test_sync_containers_work_the_same(registry, sync_sessions) -> None:
    """With a `sessionmaker`, and options."""
    with scoped_container(registry, sync_sessions, SyncNotes, timeout=5) as container:
        container.get(SyncNotes).add("a")
        assert container.get(Session) is container.get_abstract(Scope).session
    with pytest.raises(KeyError), scoped_container(registry, sync_sessions, SyncNotes) as c:
        c.get(SyncNotes).add("b")
        raise KeyError
    assert sync_stored(sync_sessions) == ["a"]


def test_only_a_sessionmaker_is_taken(registry, sessions) -> None:
    """An engine is refused at the call."""
    with pytest.raises(ScopeSourceError):
        scoped_container(registry, sessions.kw["bind"])


def test_add_scope_wants_a_container_and_an_open_scope(registry, sync_sessions) -> None:
    """Swapped arguments, a sessionmaker and a scope that has ended are refused."""
    with svcs.Container(registry) as container:
        with scoped_services(sync_sessions) as scope:
            with pytest.raises(ScopeSourceError, match="needs a container here, not Scope"):
                add_scope(scope, container)
            with pytest.raises(ScopeSourceError, match="needs an open scope here, not sessionm"):
                add_scope(container, sync_sessions)
        with pytest.raises(ScopeClosedError, match=r"add_scope\(\) came after the end"):
            add_scope(container, scope)


def test_a_missing_framework_gives_one_line() -> None:
    """It names the extra."""
    said = "svcs is not installed. Instead: pip install 'sqla-safe[svcs]' [SQS140]"
    assert import_without("svcs") == said
