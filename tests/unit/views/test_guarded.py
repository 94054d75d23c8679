"""Views on sessions that the guard watches: statements are kept, and it sees what it always saw."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import pytest
from sqlalchemy import Engine, Select, event, select, text
from sqlalchemy.exc import MissingGreenlet, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from sqla_safe import (
    ConcurrentUseError,
    IdleInTransactionWarning,
    afetch,
    configure,
    fetch,
    guard,
    scoped_services,
    stream_views,
)
from tests.unit.views.conftest import store
from tests.unit.views.models import Base, Post, User


@dataclass(frozen=True)
class PostCard:
    id: int


@dataclass(frozen=True)
class UserCard:
    id: int
    posts: tuple[PostCard, ...]


MODES: list[Any] = ["report", "raise", "strict"]


def one(number: int) -> Select[tuple[User]]:
    """Return the SELECT of a user, built anew as a function of an application would."""
    return select(User).where(User.id == number)


@pytest.fixture
def known(engine: Engine) -> None:
    """Let the view meet the statement often enough to keep it."""
    for _ in range(3):
        with Session(engine) as session:
            fetch(session, UserCard, one(1))


@pytest.fixture
def orm(known: None, orm: list[Any]) -> list[Any]:
    """Give the list from when the view knows the statement."""
    return orm


@contextmanager
def guarded(maker: sessionmaker[Session], mode: Any, way: str) -> Iterator[Any]:
    """Open a session that is watched because its maker is, or because all are."""
    if way == "installed":
        with guard.install(mode), maker() as session:
            yield session
        return
    configure(maker, guard=mode)
    opened = scoped_services(maker) if way == "in a scope" else maker()
    with opened as session:
        yield session


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", ["configured", "installed", "in a scope"])
def test_a_guarded_session_keeps_statements(
    engine: Engine, orm: list[Any], mode: Any, way: str
) -> None:
    """The values are all that is new, and the ORM has nothing to do."""
    for number in (1, 2, 3, 1):
        with guarded(sessionmaker(engine), mode, way) as session:
            assert [card.id for card in fetch(session, UserCard, one(number))] == [number]
    assert orm == []


def test_a_scope_keeps_statements_while_all_are_guarded(engine: Engine, orm: list[Any]) -> None:
    """And again when the guard has been taken out."""
    maker = sessionmaker(engine)
    with guard.install("raise"), scoped_services(maker) as scope:
        assert [card.id for card in fetch(scope, UserCard, one(1))] == [1]
    with scoped_services(maker) as scope:
        assert [card.id for card in fetch(scope, UserCard, one(2))] == [2]
    assert orm == []


def test_a_guard_on_top_of_another_keeps_statements(engine: Engine, orm: list[Any]) -> None:
    """A maker of its own guard, made while all sessions have one, and used after that."""
    maker = sessionmaker(engine)
    with guard.install("report"):
        configure(maker, guard="raise")
        with maker() as session:
            assert [card.id for card in fetch(session, UserCard, one(1))] == [1]
    with maker() as session:
        assert [card.id for card in fetch(session, UserCard, one(2))] == [2]
    assert orm == []


@pytest.mark.parametrize("way", ["configured", "installed"])
def test_an_override_of_a_guarded_session_is_heard(engine: Engine, way: str) -> None:
    """A class that overrides `execute` has a say, and so has a listener."""
    seen: list[Any] = []

    class Loud(Session):
        def execute(self, *args: Any, **kw: Any) -> Any:
            seen.append(args)
            return super().execute(*args, **kw)

    for _ in range(4):
        with guarded(sessionmaker(engine, class_=Loud), "raise", way) as session:
            fetch(session, UserCard, one(1))
    assert len(seen) == 4 * 2
    maker = sessionmaker(engine)
    event.listen(maker, "do_orm_execute", seen.append)
    with guarded(maker, "raise", way) as session:
        fetch(session, UserCard, one(1))
    assert len(seen) == 5 * 2


@pytest.fixture
async def amaker(known: None, tmp_path: File) -> Any:
    """Give a guarded async sessionmaker on a filled database."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        await session.run_sync(store)
    maker = async_sessionmaker(engine)
    configure(maker, guard="raise")
    yield maker
    await engine.dispose()


async def test_an_async_guarded_session_keeps_statements(amaker: Any, orm: list[Any]) -> None:
    """With a session, and with a scope."""
    for number in (1, 2):
        async with amaker() as session:
            assert [card.id for card in await afetch(session, UserCard, one(number))] == [number]
        async with scoped_services(amaker) as scope:
            assert [card.id for card in await afetch(scope, UserCard, one(number))] == [number]
    assert orm == []


