"""A guard never changes what a correct program does: the same with off, report and raise."""

from __future__ import annotations

import asyncio
import copy
import pickle
import warnings
from typing import Any

import pytest
from sqlalchemy import bindparam, event, func, insert, lambda_stmt, select, text, update
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import (
    Session,
    contains_eager,
    joinedload,
    lazyload,
    make_transient,
    selectinload,
    sessionmaker,
    subqueryload,
    with_loader_criteria,
)

from sqla_safe import configure, scoped_services
from tests.integration.guard.models import Badge, Base, Channel, Post, Team, User, fill
from tests.integration.guard.support import told

MODES = ("off", "report", "raise", "off again")


@pytest.fixture(params=MODES)
def aguarded(plain_async, request, caplog):
    """Give an async sessionmaker in each mode; nothing may be told at the end."""
    set_mode(plain_async, request.param)
    yield plain_async
    assert told(caplog) == []


def set_mode(maker: Any, mode: str) -> None:
    """Set a mode; `off again` is what was on before."""
    if mode == "off again":
        configure(maker, guard="raise")
        mode = "off"
    configure(maker, guard=mode)


def lazy_loads(make: Any) -> Any:
    with make() as session:
        user = session.get(User, 1)
        return user.team.name, [p.title for p in user.posts], user.bio, user.titles


def eager_loads(make: Any) -> Any:
    options = (joinedload(User.team), subqueryload(User.posts).joinedload(Post.user))
    with make() as session:
        user = session.scalars(select(User).options(*options).where(User.id == 1)).unique().one()
    return user.team.name, user.posts[0].user.name, user.badges[0].title


def contains_eager_loads(make: Any) -> Any:
    statement = select(User).join(User.posts).options(contains_eager(User.posts))
    with make() as session:
        users = session.scalars(statement.order_by(User.id)).unique().all()
        return [post.title for user in users for post in user.posts]


def queries(make: Any) -> Any:
    with make() as session:
        query = session.query(User).filter(User.id > 2).order_by(User.id)
        names = [user.name for user in query]
        return names, query.count(), query.first().name, session.query(User.id).all()


def rows_and_scalars(make: Any) -> Any:
    with make() as session:
        counted = session.scalar(select(func.count()).select_from(User))
        rows = session.execute(select(User.name, User).order_by(User.id)).all()
        core = session.execute(select(User.__table__.c.id).order_by("id")).all()
        plain = session.execute(text("SELECT name FROM person ORDER BY id")).scalars().all()
        return counted, [(name, user.id) for name, user in rows], core, plain


def from_statement(make: Any) -> Any:
    statement = select(User).from_statement(text("SELECT * FROM person ORDER BY id"))
    with make() as session:
        return [user.name for user in session.scalars(statement)]


def lambda_statements(make: Any) -> Any:
    with make() as session:
        return [session.scalars(lambda_stmt(lambda: select(User))).first().name for _ in range(2)]


def unions_and_subqueries(make: Any) -> Any:
    one = select(User.id).where(User.id == 1)
    with make() as session:
        both = session.execute(one.union(select(User.id).where(User.id == 2)))
        inner = session.scalars(select(User).where(User.id.in_(one)))
        return sorted(both.scalars()), [user.name for user in inner]


def yield_per(make: Any) -> Any:
    statement = select(User).order_by(User.id).execution_options(yield_per=2)
    with make() as session:
        return [[user.name for user in part] for part in session.scalars(statement).partitions()]


def polymorphic(make: Any) -> Any:
    with make() as session:
        [channel] = session.scalars(select(Channel)).all()
        return type(channel).__name__, channel.address


def refreshes(make: Any) -> Any:
    with make() as session:
        user = session.get(User, 1)
        session.expire(user)
        session.refresh(user, ["name", "posts"])
        session.refresh(user)
        return user.name, len(user.posts)


def populate_existing(make: Any) -> Any:
    with make() as session:
        user = session.get(User, 1)
        user.name = "changed"
        with session.no_autoflush:
            session.get(User, 1, populate_existing=True)
        return user.name


def merges(make: Any) -> Any:
    with make() as session:
        user = session.get(User, 1, options=[selectinload(User.posts)])
    user.name = "merged"
    with make() as session:
        merged = session.merge(user)
        same = session.merge(copied(user), load=False) is merged
        session.commit()
        return merged is not user, same, merged.name, len(merged.posts)


def copied(user: User) -> User:
    """Return a clean copy, as a cache would give it."""
    return pickle.loads(pickle.dumps(user))  # noqa: S301


