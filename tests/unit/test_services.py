"""How a service is built: any callable that takes the session."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import ServiceBuildError, current_scope, scoped_services
from sqla_safe.services._inject import get_services
from tests.unit import annotated_elsewhere

Maker = sessionmaker[Session]
AsyncMaker = async_sessionmaker[AsyncSession]


class Users:
    def __init__(self, session: Session) -> None:
        self.session = session


class Avatars:
    def __init__(self, session: Session) -> None:
        self.session = session


class AsyncUsers:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session


class EitherUsers:
    def __init__(self, session: AsyncSession | Session) -> None:
        self.session = session


class Unannotated:
    def __init__(self, db) -> None:
        self.session = db


class Report:
    def __init__(self, session: Session, zone: str, *, currency: str) -> None:
        self.zone = zone


class KeywordOnly:
    def __init__(self, *, session: Session) -> None:
        self.session = session


class Sessionless:
    pass


class AsyncCallable:
    async def __call__(self, session: Session) -> None:
        pass


@dataclass
class AppServices:
    users: Users
    avatars: Avatars


def app_services(session: Session) -> AppServices:
    """Bundle two services."""
    return AppServices(Users(session), Avatars(session))


async def async_function(session: AsyncSession) -> Users:
    """Look like a service, and be none."""
    raise NotImplementedError


def build(maker: Maker, *services: object) -> object:
    """Open a scope with services and return what it gives."""
    with scoped_services(maker, *services) as given:
        return given


def refusal(maker: Maker | AsyncMaker, *services: object) -> str:
    """Open a sync scope that must refuse its services, and return the text."""
    with pytest.raises(ServiceBuildError) as caught, scoped_services(maker, *services):
        pytest.fail("the block was entered")
    return str(caught.value)


async def async_refusal(maker: AsyncMaker, *services: object) -> str:
    """Open an async scope that must refuse its services, and return the text."""
    with pytest.raises(ServiceBuildError) as caught:
        async with scoped_services(maker, *services):
            pytest.fail("the block was entered")
    return str(caught.value)


def test_no_service_gives_the_scope(maker: Maker) -> None:
    """Without services the block gets the scope itself."""
    with scoped_services(maker) as scope:
        assert isinstance(scope.session, Session)


def test_one_service_is_given_as_it_is(maker: Maker) -> None:
    """One service is no tuple of one."""
    assert isinstance(build(maker, Users), Users)


def test_more_services_are_a_real_tuple(maker: Maker) -> None:
    """Two services come as a tuple in the order asked for."""
    given = build(maker, Users, Avatars)
    assert type(given) is tuple
    assert [type(service) for service in given] == [Users, Avatars]


def test_services_share_the_session(maker: Maker) -> None:
    """All services of a scope have one session."""
    with scoped_services(maker, Users, Avatars) as (users, avatars):
        assert users.session is avatars.session


def test_the_same_service_twice_is_one_instance(maker: Maker) -> None:
    """A callable is called once per scope."""
    with scoped_services(maker, Users, Users) as (first, second):
        assert first is second


def test_get_gives_the_instance_of_the_entry(maker: Maker) -> None:
    """`scope.get` finds what the scope was opened with, and builds the rest once."""
    with scoped_services(maker) as scope, scoped_services(maker, Users) as users:
        assert scope.get(Users) is users
        assert scope.get(Avatars) is scope.get(Avatars)


@pytest.mark.parametrize("propagation", ["required", "mandatory"])
def test_a_joined_scope_shares_instances(maker: Maker, propagation: str) -> None:
    """A block that joins gets the services that are there already."""
    with (
        scoped_services(maker, Users) as outer,
        scoped_services(maker, Users, propagation=propagation) as inner,
    ):
        assert inner is outer


def test_an_independent_scope_builds_its_own(maker: Maker) -> None:
    """`requires_new` has another session and therefore other services."""
    with (
        scoped_services(maker, Users) as outer,
        scoped_services(maker, Users, propagation="requires_new") as inner,
    ):
        assert inner is not outer
        assert inner.session is not outer.session


def test_two_scopes_build_twice(maker: Maker) -> None:
    """No service outlives its scope."""
    assert build(maker, Users) is not build(maker, Users)


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(Unannotated, id="unannotated"),
        pytest.param(annotated_elsewhere.Users, id="annotated-for-the-type-checker"),
        pytest.param(EitherUsers, id="either-session"),
        pytest.param(lambda session: app_services(session).users, id="lambda"),
        pytest.param(functools.partial(Unannotated), id="partial"),
    ],
)
def test_anything_that_takes_the_session_is_a_service(maker: Maker, service: object) -> None:
    """Classes, lambdas and partials are called with the session."""
    with scoped_services(maker, service) as built, scoped_services(maker) as scope:
        assert built.session is scope.session


@pytest.mark.parametrize("builtin", [id, repr, type], ids=lambda builtin: builtin.__name__)
def test_a_builtin_is_a_service_too(maker: Maker, builtin: object) -> None:
    """A callable without a readable signature is simply called."""
    with scoped_services(maker, builtin) as built, scoped_services(maker) as scope:
        assert built == builtin(scope.session)


def test_a_partial_gives_what_else_is_needed(maker: Maker) -> None:
    """`functools.partial` is one way to pass settings."""
    report = functools.partial(Report, zone="Europe/Moscow", currency="RUB")
    assert build(maker, report).zone == "Europe/Moscow"


def test_an_unhashable_callable_is_a_service(maker: Maker) -> None:
    """A callable object with `__eq__` and no hash is told by its identity."""

    @dataclass
    class Factory:
        zone: str

        def __call__(self, session: Session) -> Users:
            return Users(session)

    factory = Factory("UTC")
    with scoped_services(maker, factory, factory, Factory("UTC")) as (first, second, third):
        assert first is second
        assert third is not first


def test_a_service_that_is_none_is_built_once(maker: Maker) -> None:
    """A factory may answer None; asking again does not call it again."""
    built = []
    with scoped_services(maker, built.append, built.append) as services:
        assert services == (None, None)
    assert len(built) == 1


@pytest.mark.parametrize("cls", [Session, AsyncSession])
def test_a_session_class_is_no_service(maker: Maker, cls: type) -> None:
    """It would take the session for an engine, and make a session that is nobody's."""
    with pytest.raises(ServiceBuildError, match=r"scope\.session"), scoped_services(maker, cls):
        pytest.fail("entered")


