"""A SQLite database in memory with a small shop, and a count of what is sent to it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from sqla_safe.views import _views
from tests.engines import in_memory
from tests.unit.views.models import (
    Base,
    City,
    Comment,
    Company,
    Country,
    Engineer,
    Level,
    Line,
    Manager,
    Mark,
    Node,
    Note,
    Order,
    Person,
    Post,
    Profile,
    Tag,
    User,
)


def store(session: Session) -> None:
    """Fill a database."""
    land = Country(id=1, name="Utopia")
    city = City(id=1, name="Amaurot", country=land)
    lonely = City(id=2, name="Nowhere")
    red, blue = Tag(id=1, name="red"), Tag(id=2, name="blue")
    ann = User(
        id=1,
        name="Ann",
        secret="abc",
        balance=Decimal("12.50"),
        level=Level.HIGH,
        by_value=Level.LOW,
        settings={"a": [1, {"b": None}]},
        city=city,
        tags=[red, blue],
        profile=Profile(id=1, bio="likes tea"),
        marks={Mark(id=1, name="first"), Mark(id=2, name="second")},
        notes={"door": Note(id=1, key="door", text="shut")},
        posts=[
            Post(id=1, text="one", is_loud=True, comments=[Comment(id=1, text="c1", author_id=2)]),
            Post(id=2, text="two", comments=[Comment(id=2, text="c2"), Comment(id=3, text="c3")]),
            Post(id=3, text="three", is_loud=True),
        ],
    )
    bob = User(id=2, name="Bob", city=city, boss=ann, tags=[red], posts=[Post(id=4, text="four")])
    cid = User(id=3, name="Cid", boss=ann, tenant=2, city=lonely)
    session.add_all([ann, bob, cid])
    root = Node(id=1, name="root", children=[Node(id=2, name="left"), Node(id=3, name="right")])
    root.children[0].children = [Node(id=4, name="leaf")]
    session.add(root)
    session.add(Order(shop="a", number=1, lines=[Line(id=1, what="tea"), Line(id=2, what="jam")]))
    session.add(Order(shop="b", number=1, lines=[Line(id=3, what="milk")]))
    staff = [
        Manager(id=1, name="Mia", budget=100),
        Engineer(id=2, name="Eve", language="Python"),
        Person(id=3, name="Pat"),
    ]
    session.add(Company(id=1, name="Acme", staff=staff))
    session.commit()


@pytest.fixture
def engine() -> Iterator[Engine]:
    """Give a filled database."""
    with in_memory(Base) as engine:
        with Session(engine) as session:
            store(session)
        yield engine


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """Give a session on it."""
    with Session(engine) as session:
        yield session


@pytest.fixture
def sent(engine: Engine) -> list[str]:
    """Give the list of the statements that are sent from now on."""
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    return statements


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give the list of the statements that are made ready from now on."""
    found: list[Any] = []
    original = _views.read_statement

    def reading(statement: Any) -> Any:
        found.append(statement)
        return original(statement)

    monkeypatch.setattr(_views, "read_statement", reading)
    return found


@pytest.fixture
def orm(read: list[Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Give the list of the statements that are made ready, or executed by the ORM, from now on."""
    execute = Session._execute_internal  # noqa: SLF001

    def executing(self: Any, statement: Any, *args: Any, **kwargs: Any) -> Any:
        read.append(statement)
        return execute(self, statement, *args, **kwargs)

    monkeypatch.setattr(Session, "_execute_internal", executing)
    return read
