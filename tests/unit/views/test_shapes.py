"""A view gives the rows that its statement finds, whatever this is made of and came before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Engine,
    Integer,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    select,
    text,
    true,
    tuple_,
    union,
)
from sqlalchemy.orm import (
    Session,
    aliased,
    with_parent,
)

from sqla_safe import fetch
from tests.unit.views.models import NOON, City, Level, Point, Post, User


@dataclass(frozen=True)
class PostCard:
    id: int


@dataclass(frozen=True)
class UserCard:
    id: int
    posts: tuple[PostCard, ...]


Condition = Callable[[Session, int], ColumnElement[bool] | Any]
CONDITIONS: dict[str, Condition] = {
    "a value": lambda _, n: User.id == n,
    "in the SQL itself": lambda _, n: User.id == bindparam("q", n, literal_execute=True),
    "a list in the SQL itself": lambda _, n: User.id.in_(
        bindparam("q", [n, 3], expanding=True, literal_execute=True)
    ),
    "a lambda": lambda _, n: lambda: User.id == n,
    "a text": lambda _, n: text("users.id = :x").bindparams(x=n),
    "a column as it is written": lambda _, n: User.id == literal_column(str(n)),
    "lists of any length": lambda _, n: User.id.in_(range(n)),
    "what is in no list": lambda _, n: User.id.not_in(range(n)),
    "lists of pairs": lambda _, n: tuple_(User.id, User.tenant).in_([(k, 1) for k in range(n)]),
    "an enum": lambda _, n: User.level == (Level.HIGH if n == 1 else Level.LOW),
    "NULL or an enum": lambda _, n: User.by_value == (None if n == 2 else Level.LOW),
    "a type of one's own": lambda _, n: User.secret == ("abc" if n == 1 else "cba"),
    "a decimal": lambda _, n: User.balance > Decimal(n * 2),
    "an integer for a decimal": lambda _, n: User.balance > (n if n % 2 else Decimal(n)),
    "literals of two types": lambda _, n: User.id == literal(n, Integer if n % 2 else BigInteger),
    "a key in JSON": lambda _, n: User.settings["a" if n == 1 else "b"].is_not(None),
    "a value in JSON": lambda _, n: User.settings["a"][0].as_integer() == n,
    "an entity": lambda session, n: User.boss == session.get(User, n),
    "an entity or none": lambda session, n: User.boss == (session.get(User, n) if n > 1 else None),
    "an element": lambda session, n: User.posts.contains(session.get(Post, n)),
    "a parent": lambda session, n: with_parent(session.get_one(User, n), User.staff),
    "any": lambda _, n: User.posts.any(Post.id == n),
    "has": lambda _, n: User.city.has(City.id == n),
    "a function": lambda _, n: func.coalesce(User.boss_id, n) == n,
    "a case": lambda _, n: case((User.id == n, True), else_=False),
    "a pattern": lambda _, n: User.name.startswith("ABC"[n - 1]),
    "an escaped pattern": lambda _, n: User.name.contains("n" if n == 1 else "%", autoescape=True),
    "a moment": lambda _, n: User.created_at > NOON.replace(year=2024 + n),
    "a composite": lambda _, n: User.point == Point(n, 2),
    "a hybrid": lambda _, n: User.shout == ("ANN", "BOB", "CID")[n - 1],
    "NULL or a value": lambda _, n: User.boss_id == (None if n == 2 else n),
    "NULL like a value": lambda _, n: User.boss_id.is_not_distinct_from(None if n == 2 else 1),
    "always or not": lambda _, n: true() if n == 1 else User.id == n,
    "one name twice": lambda _, n: (User.id == bindparam("n", n)) & (User.id >= bindparam("n", n)),
    "names of two types": lambda _, n: (
        bindparam("t", n, Integer if n % 2 else BigInteger) == User.id
    ),
    "a subquery": lambda _, n: User.id.in_(select(Post.author_id).where(Post.id >= n)),
    "a limit in a subquery": lambda _, n: User.id.in_(select(Post.author_id).limit(n)),
}


def bosses(number: int) -> Any:
    """Return everybody below somebody."""
    below = select(User.id.label("i")).where(User.id == number).cte("below", recursive=True)
    below = below.union_all(select(User.id).join(below, User.boss_id == below.c.i))
    return select(User).join(below, below.c.i == User.id).order_by(User.id)


STATEMENTS: dict[str, Callable[[int], Any]] = {
    "a limit": lambda n: select(User).order_by(User.id).limit(n),
    "an offset": lambda n: select(User).order_by(User.id).offset(n - 1),
    "an order": lambda n: select(User).order_by(func.abs(User.id - n), User.id),
    "a group": lambda n: (
        select(User).join(User.posts).group_by(User.id).having(func.count() >= n).order_by(User.id)
    ),
    "an alias": lambda n: select(aliased(User, select(User).where(User.id >= n).subquery())),
    "a union": lambda n: select(
        aliased(User, union(*[select(User).where(User.id == one) for one in (n, 3)]).subquery())
    ),
    "from elsewhere": lambda n: (
        select(User).select_from(Post).join(Post.author).where(Post.id == n)
    ),
    "a recursion": bosses,
}


def shown(session: Session, statement: Any) -> list[UserCard]:
    """The same as a view, from entities."""
    return [
        UserCard(user.id, tuple([PostCard(post.id) for post in user.posts]))
        for user in session.scalars(statement)
    ]


@pytest.mark.parametrize("name", [*CONDITIONS, *STATEMENTS])
def test_a_statement_finds_what_it_finds(engine: Engine, name: str) -> None:
    """As the entities that it loads, the first time and later, with any values in any order."""
    for number in (1, 2, 3, 2, 1):
        with Session(engine) as session:
            if name in CONDITIONS:
                where = CONDITIONS[name](session, number)
                statement = select(User).where(where).order_by(User.id)
            else:
                statement = STATEMENTS[name](number)
            assert fetch(session, UserCard, statement) == shown(session, statement)
