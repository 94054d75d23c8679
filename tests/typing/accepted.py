"""What mypy --strict and pyright must infer, without a plugin; for the checkers, not to be run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from logging import StreamHandler
from typing import Any, assert_type

from sqlalchemy import ForeignKey, ScalarResult, create_engine, select
from sqlalchemy.ext.asyncio import (
    AsyncSession,
    async_scoped_session,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    scoped_session,
    selectinload,
    sessionmaker,
)

from sqla_safe import (
    AsyncScope,
    Explanation,
    Installation,
    Scope,
    asnapshot,
    configure,
    current_scope,
    dumps,
    explain,
    explain_asyncio,
    explain_excepthook,
    explain_logging,
    inject,
    install,
    is_retryable,
    is_snapshot,
    loads,
    prepare_sqlite,
    replace,
    scoped_services,
    snapshot,
    to_dict,
    transactional,
    write_back,
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


# snapshots


class Base(DeclarativeBase):
    """The tables of these entities."""


class User(Base):
    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    settings: Mapped[dict[str, str]]
    avatars: Mapped[list[Avatar]] = relationship(back_populates="user")

    @hybrid_property
    def loud(self) -> str:
        """The name, loudly."""
        return self.name.upper()

    def greet(self, times: int) -> list[str]:
        """Greet some times."""
        return [self.name] * times


class Admin(User):
    level: Mapped[int | None]


class Avatar(Base):
    __tablename__ = "avatar"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    user: Mapped[User] = relationship(back_populates="avatars")
    photos: Mapped[list[Photo]] = relationship()


class Photo(Base):
    __tablename__ = "photo"

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]
    avatar_id: Mapped[int] = mapped_column(ForeignKey("avatar.id"))


def snapshots_of_one(user: User, admin: Admin) -> None:
    """A snapshot has the type of its entity, all the way down."""
    shown = snapshot(user, User.avatars, Avatar.photos, max_objects=10, max_depth=3)
    assert_type(shown, User)
    assert_type(shown.name, str)
    assert_type(shown.loud, str)
    assert_type(shown.greet(2), list[str])
    assert_type(shown.settings, dict[str, str])
    assert_type(shown.avatars, list[Avatar])
    assert_type(shown.avatars[0].title, str | None)
    assert_type(shown.avatars[0].photos[0].url, str)
    assert_type(shown.avatars[0].user.avatars[0].user.name, str)
    assert_type(snapshot(admin, Admin.avatars), Admin)
    assert_type(snapshot(user, selectinload(User.avatars).selectinload(Avatar.photos)), User)
    assert_type(snapshot(user, User.name, selectinload(User.avatars), Avatar.photos), User)


def snapshots_of_many(session: Session, users: list[User], ids: set[int]) -> None:
    """Any iterable of entities gives a tuple of snapshots."""
    assert_type(snapshot(users, User.avatars), tuple[User, ...])
    assert_type(snapshot(session.scalars(select(User))), tuple[User, ...])
    assert_type(snapshot(session.scalars(select(User)).all(), User.avatars), tuple[User, ...])
    assert_type(snapshot(set(users)), tuple[User, ...])
    assert_type(snapshot(user for user in users if user.id in ids), tuple[User, ...])
    assert_type(snapshot(users)[0].avatars[0].photos[0].url, str)


def snapshots_of_results(result: ScalarResult[User], rows: Iterator[Avatar]) -> None:
    """Results and iterators are iterables too."""
    assert_type(snapshot(result), tuple[User, ...])
    assert_type(snapshot(rows, Avatar.photos), tuple[Avatar, ...])


async def async_snapshots(session: AsyncSession, users: list[User]) -> None:
    """The same, awaited."""
    shown = await asnapshot(await session.get_one(User, 1), User.avatars, Avatar.photos)
    assert_type(shown, User)
    assert_type(shown.avatars[0].photos[0].url, str)
    assert_type(await asnapshot(users, User.avatars), tuple[User, ...])
    assert_type(await asnapshot(await session.scalars(select(User))), tuple[User, ...])


def uses_of_snapshots(shown: User, many: tuple[User, ...]) -> None:
    """What is done with a snapshot keeps its type."""
    assert_type(is_snapshot(shown), bool)
    assert_type(replace(shown, name="Mona"), User)
    assert_type(to_dict(shown, max_objects=5), dict[str, Any])
    assert_type(dumps(shown), bytes)
    assert_type(dumps(many, format="json"), bytes)
    assert_type(loads(User, b""), User)
    assert_type(loads(User, b"", max_objects=5).avatars[0].photos[0].url, str)
    assert_type(loads(tuple[User, ...], b""), tuple[User, ...])


def written_back(
    session: Session, registry: scoped_session[Session], shown: User, changed: User
) -> None:
    """An ordinary session writes at once."""
    assert_type(write_back(session, changed, base=shown), User)
    assert_type(write_back(registry, replace(shown, name="Mona"), base=shown), User)


async def written_back_async(
    session: AsyncSession,
    registry: async_scoped_session[AsyncSession],
    shown: User,
    changed: User,
) -> None:
    """An async one is awaited."""
    assert_type(write_back(session, changed, base=shown), Awaitable[User])
    assert_type(await write_back(session, changed, base=shown), User)
    assert_type((await write_back(registry, changed, base=shown)).name, str)
