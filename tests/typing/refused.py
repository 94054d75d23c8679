"""The static errors that we want users to see, each line marked with what both checkers say to it.

A marker on a line that is not refused, or is refused for another reason, is itself an error.
"""

from __future__ import annotations

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import Scope, configure, current_scope, scoped_services, transactional

engine = create_engine("sqlite://")
maker = sessionmaker(engine)
async_maker = async_sessionmaker(create_async_engine("sqlite+aiosqlite://"))


class Users:
    def __init__(self, session: Session) -> None: ...


class AsyncUsers:
    def __init__(self, session: AsyncSession) -> None: ...


class Needy:
    """Needs more than a session."""

    def __init__(self, session: Session, zone: str) -> None: ...


class AsyncNeedy:
    """Needs more than an async session."""

    def __init__(self, session: AsyncSession, zone: str) -> None: ...


class Sessionless:
    """Takes no session at all."""


class SpecialSession(Session):
    """A user's own session class."""


class OnSpecial:
    """Needs the user's own session class."""

    def __init__(self, session: SpecialSession) -> None: ...


# services that do not fit

scoped_services(maker, Needy)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(maker, Users, Needy)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(async_maker, AsyncNeedy)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(maker, AsyncUsers)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(async_maker, Users)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(async_maker, AsyncUsers, Users)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(maker, Sessionless)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(maker, OnSpecial)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(maker, 42)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]

# sources that are none

scoped_services(engine)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(Session)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(Session())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
current_scope(engine)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
configure(engine)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# options that do not exist

scoped_services(maker, propagation="require")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(maker, timeout="5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(maker, isolation_level=4)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
scoped_services(maker, readonly=True)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
configure(maker, service_commit="ignore")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
configure(maker, guard="loud")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
configure(maker, cleanup=1.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def wrong_keyword() -> None:
    """Both ways to confuse `with` and `async with`."""
    with scoped_services(async_maker):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass
    async with scoped_services(maker):  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues]
        pass


def wrong_use(scope: Scope[Session]) -> None:
    """What a scope does not give."""
    with scoped_services(maker, Users) as users:
        users.by_name("Vanya")  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    with scoped_services(maker, Users, Users) as (_, _, _):  # type: ignore[misc]  # pyright: ignore[reportAssignmentType, reportUnknownVariableType]
        pass
    scope.get(Needy)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    scope.get(AsyncUsers)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    scope.on_commit(print_it)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    scope.outcome = "committed"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def print_it(text: str) -> None:
    """Need an argument, which nobody gives to a callback."""


# decorated functions


@transactional(maker, Users)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def takes_another(users: AsyncUsers) -> None:
    """Take another service than the decorator gives."""


@transactional(maker, Users)
def book(users: Users, user_id: int) -> str:
    """Take a service and an argument."""
    return ""


@transactional(async_maker, AsyncUsers)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def not_awaitable(users: AsyncUsers) -> str:
    """Be no coroutine function, though the sessionmaker is async."""
    return ""


book("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
book()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
book(Users(Session()), 1)  # type: ignore[arg-type, call-arg]  # pyright: ignore[reportCallIssue]
transactional(maker, Needy)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
transactional(maker, attempts="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