def test_a_bundle_is_one_more_callable(maker: Maker) -> None:
    """A function that returns several services gives them all by name."""
    with scoped_services(maker, app_services) as app:
        assert app.users.session is app.avatars.session


async def test_async_services_get_the_async_session(async_maker: AsyncMaker) -> None:
    """In an async scope the services get its AsyncSession."""
    async with scoped_services(async_maker, AsyncUsers, EitherUsers) as (users, either):
        assert isinstance(users.session, AsyncSession)
        assert either.session is users.session


def test_a_service_that_needs_more_is_refused_by_parameter(maker: Maker) -> None:
    """The error names every missing parameter and shows the line to write."""
    text = refusal(maker, Report)
    assert "`zone`" in text
    assert "`currency`" in text
    assert "inject(Report, zone=..., currency=...)" in text


async def test_a_service_that_needs_more_is_refused_async(async_maker: AsyncMaker) -> None:
    """The same in an async scope, before any connection."""

    class Needy:
        def __init__(self, session: AsyncSession, zone: str) -> None: ...

    assert "`zone`" in await async_refusal(async_maker, Needy)


def test_a_class_without_a_session_is_refused(maker: Maker) -> None:
    """A class that takes nothing is no service, and the error says so."""
    assert "it takes no session" in refusal(maker, Sessionless)


def test_a_keyword_only_session_is_refused_with_the_way_out(maker: Maker) -> None:
    """A session that must be named is what `inject` is for."""
    assert "inject(KeywordOnly)" in refusal(maker, KeywordOnly)


@pytest.mark.parametrize("thing", [42, "users", None, [Users]], ids=repr)
def test_what_cannot_be_called_is_refused(maker: Maker, thing: object) -> None:
    """A service that is no callable is refused at entry."""
    assert "not callable" in refusal(maker, thing)


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(async_function, id="function"),
        pytest.param(functools.partial(async_function), id="partial"),
        pytest.param(AsyncCallable(), id="object"),
    ],
)
def test_an_async_function_is_refused(maker: Maker, service: object) -> None:
    """A scope calls its services without awaiting them, so a coroutine function is refused."""
    assert "async function" in refusal(maker, service)


