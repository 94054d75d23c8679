"""What a scope is opened from, and how it builds its services."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
)
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import (
    AsyncScope,
    NoScopeError,
    ScopeSourceError,
    ServiceBuildError,
    SqlaSafeError,
    current_scope,
    inject,
    scoped_services,
)
from tests import databases
from tests.integration.scopes.models import Authors, Notes, SyncNotes, stored


@pytest.fixture
def async_database(tmp_path):
    """Give SQLite alone: nothing here asks the database for more than that it is there."""
    with databases.sqlite_database("aiosqlite", tmp_path) as database:
        yield database


# --- how many ---------------------------------------------------------------------------------


async def test_no_service_gives_the_scope(maker):
    """Without a service the block gets the scope itself."""
    async with scoped_services(maker) as scope:
        assert isinstance(scope, AsyncScope)
        assert current_scope(maker) is scope


async def test_one_service_gives_that(maker):
    """With one service the block gets it, not a tuple."""
    async with scoped_services(maker, Notes) as notes:
        assert isinstance(notes, Notes)


async def test_more_services_give_a_tuple(maker):
    """With more services the block gets a tuple in their order."""
    async with scoped_services(maker, Notes, Authors) as both:
        assert type(both) is tuple
        assert [type(service) for service in both] == [Notes, Authors]


async def test_eight_services(maker):
    """Eight services share one session."""
    services = [functools.partial(lambda number, s: (number, s), number) for number in range(8)]
    async with scoped_services(maker, *services) as built:
        assert [number for number, _ in built] == list(range(8))
        assert len({id(session) for _, session in built}) == 1


# --- what a service is ------------------------------------------------------------------------


class Unannotated:
    def __init__(self, session):
        self.session = session


class WithDefault:
    def __init__(self, session: AsyncSession, bucket: str = "avatars") -> None:
        self.session, self.bucket = session, bucket


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    session: AsyncSession


class Named(NamedTuple):
    session: AsyncSession


def function(session: AsyncSession) -> Notes:
    """Build a service."""
    return Notes(session)


class Factory:
    def make(self, session: AsyncSession) -> Notes:
        return Notes(session)

    def __call__(self, session: AsyncSession) -> Notes:
        return Notes(session)

    @classmethod
    def by_class(cls, session: AsyncSession) -> Notes:
        return Notes(session)


SERVICES = {
    "class": Notes,
    "class without annotation": Unannotated,
    "class with a default": WithDefault,
    "frozen dataclass with slots": Frozen,
    "named tuple": Named,
    "function": function,
    "lambda": lambda session: Notes(session),  # noqa: PLW0108  (a lambda is what is tested)
    "partial": functools.partial(WithDefault, bucket="photos"),
    "bound method": Factory().make,
    "class method": Factory.by_class,
    "callable object": Factory(),
}


@pytest.mark.parametrize("kind", SERVICES)
async def test_any_callable_that_takes_the_session(maker, kind):
    """A service is anything that can be called with the session."""
    async with scoped_services(maker, SERVICES[kind]) as service:
        assert service.session is current_scope(maker).session


async def test_default_of_a_service_is_kept(maker):
    """A further parameter with a default keeps it."""
    async with scoped_services(maker, WithDefault) as service:
        assert service.bucket == "avatars"


class AppServices:
    def __init__(self, session: AsyncSession) -> None:
        self.notes = Notes(session)
        self.authors = Authors(session)


async def test_bundle(maker, async_database):
    """A bundle of services is just one more callable."""
    async with scoped_services(maker, AppServices) as app:
        await app.notes.add("a")
        await app.authors.add("Vanya")
    assert stored(async_database) == ["a"]


# --- same instance ----------------------------------------------------------------------------


async def test_asked_twice_is_the_same_instance(maker):
    """The same callable asked twice in one scope is one instance."""
    async with scoped_services(maker, Notes, Notes) as (first, second):
        assert first is second
        assert current_scope(maker).get(Notes) is first


async def test_joined_scope_shares_instances(maker):
    """A joined scope and a nested one get the outer scope's instances, and it gets theirs."""
    async with scoped_services(maker, Notes) as notes:
        async with scoped_services(maker, Notes, Authors) as (joined, authors):
            assert joined is notes
        async with scoped_services(maker, Authors, propagation="nested") as nested:
            assert nested is authors
        assert current_scope(maker).get(Authors) is authors


async def test_next_scope_has_its_own_instances(maker):
    """An instance never outlives its scope."""
    async with scoped_services(maker, Notes) as first:
        pass
    async with scoped_services(maker, Notes) as second:
        assert second is not first


