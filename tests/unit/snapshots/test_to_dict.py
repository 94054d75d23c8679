"""`to_dict`: plain dicts, lists and values."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from sqlalchemy import select

from sqla_safe import SnapshotLimitError, SnapshotSourceError, snapshot, to_dict
from tests.unit.snapshots.models.boxes import Box, full_box
from tests.unit.snapshots.models.computed import Account
from tests.unit.snapshots.models.family import Company, company
from tests.unit.snapshots.models.gallery import Avatar, Tag, Team, User, lisa
from tests.unit.snapshots.models.keys import Seat, Ticket
from tests.unit.snapshots.models.trees import Node, add_deep_chain, chain


@pytest.fixture
def session(store):
    """Give a session on a database with Lisa in it."""
    return store(lisa())


def test_columns_are_values(session):
    """Those that were captured, and no others."""
    assert to_dict(snapshot(session.get_one(Tag, 1))) == {"id": 1, "name": "oil"}


def test_what_is_missing_is_left_out(session):
    """Not None, and no error."""
    tree = to_dict(snapshot(session.get_one(User, 1)))
    assert tree.keys().isdisjoint({"bio", "avatars", "team"})


def test_collections_are_lists_of_dicts(session):
    """With the way back as a key."""
    tree = to_dict(snapshot(session.get_one(User, 1), User.avatars))
    assert tree["avatars"] == [
        {"id": 1, "name": "Mona", "user_id": 1, "user": {"id": 1}},
        {"id": 2, "name": "Gioconda", "user_id": 1, "user": {"id": 1}},
    ]


def test_a_many_to_one_is_a_dict(session):
    """Or None."""
    tree = to_dict(snapshot(session.get_one(User, 1), User.team))
    assert tree["team"] == {"id": 1, "name": "Louvre"}


def test_a_missing_target_is_none(store):
    """Captured, and nobody there."""
    assert to_dict(snapshot(store(User(id=1, name="a")).get_one(User, 1)))["team"] is None


def test_a_cycle_ends_with_a_key(session):
    """So that the result is a tree."""
    tree = to_dict(snapshot(session.get_one(User, 1), User.team, Team.members))
    assert tree["team"]["members"] == [{"id": 1}]


def test_a_key_of_two_columns(store):
    """Both are in it."""
    session = store(Seat(row=1, letter="A"), Ticket(id=1, seat_row=1, seat_letter="A"))
    tree = to_dict(snapshot(session.get_one(Seat, (1, "A")), Seat.tickets))
    assert tree["tickets"][0]["seat"] == {"row": 1, "letter": "A"}


def test_a_shared_object_has_a_dict_at_each_place(session):
    """Two ways, two dicts."""
    paths = User.tags, User.team
    one, two = [to_dict(snapshot(session.get_one(User, 1), *paths)) for _ in range(2)]
    assert one == two
    assert one["team"] is not two["team"]


def test_json_values_are_plain_and_one_s_own(session):
    """Dicts and lists that can be changed."""
    shown = snapshot(session.get_one(User, 1))
    tree = to_dict(shown)
    assert type(tree["settings"]) is dict
    tree["settings"]["sizes"].append(2)
    assert shown.settings["sizes"] == (1, {"unit": "px"})


def test_sets_become_lists_and_keyed_dicts_dicts(store):
    """What JSON has."""
    tree = to_dict(snapshot(store(full_box()).get_one(Box, 1), Box.chosen, Box.notes))
    assert sorted(choice["name"] for choice in tree["chosen"]) == ["blue", "red"]
    assert {key: note["text"] for key, note in tree["notes"].items()} == {"a": "alpha", "b": "beta"}


def test_the_result_is_json(session):
    """All the way down."""
    shown = snapshot(session.get_one(User, 1), User.avatars, Avatar.photos, User.tags)
    assert json.loads(json.dumps(to_dict(shown)))["avatars"][0]["photos"][1]["url"] == "2.jpg"


def test_subclasses_have_their_columns(store):
    """Each its own."""
    tree = to_dict(snapshot(store(company()).get_one(Company, 1), Company.staff))
    assert (tree["staff"][1]["budget"], tree["staff"][2]["language"]) == (100, "C")


def test_attribute_names_are_used(store):
    """Not those of the columns."""
    session = store(Account(id=1, first="a", last="b", nick="c"))
    assert to_dict(snapshot(session.get_one(Account, 1)))["_nick"] == "c"


def test_an_entity_is_refused(session):
    """It is not frozen."""
    with pytest.raises(SnapshotSourceError, match=r"to_dict\(\) was given an object of type User"):
        to_dict(session.get_one(User, 1))


def test_a_tuple_is_refused(session):
    """One snapshot, one dict."""
    with pytest.raises(SnapshotSourceError, match="tuple"):
        to_dict(snapshot([session.get_one(User, 1)]))


def test_a_tree_that_is_too_large_is_refused(session):
    """Shared objects multiply."""
    shown = snapshot(session.get_one(User, 1), User.avatars)
    with pytest.raises(SnapshotLimitError, match="max_objects"):
        to_dict(shown, max_objects=2)
    assert to_dict(shown, max_objects=3)


def test_a_tree_that_is_too_deep_is_refused(store):
    """As long as a chain can be frozen, it is a dict or a clear error."""
    shown = snapshot(store(chain(90)).get_one(Node, 1), Node.children)
    tree = to_dict(shown)
    for _ in range(89):
        [tree] = tree["children"]
    assert tree["name"] == "node 90"


def test_a_tree_deeper_than_python_s_stack_is_made_or_refused(store):
    """Five thousand levels: never a RecursionError."""
    session = store(chain(1))
    add_deep_chain(session, 5_000)
    last = snapshot(session.scalars(select(Node).order_by(Node.id)).all())[-1]
    with suppress(SnapshotLimitError):
        assert to_dict(last)["parent"]
