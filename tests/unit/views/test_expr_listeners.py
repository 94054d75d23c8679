"""Listeners may join what an expression reads; where none of them does, it is refused as ever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from sqlalchemy import Engine, event, func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session, aliased, sessionmaker, with_loader_criteria
from sqlalchemy.pool import StaticPool

from sqla_safe import Expr, ViewStatementError, afetch, fetch, scoped_services, stream_views
from tests.unit.views.conftest import store
from tests.unit.views.models import Base, Post, User

USERS = select(User).order_by(User.id)
REFUSED = r"The Expr of Written\.post reads posts, which the statement does not join"


@dataclass(frozen=True)
class Written:
    id: int
    post: Annotated[int, Expr(lambda _: Post.id)]


@dataclass(frozen=True)
class Shouted:
    id: int
    loud: Annotated[str, Expr(lambda _: func.upper(User.name))]


def silent(_: ORMExecuteState) -> None:
    """Say nothing."""


def hiding(state: ORMExecuteState) -> None:
    """Hide a user, as tenant filters do."""
    state.statement = state.statement.options(with_loader_criteria(User, User.id != 2))


def asking(state: ORMExecuteState) -> None:
    """Send a statement of its own first."""
    if "asked" not in state.execution_options:
        options = {"asked": True}
        state.session.execute(select(func.count(User.id)), execution_options=options)


def joining(state: ORMExecuteState) -> None:
    """Join the table."""
    state.statement = state.statement.join(User.posts)


def filtering(state: ORMExecuteState) -> None:
    """Join it by criteria."""
    criteria = with_loader_criteria(User, User.id == Post.author_id)
    state.statement = state.statement.options(criteria)


def replacing(state: ORMExecuteState) -> None:
    """Put another statement in the place of the view's, which knows best what it is for."""
    state.statement = select(User.id, Post.id).join(User.posts).order_by(Post.id)


PAIRS = [(1, 1), (1, 2), (1, 3), (2, 4)]


@pytest.mark.parametrize("listener", [silent, hiding, asking])
def test_what_no_listener_joins_is_refused(
    session: Session, sent: list[str], listener: Callable[[Any], None]
) -> None:
    """In lists and in streams, before the statement is sent."""
    event.listen(session, "do_orm_execute", listener)
    for _ in range(3):
        with pytest.raises(ViewStatementError, match=REFUSED):
            fetch(session, Written, USERS)
        with pytest.raises(ViewStatementError, match=REFUSED):
            list(stream_views(session, Written, USERS))
    assert not [one for one in sent if "ORDER BY" in one]


@pytest.mark.parametrize("listener", [joining, filtering, replacing])
def test_what_a_listener_joins_is_accepted(
    session: Session, listener: Callable[[Any], None]
) -> None:
    """It is the last one that counts."""
    event.listen(session, "do_orm_execute", silent)
    event.listen(session, "do_orm_execute", listener)
    for _ in range(3):
        found = sorted((one.id, one.post) for one in fetch(session, Written, USERS))
        assert found == PAIRS


def test_a_class_that_an_alias_stands_for_is_refused(session: Session) -> None:
    """With a listener as without."""
    event.listen(session, "do_orm_execute", silent)
    with pytest.raises(ViewStatementError, match="reads users, which the statement does not join"):
        fetch(session, Shouted, select(aliased(User)))


def test_it_leaves_no_listener_behind(session: Session) -> None:
    """The look is for one statement; without listeners it is taken before."""
    event.listen(session, "do_orm_execute", silent)
    with suppress(ViewStatementError):
        fetch(session, Written, USERS)
    event.remove(session, "do_orm_execute", silent)
    assert not session.dispatch.do_orm_execute


def test_a_scope_can_go_on(engine: Engine) -> None:
    """Nothing was sent, so nothing is broken."""
    maker = sessionmaker(engine)
    event.listen(maker, "do_orm_execute", silent)
    with scoped_services(maker) as scope:
        with pytest.raises(ViewStatementError, match=REFUSED):
            fetch(scope, Written, USERS)
        scope.session.add(User(id=9, name="Ira"))
    with maker() as session:
        assert session.get_one(User, 9).name == "Ira"


async def test_async_sessions_refuse_as_well() -> None:
    """The same with an `AsyncSession`."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine) as session:
        await session.run_sync(store)
        event.listen(session.sync_session, "do_orm_execute", silent)
        with pytest.raises(ViewStatementError, match=REFUSED):
            await afetch(session, Written, USERS)
        event.listen(session.sync_session, "do_orm_execute", joining)
        assert len(await afetch(session, Written, USERS)) == len(PAIRS)
    await engine.dispose()
