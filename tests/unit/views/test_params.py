"""Values that are given beside a statement, as `Session.execute` takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import Engine, bindparam, event, select
from sqlalchemy.exc import StatementError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker, with_loader_criteria

from sqla_safe import (
    ViewNotFoundError,
    ViewStatementError,
    afetch,
    afetch_one,
    afetch_one_or_none,
    astream_views,
    fetch,
    fetch_one,
    fetch_one_or_none,
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


ONE = select(User).where(User.id == bindparam("user_id"))
SOME = select(User).where(User.id.in_(bindparam("ids", expanding=True))).order_by(User.id)
UP_TO = select(User).where(User.id <= bindparam("most", 2)).order_by(User.id)


def ids(session: Session, *args: Any, **kwargs: Any) -> list[int]:
    """Return the keys of the users found."""
    return [card.id for card in fetch(session, UserCard, *args, **kwargs)]


def test_a_constant_statement_takes_its_values_at_each_call(session: Session) -> None:
    """Every value has rows of its own, also when the statement is known already."""
    for number in (1, 2, 3, 9, 2, 1):
        assert ids(session, ONE, {"user_id": number}) == ([number] if number < 4 else [])
    ann = fetch_one(session, UserCard, ONE, {"user_id": 1})
    assert [post.id for post in ann.posts] == [1, 2, 3]


def test_a_list_of_values_has_any_length(session: Session) -> None:
    """An expanding parameter takes what it is given, and nothing of the call before."""
    for numbers in ([1, 2], [3], [], [1, 2, 3]):
        assert ids(session, SOME, params={"ids": numbers}) == numbers


def test_a_default_holds_where_no_value_is_given(session: Session) -> None:
    """And not where one is, None included; it is back at the next call."""
    for _ in range(3):
        assert ids(session, UP_TO) == [1, 2]
        assert ids(session, UP_TO, {"most": 3}) == [1, 2, 3]
        assert ids(session, UP_TO, {"most": None}) == []
        assert ids(session, UP_TO, {}) == [1, 2]


def test_the_whole_family_takes_values(session: Session) -> None:
    """One, one or none, and streams."""
    assert fetch_one(session, UserCard, ONE, {"user_id": 2}).id == 2
    assert fetch_one_or_none(session, UserCard, ONE, {"user_id": 9}) is None
    with pytest.raises(ViewNotFoundError):
        fetch_one(session, UserCard, ONE, {"user_id": 9})
    batches = stream_views(session, UserCard, SOME, {"ids": [1, 3]}, batch_size=1)
    assert [[card.id for card in batch] for batch in batches] == [[1], [3]]


def test_a_stream_keeps_the_values_it_was_given(session: Session) -> None:
    """What the caller does with the dict afterwards changes nothing."""
    params = {"ids": [1, 3]}
    batches = stream_views(session, UserCard, SOME, params)
    params.clear()
    assert [card.id for batch in batches for card in batch] == [1, 3]


async def test_the_asynchronous_family_takes_values() -> None:
    """The same with an AsyncSession, and with a scope."""
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    maker = async_sessionmaker(engine)
    async with maker() as session:
        await session.run_sync(store)
        assert [card.id for card in await afetch(session, UserCard, SOME, {"ids": [2]})] == [2]
    async with scoped_services(maker) as scope:
        for number in (1, 2, 3):
            assert (await afetch_one(scope, UserCard, ONE, {"user_id": number})).id == number
        assert await afetch_one_or_none(scope, UserCard, ONE, {"user_id": 9}) is None
        batches = astream_views(scope, UserCard, SOME, {"ids": [1, 2]}, batch_size=1)
        assert [[card.id for card in batch] async for batch in batches] == [[1], [2]]
    await engine.dispose()


def test_a_constant_statement_is_made_ready_twice_at_most(
    session: Session, read: list[Any]
) -> None:
    """However many values it is given."""
    statement = select(User).where(User.id == bindparam("it"), User.name != "nobody")
    for number in (1, 2, 3, 1, 2, 3):
        assert ids(session, statement, {"it": number}) == [number]
    assert len(read) <= 2


def test_in_a_scope_a_constant_statement_takes_its_values(engine: Engine) -> None:
    """What the scope watches, it watches here as well."""
    with scoped_services(sessionmaker(engine)) as scope:
        for number in (1, 2, 3):
            assert fetch_one(scope, UserCard, ONE, {"user_id": number}).id == number


def test_listeners_see_the_values(session: Session) -> None:
    """As they do of a statement that is executed."""
    seen: list[Any] = []

    def see(state: ORMExecuteState) -> None:
        seen.append(state.parameters)

    event.listen(session, "do_orm_execute", see)
    assert ids(session, ONE, {"user_id": 2}) == [2]
    assert seen[0] == {"user_id": 2}


def test_the_levels_below_get_no_values(session: Session) -> None:
    """A parameter of the same name in their criteria keeps its own."""
    criteria = with_loader_criteria(Post, Post.id == bindparam("number", 2))
    statement = select(User).where(User.id == bindparam("number")).options(criteria)
    card = fetch_one(session, UserCard, statement, {"number": 1})
    assert [post.id for post in card.posts] == [2]


def test_a_name_that_only_the_sql_has_is_taken_as_sqlalchemy_takes_it(session: Session) -> None:
    """The names that SQLAlchemy gives to parameters are found in it, however often it is asked."""
    for number in (2, 3, 2, 1):
        assert ids(session, select(User).where(User.id == 1), {"id_1": number}) == [number]


@pytest.mark.parametrize("times", [0, 3])
def test_a_missing_value_is_an_error(session: Session, times: int) -> None:
    """SQLAlchemy names the parameter, the first time and when the statement is known."""
    for _ in range(times):
        fetch(session, UserCard, ONE, {"user_id": 1})
    with pytest.raises(StatementError, match="user_id"):
        fetch(session, UserCard, ONE)
    with pytest.raises(StatementError, match="user_id"):
        fetch(session, UserCard, ONE, {"user": 4711})


def test_one_value_of_two_is_not_enough(session: Session) -> None:
    """Not for a statement that is known either: what is missing is no NULL."""
    both = select(User).where(User.id == bindparam("number"), User.name == bindparam("name"))
    for _ in range(3):
        assert ids(session, both, {"number": 1, "name": "Ann"}) == [1]
        with pytest.raises(StatementError, match="'name'"):
            ids(session, both, {"number": 1})


WRONG: dict[str, Any] = {"a list": [{"user_id": 1}], "a tuple": (1,), "a number": 4711}


@pytest.mark.parametrize("params", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("ask", [fetch, fetch_one, fetch_one_or_none, stream_views])
def test_values_without_names_are_refused(
    session: Session, params: Any, ask: Callable[..., Any]
) -> None:
    """The error says what to write, and holds no value."""
    with pytest.raises(ViewStatementError, match=r'params=\{"name": value\}') as caught:
        ask(session, UserCard, ONE, params)
    assert "4711" not in str(caught.value)
    assert type(params).__name__ in str(caught.value)
