"""What mypy --strict and pyright must infer, without a plugin; for the checkers, not to be run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from logging import StreamHandler
from typing import assert_type

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import (
    AsyncScope,
    Explanation,
    Installation,
    Scope,
    configure,
    current_scope,
    explain,
    explain_asyncio,
    explain_excepthook,
    explain_logging,
    inject,
    install,
    is_retryable,
    prepare_sqlite,
    scoped_services,
    transactional,
)


class SpecialSession(Session):
    """A user's own session class."""


class SpecialAsyncSession(AsyncSession):
    """A user's own async session class."""


engine = prepare_sqlite(create_engine("sqlite://"))
async_engine = prepare_sqlite(create_async_engine("sqlite+aiosqlite://"))
maker = sessionmaker(engine)
async_maker = async_sessionmaker(async_engine)
special_maker = sessionmaker(engine, class_=SpecialSession)
special_async_maker = async_sessionmaker(async_engine, class_=SpecialAsyncSession)


class S1:
    def __init__(self, session: Session) -> None: ...


class S2(S1): ...


class S3(S1): ...


class S4(S1): ...


class S5(S1): ...


class S6(S1): ...


class S7(S1): ...


class S8(S1): ...


class A1:
    def __init__(self, session: AsyncSession) -> None: ...


class A2(A1): ...


class A3(A1): ...


class A4(A1): ...


class A5(A1): ...


class A6(A1): ...


class A7(A1): ...


class A8(A1): ...


class Needy:
    """Needs more than a session."""

    def __init__(self, session: Session, zone: str) -> None: ...


class OnSpecial:
    """Needs the user's own session class."""

    def __init__(self, session: SpecialSession) -> None: ...


@dataclass
class Bundle:
    """Two services under their names."""

    first: S1
    second: S2


def bundle(session: Session) -> Bundle:
    """Build the bundle."""
    return Bundle(S1(session), S2(session))


def sync_scopes() -> None:
    """From none to eight services, with their exact types."""
    with scoped_services(maker) as scope:
        assert_type(scope, Scope[Session])
        assert_type(scope.session, Session)
        assert_type(scope.get(S1), S1)
        assert_type(scope.get(bundle), Bundle)
        assert_type(scope.get(lambda session: Bundle(S1(session), S2(session))), Bundle)
        assert_type(scope.opened_at, str)
        assert_type(scope.is_active, bool)
        scope.on_commit(lambda: "stored")
        scope.on_rollback(scope.session.info.clear)
        scope.set_rollback_only("dry run")
        scope.commit()
    with scoped_services(maker, S1) as s1:
        assert_type(s1, S1)
    with scoped_services(maker, S1, S2) as two:
        assert_type(two, tuple[S1, S2])
    with scoped_services(maker, S1, S2, S3) as three:
        assert_type(three, tuple[S1, S2, S3])
    with scoped_services(maker, S1, S2, S3, S4) as four:
        assert_type(four, tuple[S1, S2, S3, S4])
    with scoped_services(maker, S1, S2, S3, S4, S5) as five:
        assert_type(five, tuple[S1, S2, S3, S4, S5])
    with scoped_services(maker, S1, S2, S3, S4, S5, S6) as six:
        assert_type(six, tuple[S1, S2, S3, S4, S5, S6])
    with scoped_services(maker, S1, S2, S3, S4, S5, S6, S7) as seven:
        assert_type(seven, tuple[S1, S2, S3, S4, S5, S6, S7])
    with scoped_services(maker, S1, S2, S3, S4, S5, S6, S7, S8) as eight:
        assert_type(eight, tuple[S1, S2, S3, S4, S5, S6, S7, S8])
    with scoped_services(maker, bundle, lambda session: Bundle(S1(session), S2(session))) as pair:
        assert_type(pair, tuple[Bundle, Bundle])


async def async_scopes() -> None:
    """The same for async scopes."""
    async with scoped_services(async_maker) as scope:
        assert_type(scope, AsyncScope[AsyncSession])
        assert_type(scope.session, AsyncSession)
        assert_type(scope.get(A1), A1)
        scope.on_commit(lambda: "stored")
        scope.on_commit(scope.session.reset)
        await scope.commit()
    async with scoped_services(async_maker, A1) as a1:
        assert_type(a1, A1)
    async with scoped_services(async_maker, A1, A2) as two:
        assert_type(two, tuple[A1, A2])
    async with scoped_services(async_maker, A1, A2, A3) as three:
        assert_type(three, tuple[A1, A2, A3])
    async with scoped_services(async_maker, A1, A2, A3, A4) as four:
        assert_type(four, tuple[A1, A2, A3, A4])
    async with scoped_services(async_maker, A1, A2, A3, A4, A5) as five:
        assert_type(five, tuple[A1, A2, A3, A4, A5])
    async with scoped_services(async_maker, A1, A2, A3, A4, A5, A6) as six:
        assert_type(six, tuple[A1, A2, A3, A4, A5, A6])
    async with scoped_services(async_maker, A1, A2, A3, A4, A5, A6, A7) as seven:
        assert_type(seven, tuple[A1, A2, A3, A4, A5, A6, A7])
    async with scoped_services(async_maker, A1, A2, A3, A4, A5, A6, A7, A8) as eight:
        assert_type(eight, tuple[A1, A2, A3, A4, A5, A6, A7, A8])


