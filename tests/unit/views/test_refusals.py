"""What is no SELECT of one entity is named, with the line to write instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Integer,
    MetaData,
    Select,
    Table,
    delete,
    func,
    insert,
    lambda_stmt,
    literal_column,
    select,
    text,
    union,
    union_all,
    update,
)
from sqlalchemy.orm import (
    Bundle,
    Session,
    aliased,
    contains_eager,
    defaultload,
    defer,
    immediateload,
    joinedload,
    lazyload,
    load_only,
    raiseload,
    selectin_polymorphic,
    selectinload,
    subqueryload,
    undefer,
    with_expression,
    with_loader_criteria,
)

from sqla_safe import ViewStatementError, fetch, stream_views
from sqla_safe.views._selects import loader_text
from tests.unit.views.models import Comment, Company, Engineer, Person, Post, User


@dataclass(frozen=True)
class Named:
    id: int


PLAIN = Table("plain", MetaData(), Column("id", Integer))
SAME = "with the same where(), order_by() and limit()"
NEEDED = "with where(), order_by() and limit() as you need them"
OTHER = "what is no entity is for session.execute()"
IS_NOT = "is not a SELECT of an entity. Instead:"
SELECTS = "and the view selects its columns itself. Instead:"
TEXT = """the_text = text("SELECT ...").columns({0}.id, ...), with all that the view reads; """
ALIAS = "select(aliased({0}, the_text.subquery()))"

REFUSED: dict[str, tuple[Callable[[Session], Any], str]] = {
    "a column": (
        lambda _: select(User.id).where(User.id == 1),
        f"The statement selects User.id, {SELECTS} select(User), {SAME}",
    ),
    "columns": (
        lambda _: select(User.id, User.name, User.level, User.title, User.shout),
        f"selects User.id, User.name, User.level and 2 more, {SELECTS} select(User), {SAME}",
    ),
    "two entities": (
        lambda _: select(User, Post),
        (
            f"selects User and Post, {SELECTS} select(User), {SAME}; "
            "what a view of it shows of Post is a field of its class"
        ),
    ),
    "an entity and its column": (
        lambda _: select(User, User.id),
        f"selects User and User.id, {SELECTS} select(User), {SAME}",
    ),
    "a column of an alias": (
        lambda _: select(aliased(User).id),
        f"selects aliased(User).id, {SELECTS} select(aliased(User)), {SAME}",
    ),
    "a count": (
        lambda _: select(func.count()).select_from(User),
        f"selects count, {SELECTS} select(Entity), {SAME}; {OTHER}",
    ),
    "a bundle": (lambda _: select(Bundle("b", User.id)), f"{SELECTS} select(User), {SAME}"),
    "a table's columns": (
        lambda _: select(User.__table__),
        f"selects id, name, secret and 11 more, {SELECTS} select(Entity), {SAME}; {OTHER}",
    ),
    "text in its columns": (
        lambda _: select(text("1"), literal_column("'secret'")),
        f"selects an expression and an expression, {SELECTS} select(Entity)",
    ),
    "nothing": (lambda _: select(), f"selects nothing, {SELECTS} select(Entity)"),
    "from_statement": (
        lambda _: select(User).from_statement(text("SELECT * FROM users")),
        f"A select(User).from_statement(...) {IS_NOT} {TEXT.format('User')}{ALIAS.format('User')}",
    ),
    "from_statement of a union": (
        lambda _: select(User).from_statement(union(select(User), select(User))),
        f"from_statement(...) {IS_NOT} select(aliased(User, the_statement.subquery()))",
    ),
    "text": (
        lambda _: text("SELECT * FROM users"),
        f"A text() {IS_NOT} {TEXT.format('Entity')}{ALIAS.format('Entity')}",
    ),
    "text with columns": (
        lambda _: text("SELECT id FROM users").columns(User.id),
        f"A text().columns() {IS_NOT} {ALIAS.format('Entity')}",
    ),
    "a str": (
        lambda _: "SELECT * FROM users",
        f"SQL in a str {IS_NOT} {TEXT.format('Entity')}{ALIAS.format('Entity')}",
    ),
    "a union": (
        lambda _: union_all(select(User), select(User)),
        f"A union {IS_NOT} select(aliased(User, the_union.subquery()))",
    ),
    "a union of columns": (
        lambda _: union(select(User.id), select(User.boss_id)),
        f"A union of columns {IS_NOT} select(User).where(User.id.in_(the_union))",
    ),
    "a union of a union": (
        lambda _: union(union(select(User.id), select(User.id)), select(User.id)),
        f"A union of columns {IS_NOT} select(Entity).where(Entity.id.in_(the_union))",
    ),
    "an insert": (
        lambda _: insert(User).values(id=9).returning(User),
        (
            f"An insert(User).returning(...) {IS_NOT} session.execute(...) for it, then "
            "select(User).where(...) for the rows to show"
        ),
    ),
    "an update": (lambda _: update(User).values(name="x"), f"An update(User) {IS_NOT} session"),
    "a delete": (lambda _: delete(PLAIN), f"A delete(Entity) {IS_NOT} session.execute(...)"),
    "a query": (
        lambda session: session.query(User).filter(User.id == 1),
        f"A session.query(User) {IS_NOT} select(User), with where() in place of filter()",
    ),
    "a query of a column": (
        lambda session: session.query(User.id),
        f"A session.query(User.id) {IS_NOT} select(User), with where()",
    ),
    "a compiled statement": (
        lambda _: select(User).compile(),
        f"A compiled statement {IS_NOT} the statement before its compile(), such as select(User)",
    ),
    "a compiled insert": (
        lambda _: insert(User).compile(),
        f"A compiled statement {IS_NOT} the statement before its compile(), such as select(Entity)",
    ),
    "a lambda": (
        lambda _: lambda_stmt(lambda: select(User)),
        f"A lambda_stmt() {IS_NOT} the select(Entity) that its lambda returns",
    ),
    "a subquery": (
        lambda _: select(User).subquery(),
        f"A Subquery {IS_NOT} the SELECT that it was made of, such as select(User)",
    ),
    "an exists": (
        lambda _: select(User).exists(),
        f"An Exists {IS_NOT} the SELECT that it was made of, such as select(User)",
    ),
    "a table": (lambda _: User.__table__, f"The table users {IS_NOT} select(Entity), the class"),
    "a result": (
        lambda session: session.scalars(select(User)),
        f"A ScalarResult {IS_NOT} the statement itself: fetch executes it",
    ),
    "a class": (lambda _: User, f"The class User {IS_NOT} select(User)"),
    "an alias": (
        lambda _: aliased(User),
        f"An alias of User {IS_NOT} select(it), as in select(aliased(User))",
    ),
    "an object": (lambda _: User(), f"An object of User {IS_NOT} select(User).where(...)"),
    "an attribute": (lambda _: User.id, f"The attribute User.id {IS_NOT} select(User), {NEEDED}"),
    "the view's class": (
        lambda _: Named,
        f"The class Named {IS_NOT} fetch(source, Named, select(Entity)): the view's class comes",
    ),
    "another class": (lambda _: int, f"The class int {IS_NOT} select(Entity), {NEEDED}"),
    "nothing at all": (lambda _: None, f"None {IS_NOT} select(Entity), {NEEDED}"),
    "an object of another kind": (lambda _: 5, f"An int {IS_NOT} select(Entity), {NEEDED}"),
    "a loader option": (
        lambda _: select(User).options(selectinload(User.posts).joinedload(Post.comments)),
        (
            "The statement has the loader option selectinload(User.posts)."
            "joinedload(Post.comments), which says what entities load. Instead: the same without "
            ".options(selectinload(User.posts).joinedload(Post.comments)): the view's class says"
        ),
    ),
    "loader options": (
        lambda _: select(User).options(
            load_only(User.id, User.name), with_loader_criteria(User, User.id > 1), raiseload("*")
        ),
        "has the loader options load_only(User.id, User.name) and raiseload('*'), which say what",
    ),
    "loader options, to be deleted": (
        lambda _: select(User).options(load_only(User.id), raiseload("*")),
        "Instead: the same without .options(load_only(User.id), raiseload('*')): the view's class",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_a_statement_selects_one_entity(session: Session, sent: list[str], name: str) -> None:
    """Anything else is refused with what it is and what to write, and with none of its values."""
    make, told = REFUSED[name]
    statement = make(session)
    sent.clear()
    with pytest.raises(ViewStatementError) as caught:
        fetch(session, Named, statement)
    assert told in str(caught.value)
    assert "secret'" not in str(caught.value)
    with pytest.raises(ViewStatementError):
        stream_views(session, Named, statement)
    assert not sent


def ids(session: Session, statement: Select[Any]) -> list[int]:
    """Return the keys found."""
    return sorted(one.id for one in fetch(session, Named, statement))


def test_what_is_to_be_written_works(session: Session) -> None:
    """Each of the less common repairs, as the error spells it."""
    the_text = text("SELECT id, name FROM users WHERE id < 3").columns(User.id, User.name)
    assert ids(session, select(aliased(User, the_text.subquery()))) == [1, 2]
    the_union = union(select(User).where(User.id == 1), select(User).where(User.id == 3))
    assert ids(session, select(aliased(User, the_union.subquery()))) == [1, 3]
    the_union = union(select(User.id).where(User.id == 1), select(User.boss_id))
    assert ids(session, select(User).where(User.id.in_(the_union))) == [1]
    changed = update(User).where(User.id == 2).values(name="B").returning(User.id)
    keys = session.scalars(changed).all()
    assert ids(session, select(User).where(User.id.in_(keys))) == [2]


@pytest.mark.parametrize(
    ("option", "written"),
    [
        (selectinload(User.posts), "selectinload(User.posts)"),
        (joinedload(User.city, innerjoin=True), "joinedload(User.city)"),
        (subqueryload(User.posts), "subqueryload(User.posts)"),
        (immediateload(User.posts), "immediateload(User.posts)"),
        (lazyload(User.posts), "lazyload(User.posts)"),
        (raiseload(User.posts, sql_only=True), "raiseload(User.posts)"),
        (contains_eager(User.posts), "contains_eager(User.posts)"),
        (defaultload(User.posts).defer(Post.text), "defaultload(User.posts).defer(Post.text)"),
        (load_only(User.id), "load_only(User.id)"),
        (undefer(User.name), "undefer(User.name)"),
        (defer(User.name, raiseload=True), "defer(User.name)"),
        (with_expression(User.name, User.secret), "with_expression(User.name, ...)"),
        (lazyload("*"), "lazyload('*')"),
        (joinedload(aliased(User, name="u").posts), "joinedload(User.posts)"),
        (selectinload(Company.staff.of_type(Engineer)), "selectinload(Company.staff)"),
        (
            selectinload(User.posts).options(joinedload(Post.comments), defer(Post.text)),
            "selectinload(User.posts).joinedload(Post.comments).defer(Post.text)",
        ),
        (selectin_polymorphic(Person, [Engineer]), "Load(...)"),
        (object(), "object(...)"),
    ],
    ids=str,
)
def test_a_loader_option_is_told_as_it_is_written(option: Any, written: str) -> None:
    """As far as SQLAlchemy keeps what was written; else by its class."""
    assert loader_text(option) == written


def test_a_loader_option_below_another_is_told(session: Session) -> None:
    """One that is nested in the option of a relationship."""
    nested = selectinload(User.posts).selectinload(Post.comments).load_only(Comment.id)
    with pytest.raises(ViewStatementError) as caught:
        fetch(session, Named, select(User).options(nested))
    told = "selectinload(User.posts).selectinload(Post.comments).load_only(Comment.id)"
    assert told in str(caught.value)
