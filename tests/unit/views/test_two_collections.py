"""Paths through several collections: one list, as a loop over the entities would make it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any

import pytest
from sqlalchemy import ForeignKey, ForeignKeyConstraint, Select, select
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    mapped_column,
    relationship,
    with_loader_criteria,
)

from sqla_safe import Path, ViewDefinitionError, fetch, stream_views, view_plan
from tests.engines import in_memory
from tests.unit.views.models import (
    City,
    Comment,
    Company,
    Mark,
    Node,
    Note,
    Person,
    Post,
    Tag,
    User,
)


@dataclass(frozen=True)
class CommentCard:
    id: int
    author: Author | None


@dataclass(frozen=True)
class Author:
    name: str


def view(kind: Any, *steps: Any) -> Any:
    """Return a view with one field, that comes along a path."""
    return make_dataclass("Seen", [("found", Annotated[kind, Path(*steps)])], frozen=True)


USERS, POSTS = select(User).order_by(User.id), select(Post).order_by(Post.id)
COMPANIES, NODES = select(Company), select(Node).order_by(Node.id)

CASES: dict[str, tuple[Select[Any], Any, tuple[Any, ...], Callable[[Any], Sequence[Any]]]] = {
    "two lists": (
        USERS,
        tuple[str, ...],
        (User.posts, Post.comments, Comment.text),
        lambda user: tuple(one.text for post in user.posts for one in post.comments),
    ),
    "into a list": (
        USERS,
        list[int],
        (User.posts, Post.comments, Comment.id),
        lambda user: [one.id for post in user.posts for one in post.comments],
    ),
    "three lists": (
        USERS,
        tuple[str, ...],
        (User.staff, User.posts, Post.comments, Comment.text),
        lambda user: tuple(
            one.text for other in user.staff for post in other.posts for one in post.comments
        ),
    ),
    "the same row several times": (
        USERS,
        tuple[str, ...],
        (User.tags, Tag.name),
        lambda user: tuple(tag.name for tag in user.tags),
    ),
    "through many-to-many": (
        USERS,
        list[str],
        (User.staff, User.tags, Tag.name),
        lambda user: [tag.name for other in user.staff for tag in other.tags],
    ),
    "back to the parents": (
        USERS,
        tuple[str, ...],
        (User.posts, Post.author, User.tags, Tag.name),
        lambda user: tuple(tag.name for post in user.posts for tag in post.author.tags),
    ),
    "a to-one that leads nowhere": (
        POSTS,
        tuple[str, ...],
        (Post.comments, Comment.author, User.posts, Post.text),
        lambda post: tuple(
            other.text for one in post.comments if one.author for other in one.author.posts
        ),
    ),
    "a to-one at its end": (
        USERS,
        tuple[str | None, ...],
        (User.posts, Post.comments, Comment.author, User.name),
        lambda user: tuple(
            one.author and one.author.name for post in user.posts for one in post.comments
        ),
    ),
    "a to-one of a statement of its own": (
        USERS,
        tuple[str | None, ...],
        (User.staff, User.city, City.name),
        lambda user: tuple(other.city and other.city.name for other in user.staff),
    ),
    "within one class": (
        NODES,
        list[str],
        (Node.children, Node.children, Node.name),
        lambda node: [leaf.name for child in node.children for leaf in child.children],
    ),
    "a set of lists": (
        USERS,
        frozenset[str],
        (User.marks, Mark.name),
        lambda user: frozenset(mark.name for mark in user.marks),
    ),
    "of subclasses": (
        COMPANIES,
        list[int],
        (Company.staff, Person.company, Company.staff, Person.id),
        lambda company: [one.id for other in company.staff for one in other.company.staff],
    ),
}


@pytest.mark.parametrize("case", list(CASES))
def test_a_path_gives_what_a_loop_gives(session: Session, case: str) -> None:
    """The parents' order, then the children's; what comes twice is there twice."""
    statement, kind, steps, loop = CASES[case]
    session.add(Comment(id=4, post_id=4, text="c4", author_id=2))
    expected = [loop(entity) for entity in session.scalars(statement)]
    found = fetch(session, view(kind, *steps), statement)
    assert [one.found for one in found] == expected
    assert any(expected)


def test_objects_at_the_end(session: Session, sent: list[str]) -> None:
    """A class in place of a value; one statement for each collection, and for the rows."""
    into = view(tuple[CommentCard, ...], User.posts, Post.comments)
    found = [one.found for one in fetch(session, into, USERS)]
    bob = Author("Bob")
    assert found == [
        (CommentCard(1, bob), CommentCard(2, None), CommentCard(3, None)),
        (),
        (),
    ]
    assert len(sent) == 3


def test_a_repeated_statement_and_a_stream(session: Session) -> None:
    """Rows as the driver gives them, as SQLAlchemy does, and in batches."""
    into = view(tuple[int, ...], User.posts, Post.comments, Comment.id)
    for _ in range(3):
        statement = select(User).where(User.id == 1)
        assert [one.found for one in fetch(session, into, statement)] == [(1, 2, 3)]
    batches = list(stream_views(session, into, USERS, batch_size=2))
    assert [[one.found for one in batch] for batch in batches] == [[(1, 2, 3), ()], [()]]


def test_an_object_met_twice_is_one(session: Session) -> None:
    """As entities are: the same tag of two users is the same object."""
    into = view(tuple[TagCard, ...], User.staff, User.tags)
    cid, red = session.get_one(User, 3), session.get_one(Tag, 1)
    cid.tags.append(red)
    [ann, *_] = fetch(session, into, USERS)
    assert [tag.name for tag in ann.found] == ["red", "red"]
    assert ann.found[0] is ann.found[1]


@dataclass(frozen=True)
class TagCard:
    name: str


def test_criteria_hold_at_each_collection(session: Session) -> None:
    """Of what they hide nothing is left, nor of what is below that."""
    into = view(tuple[int, ...], User.posts, Post.comments, Comment.id)
    no_second = with_loader_criteria(Post, Post.id != 2)
    assert next(one.found for one in fetch(session, into, USERS.options(no_second))) == (1,)
    few = with_loader_criteria(Comment, Comment.id > 2)
    assert next(one.found for one in fetch(session, into, USERS.options(few))) == (3,)


def test_a_plan_shows_each_statement() -> None:
    """One for each collection."""
    plan = view_plan(view(list[str], User.posts, Post.comments, Comment.text), User)
    assert len(plan.statements()) == 3


PROBLEMS: dict[str, tuple[Any, tuple[Any, ...], str]] = {
    "a dict in between": (
        tuple[str, ...],
        (User.staff, User.notes, Note.text),
        r"Seen\.found is a tuple, but User\.notes is a dict: a Path goes through lists and sets",
    ),
    "a wrong type at its end": (
        tuple[int, ...],
        (User.posts, Post.comments, Comment.text),
        r"Seen\.found holds int, but Comment\.text holds str: write str",
    ),
    "an entity at its end": (
        tuple[Comment, ...],
        (User.posts, Post.comments),
        r"Seen\.found holds Comment, but Post\.comments leads to Comment: write a dataclass",
    ),
    "a value where a class belongs": (
        tuple[str, ...],
        (User.posts, Post.comments),
        r"Seen\.found holds str, but Post\.comments leads to Comment: write a dataclass",
    ),
    "no collection to be filled": (
        str,
        (User.posts, Post.comments, Comment.text),
        r"Seen\.found is str, but User\.posts is a collection: write found: tuple\[",
    ),
    "a query at its end": (
        tuple[str, ...],
        (User.staff, User.visits),
        r"User\.visits is a dynamic relationship",
    ),
}


@pytest.mark.parametrize("case", list(PROBLEMS))
def test_what_cannot_be_one_list_is_refused(case: str) -> None:
    """Each with its own sentence."""
    kind, steps, match = PROBLEMS[case]
    with pytest.raises(ViewDefinitionError, match=match):
        view_plan(view(kind, *steps), User)


class Base(DeclarativeBase):
    pass


class Zoo(Base):
    __tablename__ = "zoos"
    land: Mapped[str] = mapped_column(primary_key=True)
    town: Mapped[str] = mapped_column(primary_key=True)
    pens: Mapped[set[Pen]] = relationship()


class Pen(Base):
    """Has a key of two columns, and one more column for its zoo's."""

    __tablename__ = "pens"
    __table_args__ = (ForeignKeyConstraint(["land", "town"], ["zoos.land", "zoos.town"]),)
    land: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    town: Mapped[str | None]
    zoo: Mapped[Zoo | None] = relationship(viewonly=True)
    beasts: Mapped[set[Beast]] = relationship()
    sorted: Mapped[list[Beast]] = relationship(order_by="Beast.name", viewonly=True)


