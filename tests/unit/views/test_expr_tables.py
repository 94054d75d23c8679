"""Expressions that read more than their entity: accepted where it is joined, refused elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any

import pytest
from sqlalchemy import (
    Integer,
    Select,
    String,
    column,
    exists,
    func,
    literal_column,
    select,
    table,
    text,
    true,
    values,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session, aliased, with_loader_criteria

from sqla_safe import (
    Expr,
    Path,
    ViewDefinitionError,
    ViewStatementError,
    fetch,
    stream_views,
    view_plan,
)
from sqla_safe.views._views import view_of
from tests.unit.views.models import (
    City,
    Comment,
    Company,
    Engineer,
    Order,
    Post,
    Tag,
    User,
    tagged,
)

USERS = select(User).order_by(User.id)
POST_ALIAS = aliased(Post)
NAMED_ALIAS = aliased(Post, name="written")
FLAT_ALIAS = aliased(Engineer, flat=True)
PLAIN = table("posts", column("id", Integer), column("author_id", Integer), column("text", String))
COUNTS = select(Post.author_id, func.count().label("n")).group_by(Post.author_id)
SUBQUERY = COUNTS.subquery()
NAMED_SUBQUERY = COUNTS.subquery("totals")
CTE = COUNTS.cte("counts")
TEXTUAL = (
    text("SELECT author_id, count(*) AS n FROM posts GROUP BY author_id")
    .columns(column("author_id", Integer), column("n", Integer))
    .subquery("textual")
)
VALUES = values(column("id", Integer), column("n", Integer), name="given").data([(1, 3), (2, 1)])
LATERAL = select(Post.text).where(Post.author_id == User.id).limit(1).lateral("latest")


def view(build: Callable[[Any], Any], kind: Any = int) -> Any:
    """Return a view with the key of an entity and an expression."""
    field = Annotated[kind, Expr(build)]
    return make_dataclass("Seen", [("id", int), ("value", field)], frozen=True)


def pairs(session: Session, into: Any, statement: Select[Any]) -> list[tuple[int, Any]]:
    """Return what a view found."""
    return [(one.id, one.value) for one in fetch(session, into, statement)]


@pytest.mark.parametrize(
    ("build", "statement"),
    [
        (lambda _: Post.id, USERS.where(Post.author_id == User.id)),
        (lambda _: Post.id, USERS.join(User.posts)),
        (lambda _: Post.id, USERS.join(Post, text("posts.author_id = users.id"))),
        (lambda _: literal_column("posts.id", Integer), USERS.join(User.posts)),
        (lambda _: PLAIN.c.id, USERS.join(PLAIN, PLAIN.c.author_id == User.id)),
        (lambda _: PLAIN.c.id, USERS.where(PLAIN.c.author_id == User.id)),
        (lambda _: POST_ALIAS.id, USERS.join(POST_ALIAS, POST_ALIAS.author_id == User.id)),
        (lambda _: POST_ALIAS.id, USERS.join(User.posts.of_type(POST_ALIAS))),
        (lambda _: Post.id, select(User).select_from(Post).join(Post.author).order_by(Post.id)),
        (
            lambda _: Post.id,
            USERS.options(with_loader_criteria(User, User.id == Post.author_id)),
        ),
    ],
)
def test_what_is_joined_is_accepted(session: Session, build: Any, statement: Select[Any]) -> None:
    """By the ORM, by a condition, in text, under an alias, or as a table that is only named."""
    found = sorted(pairs(session, view(build), statement))
    assert found == [(1, 1), (1, 2), (1, 3), (2, 4)]


@pytest.mark.filterwarnings("ignore:SELECT statement has a cartesian product")
@pytest.mark.parametrize(
    ("build", "statement"),
    [
        (lambda _: Post.id, USERS.where(text("posts.author_id = users.id"))),
        (lambda _: Post.id, USERS.where(literal_column("posts.author_id") == User.id)),
        (lambda _: Post.id, USERS.where(text('users.id = "POSTS".author_id AND posts.id > 0'))),
        (lambda _: NAMED_ALIAS.id, USERS.where(text("written.author_id = users.id"))),
    ],
)
def test_what_text_may_join_is_accepted(
    session: Session, build: Any, statement: Select[Any]
) -> None:
    """Only the database can read it; SQLAlchemy warns of a cartesian product."""
    found = sorted(pairs(session, view(build), statement))
    assert found == [(1, 1), (1, 2), (1, 3), (2, 4)]


@pytest.mark.parametrize("counts", [SUBQUERY, NAMED_SUBQUERY, CTE, TEXTUAL])
def test_a_joined_subquery_is_accepted(session: Session, counts: Any) -> None:
    """With a name or without, written as text or not, or as a CTE."""
    joined = USERS.join(counts, counts.c.author_id == User.id)
    assert pairs(session, view(lambda _: counts.c.n), joined) == [(1, 3), (2, 1)]


def test_joined_values_are_accepted(session: Session) -> None:
    """A table that the statement brings along."""
    statement = USERS.join(VALUES, VALUES.c.id == User.id)
    root = view_of(view(lambda _: VALUES.c.n), statement, validate=True).prepared(
        statement, has_listeners=False
    )
    assert "JOIN (VALUES" in str(root.root.compile(dialect=postgresql.dialect()))


@pytest.mark.parametrize("statement", [USERS, USERS.join(LATERAL, true())])
def test_a_lateral_is_accepted(statement: Select[Any]) -> None:
    """It sees the row that it stands beside, joined or not."""
    into = view(lambda _: LATERAL.c.text, str)
    root = view_of(into, statement, validate=True).prepared(statement, has_listeners=False)
    assert "LATERAL (SELECT" in str(root.root.compile(dialect=postgresql.dialect()))


def test_a_function_that_gives_rows_is_accepted(session: Session) -> None:
    """It is given the row that it stands beside."""

    def key(user: type[User]) -> Any:
        return func.json_each(user.settings).table_valued("key", joins_implicitly=True).c.key

    into = view(key, str)
    assert pairs(session, into, USERS) == [(1, "a")]


def test_the_table_between_two_classes_is_accepted(session: Session) -> None:
    """Where it is joined by its own name; a relationship joins it under another."""
    into = view(lambda _: tagged.c.tag_id)
    joined = USERS.join(tagged, tagged.c.user_id == User.id).order_by(tagged.c.tag_id)
    assert pairs(session, into, joined) == [(1, 1), (1, 2), (2, 1)]
    with pytest.raises(ViewStatementError, match="reads tagged, which"):
        fetch(session, into, USERS.join(User.tags))


def test_the_tables_of_a_subclass_are_accepted(session: Session) -> None:
    """Where all of them are joined, as themselves or as an alias of both."""
    companies = select(Company)
    plain = companies.join(Company.engineers)
    assert pairs(session, view(lambda _: Engineer.language, str), plain) == [(1, "Python")]
    flat = companies.join(Company.staff.of_type(FLAT_ALIAS))
    assert pairs(session, view(lambda _: FLAT_ALIAS.language, str), flat) == [(1, "Python")]


@dataclass(frozen=True)
class CityCard:
    name: str


@dataclass(frozen=True)
class WithCity:
    id: int
    city: CityCard | None
    shown: Annotated[str | None, Expr(lambda _: func.upper(City.name))]


def test_what_the_view_joins_is_accepted(session: Session) -> None:
    """A to-one relationship of the view itself."""
    [one] = fetch(session, WithCity, select(User).where(User.id == 1))
    assert one == WithCity(1, CityCard("Amaurot"), "AMAUROT")


APART: dict[str, tuple[Any, Any]] = {
    "posts": (lambda _: Post.id, USERS),
    "an alias of posts": (lambda _: aliased(Post).id, USERS),
    "an alias of posts (joined under another)": (
        lambda _: aliased(Post).id,
        USERS.join(POST_ALIAS, POST_ALIAS.author_id == User.id),
    ),
    "written, an alias of posts": (lambda _: NAMED_ALIAS.id, USERS),
    "posts (a TableClause)": (lambda _: PLAIN.c.id, USERS),
    "posts (in another's subquery)": (lambda _: Post.id, USERS.where(User.id.in_(select(Tag.id)))),
    "posts (only sorted by)": (lambda _: Post.id, USERS.order_by(Post.id)),
    "posts (read in a subquery)": (
        lambda _: Post.id,
        USERS.where(User.id.in_(select(Post.author_id))),
    ),
    "posts (in text that says nothing of it)": (
        lambda _: Post.id,
        USERS.where(text("users.name != 'outposts'")),
    ),
    "a subquery": (lambda _: SUBQUERY.c.n, USERS),
    "the subquery totals": (lambda _: NAMED_SUBQUERY.c.n, USERS),
    "the CTE counts": (lambda _: CTE.c.n, USERS),
    "the subquery textual": (lambda _: TEXTUAL.c.n, USERS),
    "the values given": (lambda _: VALUES.c.n, USERS),
    "people JOIN engineers": (lambda _: Engineer.language, USERS),
    "an alias of people JOIN an alias of engineers": (lambda _: FLAT_ALIAS.language, USERS),
}


@pytest.mark.parametrize("called", list(APART))
def test_what_is_surely_not_joined_is_refused(
    session: Session, sent: list[str], called: str
) -> None:
    """Each row would be paired with all of its rows; the error says what it is."""
    build, statement = APART[called]
    name = called.split(" (", maxsplit=1)[0]
    into = view(build, Any)
    for _ in range(3):
        with pytest.raises(ViewStatementError) as caught:
            fetch(session, into, statement)
        assert f"The Expr of Seen.value reads {name}, which the statement" in str(caught.value)
        assert "a subquery in the Expr, as in select(" in str(caught.value)
    with pytest.raises(ViewStatementError):
        stream_views(session, into, statement)
    assert not sent


def test_a_class_that_an_alias_stands_for_is_refused(session: Session) -> None:
    """An Expr of the class pairs it with its alias, and is told to use what it is given."""
    other = aliased(User)
    into = view(lambda _: func.upper(User.name), str)
    match = r"reads users, which the statement does not join(.|\n)*lambda user: user\.name"
    with pytest.raises(ViewStatementError, match=match):
        fetch(session, into, select(other))
    assert len(fetch(session, into, select(other).join(User, User.id == other.boss_id))) == 2
    assert len(fetch(session, view(lambda user: func.upper(user.name), str), select(other))) == 3


def joined_comment(_: Any) -> Any:
    """Read another table, under an alias that nothing joins."""
    return aliased(Comment).id


@dataclass(frozen=True)
class PostCard:
    comment: Annotated[int, Expr(joined_comment)]


@dataclass(frozen=True)
class Writer:
    posts: tuple[PostCard, ...]


@dataclass(frozen=True)
class LineCard:
    same: Annotated[str, Expr(lambda line: select(Order.shop).where(Order.shop == line.shop))]
    what: Annotated[str, Expr(lambda line: func.upper(line.what))]


def test_an_alias_below_the_root_is_refused_when_it_is_defined() -> None:
    """No statement of the user's can join it."""
    match = r"PostCard\.comment: its Expr reads an alias of comments; write a subquery in the Expr"
    with pytest.raises(ViewDefinitionError, match=match):
        view_plan(Writer, User)


