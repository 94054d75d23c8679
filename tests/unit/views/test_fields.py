"""What a field can be filled from."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import ORMExecuteState, Session, aliased

from sqla_safe import Expr, Path, ViewStatementError, fetch, fetch_one
from tests.unit.views.models import City, Comment, Country, Level, Point, Post, User

ANN = select(User).where(User.id == 1)


@dataclass(frozen=True, slots=True)
class Everything:
    id: int
    name: str
    secret: str | None
    balance: Decimal
    level: Level
    by_value: Level | None
    settings: dict[str, Any]
    token: uuid.UUID
    created_at: dt.datetime
    point: Point
    title: str
    shout: str
    post_count: int
    city_name: str | None


def test_values_are_those_of_the_entity(session: Session) -> None:
    """TypeDecorators, enums, JSON, composites, synonyms, hybrids, column_property, proxies."""
    users = session.scalars(select(User).order_by(User.id)).all()
    found = fetch(session, Everything, select(User).order_by(User.id))
    for view, user in zip(found, users, strict=True):
        for name in Everything.__dataclass_fields__:
            assert getattr(view, name) == getattr(user, name), name
            assert type(getattr(view, name)) is type(getattr(user, name)), name


@dataclass(frozen=True)
class Paths:
    renamed: Annotated[str, Path(User.name)]
    city: Annotated[str | None, Path(User.city, City.name)]
    country: Annotated[str | None, Path(User.city, City.country, Country.name)]
    texts: Annotated[tuple[str, ...], Path(User.posts, Post.text)]


def test_paths_rename_and_reach_through(session: Session, sent: list[str]) -> None:
    """To-one relationships are joined; one statement for the collection of values."""
    ann, bob, cid = fetch(session, Paths, select(User).order_by(User.id))
    assert ann == Paths("Ann", "Amaurot", "Utopia", ("one", "two", "three"))
    assert cid == Paths("Cid", "Nowhere", None, ())
    assert bob.texts == ("four",)
    assert len(sent) == 2


@dataclass(frozen=True)
class Place:
    name: str


@dataclass(frozen=True)
class Beyond:
    cities: Annotated[list[str | None], Path(User.staff, User.city, City.name)]
    countries: Annotated[
        tuple[str | None, ...], Path(User.staff, User.city, City.country, Country.name)
    ]
    places: Annotated[tuple[Place | None, ...], Path(User.staff, User.city)]


def test_paths_go_on_from_a_collection(session: Session, sent: list[str]) -> None:
    """To what each of its rows leads to: a value or an object; one statement for each field."""
    ann = fetch_one(session, Beyond, ANN)
    assert ann.cities == ["Amaurot", "Nowhere"]
    assert ann.countries == ("Utopia", None)
    assert ann.places == (Place("Amaurot"), Place("Nowhere"))
    assert len(sent) == 4


def comments_of(user: type[User]) -> Any:
    """Count the comments on what a user has posted."""
    return (
        select(func.count(Comment.id))
        .join(Post, Comment.post_id == Post.id)
        .where(Post.author_id == user.id)
        .scalar_subquery()
    )


@dataclass(frozen=True)
class Computed:
    id: int
    loud: Annotated[str, Expr(lambda user: func.upper(user.name))]
    comments: Annotated[int, Expr(comments_of)]
    statement: Annotated[
        int, Expr(lambda user: select(func.max(Post.id)).where(Post.author_id == user.id))
    ]


def test_expressions_are_computed(session: Session) -> None:
    """From the class, and from an alias where the statement selects one."""
    assert fetch_one(session, Computed, ANN) == Computed(1, "ANN", 3, 3)
    other = aliased(User)
    statement = select(other).join(User, other.boss_id == User.id).where(other.id == 2)
    assert fetch_one(session, Computed, statement).loud == "BOB"


@dataclass(frozen=True)
class Counted:
    id: int
    posts: Annotated[int, Expr(lambda _: func.count(Post.id))]


def test_an_expression_of_a_joined_class_is_computed(session: Session) -> None:
    """What it reads is in the user's own statement."""
    writers = select(User).join(User.posts).group_by(User.id).order_by(User.id)
    assert fetch(session, Counted, writers) == [Counted(1, 3), Counted(2, 1)]


def test_an_expression_of_a_class_that_is_not_joined_is_refused(
    session: Session, sent: list[str]
) -> None:
    """Each row would be paired with all of the other table, and the count be of no use."""
    for _ in range(3):
        with pytest.raises(ViewStatementError, match=r"Expr of Counted\.posts reads posts, which"):
            fetch(session, Counted, select(User).where(User.id == 1))
    assert not sent


@dataclass(frozen=True)
class CityFirst:
    city: Place | None
    where: Annotated[str | None, Expr(lambda _: City.name)]


@dataclass(frozen=True)
class CityLast:
    where: Annotated[str | None, Expr(lambda _: City.name)]
    city: Place | None


def test_an_expression_may_read_what_the_view_joins(session: Session) -> None:
    """Where the view has joined the class itself; of an alias it would know nothing."""
    everybody = select(User).order_by(User.id)
    found = fetch(session, CityFirst, everybody)
    assert [one.where for one in found] == ["Amaurot", "Amaurot", "Nowhere"]
    with pytest.raises(ViewStatementError, match=r"Expr of CityLast\.where reads cities, which"):
        fetch(session, CityLast, everybody)


def test_a_listener_may_join_what_an_expression_reads(session: Session) -> None:
    """Only the statement that it has seen is executed."""

    def join(state: ORMExecuteState) -> None:
        state.statement = state.statement.join(User.posts)

    event.listen(session, "do_orm_execute", join)
    writers = select(User).group_by(User.id).order_by(User.id)
    assert fetch(session, Counted, writers) == [Counted(1, 3), Counted(2, 1)]


def test_a_grouped_statement_is_kept(session: Session) -> None:
    """What is joined by the view stays out of its GROUP BY."""
    statement = select(User).join(User.posts).group_by(User.id).order_by(User.id)
    found = [(one.name, one.posts) for one in fetch(session, CountedOnly, statement)]
    assert found == [("Ann", 3), ("Bob", 1)]


@dataclass(frozen=True)
class CityCard:
    name: str


@dataclass(frozen=True)
class CountedOnly:
    name: str
    posts: Annotated[int, Expr(lambda _user: func.count(Post.id))]
    city: CityCard | None


@dataclass(frozen=True)
class TextOf:
    id: int
    staff: list[Place]
    text: Annotated[str, Expr(lambda _user: Post.text)]


def test_rows_that_differ_in_an_expression_are_kept_apart(session: Session) -> None:
    """The same entity in two rows of a join is two objects when the rows differ."""
    statement = select(User).join(User.posts).where(User.id == 1).order_by(Post.id)
    found = fetch(session, TextOf, statement)
    assert [one.text for one in found] == ["one", "two", "three"]
    assert found[0].staff == found[1].staff != []
    assert found[0].staff is not found[1].staff
