"""Entities that sync code misuses: on every driver."""

from __future__ import annotations

import gc
import pickle
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, inspect, select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError, PendingRollbackError
from sqlalchemy.orm import Session, aliased, joinedload, raiseload, sessionmaker
from sqlalchemy.orm.exc import DetachedInstanceError, ObjectDeletedError

from sqla_safe import configure, scoped_services
from tests.integration.guard.models import Channel, Post, Team, User
from tests.integration.guard.support import holds, of


def relationship_after_block(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
    _ = user.team  # read


def relationship_after_close(maker: Any) -> None:
    session = maker()  # open
    user = session.query(User).filter_by(id=1).one()  # load
    session.close()  # close
    _ = user.posts  # read


def block_that_begins_later(maker: Any) -> None:
    session = maker()  # open
    with session:  # close
        user = session.scalars(select(User)).first()  # load
    _ = user.posts  # read


def relationship_through_a_dependency(maker: Any) -> None:
    @contextmanager
    def database() -> Any:
        session = maker()
        try:
            yield session
        finally:
            session.close()

    with database() as session:  # open, close
        user = session.get(User, 1)  # load
    _ = user.posts  # read


def session_that_is_never_closed(maker: Any) -> None:
    def load() -> Any:
        session = maker()  # open
        return session.get(User, 1)  # load

    user = load()
    gc.collect()
    _ = user.team  # read


def deferred_column(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
    _ = user.bio  # read


def column_of_a_subclass(maker: Any) -> None:
    with maker() as session:  # open, close
        channel: Any = session.scalars(select(Channel)).one()  # load
    _ = channel.address  # read


def column_after_commit(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        session.commit()  # why
    _ = user.name  # read


def column_after_begin_block(maker: Any) -> None:
    with maker() as session, session.begin():  # open, close, why
        user = session.get(User, 1)  # load
    _ = user.name  # read


def column_after_rollback(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        session.rollback()  # why
    _ = user.name  # read


def column_after_failed_flush(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        session.add(Team(id=1, name="there is one already"))
        with pytest.raises(IntegrityError):
            session.flush()  # why
    _ = user.name  # read


def column_that_the_database_fills(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        user.name = "new"
        session.flush()  # why
    _ = user.changed  # read


def one_attribute_expired(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        session.expire(user, ["name"])
    _ = user.team  # read


def expunged(maker: Any) -> None:
    with maker() as session:  # open
        user = session.get(User, 1)  # load
        session.expunge(user)  # why
        _ = user.team  # read


def all_expunged(maker: Any) -> None:
    with maker() as session:  # open
        user = session.get(User, 1)  # load
        session.expunge_all()  # why
        _ = user.team  # read


def added_then_read(maker: Any) -> None:
    with maker() as session:  # open, close
        team = Team(id=7, name="new")
        session.add(team)
        session.commit()  # load, why
    _ = team.name  # read


def child_of_a_lazy_load(maker: Any) -> None:
    with maker() as session:  # open, close
        post = session.get(Post, 10)
        user = post.user  # load
    _ = user.team  # read


def pickled(maker: Any) -> None:
    with maker() as session:  # open
        copy = pickle.loads(pickle.dumps(session.get(User, 1)))  # noqa: S301  # load
    _ = copy.team  # read


def through_an_alias(maker: Any) -> None:
    other = aliased(User)
    with maker() as session:  # open, close
        user = session.scalars(select(other).where(other.id == 1)).one()  # load
    _ = user.posts  # read


def in_a_scope(maker: Any) -> None:
    with scoped_services(maker) as scope:  # open, close, why
        user = scope.session.get(User, 1)  # load
    _ = user.name  # read


CASES: list[tuple[Any, str, str]] = [
    (relationship_after_block, "SQS101", "User.team"),
    (relationship_after_close, "SQS101", "User.posts"),
    (block_that_begins_later, "SQS101", "User.posts"),
    (relationship_through_a_dependency, "SQS101", "User.posts"),
    (session_that_is_never_closed, "SQS101", "User.team"),
    (deferred_column, "SQS101", "User.bio"),
    (column_of_a_subclass, "SQS101", "EmailChannel.address"),
    (column_after_commit, "SQS103", "User.name"),
    (column_after_begin_block, "SQS103", "User.name"),
    (column_after_rollback, "SQS104", "User.name"),
    (column_after_failed_flush, "SQS105", "User.name"),
    (column_that_the_database_fills, "SQS106", "User.changed"),
    (one_attribute_expired, "SQS101", "User.team"),
    (expunged, "SQS112", "User.team"),
    (all_expunged, "SQS112", "User.team"),
    (added_then_read, "SQS103", "Team.name"),
    (child_of_a_lazy_load, "SQS101", "User.team"),
    (pickled, "SQS101", "User.team"),
    (through_an_alias, "SQS101", "User.posts"),
    (in_a_scope, "SQS103", "User.name"),
]


@pytest.mark.parametrize(
    ("program", "code", "attribute"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_a_read_is_explained(maker, program, code, attribute):
    """SQLAlchemy's own exception, with a code, the attribute, and every line that matters."""
    with pytest.raises(DetachedInstanceError) as caught:
        program(maker)
    assert type(caught.value) is DetachedInstanceError
    explanation = of(caught.value)
    assert explanation.code == code
    assert f"{explanation.entity}.{explanation.attribute}" == attribute
    assert caught.value.__notes__ == [str(explanation)]
    holds(explanation, program)


def test_a_dependency_names_its_own_lines_too(maker):
    """Where a helper opens and closes the session, its lines stand beside those of the block."""
    with pytest.raises(DetachedInstanceError) as caught:
        relationship_through_a_dependency(maker)
    first = relationship_through_a_dependency.__code__.co_firstlineno
    assert of(caught.value).session is not None
    assert f"test_sync_reads.py:{first + 3}, " in of(caught.value).session
    assert of(caught.value).session.endswith(f"test_sync_reads.py:{first + 7}")


def test_the_shape_of_an_explanation(maker):
    """Code and title, then one line each for where it was read, loaded, opened and closed."""
    with pytest.raises(DetachedInstanceError) as caught:
        relationship_after_block(maker)
    first = relationship_after_block.__code__.co_firstlineno
    here = "tests/integration/guard/test_sync_reads.py"
    option = ".options(selectinload(User.team))"
    assert caught.value.__notes__[0].splitlines() == [
        "SQS101 User.team was read after its scope had ended",
        f"  read:    {here}:{first + 3} in relationship_after_block",
        f"  loaded:  {here}:{first + 2} in relationship_after_block",
        f"  scope:   opened {here}:{first + 1}, closed :{first + 2}",
        f"  instead: snapshot(user, User.team) inside the scope, or {option} where it is loaded",
    ]


def test_an_eager_path_of_an_alias_is_left_out(maker):
    """Only the names that a user can write are in the repair."""
    with maker() as session:
        post = session.scalars(select(Post).options(joinedload(Post.user))).first()
    with pytest.raises(DetachedInstanceError) as caught:
        _ = post.user.team
    assert "selectinload(Post.user).selectinload(User.team)" in of(caught.value).instead


def test_a_forbidden_load_is_explained(maker):
    """`raiseload` says which attribute; the explanation adds where the entity came from."""
    with maker() as session:
        user = session.get(User, 1, options=[raiseload(User.team)])
        with pytest.raises(InvalidRequestError) as caught:
            _ = user.team
    assert of(caught.value).code == "SQS111"


def test_a_row_that_is_gone_is_explained(maker):
    """The commit that expired the entity is named beside SQLAlchemy's error."""
    with maker() as session:
        team = Team(id=9, name="short")
        session.add(team)
        session.commit()
        session.execute(text("DELETE FROM team WHERE id = 9"))
        with pytest.raises(ObjectDeletedError) as caught:
            _ = team.name
    assert of(caught.value).code == "SQS113"
    assert "commit at" in (of(caught.value).cause or "")


def test_an_entity_is_named_where_no_attribute_is(maker):
    """Whoever looks through `inspect()` reads no attribute of the entity."""
    with maker() as session:
        user = session.get(User, 1)
        session.commit()
    with pytest.raises(DetachedInstanceError) as caught:
        inspect(user).attrs.name.load_history()
    assert of(caught.value).entity == "User"


def test_a_session_after_a_failed_flush_is_explained(maker):
    """The flush that failed is named, and the rollback that the session waits for."""
    with maker() as session:
        session.add(Team(id=1, name="there is one already"))
        with pytest.raises(IntegrityError):
            session.flush()
        with pytest.raises(PendingRollbackError) as caught:
            session.get(User, 1)
    assert of(caught.value).code == "SQS105"
    assert "failed flush at" in (of(caught.value).cause or "")
    assert of(caught.value).instead.startswith("session.rollback() where the error is caught, or")


def test_the_repair_of_a_failed_flush_in_a_scope_is_a_savepoint(maker):
    """A service's own rollback is the scope's business: to ask for one would not help."""
    configure(maker, service_commit="flush")
    with pytest.raises(PendingRollbackError) as caught, scoped_services(maker) as scope:
        scope.session.add(Team(id=1, name="there is one already"))
        with pytest.raises(IntegrityError):
            scope.session.commit()
        scope.session.rollback()
        scope.session.get(User, 1)
    explanation = of(caught.value)
    assert explanation.title == "the session was used after a flush had failed in its scope"
    assert explanation.instead == "`with session.begin_nested():` around the step that may fail"


def test_an_entity_of_another_session_is_explained(maker):
    """Both sessions are named, and what to write instead."""
    with maker() as session, maker() as other:
        user = session.get(User, 1)
        with pytest.raises(InvalidRequestError, match="already attached") as caught:
            other.add(user)
    assert of(caught.value).code == "SQS107"
    assert "session.merge(user)" in of(caught.value).instead
    assert "the other one opened" in (of(caught.value).session or "")


def test_a_stranger_that_is_refreshed_is_explained(maker):
    """An entity that the session does not know has a home, which is named."""
    with maker() as session:
        user = session.get(User, 1)
    with maker() as session, pytest.raises(InvalidRequestError) as caught:
        session.refresh(user)
    assert of(caught.value).code == "SQS107"


def test_a_session_with_methods_of_its_own_is_guarded(plain):
    """A method that calls `super().execute()` goes around the guard's; the line is known still."""

    class Extended(Session):
        def exec(self, statement: Any) -> Any:
            return super().execute(statement).scalars()

    own = sessionmaker(plain.kw["bind"], class_=Extended)
    configure(own, guard="raise")

    def program(maker: Any) -> None:
        with maker() as session:  # open, close
            user = session.exec(select(User)).first()
        _ = user.team  # read

    with pytest.raises(DetachedInstanceError) as caught:
        program(own)
    holds(of(caught.value), program)
    assert "in exec" in (of(caught.value).loaded or "")


def test_a_session_that_is_closed_for_good_is_explained(maker):
    """Its open and its close are named."""
    maker.configure(close_resets_only=False)
    with maker() as session:
        session.get(User, 1)
    with pytest.raises(InvalidRequestError) as caught:
        session.get(User, 1)
    assert of(caught.value).code == "SQS108"
    assert (of(caught.value).closed or "").startswith("closed :")


def test_a_result_that_is_read_after_its_session_is_explained(maker):
    """Its rows would have to become entities of a session that is gone."""
    with maker() as session:
        result = session.scalars(select(User))
    with pytest.raises(InvalidRequestError) as caught:
        result.all()
    assert of(caught.value).code == "SQS108"
    assert (of(caught.value).closed or "").startswith("closed :")


def test_sql_in_a_commit_listener_is_explained(maker):
    """The transaction has ended by then."""
    with maker() as session:
        event.listen(session, "after_commit", lambda s: s.get(User, 2))
        session.get(User, 1).name = "new"
        with pytest.raises(InvalidRequestError) as caught:
            session.commit()
    assert of(caught.value).code == "SQS108"
