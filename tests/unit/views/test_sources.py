"""What views load with, and what the sessions of the other parts make of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, func, select, text
from sqlalchemy.exc import MultipleResultsFound, NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlmodel import Session as SQLModelSession

from sqla_safe import (
    ScopeClosedError,
    ViewAmbiguousError,
    ViewDefinitionError,
    ViewNotFoundError,
    ViewSourceError,
    ViewStatementError,
    ViewStreamError,
    afetch,
    afetch_one,
    afetch_one_or_none,
    astream_views,
    configure,
    fetch,
    fetch_one,
    fetch_one_or_none,
    scoped_services,
    stream_views,
)
from tests.unit.views.conftest import store
from tests.unit.views.models import Base, Post, User


@dataclass(frozen=True)
class Named:
    id: int
    name: str


ALL = select(User).order_by(User.id)
NOBODY = select(User).where(User.id == 77)
ANN = select(User).where(User.id == 1)


def test_a_scope_and_a_registry_have_a_session(engine: Engine) -> None:
    """A scope, a read-only one, a guarded one, a scoped_session, SQLModel's."""
    expected = fetch_one(scoped_session(sessionmaker(engine)), Named, ANN)
    maker = sessionmaker(engine)
    with scoped_services(maker) as scope:
        assert fetch_one(scope, Named, ANN) == expected
    with scoped_services(maker, read_only=True) as scope:
        assert fetch_one(scope, Named, ANN) == expected
    configure(maker, guard="raise")
    with maker() as session:
        assert fetch_one(session, Named, ANN) == expected
    with SQLModelSession(engine) as session:
        assert fetch_one(session, Named, ANN) == expected


def test_a_scope_that_has_ended_gives_nothing(engine: Engine) -> None:
    """The rules of a scope hold for views."""
    with scoped_services(sessionmaker(engine)) as scope:
        pass
    with pytest.raises(ScopeClosedError):
        fetch(scope, Named, ANN)


def test_one_row_is_wanted(session: Session) -> None:
    """None and several are errors, which are SQLAlchemy's too."""
    assert fetch_one_or_none(session, Named, NOBODY) is None
    assert fetch_one_or_none(session, Named, ANN) == Named(1, "Ann")
    with pytest.raises(ViewNotFoundError, match="No User was found for Named") as none:
        fetch_one(session, Named, NOBODY)
    assert isinstance(none.value, NoResultFound)
    with pytest.raises(ViewAmbiguousError, match="Several rows of User") as several:
        fetch_one(session, Named, ALL)
    assert isinstance(several.value, MultipleResultsFound)
    with pytest.raises(ViewAmbiguousError):
        fetch_one_or_none(session, Named, ALL)


def test_several_rows_are_noticed_before_more_is_loaded(session: Session, sent: list[str]) -> None:
    """The levels below are not asked for."""
    with pytest.raises(ViewAmbiguousError):
        fetch_one(session, Posting, ALL)
    assert len(sent) == 1


@pytest.mark.parametrize("listens", [False, True])
def test_two_rows_say_enough(session: Session, listens: bool) -> None:
    """Of all that a statement finds, no more are read to know that there are several."""
    read: list[int] = []
    connection: Any = session.connection().connection.driver_connection
    connection.create_function("seen", 1, lambda number: read.append(number) or True)
    session.add_all([User(id=number, name="x") for number in range(10, 60)])
    session.flush()
    if listens:
        event.listen(session, "do_orm_execute", lambda _: None)
    statement = select(User).where(func.seen(User.id))
    with pytest.raises(ViewAmbiguousError):
        fetch_one(session, Named, statement)
    assert len(read) <= 3
    read.clear()
    with pytest.raises(ViewAmbiguousError):
        fetch_one(session, Named, statement.execution_options(yield_per=5))
    assert len(read) <= 6


@dataclass(frozen=True)
class Titled:
    id: int


@dataclass(frozen=True)
class Posting:
    posts: tuple[Titled, ...]


def test_batches_have_their_size(session: Session, sent: list[str]) -> None:
    """One SELECT for the rows, and one for each collection of each batch."""
    batches = list(stream_views(session, Posting, ALL, batch_size=2))
    assert [len(batch) for batch in batches] == [2, 1]
    assert len(sent) == 3


def test_a_stream_says_at_once_what_is_wrong(session: Session) -> None:
    """Not in the loop, which may be somewhere else."""
    with pytest.raises(ViewDefinitionError, match=r"User\.text does not exist"):
        stream_views(session, Misnamed, ALL)
    with pytest.raises(ViewStatementError, match="and the view selects"):
        stream_views(session, Named, select(User.id))


@dataclass(frozen=True)
class Misnamed:
    text: str