def options() -> None:
    """Every option of a scope and of a policy has its type."""
    with scoped_services(
        maker,
        S1,
        propagation="requires_new",
        read_only=True,
        isolation_level="SERIALIZABLE",
        timeout=2.5,
    ) as s1:
        assert_type(s1, S1)
    configure(
        maker,
        service_commit="flush",
        expire_on_commit=False,
        guard_owner=True,
        read_only_bind=engine,
        drain_timeout=1,
        cleanup_timeout=0.5,
        resolve_commit=False,
        idle_in_transaction_warning=2,
        guard="raise",
    )
    configure(async_maker, read_only_bind=async_engine)
    assert_type(is_retryable(ValueError()), bool)


def guards(error: Exception) -> None:
    """What the guard gives has its types."""
    with install("report") as installation:
        assert_type(installation, Installation)
        assert_type(installation.undo(), None)
    explanation = explain(error)
    assert_type(explanation, Explanation | None)
    if explanation is not None:
        assert_type(explanation.code, str)
        assert_type(explanation.attribute, str | None)
    assert_type(explain_logging(StreamHandler()), Callable[[], None])
    assert_type(explain_asyncio(), Callable[[], None])
    assert_type(explain_excepthook(), Callable[[], None])


def scopes_handed_over(scope: Scope[Session]) -> None:
    """A scope is a source as well."""
    with scoped_services(scope, S1, S2, propagation="nested") as two:
        assert_type(two, tuple[S1, S2])
    with scoped_services(scope) as inner:
        assert_type(inner, Scope[Session])


async def async_scopes_handed_over(scope: AsyncScope[AsyncSession]) -> None:
    """The same for an async scope."""
    async with scoped_services(scope, A1) as a1:
        assert_type(a1, A1)


def current() -> None:
    """`current_scope` knows the sessionmaker's kind and session class."""
    assert_type(current_scope(maker), Scope[Session])
    assert_type(current_scope(async_maker), AsyncScope[AsyncSession])
    assert_type(current_scope(special_maker), Scope[SpecialSession])
    assert_type(current_scope(special_async_maker).session, SpecialAsyncSession)


def own_session_classes() -> None:
    """A service may ask for the user's own session class, if the sessionmaker makes it."""
    with scoped_services(special_maker, OnSpecial, S1) as (special, s1):
        assert_type(special, OnSpecial)
        assert_type(s1, S1)


def injected() -> None:
    """`inject` keeps the class, whatever its constructor needs."""
    with scoped_services(maker, inject(Needy, zone="UTC"), S1) as both:
        assert_type(both, tuple[Needy, S1])
    assert_type(inject(Needy, zone="UTC")(Session()), Needy)


async def injected_async() -> None:
    """The same in an async scope."""
    async with scoped_services(async_maker, inject(A1), inject(A2)) as both:
        assert_type(both, tuple[A1, A2])


@transactional(maker, S1, attempts=5)
def one_service(s1: S1, user_id: int, *, name: str = "Vanya") -> str:
    """Take one service and arguments of its own."""
    return name * user_id


@transactional(maker, S1, S2, isolation_level="SERIALIZABLE")
def two_services(s1: S1, s2: S2) -> None:
    """Take two services and nothing else."""


@transactional(maker)
def with_scope(scope: Scope[Session], user_id: int) -> bytes:
    """Take the scope."""
    return b""


@transactional(maker)
def without_scope(user_id: int) -> float:
    """Take nothing of the scope."""
    return 0.5


@transactional(async_maker, A1, attempts=3, timeout=1)
async def one_async_service(a1: A1, user_id: int) -> str:
    """Take one async service."""
    return ""


@transactional(async_maker, A1, A2, A3, A4, A5, A6, A7, A8)
async def eight_async_services(  # noqa: PLR0917 - that is the case
    a1: A1, a2: A2, a3: A3, a4: A4, a5: A5, a6: A6, a7: A7, a8: A8, user_id: int
) -> str:
    """Take eight async services."""
    return ""


@transactional(async_maker)
async def with_async_scope(scope: AsyncScope[AsyncSession], user_id: int) -> bytes:
    """Take the async scope."""
    return b""


def sync_functions() -> None:
    """The services are gone from the signature; the rest is as it was."""
    assert_type(one_service(1, name="Anya"), str)
    assert_type(two_services(), None)
    assert_type(with_scope(1), bytes)
    assert_type(without_scope(1), float)
    plain: Callable[[int], float] = without_scope
    plain(user_id := 1)
    one_service(user_id)


async def async_functions() -> None:
    """The same for coroutine functions."""
    assert_type(await one_async_service(1), str)
    assert_type(await eight_async_services(1), str)
    assert_type(await with_async_scope(1), bytes)
    awaitable: Awaitable[str] = one_async_service(user_id=1)
    await awaitable
