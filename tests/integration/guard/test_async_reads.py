"""Attributes that async code reads without their values being there: on every driver."""

from __future__ import annotations

import asyncio
import gc
import warnings
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError, MissingGreenlet
from sqlalchemy.orm import raiseload, selectinload
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import configure, scoped_services
from tests.integration.guard.models import Channel, Post, Team, User
from tests.integration.guard.support import holds, of


async def relationship_after_block(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    async with maker() as session:  # open, close
        user = await session.get(User, 1)  # load
        await session.commit()
    _ = user.team  # read


async def relationship_through_a_service(maker: Any) -> None:
    @asynccontextmanager
    async def users() -> Any:
        async with maker() as session:
            yield session

    async with users() as session:  # open, close
        user = (await session.scalars(select(User).where(User.id == 1))).one()  # load
    _ = user.posts  # read


async def relationship_in_open_session(maker: Any) -> None:
    async with maker() as session:  # open
        user = (await session.execute(select(User).where(User.id == 1))).scalar_one()  # load
        getattr(user, "posts", None)  # read


async def relationship_through_a_hybrid(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        _ = user.titles


async def deferred_column(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        _ = user.bio  # read


async def column_of_a_subclass(maker: Any) -> None:
    async with maker() as session:  # open
        channel: Any = (await session.scalars(select(Channel))).one()  # load
        _ = channel.address  # read


async def column_after_commit(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        await session.commit()  # why
        _ = user.name  # read


async def column_after_begin_block(maker: Any) -> None:
    async with maker.begin() as session:  # open, close, why
        user = await session.get(User, 1)  # load
    _ = user.name  # read


async def column_after_rollback(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        await session.rollback()  # why
        _ = user.id  # read


async def column_after_rollback_and_block(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    async with maker() as session:  # open, close
        user = await session.get(User, 1)  # load
        await session.rollback()  # why
    _ = user.id  # read


async def column_after_savepoint(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        savepoint = await session.begin_nested()
        user.name = "other"
        await session.flush()
        await savepoint.rollback()  # why
        _ = user.name  # read


async def column_after_failed_flush(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        session.add(Team(id=1, name="there is one already"))
        try:
            await session.commit()  # why
        except IntegrityError:
            await session.rollback()
        _ = user.name  # read


async def column_that_the_database_fills(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        user.name = "new"
        await session.commit()  # why
        _ = user.changed  # read


async def column_after_expire(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        session.expire(user)  # why
        _ = user.name  # read


async def added_and_committed(maker: Any) -> None:
    async with maker() as session:  # open
        team = Team(id=7, name="new")
        session.add(team)
        await session.commit()  # load, why
        _ = team.name  # read


async def added_and_left(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    async with maker() as session:  # open, close
        user = User(id=7, name="new")
        session.add(user)
        await session.commit()  # load
    _ = user.posts  # read


async def moved_to_another_session(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    async with maker() as session:
        user = await session.get(User, 1)  # load
    async with maker() as session:  # open, close
        session.add(user)
        await session.rollback()  # why
    _ = user.name  # read


async def in_a_task(maker: Any) -> None:
    async def later() -> None:
        await asyncio.sleep(0)
        _ = user.team  # read

    async with maker() as session:  # open, close
        user = await session.get(User, 1)  # load
        task = asyncio.create_task(later())
    await task


async def in_a_scope(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    async with scoped_services(maker) as scope:  # open, close
        user = await scope.session.get(User, 1)  # load
    _ = user.team  # read


async def expired_by_a_scope(maker: Any) -> None:
    async with scoped_services(maker) as scope:  # open, close, why
        user = await scope.session.get(User, 1)  # load
    _ = user.name  # read


async def in_an_open_scope(maker: Any) -> None:
    async with scoped_services(maker) as scope:  # open
        user = await scope.session.get(User, 1)  # load
        try:
            _ = user.team  # read
        finally:
            scope.set_rollback_only("seen enough")


async def assigned_collection(maker: Any) -> None:
    async with maker() as session:  # open
        user = await session.get(User, 1)  # load
        user.posts = []  # read


async def streamed(maker: Any) -> None:
    async with maker() as session:  # open, close
        users = [u async for u in await session.stream_scalars(select(User))]  # load
    _ = users[0].team  # read


CASES: list[tuple[Any, type[Exception], str, str]] = [
    (relationship_after_block, DetachedInstanceError, "SQS101", "User.team"),
    (relationship_through_a_service, DetachedInstanceError, "SQS101", "User.posts"),
    (relationship_in_open_session, MissingGreenlet, "SQS102", "User.posts"),
    (relationship_through_a_hybrid, MissingGreenlet, "SQS102", "User.posts"),
    (deferred_column, MissingGreenlet, "SQS102", "User.bio"),
    (column_of_a_subclass, MissingGreenlet, "SQS102", "EmailChannel.address"),
    (column_after_commit, MissingGreenlet, "SQS103", "User.name"),
    (column_after_begin_block, DetachedInstanceError, "SQS103", "User.name"),
    (column_after_rollback, MissingGreenlet, "SQS104", "User.id"),
    (column_after_rollback_and_block, DetachedInstanceError, "SQS104", "User.id"),
    (column_after_savepoint, MissingGreenlet, "SQS104", "User.name"),
    (column_after_failed_flush, MissingGreenlet, "SQS105", "User.name"),
    (column_that_the_database_fills, MissingGreenlet, "SQS106", "User.changed"),
    (column_after_expire, MissingGreenlet, "SQS112", "User.name"),
    (added_and_committed, MissingGreenlet, "SQS103", "Team.name"),
    (added_and_left, DetachedInstanceError, "SQS101", "User.posts"),
    (moved_to_another_session, DetachedInstanceError, "SQS104", "User.name"),
    (in_a_task, DetachedInstanceError, "SQS101", "User.team"),
    (in_a_scope, DetachedInstanceError, "SQS101", "User.team"),
    (expired_by_a_scope, DetachedInstanceError, "SQS103", "User.name"),
    (in_an_open_scope, MissingGreenlet, "SQS102", "User.team"),
    (assigned_collection, MissingGreenlet, "SQS102", "User.posts"),
    (streamed, DetachedInstanceError, "SQS101", "User.team"),
]


@pytest.mark.parametrize(
    ("program", "kind", "code", "attribute"), CASES, ids=[case[0].__name__ for case in CASES]
)
async def test_a_read_is_explained(amaker, program, kind, code, attribute):
    """SQLAlchemy's own exception, with a code, the attribute, and every line that matters."""
    with pytest.raises(kind) as caught:
        await program(amaker)
    assert type(caught.value) is kind
    explanation = of(caught.value)
    assert explanation.code == code
    assert f"{explanation.entity}.{explanation.attribute}" == attribute
    assert caught.value.__notes__ == [str(explanation)]
    holds(explanation, program)


async def test_the_text_of_the_exception_stays_sqlalchemys(plain_async):
    """Applications show `str(error)` to their users: nothing is added to it."""
    async with plain_async() as session:
        user = await session.get(User, 1)
    with pytest.raises(DetachedInstanceError) as plain:
        _ = user.team
    assert not hasattr(plain.value, "sqla_safe")
    configure(plain_async, guard="raise")
    async with plain_async() as session:
        again = await session.get(User, 1)
    with pytest.raises(DetachedInstanceError) as guarded:
        _ = again.team
    assert str(guarded.value).partition(">")[2] == str(plain.value).partition(">")[2]
    assert guarded.value.code == plain.value.code


async def test_the_path_over_which_it_was_loaded_is_in_the_repair(amaker):
    """What was reached by an eager load is loaded by a longer option."""
    async with amaker() as session:
        post = await session.get(Post, 10, options=[selectinload(Post.user)])
    with pytest.raises(DetachedInstanceError) as caught:
        _ = post.user.team
    assert "selectinload(Post.user).selectinload(User.team)" in of(caught.value).instead


async def test_a_forbidden_load_is_explained(amaker):
    """`raiseload` says which attribute; the explanation adds where the entity came from."""
    async with amaker() as session:
        user = await session.get(User, 1, options=[raiseload(User.team)])
        with pytest.raises(Exception, match="raise") as caught:
            _ = user.team
    assert of(caught.value).code == "SQS111"


async def test_a_cache_may_answer_a_lazy_load(amaker):
    """A listener that has the result needs no I/O: it is asked before anything is refused."""
    async with amaker() as session:
        team = (await session.execute(select(Team).where(Team.id == 1))).freeze()

    def answer(execution: Any) -> Any:
        return team() if execution.lazy_loaded_from is not None else None

    event.listen(amaker.kw["sync_session_class"], "do_orm_execute", answer)
    async with amaker() as session:
        user = await session.get(User, 1)
        assert user.team.name == "red"


async def test_a_cache_that_does_not_answer_changes_nothing(amaker):
    """Then SQLAlchemy fails, and the exception is the same as without the listener."""
    event.listen(amaker.kw["sync_session_class"], "do_orm_execute", lambda _execution: None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a coroutine that SQLAlchemy did not await
        async with amaker() as session:
            user = await session.get(User, 1)
            with pytest.raises(MissingGreenlet) as caught:
                _ = user.team
            explanation = of(caught.value)
            del caught
            gc.collect()
    assert (explanation.code, explanation.attribute) == ("SQS102", "team")


async def test_sql_outside_of_await_is_explained(amaker):
    """Where no attribute is read, the line and the session are named."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        async with amaker() as session:
            with pytest.raises(MissingGreenlet) as caught:
                session.sync_session.execute(select(User.id))
            explanation = of(caught.value)
            del caught
            gc.collect()
    assert explanation.title == "SQL was sent in async code outside of `await`"


async def test_nothing_is_left_of_a_refused_load(amaker):
    """The refusal comes before the connection is touched: the session goes on."""
    async with amaker() as session:
        user = await session.get(User, 1)
        with pytest.raises(MissingGreenlet):
            _ = user.team
        assert (await session.get(User, 2)).name == "user 2"