@dataclass(frozen=True)
class Ordered:
    lines: tuple[LineCard, ...]


def test_an_expression_of_its_own_entity_is_accepted_below_the_root(session: Session) -> None:
    """A subquery reads what it likes."""
    [a, b] = fetch(session, Ordered, select(Order).order_by(Order.shop))
    assert [line.what for line in (*a.lines, *b.lines)] == ["TEA", "JAM", "MILK"]


@dataclass(frozen=True)
class AuthorCard:
    name: Annotated[str, Expr(lambda user: func.upper(user.name))]


@dataclass(frozen=True)
class Written:
    authors: Annotated[tuple[AuthorCard | None, ...], Path(Post.comments, Comment.author)]


def test_an_expression_of_what_is_joined_below_is_accepted(session: Session) -> None:
    """A to-one that the view joins is read under whatever name it has there."""
    session.execute(Comment.__table__.update().values(author_id=2))  # type: ignore[attr-defined]
    found = fetch(session, Written, select(Post).where(Post.id == 1))
    assert found == [Written((AuthorCard("BOB"),))]


def test_what_sqlalchemy_cannot_read_it_says_itself(session: Session) -> None:
    """A statement that is wrong without a view stays so, in SQLAlchemy's own words."""
    inner = exists(select(1).where(Post.author_id == User.id))
    with pytest.raises(Exception, match="auto-correlation"):
        fetch(session, view(lambda _: Post.id), USERS.where(inner))