class Beast(Base):
    __tablename__ = "beasts"
    __table_args__ = (ForeignKeyConstraint(["land", "pen"], ["pens.land", "pens.number"]),)
    id: Mapped[int] = mapped_column(primary_key=True)
    land: Mapped[str]
    pen: Mapped[int]
    name: Mapped[str]
    keeper_id: Mapped[int | None] = mapped_column(ForeignKey("keepers.id"))
    keeper: Mapped[Keeper | None] = relationship(order_by="Keeper.id", back_populates="beasts")


class Keeper(Base):
    __tablename__ = "keepers"
    id: Mapped[int] = mapped_column(primary_key=True)
    beasts: Mapped[list[Beast]] = relationship(order_by="Beast.id.desc()", back_populates="keeper")


def store(session: Session) -> None:
    """Fill a database with a zoo, two pens, four beasts, and a keeper of two of them."""
    keeper = Keeper(id=1)
    first = {Beast(id=1, name="yak", keeper=keeper), Beast(id=2, name="emu", keeper=keeper)}
    second = {Beast(id=3, name="emu"), Beast(id=4, name="asp")}
    pens = {Pen(number=1, beasts=first), Pen(number=2, beasts=second)}
    session.add_all([Zoo(land="a", town="b", pens=pens), Pen(land="c", number=1)])
    session.commit()


