"""Collections of every class become frozen ones of the same kind."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from sqla_safe import FrozenSnapshotError, NotLoadedError, is_snapshot, snapshot
from tests.unit.snapshots.models.boxes import Box, Choice, Item, Maker, Note, full_box
from tests.unit.snapshots.models.keys import Owner, Passport


@pytest.fixture
def box(store):
    """Give an entity with something in every collection, none of them loaded."""
    session = store(full_box())
    yield session.get_one(Box, 1)
    session.close()


def test_a_list_becomes_a_tuple(box):
    """The order is the list's."""
    shown = snapshot(box, Box.listed)
    assert type(shown.listed) is tuple
    assert [item.name for item in shown.listed] == ["pen", "ink"]


def test_a_set_becomes_a_frozenset(box):
    """Its members are snapshots."""
    shown = snapshot(box, Box.chosen)
    assert type(shown.chosen) is frozenset
    assert {choice.name for choice in shown.chosen} == {"red", "blue"}


def test_a_member_of_a_set_is_found_in_it(box):
    """Hashes are those of the complete objects."""
    shown = snapshot(box, Box.chosen)
    assert all(choice in shown.chosen for choice in shown.chosen)


def test_members_of_a_set_lead_back(box):
    """A cycle through a set."""
    shown = snapshot(box, Box.chosen)
    assert {choice.box for choice in shown.chosen} == {shown}


def test_a_set_can_be_reached_from_a_member(box, store):
    """The root is itself a member of a set further on."""
    session = store(full_box())
    choice = snapshot(session.get_one(Choice, 1), Choice.box, Box.chosen)
    assert choice.box is not None
    assert choice in choice.box.chosen


def test_a_keyed_dict_becomes_a_frozen_dict(box):
    """Keys are kept, values are snapshots."""
    shown = snapshot(box, Box.notes)
    assert isinstance(shown.notes, dict)
    assert {key: note.text for key, note in shown.notes.items()} == {"a": "alpha", "b": "beta"}


def test_a_keyed_dict_cannot_be_changed(box):
    """Item assignment is refused."""
    shown = snapshot(box, Box.notes)
    with pytest.raises(FrozenSnapshotError):
        shown.notes["c"] = shown.notes["a"]


def test_members_of_a_dict_lead_back(box):
    """A cycle through a dict."""
    shown = snapshot(box, Box.notes)
    assert shown.notes["a"].box is shown


def test_a_dict_keyed_by_a_function(box):
    """Keys that are tuples are kept."""
    shown = snapshot(box, Box.by_size)
    assert shown.by_size[3, 4].width == 3


def test_an_ordering_list_becomes_a_tuple(box):
    """Positions are ordinary columns."""
    shown = snapshot(box, Box.slides)
    assert type(shown.slides) is tuple
    assert [(slide.title, slide.position) for slide in shown.slides] == [("intro", 0), ("end", 1)]


def test_a_list_class_of_the_user_s_own_becomes_a_tuple(box):
    """A subclass of list is a list."""
    assert type(snapshot(box, Box.shelf).shelf) is tuple


def test_a_collection_with_add_becomes_a_frozenset(box):
    """Anything that SQLAlchemy can collect into can be frozen."""
    shown = snapshot(box, Box.bag)
    assert isinstance(shown.bag, frozenset)
    assert [coin.id for coin in shown.bag] == [1]


def test_a_collection_with_append_becomes_a_tuple(box):
    """In the order of its iterator."""
    shown = snapshot(box, Box.queue)
    assert isinstance(shown.queue, tuple)
    assert [person.id for person in shown.queue] == [1, 2]


def test_empty_collections_keep_their_kind(store):
    """Nothing in them, but loaded."""
    box = store(Box(id=1)).get_one(Box, 1)
    shown = snapshot(box, Box.listed, Box.chosen, Box.notes, Box.bag)
    assert (shown.listed, shown.chosen, shown.notes, shown.bag) == (
        (),
        frozenset(),
        {},
        frozenset(),
    )


