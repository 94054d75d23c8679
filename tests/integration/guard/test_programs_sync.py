"""Small sync programs, each with one mistake of real code: every fact of it is told."""

from __future__ import annotations

import copy
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import event, select, text
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

from sqla_safe import explain, install
from tests.integration.guard.models import Channel, EmailChannel, Post, Team, User
from tests.integration.guard.support import holds, needs_two_statements_at_once, of, told


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
