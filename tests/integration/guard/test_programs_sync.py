"""Small sync programs, each with one mistake of real code: every fact of it is told."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any
from weakref import ref

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import event, inspect, select, text
from sqlalchemy.exc import IntegrityError, InvalidRequestError
from sqlalchemy.orm import (
    contains_eager,
    defer,
    joinedload,
    load_only,
    scoped_session,
    subqueryload,
)
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import configure, explain, install
from sqla_safe.guard._provenance import KEPT, LoadSite, origin_of
from tests.integration.guard.models import Channel, EmailChannel, Post, Team, User
from tests.integration.guard.support import holds, of, told


def first_of_a_query(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.query(User).filter(User.id == 1).first()  # load
    _ = user.posts  # read


def query_that_is_iterated(maker: Any) -> None:
    with maker() as session:  # open, close
        query = session.query(User).order_by(User.id)
        users = list(query)  # load
    _ = users[0].team  # read


def query_with_options(maker: Any) -> None:
    with maker() as session:  # open, close
        posts = session.query(Post).options(joinedload(Post.user)).all()  # load
    _ = posts[0].user.team  # read


def query_with_a_subquery_load(maker: Any) -> None:
    with maker() as session:  # open, close
        users = session.query(User).options(subqueryload(User.posts)).all()  # load
    _ = users[0].team  # read


def join_that_is_contained(maker: Any) -> None:
    with maker() as session:  # open, close
        query = select(Post).join(Post.user).options(contains_eager(Post.user))
        post = session.scalars(query).first()  # load
    _ = post.user.team  # read


def rows_of_entities(maker: Any) -> None:
    with maker() as session:  # open, close
        rows = session.execute(select(User, Post).join(Post)).all()  # load
    for user, _post in rows:
        _ = user.team  # read


def text_as_entities(maker: Any) -> None:
    with maker() as session:  # open, close
        query = select(User).from_statement(text("SELECT * FROM person WHERE id = 1"))
        user = session.scalars(query).one()  # load
    _ = user.team  # read


def unique_results(maker: Any) -> None:
    with maker() as session:  # open, close
        query = select(User).options(joinedload(User.posts))
        users = session.scalars(query).unique().all()  # load
    _ = users[0].posts[0].user  # read


def partitions_of_a_result(maker: Any) -> None:
    with maker() as session:  # open, close
        result = session.scalars(select(User).execution_options(yield_per=2))  # load
        users = [user for part in result.partitions() for user in part]
    _ = users[-1].team  # read


def columns_left_out(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.scalars(select(User).options(load_only(User.id))).first()  # load
    _ = user.name  # read


def column_deferred_by_an_option(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1, options=[defer(User.name)])  # load
    _ = user.name  # read


def refreshed_without_the_relationship(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        _ = user.posts
        session.refresh(user)  # why
    _ = user.posts  # read


def expired_by_name(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        session.expire(user, ["name"])  # why
    _ = user.name  # read


def everything_expired(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        session.expire_all()  # why
    _ = user.name  # read


def savepoint_that_failed(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        with suppress(IntegrityError), session.begin_nested():
            user.name = "other"
            session.flush()
            session.add(Team(id=1, name="there is one already"))
            session.flush()  # why
    _ = user.name  # read


def commit_that_failed(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        try:
            session.add(Team(id=1, name="there is one already"))
            session.commit()  # why
        except IntegrityError:
            session.rollback()
    _ = user.name  # read


def rollback_in_a_helper(maker: Any) -> None:
    def give_up(session: Any) -> None:
        session.rollback()  # why

    maker.configure(expire_on_commit=False)
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        give_up(session)
    _ = user.name  # read


def exception_out_of_a_begin_block(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    user = None
    with suppress(ValueError), maker.begin() as session:  # open, close, why
        user = session.get(User, 1)  # load
        raise ValueError
    _ = user.name  # read


def closed_in_finally(maker: Any) -> None:
    session = maker()  # open
    try:
        user = session.get(User, 1)  # load
    finally:
        session.close()  # close
    _ = user.team  # read


def session_of_a_registry(maker: Any) -> None:
    registry = scoped_session(maker)
    user = registry.get(User, 1)  # load, open
    registry.remove()  # close
    _ = user.team  # read


def exit_stack(maker: Any) -> None:
    with ExitStack() as stack:  # close
        session = stack.enter_context(maker())  # open
        user = session.get(User, 1)  # load
    _ = user.team  # read


def generator_dependency(maker: Any) -> None:
    def database() -> Iterator[Any]:
        session = maker()
        try:
            yield session
        finally:
            session.close()

    for session in database():  # open, close
        user = session.get(User, 1)  # load
    _ = user.team  # read


class _Database:
    def __init__(self, maker: Any) -> None:
        self.maker = maker

    def __enter__(self) -> Any:
        self.session = self.maker()
        return self.session

    def __exit__(self, *_: object) -> None:
        self.session.close()


def class_with_an_exit(maker: Any) -> None:
    with _Database(maker) as session:  # open, close
        user = session.get(User, 1)  # load
    _ = user.team  # read


def two_helpers_deep(maker: Any) -> None:
    @contextmanager
    def database() -> Iterator[Any]:
        with maker() as session:
            yield session

    @contextmanager
    def users() -> Iterator[Any]:
        with database() as session:
            yield session

    with users() as session:  # open, close
        user = session.get(User, 1)  # load
    _ = user.team  # read


def thread_that_outlives_the_block(maker: Any) -> None:
    ended = threading.Event()

    def work(user: User) -> Any:
        ended.wait(5)
        return user.team  # read

    with ThreadPoolExecutor(1) as pool:
        with maker() as session:  # open, close
            user = session.get(User, 1)  # load
            future = pool.submit(work, user)
        ended.set()
        future.result()


def lambda_that_outlives_the_block(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
        later = lambda: user.posts  # noqa: E731  # read
    later()


class _Card(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: int
    posts: list[Any]


def encoder_of_json(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
    json.dumps({"user": user}, default=lambda user: user.team)  # read


def copied_entity(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
    _ = copy.copy(user).team  # read


def set_relationship(maker: Any) -> None:
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
    user.posts = []  # read


def subclass_in_a_list(maker: Any) -> None:
    with maker() as session:  # open, close
        channels = session.scalars(select(Channel)).all()  # load
    for channel in channels:
        if isinstance(channel, EmailChannel):
            _ = channel.address  # read


def added_to_another_session(maker: Any) -> None:
    maker.configure(expire_on_commit=False)
    with maker() as session:
        user = session.get(User, 1)  # load
    with maker() as session:  # open, close
        session.add(user)
        user.name = "new"
        session.commit()
    _ = user.team  # read


CASES: list[tuple[Any, str, str]] = [
    (first_of_a_query, "SQS101", "User.posts"),
    (query_that_is_iterated, "SQS101", "User.team"),
    (query_with_options, "SQS101", "User.team"),
    (query_with_a_subquery_load, "SQS101", "User.team"),
    (join_that_is_contained, "SQS101", "User.team"),
    (rows_of_entities, "SQS101", "User.team"),
    (text_as_entities, "SQS101", "User.team"),
    (unique_results, "SQS101", "Post.user"),
    (partitions_of_a_result, "SQS101", "User.team"),
    (columns_left_out, "SQS101", "User.name"),
    (column_deferred_by_an_option, "SQS101", "User.name"),
    (refreshed_without_the_relationship, "SQS112", "User.posts"),
    (expired_by_name, "SQS112", "User.name"),
    (everything_expired, "SQS112", "User.name"),
    (savepoint_that_failed, "SQS105", "User.name"),
    (commit_that_failed, "SQS105", "User.name"),
    (rollback_in_a_helper, "SQS104", "User.name"),
    (exception_out_of_a_begin_block, "SQS104", "User.name"),
    (closed_in_finally, "SQS101", "User.team"),
    (session_of_a_registry, "SQS101", "User.team"),
    (exit_stack, "SQS101", "User.team"),
    (generator_dependency, "SQS101", "User.team"),
    (class_with_an_exit, "SQS101", "User.team"),
    (two_helpers_deep, "SQS101", "User.team"),
    (thread_that_outlives_the_block, "SQS101", "User.team"),
    (lambda_that_outlives_the_block, "SQS101", "User.posts"),
    (encoder_of_json, "SQS101", "User.team"),
    (copied_entity, "SQS101", "User.team"),
    (set_relationship, "SQS101", "User.posts"),
    (subclass_in_a_list, "SQS101", "EmailChannel.address"),
    (added_to_another_session, "SQS101", "User.team"),
]


def needs_two_statements_at_once(maker: Any) -> None:
    """Skip a test on PyMySQL, which runs none while the rows of another are on their way."""
    if maker.kw["bind"].dialect.name == "mysql":
        pytest.skip("PyMySQL runs one statement at a time")


@pytest.mark.parametrize(
    ("program", "code", "attribute"), CASES, ids=[case[0].__name__ for case in CASES]
)
def test_a_mistake_is_told(maker, program, code, attribute):
    """SQLAlchemy's own exception, the attribute, and the lines of the program that matter."""
    if program is partitions_of_a_result:
        needs_two_statements_at_once(maker)
    with pytest.raises(DetachedInstanceError) as caught:
        program(maker)
    explanation = of(caught.value)
    assert explanation.code == code, str(explanation)
    assert f"{explanation.entity}.{explanation.attribute}" == attribute
    holds(explanation, program)


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
    assert "test_programs_sync.py" in (of(caught.value).loaded or "")


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