def test_the_members_of_every_collection_are_snapshots(box):
    """No live entity hides in any of them."""
    shown = snapshot(box, Box.listed, Box.chosen, Box.notes, Box.bag, Box.queue)
    members = [*shown.listed, *shown.chosen, *shown.notes.values(), *shown.bag, *shown.queue]
    assert all(map(is_snapshot, members))


def test_changing_a_live_collection_afterwards_changes_nothing(box):
    """The frozen one is a copy."""
    shown = snapshot(box, Box.listed, Box.chosen, Box.notes)
    box.listed.clear()
    box.chosen.clear()
    box.notes.clear()
    assert (len(shown.listed), len(shown.chosen), len(shown.notes)) == (2, 2, 2)


# --- association proxies ----------------------------------------------------------------------


def test_a_list_proxy_reads_as_a_tuple(box):
    """`item_names` is made of what was captured."""
    assert snapshot(box, Box.listed).item_names == ("pen", "ink")


def test_a_set_proxy_reads_as_a_frozenset(box):
    """The kind follows the collection."""
    shown = snapshot(box, Box.chosen)
    assert shown.choice_names == frozenset({"red", "blue"})


def test_a_dict_proxy_reads_as_a_frozen_dict(box):
    """Keys are kept."""
    shown = snapshot(box, Box.notes)
    assert shown.note_texts == {"a": "alpha", "b": "beta"}


def test_a_dict_proxy_cannot_be_changed(box):
    """Not even a copy that nobody keeps."""
    shown = snapshot(box, Box.notes)
    with pytest.raises(FrozenSnapshotError):
        shown.note_texts["c"] = "gamma"


def test_a_scalar_proxy_reads_through(box):
    """One related object, one value."""
    shown = snapshot(box, Box.listed, Item.maker)
    assert shown.listed[0].maker_name == "Bic"


def test_a_scalar_proxy_over_none_is_none(box):
    """As it is on the entity."""
    shown = snapshot(box, Box.listed, Item.maker)
    assert shown.listed[1].maker_name is None


def test_a_chained_proxy_reads_through_both(box):
    """A proxy of a proxy."""
    shown = snapshot(box, Box.listed, Item.maker, Maker.city)
    assert shown.listed[0].maker_city == "Paris"


def test_a_proxy_over_what_is_missing_names_what_is_missing(box):
    """Not captured is said of the relationship behind the proxy."""
    shown = snapshot(box)
    with pytest.raises(NotLoadedError, match=r"Box\.listed"):
        _ = shown.item_names


def test_a_proxy_cannot_be_set(box):
    """It is an attribute of a snapshot."""
    shown = snapshot(box, Box.listed)
    with pytest.raises(FrozenSnapshotError):
        shown.item_names = ("paper",)


def test_a_proxy_equals_the_entity_s(box):
    """The frozen values are the live ones."""
    shown = snapshot(box, Box.listed, Box.chosen, Box.notes)
    assert list(shown.item_names) == list(box.item_names)
    assert shown.choice_names == set(box.choice_names)
    assert shown.note_texts == dict(box.note_texts)


def test_a_one_to_one_is_one_object(store):
    """`uselist=False` is no collection."""
    session = store(Owner(id=1, passport=Passport(id=1, number="X1")))
    shown = snapshot(session.get_one(Owner, 1), Owner.passport)
    assert shown.passport is not None
    assert shown.passport.owner is shown


def test_a_one_to_one_that_is_missing_is_none(store):
    """Loaded, and nothing there."""
    session = store(Owner(id=1))
    assert snapshot(session.scalars(select(Owner)).one(), Owner.passport).passport is None


def test_a_note_reached_alone_finds_its_box(store):
    """A member of a dict is an entity like any other."""
    session = store(full_box())
    shown = snapshot(session.get_one(Note, 1), Note.box, Box.notes)
    assert shown.box is not None
    assert shown.box.notes["a"] is shown