async def test_two_tasks_in_a_guarded_session_are_told_apart(amaker: Any, orm: list[Any]) -> None:
    """A second view in the middle of the first one is refused before it touches the connection."""
    async with amaker() as session:
        both = [afetch(session, UserCard, one(1)) for _ in range(2)]
        [card], error = await asyncio.gather(*both, return_exceptions=True)
    assert card.id == 1
    assert isinstance(error, ConcurrentUseError)
    assert orm == []


async def test_a_view_and_a_statement_are_told_apart(amaker: Any) -> None:
    """Whichever of them comes first."""
    for first_is_view in (True, False):
        async with amaker() as session:
            both = [afetch(session, UserCard, one(1)), session.scalars(one(1))]
            found = await asyncio.gather(
                *(both if first_is_view else reversed(both)), return_exceptions=True
            )
        assert [type(one) is ConcurrentUseError for one in found] == [False, True]


def outside(session: Session) -> guard.Explanation | None:
    """Return how it is explained that a view is read where nothing can wait for the database."""
    try:
        fetch(session, UserCard, one(1))
    except MissingGreenlet as error:
        return guard.explain(error)
    return None


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
async def test_a_view_outside_of_asyncio_is_explained(amaker: Any, orm: list[Any]) -> None:
    """SQLAlchemy's own error, as for any other statement of the session."""
    async with amaker() as session:
        explanation = outside(session.sync_session)
        gc.collect()  # of the coroutine that SQLAlchemy could not await
    assert explanation is not None
    assert explanation.code == "SQS102"
    assert "test_guarded.py" in str(explanation.opened)
    assert orm == []


def test_a_transaction_that_waits_is_told_of(engine: Engine, known: None) -> None:
    """A view is an operation like any other for the warning of idle transactions."""
    maker = sessionmaker(engine)
    configure(maker, guard="report", idle_in_transaction_warning=1e-9)
    match = "held its transaction"
    with pytest.warns(IdleInTransactionWarning, match=match) as told, maker() as session:
        fetch(session, UserCard, one(1))
        fetch(session, UserCard, one(1))
    lines = [str(one.message).partition(" before ")[2] for one in told]
    assert sum("test_guarded.py" in line for line in lines) == 3
    configure(maker, guard="report", idle_in_transaction_warning=None)


def test_a_session_is_known_by_its_view(engine: Engine, known: None) -> None:
    """One that is used again after its close is a new one, from the line of the view on."""
    maker = sessionmaker(engine)
    configure(maker, guard="raise")
    session: Any = maker()
    session.close()
    assert session._sqs_record is None
    fetch(session, UserCard, one(1))
    assert "test_guarded.py" in session._sqs_record.opened_at
    session.close()


def test_a_failure_leaves_a_guarded_session_usable(engine: Engine, known: None) -> None:
    """Nobody is taken to use it any more."""
    maker = sessionmaker(engine)
    configure(maker, guard="raise")
    with maker() as session:
        session.execute(text("ALTER TABLE posts RENAME TO gone"))
        with pytest.raises(OperationalError, match="posts"):
            fetch(session, UserCard, one(1))
        held: Any = session
        assert held._sqs_busy is None
        session.execute(text("ALTER TABLE gone RENAME TO posts"))
        assert [card.id for card in fetch(session, UserCard, one(2))] == [2]


def test_a_guard_that_is_off_does_nothing(engine: Engine, orm: list[Any]) -> None:
    """Statements are kept all the same."""
    maker = sessionmaker(engine)
    configure(maker, guard="raise")
    configure(maker, guard="off")
    with maker() as session:
        assert [card.id for card in fetch(session, UserCard, one(1))] == [1]
    assert orm == []


def test_a_view_in_the_middle_of_an_operation_is_allowed(engine: Engine, known: None) -> None:
    """A listener of a flush may read a view with the session that flushes."""
    maker = sessionmaker(engine)
    configure(maker, guard="raise")
    seen: list[Any] = []
    with maker() as session:

        @event.listens_for(session, "after_flush_postexec")
        def read(session: Session, _context: Any) -> None:
            seen.extend(fetch(session, UserCard, one(1)))

        session.add(Post(author_id=1, text="new"))
        session.flush()
    assert len(seen[0].posts) == 4


def test_a_guarded_stream_is_as_ever(engine: Engine, known: None) -> None:
    """Its batches are one operation each."""
    maker = sessionmaker(engine)
    configure(maker, guard="raise")
    with maker() as session:
        found = list(stream_views(session, UserCard, select(User).order_by(User.id), batch_size=2))
    assert [[card.id for card in batch] for batch in found] == [[1, 2], [3]]