# --- what cannot be built ---------------------------------------------------------------------


class NeedsMore:
    def __init__(self, session: AsyncSession, bot: object) -> None:
        self.session, self.bot = session, bot


class NeedsKeyword:
    def __init__(self, session: AsyncSession, *, chat_id: int) -> None:
        self.session, self.chat_id = session, chat_id


class TakesNothing:
    def __init__(self) -> None:
        pass


async def coroutine_function(session: AsyncSession) -> Notes:
    """Build a service too late."""
    return Notes(session)


REFUSED = {
    "needs more": (NeedsMore, "`bot`"),
    "needs a keyword": (NeedsKeyword, "`chat_id`"),
    "takes nothing": (TakesNothing, "no session"),
    "is async": (coroutine_function, "async function"),
    "is sync": (SyncNotes, "takes a Session"),
    "is no callable": ("notes", "not callable"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_service_that_cannot_be_built_is_refused(maker, async_engine, case):
    """ServiceBuildError at entry names what stands in the way; no connection was taken."""
    service, problem = REFUSED[case]
    with pytest.raises(ServiceBuildError, match=problem) as caught:
        async with scoped_services(maker, Notes, service):
            pytest.fail("entered")
    assert isinstance(caught.value, TypeError)
    assert "Instead:" in str(caught.value)
    assert async_engine.pool.checkedin() == 0
    with pytest.raises(NoScopeError):
        current_scope(maker)


async def test_service_that_cannot_be_built_by_get_is_refused(maker):
    """scope.get refuses such a service with the same error, and the scope goes on."""
    async with scoped_services(maker) as scope:
        with pytest.raises(ServiceBuildError, match="`bot`"):
            scope.get(NeedsMore)
        assert await scope.session.scalar(text("SELECT 1")) == 1


async def test_error_of_a_constructor_leaves_unchanged(maker, async_engine):
    """What a constructor raises, TypeError included, is not taken for a wrong signature."""
    for own in (TypeError("own"), KeyError("own")):

        class Broken:
            def __init__(self, session: AsyncSession) -> None:
                raise own  # noqa: B023

        with pytest.raises(type(own)) as caught:
            async with scoped_services(maker, Broken):
                pytest.fail("entered")
        assert caught.value is own
    assert async_engine.pool.checkedin() == 0
    with pytest.raises(NoScopeError):
        current_scope(maker)


async def test_failed_build_in_a_joined_scope_dooms_nothing_more(maker, async_database):
    """An outer scope that catches a joined one's build error ends as after any inner error."""
    with pytest.raises(SqlaSafeError):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            with pytest.raises(ServiceBuildError):
                async with scoped_services(maker, NeedsMore):
                    pytest.fail("entered")
    assert stored(async_database) == []


# --- inject -----------------------------------------------------------------------------------


class Clock:
    def __init__(self, notes: Notes, zone: str, session: AsyncSession, limit: int = 3) -> None:
        self.notes, self.zone, self.session, self.limit = notes, zone, session, limit


class Handler:
    def __init__(self, session: AsyncSession, notes: Notes, authors: Authors) -> None:
        self.session, self.notes, self.authors = session, notes, authors


class Deep:
    def __init__(self, handler: Handler, notes: Notes) -> None:
        self.handler, self.notes = handler, notes


async def test_inject_builds_by_type(maker, async_database):
    """Parameters annotated with a class are built in the same scope, recursively."""
    async with scoped_services(maker, inject(Deep), Notes) as (deep, notes):
        assert deep.notes is notes is deep.handler.notes
        assert deep.handler.session is notes.session
        await deep.handler.notes.add("a")
    assert stored(async_database) == ["a"]


async def test_inject_takes_constants_and_keeps_defaults(maker):
    """Constants are passed on, and defaults are kept."""
    async with scoped_services(maker, inject(Clock, zone="Europe/Moscow")) as clock:
        assert (clock.zone, clock.limit) == ("Europe/Moscow", 3)
        assert clock.session is clock.notes.session


async def test_inject_is_the_class_itself(maker):
    """inject(Class) and Class, asked in one scope, are one instance."""
    async with scoped_services(maker, inject(Notes), Notes) as (injected, plain):
        assert injected is plain


async def test_same_inject_asked_twice_is_the_same_instance(maker):
    """One inject with constants, asked twice in a scope, is one instance."""
    clock = inject(Clock, zone="UTC")
    async with scoped_services(maker, clock, clock) as (first, second):
        assert first is second


async def test_different_constants_are_different_instances(maker):
    """Two injects of one class with different constants are two instances."""
    moscow, utc = inject(Clock, zone="Europe/Moscow"), inject(Clock, zone="UTC")
    async with scoped_services(maker, moscow, utc) as (first, second):
        assert (first.zone, second.zone) == ("Europe/Moscow", "UTC")
        assert first.notes is second.notes


class Chicken:
    def __init__(self, egg: Egg) -> None:
        self.egg = egg


class Egg:
    def __init__(self, nest: Nest) -> None:
        self.nest = nest


class Nest:
    def __init__(self, chicken: Chicken) -> None:
        self.chicken = chicken


async def test_cycle_is_refused_with_its_chain(maker, async_engine):
    """Services that need each other raise ServiceBuildError with the whole chain."""
    with pytest.raises(ServiceBuildError, match=r"Chicken -> Egg -> Nest -> Chicken"):
        async with scoped_services(maker, inject(Chicken)):
            pytest.fail("entered")
    assert async_engine.pool.checkedin() == 0


class NeedsClock:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock


async def test_unresolvable_parameter_is_refused_with_its_chain(maker, async_engine):
    """A parameter that nothing can be built for raises with its name and the chain to it."""
    with pytest.raises(ServiceBuildError, match=r"`zone`.*NeedsClock -> Clock"):
        async with scoped_services(maker, inject(NeedsClock)):
            pytest.fail("entered")
    assert async_engine.pool.checkedin() == 0


async def test_constant_without_a_parameter_is_refused():
    """A constant that names no parameter raises at once, listing those there are."""
    with pytest.raises(ServiceBuildError, match=r"`bucket`.*`zone`"):
        inject(Clock, bucket="avatars")


class SyncHandler:
    def __init__(self, session: Session) -> None:
        self.session = session


async def test_inject_refuses_the_other_kind_of_session(maker):
    """A class that takes a sync Session cannot be injected in an async scope."""
    with pytest.raises(ServiceBuildError, match="Session"):
        async with scoped_services(maker, inject(SyncHandler)):
            pytest.fail("entered")


async def test_scope_get_takes_an_inject(maker):
    """scope.get builds an inject, too, once."""
    clock = inject(Clock, zone="UTC")
    async with scoped_services(maker) as scope:
        assert scope.get(clock) is scope.get(clock)
        assert scope.get(clock).notes is scope.get(Notes)


# --- what a scope is opened from --------------------------------------------------------------


SOURCES = {
    "an engine": lambda engine: engine,
    "a session": AsyncSession,
    "a registry": lambda engine: async_scoped_session(async_sessionmaker(engine), lambda: 1),
    "a session class": lambda _: AsyncSession,
    "a URL": lambda _: "sqlite+aiosqlite://",
    "nothing": lambda _: None,
}


@pytest.mark.parametrize("kind", SOURCES)
async def test_other_sources_are_refused(async_engine, kind):
    """What is no sessionmaker or scope is refused with a TypeError that says what to write."""
    with pytest.raises(ScopeSourceError) as caught:
        async with scoped_services(SOURCES[kind](async_engine)):
            pytest.fail("entered")
    assert isinstance(caught.value, TypeError)
    assert "sessionmaker" in str(caught.value)


async def test_sync_sessionmaker_gives_a_sync_scope():
    """A sessionmaker cannot be used with `async with`, nor an async_sessionmaker with `with`."""
    with pytest.raises(TypeError):
        async with scoped_services(sessionmaker()):
            pytest.fail("entered")
    with pytest.raises(TypeError), scoped_services(async_sessionmaker()):
        pytest.fail("entered")


async def test_open_scope_as_a_source_is_joined(maker, async_database):
    """A scope handed over on purpose is joined: one session, one transaction."""
    async with scoped_services(maker, Notes) as notes:
        async with scoped_services(current_scope(maker), Notes) as same:
            assert same is notes
            await same.add("a")
        assert stored(async_database) == []
    assert stored(async_database) == ["a"]


async def test_block_can_be_entered_again(maker, async_database):
    """A statement inside a function that opens a scope may be called as often as one likes."""

    async def add(name: str) -> None:
        async with scoped_services(maker, Notes) as notes:
            await notes.add(name)

    for name in ("a", "b"):
        await add(name)
    assert stored(async_database) == ["a", "b"]
    async with scoped_services(maker) as scope:
        assert await scope.session.scalar(select(1)) == 1