def test_a_load_in_a_commit_listener_names_the_attribute(maker):
    """The session has no transaction there, and the attribute is the reason to want one."""
    with maker() as session:
        user = session.get(User, 1)
        event.listen(session, "after_commit", lambda _: user.team)
        with pytest.raises(InvalidRequestError) as caught:
            session.commit()
    explanation = of(caught.value)
    assert explanation.code == "SQS108"
    assert (explanation.entity, explanation.attribute) == ("User", "team")
    assert "test_programs_sync.py" in (explanation.loaded or "")


def test_a_relationship_to_an_entity_of_another_session(maker):
    """`add` reaches it by a cascade; the entity that is named is the stranger."""
    with maker() as session, maker() as other:
        user = session.get(User, 1)
        with pytest.raises(InvalidRequestError) as caught:
            other.add(Post(id=99, user=user, title="new"))
            other.flush()
    assert of(caught.value).code == "SQS107"


def test_a_method_of_the_entity_is_where_it_is_read(maker):
    """It is the user's code; the line that called it is in the traceback."""
    with maker() as session:
        user = session.get(User, 1)
    with pytest.raises(DetachedInstanceError) as caught:
        _ = user.titles
    assert (of(caught.value).read or "").endswith("in titles")
    assert of(caught.value).attribute == "posts"


