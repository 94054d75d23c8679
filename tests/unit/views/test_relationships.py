"""Relationships of every kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from sqla_safe import Path, ViewDataError, ViewDefinitionError, fetch, fetch_one, view_plan
from tests.unit.views.models import (
    Comment,
    Company,
    Engineer,
    Manager,
    Node,
    Order,
    Person,
    Post,
    User,
)

ANN = select(User).where(User.id == 1)
ALL = select(User).order_by(User.id)


@dataclass(frozen=True, slots=True)
class Named:
    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Text:
    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Bio:
    bio: str


@dataclass(frozen=True, slots=True)
class Collections:
    tags: tuple[Named, ...]
    tag_names: list[str]
    marks: frozenset[Named]
    notes: dict[str, Text]
    loud_posts: list[Text]
    profile: Bio | None


def test_collections_of_every_kind(session: Session) -> None:
    """A secondary table with an order, a set, a dict, a primaryjoin with an order, a one-to-one."""
    ann, bob, cid = fetch(session, Collections, ALL)
    assert ann == Collections(
        tags=(Named(1, "red"), Named(2, "blue")),
        tag_names=["red", "blue"],
        marks=frozenset({Named(1, "first"), Named(2, "second")}),
        notes={"door": Text(1, "shut")},
        loud_posts=[Text(3, "three"), Text(1, "one")],
        profile=Bio("likes tea"),
    )
    assert cid == Collections((), [], frozenset(), {}, [], None)
    assert bob.tags[0] is ann.tags[0]


@dataclass(frozen=True, slots=True)
class Staff:
    name: str
    boss: Named | None
    staff: tuple[Named, ...]


def test_a_class_related_to_itself(session: Session, sent: list[str]) -> None:
    """The to-one is joined under an alias; the collection is one statement."""
    ann, bob, cid = fetch(session, Staff, ALL)
    assert ann == Staff("Ann", None, (Named(2, "Bob"), Named(3, "Cid")))
    assert bob.boss == Named(1, "Ann")
    assert bob.boss is cid.boss
    assert len(sent) == 2


@dataclass(frozen=True, slots=True)
class Commented:
    id: int
    author: Named | None


@dataclass(frozen=True, slots=True)
class Posted:
    author: Named
    comments: tuple[Commented, ...]


def test_the_same_row_is_one_object(session: Session) -> None:
    """Also when it is met by different ways."""
    found = fetch(session, Posted, select(Post).order_by(Post.id))
    assert found[0].author is found[1].author
    assert found[0].comments[0].author is found[3].author
    assert found[1].comments[0].author is None


@dataclass(frozen=True, slots=True)
class Author:
    posts: tuple[Text, ...]
    loud_posts: list[Text]


def test_the_same_element_of_two_collections_is_one_object(session: Session) -> None:
    """Though each collection has it once only."""
    ann = fetch_one(session, Author, ANN)
    assert [one.id for one in ann.loud_posts] == [3, 1]
    assert ann.loud_posts[0] is ann.posts[2]
    assert ann.loud_posts[1] is ann.posts[0]


def test_rows_of_the_root_are_one_object_too(session: Session) -> None:
    """As many objects as rows, and the same one for the same row."""
    statement = select(User).join(User.posts).where(User.id == 1)
    found = fetch(session, Named, statement)
    assert len(found) == 3
    assert found[0] is found[1] is found[2]


@dataclass(frozen=True, slots=True)
class Tree:
    name: str
    children: Annotated[tuple[Tree, ...], Path(Node.children, depth=2)]


@dataclass(frozen=True, slots=True)
class Honest:
    name: str
    children: Annotated[tuple[Honest, ...] | None, Path(Node.children, depth=1)]


@dataclass(frozen=True, slots=True)
class Upwards:
    name: str
    parent: Annotated[Upwards | None, Path(Node.parent, depth=2)]


def test_a_tree_is_loaded_to_its_depth(session: Session, sent: list[str]) -> None:
    """One statement for each level; the last one is empty, or None where the type allows it."""
    [root] = fetch(session, Tree, select(Node).where(Node.parent_id.is_(None)))
    assert root == Tree("root", (Tree("left", (Tree("leaf", ()),)), Tree("right", ())))
    assert len(sent) == 3
    [root] = fetch(session, Honest, select(Node).where(Node.parent_id.is_(None)))
    assert root == Honest("root", (Honest("left", None), Honest("right", None)))


@dataclass(frozen=True, slots=True)
class Shallow:
    id: int
    children: Annotated[tuple[Shallow, ...], Path(Node.children, depth=1)]


def test_a_row_at_two_depths_is_two_objects(session: Session) -> None:
    """The one has children, and the other one is where the depth ends."""
    found = fetch(session, Shallow, select(Node).order_by(Node.id))
    ends = {number: Shallow(number, ()) for number in (1, 2, 3, 4)}
    assert found == [
        Shallow(1, (ends[2], ends[3])),
        Shallow(2, (ends[4],)),
        ends[3],
        ends[4],
    ]


def test_a_chain_is_loaded_to_its_depth(session: Session, sent: list[str]) -> None:
    """The to-one relationships are joined."""
    [leaf] = fetch(session, Upwards, select(Node).where(Node.id == 4))
    assert leaf == Upwards("leaf", Upwards("left", Upwards("root", None)))
    assert len(sent) == 1


@dataclass(frozen=True, slots=True)
class FarUpwards:
    id: int
    parent: Annotated[FarUpwards | None, Path(Node.parent, depth=55)]


def test_a_long_chain_takes_more_than_one_statement(session: Session, sent: list[str]) -> None:
    """Databases join some sixty tables, and Python has no hundred blocks inside of each other."""
    session.add_all([Node(id=number, name="link", parent_id=number - 1) for number in range(5, 80)])
    session.commit()
    sent.clear()
    one: FarUpwards | None = fetch_one(session, FarUpwards, select(Node).where(Node.id == 79))
    met = []
    while one is not None:
        met.append(one.id)
        one = one.parent
    assert met == list(range(79, 23, -1))
    assert len(sent) == 2


@dataclass(frozen=True, slots=True)
class Endless:
    children: Annotated[tuple[Endless, ...], Path(Node.children, depth=200)]


def test_a_depth_that_python_cannot_follow_is_refused() -> None:
    """Each level takes some of its stack."""
    with pytest.raises(ViewDefinitionError, match="Endless is deeper than Python can follow"):
        view_plan(Endless, Node)


@dataclass(frozen=True, slots=True)
class LineCard:
    what: str


@dataclass(frozen=True, slots=True)
class OrderCard:
    shop: str
    lines: tuple[LineCard, ...]


def test_a_key_of_two_columns(session: Session, sent: list[str]) -> None:
    """It is one statement all the same."""
    found = fetch(session, OrderCard, select(Order).order_by(Order.shop))
    assert found == [
        OrderCard("a", (LineCard("tea"), LineCard("jam"))),
        OrderCard("b", (LineCard("milk"),)),
    ]
    assert len(sent) == 2


@dataclass(frozen=True, slots=True)
class ManagerCard:
    name: str
    budget: int | None


@dataclass(frozen=True, slots=True)
class EngineerCard:
    name: str
    language: str


@dataclass(frozen=True, slots=True)
class PersonCard:
    name: str


@dataclass(frozen=True, slots=True)
class CompanyCard:
    name: str
    staff: tuple[PersonCard | ManagerCard | EngineerCard, ...]


@dataclass(frozen=True, slots=True)
class Partly:
    staff: tuple[ManagerCard | EngineerCard, ...]


class TaggedManager(msgspec.Struct, frozen=True, tag="manager"):
    budget: int | None


class TaggedOther(msgspec.Struct, frozen=True):
    kind: Literal["person", "engineer"]
    name: str


class TaggedCompany(msgspec.Struct, frozen=True):
    staff: tuple[TaggedManager | TaggedOther, ...]


STAFF = (ManagerCard("Mia", 100), EngineerCard("Eve", "Python"), PersonCard("Pat"))


def test_a_union_is_chosen_by_discriminator(session: Session, sent: list[str]) -> None:
    """Each row becomes the class for its subclass, and no class takes a statement more."""
    [company] = fetch(session, CompanyCard, select(Company))
    assert company.staff == STAFF
    assert [type(one) for one in company.staff] == [ManagerCard, EngineerCard, PersonCard]
    assert len(sent) == 2


def test_a_union_is_chosen_by_tags_and_literals(session: Session) -> None:
    """A tagged Struct, and a field for the discriminator, say what they are for."""
    [company] = fetch(session, TaggedCompany, select(Company))
    assert company.staff == (
        TaggedManager(100),
        TaggedOther("engineer", "Eve"),
        TaggedOther("person", "Pat"),
    )


def test_a_union_of_roots(session: Session) -> None:
    """The rows of the user's own statement are chosen among in the same way."""
    into = PersonCard | ManagerCard | EngineerCard
    statement = select(Person).order_by(Person.id)
    assert tuple(fetch(session, into, statement)) == STAFF  # type: ignore[arg-type, var-annotated]


