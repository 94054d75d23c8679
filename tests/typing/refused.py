"""The static errors that we want users to see, each line marked with what both checkers say to it.

A marker on a line that is not refused, or is refused for another reason, is itself an error.
"""

from __future__ import annotations

from sqlalchemy import create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from sqla_safe import (
    Scope,
    asnapshot,
    configure,
    current_scope,
    dumps,
    loads,
    replace,
    scoped_services,
    snapshot,
    to_dict,
    transactional,
    write_back,
)

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

# snapshots


class Base(DeclarativeBase):
    """The tables of these entities."""


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def wrong_snapshots(user: User, session: Session) -> None:
    """Paths that are none, and options that do not exist."""
    snapshot(user, "avatars")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    snapshot(user, User)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    snapshot(user, 100)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    snapshot(user, select(User))  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    snapshot(user, max_objects="5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    snapshot(user, depth=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    snapshot(entity=user)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    str(snapshot(user).nmae)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    snapshot(user).name.no_such_method()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    str(snapshot([user]).name)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    str(snapshot(session.scalars(select(User))).name)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]


async def wrong_async_snapshots(user: User, session: AsyncSession) -> None:
    """The same, and an await that was forgotten."""
    await asnapshot(user, "avatars")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    str(asnapshot(user).name)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    str(write_back(session, user, base=user).name)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]


def wrong_uses(user: User, session: Session) -> None:
    """Formats that do not exist, and bases that were forgotten."""
    dumps(user, format="pickle")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    loads(User, "text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    str(loads(User, b"").nmae)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
    replace(user, "Mona")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    to_dict(user, depth=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    write_back(session, user)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    write_back(session, user, user)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    write_back(maker, user, base=user)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