def pickles(make: Any) -> Any:
    with make() as session:
        user = session.get(User, 1, options=[joinedload(User.team)])
        copy_ = copied(user)
    again = copied(user)
    with make() as session:
        session.add(again)
        return copy_.team.name, copy_.name, again.posts[0].title


def copies(make: Any) -> Any:
    with make() as session:
        user = session.get(User, 1)
    return copy.copy(user).name


def expunges_and_attaches(make: Any) -> Any:
    with make() as session:
        user = session.get(User, 1)
        session.expunge(user)
    with make() as session:
        session.add(user)
        user.name = "attached"
        session.commit()
        return user.name, user.team.name


def closes_and_attaches(make: Any) -> Any:
    make.configure(expire_on_commit=False)
    with make() as session:
        user = session.get(User, 1)
        session.commit()
    name = user.name
    with make() as session:
        session.add(user)
        return name, user.team.name


def transient_again(make: Any) -> Any:
    with make() as session:
        team = session.get(Team, 1)
        make_transient(team)
        team.id = 5
        session.add(team)
        session.commit()
        return session.scalars(select(Team.id).order_by(Team.id)).all()


def stores(make: Any) -> Any:
    with make() as session:
        user = User(id=8, name="new", posts=[Post(id=80, title="a"), Post(id=81, title="b")])
        session.add(user)
        session.flush()
        session.commit()
        user.posts.remove(user.posts[0])
        session.delete(session.get(Badge, 1))
        session.commit()
        return [post.title for post in user.posts], session.get(Badge, 1)


def bulk(make: Any) -> Any:
    with make() as session:
        session.execute(insert(Team), [{"id": n, "name": f"team {n}"} for n in (2, 3)])
        session.bulk_save_objects([Team(id=4, name="four")])
        session.bulk_insert_mappings(Team.__mapper__, [{"id": 5, "name": "five"}])
        session.execute(update(Team).where(Team.id == 2).values(name="two"))
        session.execute(update(Team), [{"id": 3, "name": "three"}])
        core = Team.__table__
        raw = update(core).where(core.c.id == bindparam("key")).values(name="core")
        session.connection().execute(raw, [{"key": 4}])
        session.commit()
        return session.scalars(select(Team.name).order_by(Team.id)).all()


def savepoints(make: Any) -> Any:
    with make() as session:
        user = session.get(User, 1)
        with session.begin_nested():
            user.name = "kept"
        nested = session.begin_nested()
        user.name = "lost"
        nested.rollback()
        session.commit()
        return user.name


def failures(make: Any) -> Any:
    with make() as session:
        session.add(Team(id=1, name="there is one"))
        with pytest.raises(IntegrityError):
            session.flush()
        session.rollback()
        with pytest.raises(NoResultFound):
            session.scalars(select(User).where(User.id == 99)).one()
        return session.get(User, 1).name


def begin_blocks(make: Any) -> Any:
    with make.begin() as session:
        session.get(User, 1).name = "begun"
    with make() as session, session.begin():
        return session.get(User, 1).name


def used_again_after_close(make: Any) -> Any:
    session = make()
    first = session.get(User, 1).name
    session.close()
    second = session.get(User, 2).name
    session.reset()
    session.close()
    return first, second


def criteria_of_listeners(make: Any) -> Any:
    def only_two(execution: Any) -> None:
        if execution.is_select:
            criteria = with_loader_criteria(User, User.id <= 2, include_aliases=True)
            execution.statement = execution.statement.options(criteria)

    event.listen(make, "do_orm_execute", only_two)
    with make() as session:
        return [user.id for user in session.scalars(select(User).order_by(User.id))]


def cached_results(make: Any) -> Any:
    cache: dict[str, Any] = {}

    def answer(execution: Any) -> Any:
        if not execution.is_select or execution.is_relationship_load:
            return None
        if "users" not in cache:
            cache["users"] = execution.invoke_statement().freeze()
        return cache["users"]()

    event.listen(make, "do_orm_execute", answer)
    with make() as session:
        return [[u.name for u in session.scalars(select(User))] for _ in range(2)]


def nested_attribute_access(make: Any) -> Any:
    with make() as session:
        return [user.team.name for user in session.scalars(select(User))]


def scopes(make: Any) -> Any:
    make.configure(expire_on_commit=False)
    with scoped_services(make) as scope:
        user = scope.session.get(User, 1)
        posts = [post.title for post in user.posts]
        user.name = "scoped"
    return user.name, posts