def test_a_subclass_without_a_class_is_an_error(session: Session) -> None:
    """It is never sliced to its base."""
    with pytest.raises(ViewDataError, match=r"Partly\.staff met a row of a subclass"):
        fetch(session, Partly, select(Company))


@dataclass(frozen=True, slots=True)
class Engineered:
    engineers: tuple[EngineerCard, ...]


def test_subclasses_are_loaded_as_themselves(session: Session) -> None:
    """As the root and as a collection, with the criteria of their table."""
    assert fetch(session, ManagerCard, select(Manager)) == [ManagerCard("Mia", 100)]
    assert fetch(session, EngineerCard, select(Engineer)) == [EngineerCard("Eve", "Python")]
    [company] = fetch(session, Engineered, select(Company))
    assert company.engineers == (EngineerCard("Eve", "Python"),)


@dataclass(frozen=True, slots=True)
class Authored:
    id: int
    author: Named


def test_a_missing_row_is_an_error_where_none_is_not_allowed(session: Session) -> None:
    """A foreign key that leads nowhere does not become a value."""
    session.execute(insert(Post).values(id=9, author_id=77, text="orphan", is_loud=False, tenant=1))
    orphan = select(Post).where(Post.id == 9)
    with pytest.raises(ViewDataError, match=r"Authored\.author has no row"):
        fetch(session, Authored, orphan)
    with pytest.raises(ViewDataError, match=r"Authored\.author has no row"):
        fetch(session, Authored, orphan.with_for_update())


def test_pending_changes_are_flushed_first(session: Session) -> None:
    """A view sees what the session is about to write, as a query would."""
    user = session.get_one(User, 1)
    user.name = "Anna"
    assert fetch_one(session, Named, ANN).name == "Anna"
    with session.no_autoflush:
        user.name = "Annabel"
        assert fetch_one(session, Named, ANN).name == "Anna"
    session.execute(update(Comment).values(text="x"))
