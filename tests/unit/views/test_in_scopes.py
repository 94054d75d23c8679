"""Views in scopes: statements are kept, and all that a scope watches over is watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import pytest
from sqlalchemy import Engine, Integer, Select, bindparam, event, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker, with_loader_criteria

from sqla_safe import (
    ConcurrentUseError,
    ScopeClosedError,
    ScopeTimeoutError,
    afetch,
    configure,
    fetch,
    scoped_services,
)
from tests.calls import python_calls
from tests.unit.views.conftest import store
from tests.unit.views.models import Base, Comment, Post, User


@dataclass(frozen=True)
class CommentCard:
    id: int
    text: str


@dataclass(frozen=True)
class PostCard:
    id: int
    comments: tuple[CommentCard, ...]


@dataclass(frozen=True)
class UserCard:
    id: int
    name: str
    posts: tuple[PostCard, ...]


def one(number: int) -> Select[tuple[User]]:
    """Return the SELECT of a user, built anew as a function of an application would."""
    return select(User).where(User.id == number)


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "read-only": {"read_only": True},
    "with a time limit": {"timeout": 60.0},
    "serializable": {"isolation_level": "SERIALIZABLE"},
}


@pytest.fixture(params=list(OPTIONS))
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Give the options of a scope."""
    return OPTIONS[request.param]


@pytest.fixture
def maker(engine: Engine) -> Iterator[sessionmaker[Session]]:
    """Give a sessionmaker whose views have met the statement often enough to keep it."""
    made = sessionmaker(engine)
    for _ in range(3):
        with made() as session:
            fetch(session, UserCard, one(1))
    return made


def test_a_scope_keeps_statements(
    maker: sessionmaker[Session], options: dict[str, Any], orm: list[Any]
) -> None:
    """Whatever its options: the values are all that is new, and the ORM has nothing to do."""
    for number in (1, 2, 3, 7, 1):
        with scoped_services(maker, **options) as scope:
            found = fetch(scope, UserCard, one(number))
        assert [card.id for card in found] == ([number] if number <= 3 else [])
    assert orm == []


async def test_an_async_scope_keeps_statements(
    maker: sessionmaker[Session], aengine: Any, orm: list[Any]
) -> None:
    """The same with a scope that is awaited."""
    amaker = async_sessionmaker(aengine)
    for number in (1, 2, 3):
        async with scoped_services(amaker) as scope:
            assert [card.id for card in await afetch(scope, UserCard, one(number))] == [number]
    assert orm == []


def test_views_do_not_count_as_writes(maker: sessionmaker[Session], sent: list[str]) -> None:
    """A scope with nothing but views has nothing to ask for at its end."""
    with scoped_services(maker) as scope:
        fetch(scope, UserCard, one(1))
        unit: Any = scope.session
        assert not unit._sqs_unit.wrote
    assert len(sent) == 3


def test_a_closed_scope_refuses(maker: sessionmaker[Session], options: dict[str, Any]) -> None:
    """A statement that is kept is no way around the end."""
    with scoped_services(maker, **options) as scope:
        fetch(scope, UserCard, one(1))
        session = scope.session
    with pytest.raises(ScopeClosedError, match="test_in_scopes"):
        fetch(session, UserCard, one(1))


def test_no_time_is_left(maker: sessionmaker[Session]) -> None:
    """The time limit is looked at before each statement."""
    with pytest.raises(ScopeTimeoutError), scoped_services(maker, timeout=0.001) as scope:
        for _ in range(2_000):
            fetch(scope, UserCard, one(1))


@pytest.fixture
async def aengine(tmp_path: File) -> Any:
    """Give a filled database for asynchronous sessions."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        await session.run_sync(store)
    yield engine
    await engine.dispose()


async def test_two_tasks_are_told_apart(aengine: Any) -> None:
    """A second task in the middle of a view is refused, as for any other statement."""
    amaker = async_sessionmaker(aengine)
    async with amaker() as session:
        for _ in range(3):
            await afetch(session, UserCard, one(1))
    with pytest.raises(ConcurrentUseError, match="test_in_scopes"):
        async with scoped_services(amaker) as scope:
            await asyncio.gather(*(afetch(scope, UserCard, one(1)) for _ in range(2)))


async def test_only_the_owner_may_fetch(aengine: Any) -> None:
    """A scope that belongs to one task refuses another one's views."""
    amaker = async_sessionmaker(aengine)
    configure(amaker, guard_owner=True)
    async with amaker() as session:
        for _ in range(3):
            await afetch(session, UserCard, one(1))
    with pytest.raises(ConcurrentUseError, match="owner"):
        async with scoped_services(amaker) as scope:
            await asyncio.create_task(afetch(scope, UserCard, one(1)))