def test_keys_of_two_columns_and_sets() -> None:
    """Between any two of the collections, of any kind; a tuple of a set is in no order."""
    with in_memory(Base) as engine, Session(engine) as session:
        store(session)
        into = view(frozenset[str], Zoo.pens, Pen.beasts, Beast.name)
        assert fetch(session, into, select(Zoo))[0].found == {"yak", "emu", "asp"}
        into = view(set[Name], Zoo.pens, Pen.beasts)
        assert fetch(session, into, select(Zoo))[0].found == {Name("yak"), Name("emu"), Name("asp")}
        into = view(tuple[str, ...], Zoo.pens, Pen.sorted, Beast.name)
        found = fetch(session, into, select(Zoo))[0].found
        assert found in (("emu", "yak", "asp", "emu"), ("asp", "emu", "emu", "yak"))


@dataclass(frozen=True)
class Name:
    name: str


@dataclass
class Loose:
    name: str


def test_a_to_one_that_is_asked_for_by_itself() -> None:
    """Where it leads nowhere there is nothing to add, and an empty collection at its beginning."""
    with in_memory(Base) as engine, Session(engine) as session:
        store(session)
        pens = select(Pen).order_by(Pen.land, Pen.number)
        into = view(list[int], Pen.sorted, Beast.keeper, Keeper.beasts, Beast.id)
        found = [one.found for one in fetch(session, into, pens)]
        assert found == [[2, 1, 2, 1], [], []]
        beasts = select(Beast).order_by(Beast.id)
        for kind in (list[int], list[int] | None):
            into = view(kind, Beast.keeper, Keeper.beasts, Beast.id)
            assert [one.found for one in fetch(session, into, beasts)] == [[2, 1], [2, 1], [], []]
        into = view(frozenset[str], Pen.zoo, Zoo.pens, Pen.beasts, Beast.name)
        every = frozenset({"yak", "emu", "asp"})
        assert [one.found for one in fetch(session, into, pens)] == [every, every, frozenset()]


@pytest.mark.parametrize(
    ("kind", "steps", "match"),
    [
        (
            frozenset[str],
            (Zoo.pens, Pen.sorted, Beast.name),
            r"Seen\.found is a frozenset, but Pen\.sorted is a list, whose order a set would lose",
        ),
        (
            set[Loose],
            (Zoo.pens, Pen.beasts),
            r"Seen\.found: a set needs elements that can be hashed, and Loose cannot",
        ),
    ],
)
def test_a_set_cannot_take_everything(kind: Any, steps: Any, match: str) -> None:
    """What has an order would lose it, and what has no hash has no place in it."""
    with pytest.raises(ViewDefinitionError, match=match):
        view_plan(view(kind, *steps), Zoo)


@dataclass(frozen=True)
class Branch:
    name: str
    leaves: Annotated[tuple[Branch, ...], Path(Node.children, Node.children, depth=1)]


def test_a_path_to_its_own_class_has_a_depth(session: Session) -> None:
    """It ends there with nothing."""
    [root] = fetch(session, Branch, select(Node).where(Node.id == 1))
    assert root == Branch("root", (Branch("leaf", ()),))