def session_attributes(make: Any) -> Any:
    with make(info={"who": "me"}) as session:
        return session.info, type(session).__name__, isinstance(session, Session)


PROGRAMS = (
    *(lazy_loads, eager_loads, contains_eager_loads, queries, rows_and_scalars, from_statement),
    *(lambda_statements, unions_and_subqueries, yield_per, polymorphic, refreshes, merges),
    *(populate_existing, pickles, copies, expunges_and_attaches, closes_and_attaches, stores),
    *(transient_again, bulk, savepoints, failures, begin_blocks, used_again_after_close),
    *(criteria_of_listeners, cached_results, nested_attribute_access, scopes, session_attributes),
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
@pytest.mark.parametrize("sync_database", ["sqlite3", "psycopg"], indirect=True)
def test_a_sync_program_gives_the_same(sync_engine, sync_database, program, mode, caplog):
    """What a program returns, and the statements that it sends, are those without a guard."""
    fill(sync_database)
    plain = observed(program, sync_engine, sessionmaker(sync_engine))
    Base.metadata.drop_all(sync_engine)
    fill(sync_database)
    maker = sessionmaker(sync_engine)
    set_mode(maker, mode)
    assert observed(program, sync_engine, maker) == plain
    assert told(caplog) == []


def observed(program: Any, engine: Any, maker: Any) -> Any:
    """Return what a program returns and the statements that it sends."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        with warnings.catch_warnings():
            return program(maker), sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_async_loads(aguarded: async_sessionmaker[AsyncSession]):
    """Everything that is loaded eagerly, refreshed or awaited is there."""
    async with aguarded() as session:
        user = await session.get_one(User, 1, options=[selectinload(User.posts)])
        await session.refresh(user, ["team"])
        bio = await session.run_sync(lambda _: user.bio)
        channel = (await session.scalars(select(Channel))).one()
        await session.refresh(channel)
        await session.commit()
        await session.refresh(user)
        assert (user.name, user.posts[0].title, bio) == ("user 1", "post 1", "bio")


async def test_async_streams(aguarded):
    """Rows and entities stream as ever."""
    async with aguarded() as session:
        alone = select(User).options(lazyload(User.badges)).order_by(User.id)
        statement = alone.execution_options(yield_per=2)
        streamed = [u.name async for u in await session.stream_scalars(statement)]
        rows = [row async for row in await session.stream(select(User.id).order_by(User.id))]
    assert (len(streamed), [tuple(row) for row in rows]) == (4, [(1,), (2,), (3,), (4,)])


async def test_async_merge_and_attach(aguarded):
    """A detached entity is merged, and added again."""
    async with aguarded() as session:
        user = await session.get(User, 1)
    async with aguarded() as session:
        merged = await session.merge(user)
        merged.name = "merged"
        await session.commit()
    async with aguarded.begin() as session:
        session.add(user)
        await session.refresh(user)
        assert user.name == "merged"


async def test_async_transactions(aguarded):
    """Begin blocks, savepoints, rollback and failed flushes."""
    async with aguarded() as session:
        async with session.begin():
            session.add(Team(id=2, name="two"))
        session.add(Team(id=2, name="again"))
        with warnings.catch_warnings(), pytest.raises(IntegrityError):
            warnings.simplefilter("ignore")
            await session.flush()
        await session.rollback()
        async with session.begin_nested():
            session.add(Team(id=3, name="three"))
        await session.commit()
        assert list(await session.scalars(select(Team.id).order_by(Team.id))) == [1, 2, 3]


async def test_async_own_sessions(aguarded):
    """A session for each task."""

    async def name(key: int) -> str:
        async with aguarded() as session:
            return (await session.get(User, key)).name

    assert await asyncio.gather(name(1), name(2)) == ["user 1", "user 2"]


async def test_async_identity_map(aguarded):
    """A many-to-one whose target is there needs no I/O, so it is no error."""
    async with aguarded() as session:
        team = await session.get(Team, 1)
        user = await session.get(User, 1)
        assert user.team is team


async def test_async_cancellation(aguarded, async_database):
    """A cancelled task leaves a session that can be closed, and a whole pool."""
    if async_database.dialect == "mysql":
        pytest.skip("asyncmy leaves its socket open when it is cancelled, guard or no guard")
    async with aguarded() as session:
        task = asyncio.create_task(session.get(User, 1))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with aguarded() as session:
        assert await session.get(User, 1)