def test_a_template_is_read_where_it_is_rendered(maker):
    """The lines of generated code are not those of the template."""
    with maker() as session:
        user = session.get(User, 1)
    scope: dict[str, Any] = {"user": user}
    code = compile("\n" * 40 + "user.team", "/app/templates/user.html", "eval")
    with pytest.raises(DetachedInstanceError) as caught:
        eval(code, scope)  # noqa: S307
    assert "test_programs_sync.py" in (of(caught.value).read or "")


def test_a_validator_that_wraps_the_error_is_explained(maker):
    """Pydantic keeps no more of it than its text."""
    with maker() as session:
        user = session.get(User, 1)
    with pytest.raises(ValidationError) as caught:
        _Card.model_validate(user)
    explanation = explain(caught.value)
    assert explanation is not None
    assert (explanation.code, explanation.attribute) == ("SQS101", "posts")
    assert "test_programs_sync.py" in (explanation.read or "")


def test_n_plus_one_in_a_comprehension(maker, caplog):
    """The line that reads is the comprehension's."""
    caplog.set_level(logging.WARNING)

    def program() -> None:
        with maker() as session:  # open
            users = session.scalars(select(User)).all()  # load
            _ = {user.id: len(user.posts) for user in users}  # read

    program()
    [explanation] = told(caplog)
    holds(explanation, program)


def test_n_plus_one_in_a_method_of_the_entity(maker, caplog):
    """One site, however it is called."""
    caplog.set_level(logging.WARNING)
    with maker() as session:
        for user in session.query(User):
            _ = user.titles
    assert [e.attribute for e in told(caplog)] == ["posts"]


def test_two_attributes_at_one_line_are_two(maker, caplog):
    """Each is told with its own option."""
    caplog.set_level(logging.WARNING)
    with maker() as session:
        for user in session.scalars(select(User)).all():
            _ = user.posts, user.bio
    assert sorted(e.attribute or "" for e in told(caplog)) == ["bio", "posts"]


def test_a_statement_in_a_listener_is_marked(maker):
    """It runs in the middle of another operation, and is the user's all the same."""
    found = []

    def look(session: Any, *_: Any) -> None:
        found.append(session.get(User, 2))

    with maker() as session:
        event.listen(session, "before_flush", look)
        session.get(User, 1).name = "new"
        session.flush()
    with pytest.raises(DetachedInstanceError) as caught:
        _ = found[0].team
    assert (of(caught.value).loaded or "").endswith("in look")


def test_installed_for_all_sessions(plain):
    """The same programs with `install`."""
    with install("raise"), pytest.raises(DetachedInstanceError) as caught:
        query_with_options(plain)
    holds(of(caught.value), query_with_options)
