"""Small async programs, each with one mistake of real code: every fact of it is told."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import func, inspect, select, update
from sqlalchemy.exc import IntegrityError, MissingGreenlet
from sqlalchemy.ext.asyncio import async_scoped_session
from sqlalchemy.orm import joinedload, load_only, selectinload
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import IdleInTransactionWarning, configure, explain
from sqla_safe.guard._provenance import origin_of
from tests.integration.guard.models import Post, Team, User
from tests.integration.guard.support import holds, of, told


async def except_branch_of_a_failed_flush(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        session.add(Team(id=1, name="there is one already"))
        try:
            await session.flush()  # why
        except IntegrityError:
            _ = user.name  # read


async def except_branch_after_its_own_rollback(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        try:
            int("x")
        except ValueError:
            await session.rollback()  # why
            _ = f"{user.id} failed"  # read


async def rollback_in_a_loop(maker: Any) -> None:
    async with maker() as session:  # open
        for user in (await session.scalars(select(User).order_by(User.id))).all():  # load
            if user.name != "user 1":  # read
                continue
            await session.rollback()  # why


async def commit_in_a_loop(maker: Any) -> None:
    async with maker() as session:  # open
        users = (await session.scalars(select(User).order_by(User.id))).all()  # load
        for user in users:
            user.name = user.name.upper()  # read
            await session.commit()  # why


async def commit_in_a_helper(maker: Any) -> None:
    async def save(session: Any) -> None:
        await session.commit()  # why

    async with maker() as session:  # open
        user = (await session.execute(select(User).where(User.id == 1))).scalar_one()  # load
        await save(session)
        _ = user.name  # read


async def exception_out_of_a_begin_block(maker: Any) -> None:
    user = None
    with suppress(ValueError):
        async with maker.begin() as session:  # open, close, why
            user = await session.get(User, 1)  # load
            raise ValueError
    _ = user.name  # read


async def exception_out_of_a_savepoint(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        with suppress(ValueError):
            async with session.begin_nested():  # why
                user.name = "other"
                await session.flush()
                raise ValueError
        _ = user.name  # read


async def begin_block_within_a_session_block(maker: Any) -> None:
    async with maker() as session:  # open
        async with session.begin():  # why
            user = await session.get(User, 1)  # load
        _ = user.name  # read


async def list_comprehension(maker: Any) -> None:
    async with maker() as session:  # open, close
        users = (await session.scalars(select(User))).all()  # load
    _ = [
        user.team  # read
        for user in users
    ]


async def generator_expression(maker: Any) -> None:
    async with maker() as session:  # open, close
        users = (await session.scalars(select(User))).all()  # load
    teams = (user.team for user in users)  # read
    list(teams)


async def key_of_a_sort(maker: Any) -> None:
    async with maker() as session:  # open
        users = (await session.scalars(select(User))).all()  # load
        sorted(users, key=lambda user: len(user.posts))  # read


async def list_over_several_lines(maker: Any) -> None:
    async with maker() as session:  # open, close
        user = await session.get(User, 1)  # load
    _ = [
        user.name,
        user.team,  # read
    ]


async def pattern(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        match user:
            case User(team=None):  # read
                pass


async def default_of_getattr(maker: Any) -> None:
    async with maker() as session:  # open, close
        user = await session.get(User, 1)  # load
    getattr(user, "posts", ())  # read


async def hasattr_of_a_relationship(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        hasattr(user, "team")  # read


async def append_to_a_collection(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        user.posts.append(Post(title="new"))  # read


async def decorated_handler(maker: Any) -> None:
    def with_user(handler: Any) -> Any:
        @functools.wraps(handler)
        async def wrapper() -> None:
            async with maker() as session:  # open, close
                user = await session.get(User, 1)  # load
            await handler(user)

        return wrapper

    @with_user
    async def handler(user: User) -> None:
        _ = user.team  # read

    await handler()


class _Users:
    def __init__(self, session: Any) -> None:
        self.session = session

    async def one(self) -> Any:
        return (await self.session.scalars(select(User).where(User.id == 1))).one()


class _UnitOfWork:
    def __init__(self, maker: Any) -> None:
        self.maker = maker

    async def __aenter__(self) -> _Users:
        self.session = self.maker()
        return _Users(self.session)

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()


async def unit_of_work(maker: Any) -> None:
    async with _UnitOfWork(maker) as users:  # open, close
        user = await users.one()
    _ = user.team  # read


async def service_of_a_context_manager(maker: Any) -> None:
    @asynccontextmanager
    async def service() -> AsyncIterator[_Users]:
        session = maker()
        try:
            yield _Users(session)
            await session.commit()
        except Exception:
            await session.rollback()
            raise
        finally:
            await session.close()

    maker.configure(expire_on_commit=False)
    async with service() as users:  # open, close
        user = await users.session.get(User, 1)  # load
    async with service() as users:
        _ = user.posts  # read


async def generator_dependency(maker: Any) -> None:
    async def database() -> AsyncIterator[Any]:
        async with maker() as session:
            yield session

    dependency = database()
    session = await anext(dependency)  # open
    user = await session.get(User, 1)  # load
    await dependency.aclose()  # close
    _ = user.team  # read


async def loop_over_a_dependency(maker: Any) -> None:
    async def database() -> AsyncIterator[Any]:
        async with maker() as session:
            yield session

    async for session in database():  # open, close
        user = await session.get(User, 1)  # load
    _ = user.team  # read


async def exit_stack(maker: Any) -> None:
    async with AsyncExitStack() as stack:  # close
        session = await stack.enter_async_context(maker())  # open
        user = await session.get(User, 1)  # load
    _ = user.team  # read


async def closed_in_finally(maker: Any) -> None:
    session = maker()  # open
    try:
        user = await session.get(User, 1)  # load
    finally:
        await session.close()  # close
    _ = user.team  # read


async def closed_in_another_task(maker: Any) -> None:
    async def close() -> None:
        await session.close()  # close

    session = maker()  # open
    user = await session.get(User, 1)  # load
    await asyncio.create_task(close())
    _ = user.team  # read


async def session_of_a_registry(maker: Any) -> None:
    registry = async_scoped_session(maker, asyncio.current_task)
    user = await registry.get(User, 1)  # load, open
    await registry.remove()  # close
    _ = user.team  # read


async def borrowed_and_closed(maker: Any) -> None:
    async def helper(session: Any) -> None:
        async with session:  # close
            await session.get(User, 2)

    session = maker()  # open
    user = await session.get(User, 1)  # load
    await helper(session)
    _ = user.team  # read


async def got_again_after_a_commit(maker: Any) -> None:
    async with maker() as session:  # open, close
        for _ in range(3):
            await session.get(User, 1)
            await session.commit()
        user = await session.get(User, 1)  # load
    _ = user.team  # read


async def two_results_of_a_gather(maker: Any) -> None:
    async def user_of(key: int) -> Any:
        async with maker() as session:  # open, close
            return await session.get(User, key)  # load

    users = await asyncio.gather(user_of(1), user_of(2))
    _ = [user.posts for user in users]  # read


async def cached_in_an_earlier_request(maker: Any) -> None:
    cache: dict[int, User] = {}

    async def user_of(key: int) -> User:
        if key not in cache:
            async with maker() as session:  # open, close
                cache[key] = await session.get(User, key)  # load
        return cache[key]

    await user_of(1)
    _ = (await user_of(1)).team  # read


async def entity_in_a_thread(maker: Any) -> None:
    def work(user: User) -> Any:
        return user.team  # read

    async with maker() as session:  # open, close
        user = await session.get(User, 1)  # load
    await asyncio.to_thread(work, user)


async def merge_without_its_result(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    async with maker() as session:  # open, close
        user = await session.get(User, 1)  # load
    async with maker() as session:
        await session.merge(user)
        _ = user.posts  # read


async def merged_into_a_session(maker: Any) -> None:
    async with maker() as session:
        user = await session.get(User, 1)  # load
    async with maker() as session:  # open
        mine = await session.merge(user)
        _ = mine.posts  # read


async def refreshed_without_the_relationship(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        await session.run_sync(lambda _: user.posts)
        await session.refresh(user)  # why
        _ = user.posts  # read


async def populated_without_the_relationship(maker: Any) -> None:
    async with maker() as session:  # open
        query = select(User).where(User.id == 1)
        user = (await session.scalars(query.options(selectinload(User.posts)))).one()
        await session.execute(query, execution_options={"populate_existing": True})  # load
        _ = user.posts  # read


async def all_expired(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        session.expire_all()  # why
        _ = user.name  # read


async def one_column_expired(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        session.expire(user, ["name"])  # why
        _ = user.name  # read


async def one_column_loaded(maker: Any) -> None:
    async with maker() as session:  # open, close
        options = [load_only(User.id)]
        user = (await session.scalars(select(User).options(*options))).first()  # load
    _ = user.name  # read


async def child_of_a_joined_load(maker: Any) -> None:
    async with maker() as session:  # open, close
        posts = await session.scalars(select(Post).options(joinedload(Post.user)))  # load
        users = {post.user for post in posts.unique()}
    _ = [user.team for user in users]  # read


async def streamed_in_a_loop(maker: Any) -> None:
    async with maker() as session:  # open
        result = await session.stream(select(User))  # load
        async for user in result.scalars():
            try:
                _ = user.team  # read
            finally:
                await result.close()


async def changed_by_the_database(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    async with maker.begin() as session:  # open
        user = await session.get(User, 1)  # load
        user.name = "new"
        await session.flush()  # why
        _ = user.changed  # read


async def expired_by_a_bulk_update(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        await session.execute(update(User).values(name=func.upper(User.name)))
        _ = user.name  # read


async def deleted_and_committed(maker: Any) -> None:
    async with maker() as session:
        post = await session.get(Post, 10)  # load
        await session.delete(post)
        await session.commit()
        _ = post.user  # read


CASES: list[tuple[Any, type[Exception], str, str]] = [
    (except_branch_of_a_failed_flush, MissingGreenlet, "SQS105", "User.name"),
    (except_branch_after_its_own_rollback, MissingGreenlet, "SQS104", "User.id"),
    (rollback_in_a_loop, MissingGreenlet, "SQS104", "User.name"),
    (commit_in_a_loop, MissingGreenlet, "SQS103", "User.name"),
    (commit_in_a_helper, MissingGreenlet, "SQS103", "User.name"),
    (exception_out_of_a_begin_block, DetachedInstanceError, "SQS104", "User.name"),
    (exception_out_of_a_savepoint, MissingGreenlet, "SQS104", "User.name"),
    (begin_block_within_a_session_block, MissingGreenlet, "SQS103", "User.name"),
    (list_comprehension, DetachedInstanceError, "SQS101", "User.team"),
    (generator_expression, DetachedInstanceError, "SQS101", "User.team"),
    (key_of_a_sort, MissingGreenlet, "SQS102", "User.posts"),
    (list_over_several_lines, DetachedInstanceError, "SQS101", "User.team"),
    (pattern, MissingGreenlet, "SQS102", "User.team"),
    (default_of_getattr, DetachedInstanceError, "SQS101", "User.posts"),
    (hasattr_of_a_relationship, MissingGreenlet, "SQS102", "User.team"),
    (append_to_a_collection, MissingGreenlet, "SQS102", "User.posts"),
    (decorated_handler, DetachedInstanceError, "SQS101", "User.team"),
    (unit_of_work, DetachedInstanceError, "SQS101", "User.team"),
    (service_of_a_context_manager, DetachedInstanceError, "SQS101", "User.posts"),
    (generator_dependency, DetachedInstanceError, "SQS101", "User.team"),
    (loop_over_a_dependency, DetachedInstanceError, "SQS101", "User.team"),
    (exit_stack, DetachedInstanceError, "SQS101", "User.team"),
    (closed_in_finally, DetachedInstanceError, "SQS101", "User.team"),
    (closed_in_another_task, DetachedInstanceError, "SQS101", "User.team"),
    (session_of_a_registry, DetachedInstanceError, "SQS101", "User.team"),
    (borrowed_and_closed, DetachedInstanceError, "SQS101", "User.team"),
    (got_again_after_a_commit, DetachedInstanceError, "SQS101", "User.team"),
    (two_results_of_a_gather, DetachedInstanceError, "SQS101", "User.posts"),
    (cached_in_an_earlier_request, DetachedInstanceError, "SQS101", "User.team"),
    (entity_in_a_thread, DetachedInstanceError, "SQS101", "User.team"),
    (merge_without_its_result, DetachedInstanceError, "SQS101", "User.posts"),
    (merged_into_a_session, MissingGreenlet, "SQS102", "User.posts"),
    (refreshed_without_the_relationship, MissingGreenlet, "SQS112", "User.posts"),
    (populated_without_the_relationship, MissingGreenlet, "SQS102", "User.posts"),
    (all_expired, MissingGreenlet, "SQS112", "User.name"),
    (one_column_expired, MissingGreenlet, "SQS112", "User.name"),
    (one_column_loaded, DetachedInstanceError, "SQS101", "User.name"),
    (child_of_a_joined_load, DetachedInstanceError, "SQS101", "User.team"),
    (streamed_in_a_loop, MissingGreenlet, "SQS102", "User.team"),
    (changed_by_the_database, MissingGreenlet, "SQS106", "User.changed"),
    (expired_by_a_bulk_update, MissingGreenlet, "SQS102", "User.name"),
    (deleted_and_committed, DetachedInstanceError, "SQS101", "Post.user"),
]


@pytest.mark.parametrize(
    ("program", "kind", "code", "attribute"), CASES, ids=[case[0].__name__ for case in CASES]
)
async def test_a_mistake_is_told(amaker, program, kind, code, attribute):
    """SQLAlchemy's own exception, the attribute, and the lines of the program that matter."""
    with pytest.raises(kind) as caught:
        await program(amaker)
    explanation = of(caught.value)
    assert explanation.code == code, str(explanation)
    assert f"{explanation.entity}.{explanation.attribute}" == attribute
    holds(explanation, program)