def test_a_failure_is_noted(maker: sessionmaker[Session], engine: Engine) -> None:
    """A statement that fails is seen by the scope, so that a swallowed error is not forgotten."""
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE comments"))
    with scoped_services(maker) as scope:
        with pytest.raises(OperationalError, match="comments"):
            fetch(scope, UserCard, one(1))
        session: Any = scope.session
        assert [type(each.error) for each in session._sqs_unit.failures] == [OperationalError]


def test_changes_are_written_first(maker: sessionmaker[Session]) -> None:
    """What is pending in the scope's session is seen by its views."""
    with scoped_services(maker) as scope:
        scope.session.add(User(id=9, name="Ira"))
        assert [card.name for card in fetch(scope, UserCard, one(9))] == ["Ira"]
        scope.session.get_one(User, 9).name = "Ian"
        assert [card.name for card in fetch(scope, UserCard, one(9))] == ["Ian"]


def test_listeners_and_criteria_are_heard(maker: sessionmaker[Session]) -> None:
    """A filter of a sessionmaker, whenever it came, and one of a statement."""
    with scoped_services(maker) as scope:
        [card] = fetch(scope, UserCard, one(1).options(with_loader_criteria(Post, Post.id == 2)))
        assert [post.id for post in card.posts] == [2]
        assert len(fetch(scope, UserCard, one(1))[0].posts) == 3

    def filtered(state: ORMExecuteState) -> None:
        state.statement = state.statement.options(with_loader_criteria(User, User.tenant == 2))

    event.listen(maker, "do_orm_execute", filtered)
    with scoped_services(maker) as scope:
        assert fetch(scope, UserCard, one(1)) == []


def test_a_session_of_ones_own_is_heard(engine: Engine) -> None:
    """A class that overrides `execute` has a say in a scope too."""
    seen: list[Any] = []

    class Loud(Session):
        def execute(self, *args: Any, **kw: Any) -> Any:
            seen.append(args)
            return super().execute(*args, **kw)

    maker = sessionmaker(engine, class_=Loud)
    for _ in range(4):
        with scoped_services(maker) as scope:
            fetch(scope, UserCard, one(1))
    assert len(seen) == 4 * 3


def test_a_subclass_of_the_scopes_session_is_heard(maker: sessionmaker[Session]) -> None:
    """Nothing is taken for granted of a class that somebody has made of ours."""
    seen: list[Any] = []
    with scoped_services(maker) as scope:
        session: Any = scope.session
        kind = type(session)

        class Loud(kind):  # type: ignore[misc,valid-type]
            def execute(self, *args: Any, **kw: Any) -> Any:
                seen.append(args)
                return super().execute(*args, **kw)

        session.__class__ = Loud
        fetch(scope, UserCard, one(1))
        session.__class__ = kind
    assert len(seen) == 3


# --- what it costs -----------------------------------------------------------

OWN_CALLS = 60
"""Calls of Python functions that a view of three levels may add to its statements: 46 it was."""
WATCH_CALLS = 35
"""What a scope may add to that: 24 it was."""


def calls(work: Callable[[], object]) -> int:
    """Count the Python functions that are called, the second time around."""
    work()
    return len(python_calls(work))


def by_core(session: Session) -> None:
    """Send three statements that were built once."""
    for statement in BUILT:
        session.connection().execute(statement, {"key": 1}).all()


KEY = bindparam("key", type_=Integer())
BUILT = [
    select(User.id, User.name).where(User.id == KEY),
    select(Post.author_id, Post.id).where(Post.author_id == KEY),
    select(Comment.post_id, Comment.id, Comment.text).where(Comment.post_id == KEY),
]


def test_a_small_view_calls_little(maker: sessionmaker[Session]) -> None:
    """A kept statement costs what SQLAlchemy takes for the three, and a few calls of our own."""
    kept = one(1)
    with maker() as session:
        bare = calls(lambda: by_core(session))
        ours = calls(lambda: fetch(session, UserCard, kept))
    assert ours <= bare + OWN_CALLS, (bare, ours)
    with scoped_services(maker) as scope:
        watched = calls(lambda: fetch(scope, UserCard, kept))
    assert watched <= ours + WATCH_CALLS, (ours, watched)
