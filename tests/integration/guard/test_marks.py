"""Which statement loaded an entity: marks are right, few, and end with the statement."""

from __future__ import annotations

import copy
import pickle
from typing import Any
from weakref import ref

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import load_only
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import configure
from sqla_safe.guard._provenance import KEPT, LoadSite, origin_of
from tests.integration.guard.models import Post, Team, User
from tests.integration.guard.support import needs_two_statements_at_once, of


def test_an_eager_load_that_comes_late_has_its_own_statement(maker):
    """Between two parts of a result other statements run; what is loaded is not theirs."""
    needs_two_statements_at_once(maker)
    with maker() as session:
        result = session.scalars(select(User).execution_options(yield_per=1))
        badges = []
        for user in result:
            session.scalars(select(Team)).all()
            badges += user.badges
    origins = {str(origin_of(inspect(badge)).loaded).rpartition(":")[2] for badge in badges}
    first = test_an_eager_load_that_comes_late_has_its_own_statement.__code__.co_firstlineno
    assert origins == {str(first + 4)}


def test_a_statement_that_ran_without_a_guard_is_marked_too(plain):
    """SQLAlchemy keeps a compiled form for both; the guarded one has one of its own."""
    statement = select(User).options(load_only(User.id)).where(User.id == 1)
    with plain() as session:
        session.scalars(statement).one()
    configure(plain, guard="raise")
    with plain() as session:
        user = session.scalars(statement).one()
    with pytest.raises(DetachedInstanceError) as caught:
        _ = user.name
    assert "test_marks.py" in (of(caught.value).loaded or "")


def test_one_statement_at_two_lines_and_in_two_sessions(maker):
    """The marked form is kept with the statement; where it ran is known for each execution."""
    statement = select(User).where(User.id == 1)
    users = []
    for _ in range(3):
        with maker() as session:
            users.append(session.scalars(statement).one())
    with maker() as session:
        users.append(session.scalars(statement).one())
    origins = [origin_of(inspect(user)) for user in users]
    assert len({origin.record for origin in origins}) == len(users)
    lines = [int(str(origin.loaded).rpartition(":")[2]) for origin in origins]
    assert lines == [lines[0]] * 3 + [lines[0] + 2]


def test_what_is_derived_from_a_statement_is_not_the_statement(maker):
    """A statement that is changed after it was executed is executed as it is then."""
    statement = select(User).order_by(User.id)
    with maker() as session:
        for _ in range(3):
            assert len(session.scalars(statement).all()) == 4
        assert [user.id for user in session.scalars(statement.where(User.id == 2))] == [2]
        assert len(session.scalars(copy.copy(statement)).all()) == 4


def test_a_statement_that_was_executed_can_be_pickled(maker):
    """Its marked form stays behind."""
    statement = select(User.__table__.c.id).where(User.__table__.c.id == 2)
    with maker() as session:
        for _ in range(3):
            session.scalars(statement)
        assert KEPT in vars(statement)
        again = pickle.loads(pickle.dumps(statement))  # noqa: S301
        assert session.scalars(again).all() == [2]


def test_a_statement_and_its_marked_form_go_together(maker):
    """Nothing keeps them once the program has let go of the statement, no collector needed."""
    statement = select(User).where(User.id == 1)
    with maker() as session:
        for _ in range(3):
            session.scalars(statement).all()
    kept = ref(statement.__dict__[KEPT].statement)
    gone = ref(statement)
    del statement
    assert (gone(), kept()) == (None, None)


def test_marks_do_not_grow_the_cache_of_compiled_statements(maker):
    """However often, for whatever key, and however deep a chain of loads is."""
    cache: dict[Any, Any] = {}
    maker.configure(bind=maker.kw["bind"].execution_options(compiled_cache=cache))

    def follow(key: int, depth: int) -> int:
        with maker() as session:
            post = session.scalars(select(Post).where(Post.id == key)).one()
            for _ in range(depth):
                user = post.user
                session.expunge(post)
                post = user.posts[0]
                session.expunge(user)
        return len(cache)

    first = follow(10, depth=6)  # SQLAlchemy tells the first few links of a chain apart
    assert [follow(10, depth=6), follow(20, depth=6), follow(30, depth=20)] == [first] * 3


def test_a_chain_of_lazy_loads_carries_one_mark(maker):
    """Each entity has the line at which it was read, and not those of all before it."""
    with maker() as session:
        post = session.get(Post, 10)
        team = post.user.team
        marks = [option for option in inspect(team).load_options if isinstance(option, LoadSite)]
    assert len(marks) == 1


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(lambda session, _: session.get(User, 1), id="get"),
        pytest.param(lambda session, user: session.refresh(user), id="refresh"),
        pytest.param(lambda _, user: user.name, id="column"),
        pytest.param(lambda _, user: user.posts, id="relationship"),
        pytest.param(lambda session, user: session.merge(user), id="merge"),
        pytest.param(lambda session, _: session.scalars(select(User)).all(), id="select"),
    ],
)
def test_an_entity_that_lives_long_gathers_no_marks(maker, again):
    """However often it is expired and loaded again."""
    cache: dict[Any, Any] = {}
    maker.configure(bind=maker.kw["bind"].execution_options(compiled_cache=cache))
    sizes = set()
    with maker() as session:
        user = session.get(User, 1)
        for _ in range(4):
            session.commit()
            again(session, user)
            sizes.add((len(cache), len(inspect(user).load_options)))
    assert len(sizes) == 1