async def test_an_async_function_is_refused_in_an_async_scope(async_maker: AsyncMaker) -> None:
    """The same in an async scope."""
    assert "async function" in await async_refusal(async_maker, async_function)


@pytest.mark.parametrize(
    "service", [AsyncUsers, annotated_elsewhere.AsyncUsers], ids=["readable", "type-checker-only"]
)
def test_an_async_service_in_a_sync_scope_is_refused(maker: Maker, service: object) -> None:
    """The error names both kinds of session and the sessionmaker that would fit."""
    text = refusal(maker, service)
    assert "takes an AsyncSession, but this scope has a Session" in text
    assert "async_sessionmaker" in text


@pytest.mark.parametrize(
    "service", [Users, annotated_elsewhere.Users], ids=["readable", "type-checker-only"]
)
async def test_a_sync_service_in_an_async_scope_is_refused(
    async_maker: AsyncMaker, service: object
) -> None:
    """The other way round as well."""
    text = await async_refusal(async_maker, service)
    assert "takes a Session, but this scope has an AsyncSession" in text


def test_the_constructors_own_type_error_is_left_alone(maker: Maker) -> None:
    """A TypeError from inside a constructor is the constructor's, not ours."""

    def broken(session: Session) -> int:
        return len(5)  # type: ignore[arg-type]

    with pytest.raises(TypeError, match="has no len") as caught, scoped_services(maker, broken):
        pytest.fail("the block was entered")
    assert not isinstance(caught.value, ServiceBuildError)


def test_a_failing_constructor_leaves_no_scope_behind(maker: Maker) -> None:
    """An error at entry leaves unchanged, and the next scope is not a joined one."""
    boom = KeyError("boom")

    def broken(session: Session) -> Users:
        raise boom

    with pytest.raises(KeyError) as caught, scoped_services(maker, broken):
        pytest.fail("the block was entered")
    assert caught.value is boom
    with scoped_services(maker, propagation="never"):
        pass


def test_a_refused_inner_service_dooms_the_outer_scope(maker: Maker) -> None:
    """A joined block that could not begin has failed like any other."""
    from sqla_safe import RollbackOnlyError

    with pytest.raises(RollbackOnlyError) as caught, scoped_services(maker):
        refusal(maker, Report)
    assert isinstance(caught.value.__cause__, ServiceBuildError)


def test_get_refuses_what_cannot_be_built(maker: Maker) -> None:
    """`scope.get` gives the same error as the entry."""
    with scoped_services(maker) as scope, pytest.raises(ServiceBuildError, match="`zone`"):
        scope.get(Report)


def test_nine_services_work_at_run_time(maker: Maker) -> None:
    """Only the types stop at eight."""
    services = [lambda session, n=n: n for n in range(9)]
    assert build(maker, *services) == tuple(range(9))


def test_a_service_that_asks_for_another_one_shares_it(maker: Maker) -> None:
    """What a constructor gets from its own scope is what the block gets, the second time too."""

    class Asking:
        def __init__(self, session: Session) -> None:
            self.users = current_scope(maker).get(Users)

    for _ in range(2):
        with scoped_services(maker, Asking, Users) as (asking, users):
            assert asking.users is users


def test_a_service_asked_for_twice_is_one_instance_the_second_time_too(maker: Maker) -> None:
    """Services that were checked before are shared like any other."""
    for _ in range(2):
        with scoped_services(maker, Users, Avatars, Users) as (first, avatars, second):
            assert first is second
            assert isinstance(avatars, Avatars)


def test_only_so_many_services_are_remembered(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that makes classes as it runs does not keep them all alive."""
    monkeypatch.setattr("sqla_safe.services._inject._MOST", 1)
    known: set[Sequence[object]] = set()
    with maker() as session:
        get_services(session, {}, (Users,), known)
        get_services(session, {}, (Avatars,), known)
        get_services(session, {}, (lambda session: session,), known)
    assert known == {(Avatars,)}