def test_a_stream_may_be_left(session: Session) -> None:
    """What is left of the rows is given up with the loop."""
    for batch in stream_views(session, Named, ALL, batch_size=1):
        assert batch == [Named(1, "Ann")]
        break
    assert len(fetch(session, Named, ALL)) == 3


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
def test_the_end_of_its_transaction_ends_a_stream(session: Session, end: str) -> None:
    """It is told after any batch, whether or not rows are left, and the session can go on."""
    for size in (1, 3, 1_000):
        batches = stream_views(session, Posting, ALL, batch_size=size)
        assert len(next(batches)) == min(size, 3)
        getattr(session, end)()
        if size == 3:  # the next transaction has no such rows either
            assert fetch_one(session, Named, ANN) == Named(1, "Ann")
        with pytest.raises(ViewStreamError, match="commit\\(\\) behind the loop") as caught:
            next(batches)
        assert caught.value.view == "Posting"
    assert len(fetch(session, Named, ALL)) == 3


def test_a_stream_that_has_ended_holds_nothing(session: Session) -> None:
    """SQLite locks a table for as long as somebody reads."""
    batches = stream_views(session, Named, ALL, batch_size=1)
    next(batches)
    session.commit()
    with pytest.raises(ViewStreamError) as caught:
        next(batches)
    session.execute(text("DROP TABLE visits"))
    assert caught.value.view == "Named"


def test_a_savepoint_within_a_batch_leaves_the_stream_alone(session: Session) -> None:
    """Only the transaction itself is where the rows are."""
    seen = 0
    for batch in stream_views(session, Named, ALL, batch_size=1):
        with session.begin_nested():
            seen += len(batch)
    assert seen == 3


def test_what_is_added_during_a_batch_is_in_the_next(session: Session) -> None:
    """It is flushed before the levels of the next batch are asked for, as by any other query."""
    found: list[Posting] = []
    for batch in stream_views(session, Posting, ALL, batch_size=1):
        found += batch
        if len(found) == 1:
            session.add(Post(id=50, author_id=2, text="new"))
        if len(found) == 2:
            session.delete(session.get_one(Post, 4))
    assert [[post.id for post in one.posts] for one in found] == [[1, 2, 3], [4, 50], []]
    assert not session.deleted


def test_nothing_is_asked_below_no_rows(session: Session, sent: list[str]) -> None:
    """An empty result takes one statement."""
    assert fetch(session, Posting, NOBODY) == []
    assert len(sent) == 1


@pytest.fixture
async def amaker() -> Any:
    """Give an `async_sessionmaker` on the shop."""
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    maker = async_sessionmaker(engine)
    async with maker() as session:
        await session.run_sync(store)
    yield maker
    await engine.dispose()


async def test_one_row_is_wanted_async(amaker: async_sessionmaker[AsyncSession]) -> None:
    """The asynchronous family has the same rules."""
    async with amaker() as session:
        assert await afetch_one(session, Named, ANN) == Named(1, "Ann")
        assert await afetch_one_or_none(session, Named, NOBODY) is None
        with pytest.raises(ViewNotFoundError):
            await afetch_one(session, Named, NOBODY)
        with pytest.raises(ViewAmbiguousError):
            await afetch_one_or_none(session, Named, ALL)
        async for batch in astream_views(session, Named, ALL, batch_size=2):
            assert batch[0].id == 1
            break
        assert len(await afetch(session, Named, ALL)) == 3


async def test_the_end_of_its_transaction_ends_an_async_stream(
    amaker: async_sessionmaker[AsyncSession],
) -> None:
    """With an AsyncSession too."""
    async with amaker() as session:
        with pytest.raises(ViewStreamError):
            async for _ in astream_views(session, Named, ALL, batch_size=1):
                await session.commit()
        assert len(await afetch(session, Named, ALL)) == 3


async def test_the_kinds_of_sessions_are_told_apart(
    amaker: async_sessionmaker[AsyncSession], session: Session
) -> None:
    """Each function says which one to write."""
    async with amaker() as asession:
        with pytest.raises(ViewSourceError, match=r"await afetch\(\.\.\.\)"):
            fetch(asession, Named, ALL)  # type: ignore[arg-type]
        with pytest.raises(ViewSourceError, match=r"fetch\(\.\.\.\), without await"):
            await afetch(session, Named, ALL)  # type: ignore[arg-type]
        with pytest.raises(ViewSourceError, match="was given int"):
            await afetch(5, Named, ALL)  # type: ignore[arg-type]


@pytest.fixture
def broken(tmp_path: File) -> Iterator[Session]:
    """Give a session on a database whose rows cannot be read to the end."""
    engine = create_engine(f"sqlite:///{tmp_path / 'broken.db'}")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        store(session)
        session.execute(text("ALTER TABLE users RENAME TO people_of_old"))
        session.execute(
            text(
                "CREATE VIEW users AS SELECT id, json(CASE id WHEN 3 THEN '{' ELSE name END) name "
                "FROM (SELECT id, json_quote(name) name FROM people_of_old)"
            )
        )
        yield session
    engine.dispose()


def test_an_error_amid_the_rows_is_sqlalchemys(broken: Session) -> None:
    """The driver's own exception comes wrapped, as it does from a query."""
    from sqlalchemy.exc import OperationalError

    with pytest.raises(OperationalError, match="malformed JSON"):
        fetch(broken, Named, ALL)
