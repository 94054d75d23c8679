"""Graphs of every shape, as bytes and back."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import select

from sqla_safe import (
    SnapshotEncodeError,
    dumps,
    loads,
    replace,
    snapshot,
)
from tests.unit.snapshots.dumps.support import every_format, over
from tests.unit.snapshots.models.boxes import Box, Choice, full_box
from tests.unit.snapshots.models.classes import Card, Comment, Plain
from tests.unit.snapshots.models.computed import Account, Drawing, Entry, drawing
from tests.unit.snapshots.models.family import Car, Company, Employee, Manager, Vehicle, company
from tests.unit.snapshots.models.gallery import Avatar, User, lisa, many
from tests.unit.snapshots.models.keys import Seat, Ticket
from tests.unit.snapshots.models.trees import Node, add_deep_chain, chain


@every_format
def test_polymorphic_snapshots_keep_their_classes(store, form):
    """And their columns."""
    shown = snapshot(store(company()).get_one(Company, 1), Company.staff, Manager.reports)
    back = over(Company, shown, form)
    assert back == shown
    assert [type(one) for one in back.staff] == [type(one) for one in shown.staff]


def test_a_subclass_can_be_asked_for_by_its_base(store):
    """`loads(Employee, ...)` gives the manager."""
    shown = snapshot(store(company()).get_one(Manager, 2))
    back = loads(Employee, dumps(shown))
    assert isinstance(back, Manager)
    assert back == shown


def test_single_table_rows_keep_their_classes(store):
    """As joined ones do."""
    shown = snapshot(store(Car(id=1, seats=4)).get_one(Vehicle, 1))
    assert over(Vehicle, shown) == shown


@every_format
def test_collections_of_every_kind(store, form):
    """Lists, sets, dicts with keys of all sorts, and custom ones."""
    paths = Box.listed, Box.chosen, Box.notes, Box.by_size, Box.slides, Box.bag, Box.queue
    shown = snapshot(store(full_box()).get_one(Box, 1), *paths)
    back = over(Box, shown, form)
    assert back == shown
    assert back.by_size[3, 4].width == 3
    assert back.note_texts == {"a": "alpha", "b": "beta"}


def test_a_member_of_a_set_is_found_in_it(store):
    """Hashes are those of the complete objects."""
    shown = snapshot(store(full_box()).get_one(Box, 1), Box.chosen)
    choice = loads(Choice, dumps(next(iter(shown.chosen))))
    assert choice in choice.box.chosen


@every_format
def test_composites(store, form):
    """By their columns."""
    shown = snapshot(store(drawing()).get_one(Drawing, 1))
    back = over(Drawing, shown, form)
    assert (back.point, back.price, back.span) == (shown.point, shown.price, shown.span)


@every_format
def test_column_properties_synonyms_and_hybrids(store, form):
    """What was captured, and what is computed from it."""
    account = Account(id=1, first="a", last="b", cents=50, entries=[Entry(id=1, cents=50)])
    back = over(Account, snapshot(store(account).get_one(Account, 1), Account.entries), form)
    assert (back.full_name, back.surname, back.euros, back.entry_sum) == ("a b", "b", 0.5, 50)


def test_keys_of_two_columns(store):
    """And a many-to-one to them."""
    session = store(Seat(row=1, letter="A"), Ticket(id=1, seat_row=1, seat_letter="A"))
    shown = snapshot(session.get_one(Seat, (1, "A")), Seat.tickets)
    assert over(Seat, shown) == shown


def test_attribute_names_of_any_kind(store):
    """Those of imperative mappings."""
    made = Plain("name")
    made.id = 1
    setattr(made, "odd name!", "odd")
    shown = snapshot(store(made).get_one(Plain, 1))
    assert getattr(over(Plain, shown), "odd name!") == "odd"


def test_mapped_dataclasses(store):
    """No constructor is called."""
    made = Card(id=1, title="t")
    made.comments.append(Comment(id=1, text="nice"))
    shown = snapshot(store(made).get_one(Card, 1), Card.comments)
    back = over(Card, shown)
    assert (back.title, back.comments[0].card is back) == ("t", True)


@every_format
def test_a_deep_chain(store, form):
    """Five thousand levels, without recursion."""
    session = store(chain(1))
    add_deep_chain(session, 5_000)
    node = snapshot(session.scalars(select(Node).order_by(Node.id)).all())[-1]
    back, depth = over(Node, node, form), 0
    while back.parent is not None:
        depth, back = depth + 1, back.parent
    assert depth == 4_999


@every_format
@pytest.mark.parametrize("paths", [(), (Node.children,), (Node.children, Node.parent)], ids=len)
def test_trees(store, form, paths):
    """Roots without a parent, leaves without a child, levels of several sizes."""
    nodes = [
        Node(id=number, name=str(number), parent_id=number // 3 or None) for number in range(1, 50)
    ]
    session = store(*nodes)
    roots = session.scalars(select(Node).where(Node.parent_id.is_(None)).order_by(Node.id)).all()
    shown = snapshot(roots, *paths)
    assert over(tuple[Node, ...], shown, form) == shown


@every_format
def test_collections_of_which_some_are_empty(store, form):
    """In front, between and behind."""
    users = [
        User(id=n, name=str(n), avatars=[Avatar(name=str(i)) for i in range(n % 3)])
        for n in range(9)
    ]
    shown = snapshot(store(*users).scalars(select(User).order_by(User.id)).all(), User.avatars)
    back = over(tuple[User, ...], shown, form)
    assert back == shown
    assert [len(one.avatars) for one in back] == [0, 1, 2] * 3
    assert all(avatar.user is one for one in back for avatar in one.avatars)


@every_format
def test_collections_that_share_their_members(store, form):
    """A changed copy has the same ones as the original."""
    base = snapshot(store(lisa()).get_one(User, 1), User.avatars, Avatar.photos)
    shown = base, replace(base, name="Lisa II"), replace(base, avatars=base.avatars[::-1]), base
    back = over(tuple[User, ...], shown, form)
    assert back == shown
    assert back[0] is back[3]
    assert back[0].avatars[0] is back[1].avatars[0] is back[2].avatars[-1]


@every_format
def test_a_member_that_is_there_twice(store, form):
    """A list may hold it again."""
    base = snapshot(store(lisa()).get_one(User, 1), User.avatars)
    shown = replace(base, avatars=base.avatars * 2)
    back = over(User, shown, form)
    assert back == shown
    assert back.avatars[0] is back.avatars[2]


@every_format
def test_a_child_that_leads_to_another_parent(store, form):
    """Its owner is not the one whose collection it is in."""
    session = store(*many(2))
    first, second = snapshot(session.scalars(select(User).order_by(User.id)).all(), User.avatars)
    moved = tuple(replace(avatar, user=second) for avatar in first.avatars)
    shown = replace(first, avatars=moved)
    back = over(User, shown, form)
    assert back == shown
    assert back.avatars[0].user.id == second.id


@every_format
def test_members_of_which_only_some_hold_an_attribute(store, form):
    """They are not written in a row, and still keep their order."""
    base = snapshot(store(lisa()).get_one(User, 1), User.avatars)
    first, *others = base.avatars
    shown = replace(base, avatars=(first, *[replace(one, photos=()) for one in others]))
    back = over(User, shown, form)
    assert back == shown
    assert [one.id for one in back.avatars] == [one.id for one in shown.avatars]


@every_format
def test_fields_that_are_not_mapped(store, form):
    """Those of dataclasses, frozen as they are in the snapshot."""
    made = Card(id=1, title="t", session_note="note")
    made.scratch.append(7)
    session = store(Card(id=2, title="u"))
    session.add(made)
    session.flush()
    shown = snapshot([made, session.get_one(Card, 2)])
    back = over(tuple[Card, ...], shown, form)
    assert back == shown
    assert (back[0].session_note, back[0].scratch) == ("note", (7,))
    assert vars(back[1]).keys() == vars(shown[1]).keys()


def test_a_field_without_a_form_is_refused(store):
    """It is named, like a column."""
    session = store(Card(id=2, title="u"))
    made = Card(id=1, title="t", session_note=len)
    session.add(made)
    session.flush()
    with pytest.raises(SnapshotEncodeError, match=r"Card\.session_note"):
        dumps(snapshot(made))


def test_runs_need_no_numbers(store):
    """A thousand more objects in collections are no thousand references more."""
    shown = snapshot(store(*many(60)).scalars(select(User)).all(), User.avatars, Avatar.photos)
    document = msgspec.msgpack.decode(dumps(shown))
    numbers = [len(links[2]) for group in document[3] for links in group[4] if links[4]]
    assert numbers == [1] * 4


@every_format
@pytest.mark.parametrize("key", ["\ud800", len], ids=["surrogate", "function"])
def test_a_key_without_a_form_is_refused(store, form, key):
    """That of a collection is named like any value."""
    base = snapshot(store(full_box()).get_one(Box, 1), Box.by_size)
    odd = replace(base, by_size={key: next(iter(base.by_size.values()))})
    with pytest.raises(SnapshotEncodeError, match=r"Box\.by_size"):
        dumps(odd, format=form)