class _Card(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    posts: list[Any]


async def test_a_validator_that_wraps_the_error_is_explained(amaker):
    """Pydantic keeps no more of it than its text, and the name of the attribute."""
    async with amaker() as session:
        user = await session.get(User, 1)
        with pytest.raises(ValidationError) as caught:
            _Card.model_validate(user)
        with suppress(MissingGreenlet):
            _ = user.team
    explanation = explain(caught.value)
    assert explanation is not None
    assert (explanation.code, explanation.attribute) == ("SQS102", "posts")


async def test_another_validation_error_is_not_explained(amaker):
    """The text of an error is not enough."""
    async with amaker() as session:
        with suppress(MissingGreenlet):
            _ = (await session.get(User, 1)).posts
    with pytest.raises(ValidationError) as caught:
        _Card.model_validate({"posts": "greenlet_spawn has not been called"})
    assert explain(caught.value) is None


async def test_awaitable_attributes_and_run_sync_are_fine(amaker, caplog):
    """Both load in a greenlet."""
    async with amaker() as session:
        user = await session.get(User, 1)
        assert await session.run_sync(lambda _: user.team.name) == "red"
    assert told(caplog) == []


async def test_n_plus_one_in_async_code(amaker, caplog):
    """Loads that are awaited one by one are as many as those that are not."""
    caplog.set_level(logging.WARNING)

    async def program() -> None:
        async with amaker() as session:  # open
            users = (await session.scalars(select(User))).all()  # load
            await session.run_sync(lambda _: [user.posts for user in users])  # read

    await program()
    [explanation] = told(caplog)
    assert (explanation.code, explanation.attribute) == ("SQS109", "posts")
    holds(explanation, program)


async def test_a_statement_that_is_executed_again_keeps_its_line(amaker):
    """In a session of its own each time, and at another line the last time."""
    statement = select(User).where(User.id == 1)
    users = []
    for _ in range(3):
        async with amaker() as session:
            users.append((await session.scalars(statement)).one())
    async with amaker() as session:
        users.append((await session.scalars(statement)).one())
    origins = [origin_of(inspect(user)) for user in users]
    lines = [int(str(origin.loaded).rpartition(":")[2]) for origin in origins]
    assert lines == [lines[0]] * 3 + [lines[0] + 2]
    assert len({origin.record for origin in origins}) == len(users)


async def test_a_taskgroup_on_one_session_is_refused(amaker):
    """Both tasks and both lines are named."""

    async def one(session: Any, key: int) -> None:
        await session.get(User, key)

    with pytest.raises(ExceptionGroup) as caught:
        async with amaker() as session, asyncio.TaskGroup() as group:
            for key in (1, 2):
                group.create_task(one(session, key))
    explanation = explain(caught.value)
    assert explanation is not None
    assert explanation.code == "SQS153"
    assert "test_programs_async.py" in (explanation.read or "")
    assert "test_programs_async.py" in (explanation.cause or "")


async def test_an_idle_transaction_over_a_slow_call_is_warned_of(amaker):
    """The connection is held while something else is awaited."""
    configure(amaker, guard="raise", idle_in_transaction_warning=0.02)
    async with amaker() as session:
        await session.get(User, 1)
        await asyncio.sleep(0.03)
        with pytest.warns(IdleInTransactionWarning, match="test_programs_async"):
            await session.get(User, 2)
