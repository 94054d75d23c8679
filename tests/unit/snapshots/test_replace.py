"""`replace`: a changed copy."""

from __future__ import annotations

import pytest

from sqla_safe import (
    FrozenSnapshotError,
    NotLoadedError,
    SnapshotSourceError,
    is_snapshot,
    replace,
    snapshot,
)
from tests.unit.snapshots.models.boxes import Box, full_box
from tests.unit.snapshots.models.classes import Card
from tests.unit.snapshots.models.computed import Account, Colour, Drawing, Place, Point, drawing
from tests.unit.snapshots.models.family import Manager, company
from tests.unit.snapshots.models.gallery import Avatar, Tag, Team, User, lisa


@pytest.fixture
def session(store):
    """Give a session on a database with Lisa in it."""
    return store(lisa())


@pytest.fixture
def shown(session):
    """Give her snapshot."""
    return snapshot(session.get_one(User, 1), User.avatars, User.team)


def test_a_copy_has_the_change(shown):
    """And all the rest."""
    changed = replace(shown, name="Nona")
    assert (changed.name, changed.balance, changed.avatars) == ("Nona", 10, shown.avatars)


def test_the_original_stays(shown):
    """It is frozen."""
    replace(shown, name="Nona")
    assert shown.name == "Lisa"


def test_a_copy_is_a_snapshot_of_its_class(shown):
    """As frozen as the original."""
    changed = replace(shown, name="Nona")
    assert is_snapshot(changed)
    assert type(changed) is type(shown)
    with pytest.raises(FrozenSnapshotError):
        changed.name = "other"


def test_a_copy_without_changes_is_equal(shown):
    """But another object."""
    assert replace(shown) == shown


def test_several_attributes_change_together(shown):
    """One call, one copy."""
    changed = replace(shown, name="Nona", balance=7)
    assert (changed.name, changed.balance) == ("Nona", 7)


def test_the_live_entity_stays(session):
    """Nothing reaches it."""
    user = session.get_one(User, 1)
    replace(snapshot(user), name="Nona")
    assert user.name == "Lisa"
    assert not session.dirty


def test_new_values_are_frozen(shown):
    """Lists become tuples, dicts frozen."""
    given = {"sizes": [1]}
    changed = replace(shown, settings=given)
    given["sizes"].append(2)
    assert changed.settings == {"sizes": (1,)}


def test_an_attribute_that_was_missing_can_be_given(shown):
    """It is captured from then on."""
    assert replace(shown, bio="new").bio == "new"
    with pytest.raises(NotLoadedError):
        _ = shown.bio


def test_a_composite_sets_its_columns(store):
    """And reads as given."""
    shown = snapshot(store(drawing()).get_one(Drawing, 1))
    changed = replace(shown, point=Point(8, 9), colour=Colour(1, 1))
    assert (changed.point, changed.colour) == (Point(8, 9), Colour(1, 1))
    assert shown.point == Point(1, 2)


def test_a_composite_of_a_snapshot_can_be_given(store):
    """The frozen value comes from somewhere."""
    shown = snapshot(store(drawing()).get_one(Drawing, 1))
    assert replace(shown, point=shown.point, price=shown.price) == shown


def test_a_composite_that_can_be_missing(store):
    """From None and back."""
    shown = snapshot(store(drawing()).get_one(Drawing, 1))
    changed = replace(shown, place=Place("a", "b"))
    assert changed.place == Place("a", "b")
    assert replace(changed, place=None) == shown


def test_a_synonym_sets_what_it_stands_for(store):
    """Both names read it."""
    shown = snapshot(store(Account(id=1, first="Mona", last="Lisa")).get_one(Account, 1))
    changed = replace(shown, surname="Gherardini")
    assert (changed.last, changed.surname) == ("Gherardini", "Gherardini")


def test_a_many_to_one_takes_a_snapshot(shown):
    """The object itself."""
    other = replace(shown.team, id=2, name="Prado")
    assert replace(shown, team=other).team is other


def test_a_many_to_one_takes_none(shown):
    """Nobody is there."""
    assert replace(shown, team=None).team is None


def test_a_collection_takes_an_iterable_of_snapshots(shown):
    """It becomes a tuple."""
    assert replace(shown, avatars=[shown.avatars[1]]).avatars == (shown.avatars[1],)


def test_a_set_and_a_dict_take_their_own_kind(store):
    """They become frozen ones."""
    shown = snapshot(store(full_box()).get_one(Box, 1), Box.chosen, Box.notes)
    kept = {next(iter(shown.chosen))}
    changed = replace(shown, chosen=kept, notes={"z": shown.notes["a"]})
    assert (changed.chosen, changed.notes["z"]) == (frozenset(kept), shown.notes["a"])
    assert type(changed.chosen) is frozenset


def test_a_list_takes_a_set_as_a_list(shown):
    """It is what the relationship of an entity would hold."""
    changed = replace(shown, avatars=set(shown.avatars))
    assert type(changed.avatars) is tuple
    assert set(changed.avatars) == set(shown.avatars)


def test_a_set_takes_a_list_as_a_set(store):
    """The same the other way round."""
    box = snapshot(store(full_box()).get_one(Box, 1), Box.chosen)
    assert replace(box, chosen=list(box.chosen)).chosen == box.chosen


def test_a_relationship_takes_no_entity(session, shown):
    """A live one could change."""
    with pytest.raises(SnapshotSourceError, match=r"User\.team was given something"):
        replace(shown, team=session.get_one(Team, 1))


def test_a_collection_takes_no_entities(session, shown):
    """Nor the live collection."""
    with pytest.raises(SnapshotSourceError, match=r"User\.avatars"):
        replace(shown, avatars=session.get_one(User, 1).avatars)


def test_a_relationship_takes_no_snapshot_of_another_class(session, shown):
    """A tag is no team."""
    tag = snapshot(session.get_one(Tag, 1))
    with pytest.raises(SnapshotSourceError, match=r"User\.team"):
        replace(shown, team=tag)


def test_an_unknown_attribute_is_refused(shown):
    """With what may have been meant."""
    with pytest.raises(SnapshotSourceError, match=r"User\.nmae .*name="):
        replace(shown, nmae="Nona")


def test_a_method_s_name_is_refused(shown):
    """It is not stored."""
    with pytest.raises(SnapshotSourceError, match=r"User\.greeting"):
        replace(shown, greeting="Hello")


def test_an_entity_is_refused(session):
    """It is changed by assignment."""
    with pytest.raises(SnapshotSourceError, match=r"replace\(\) was given .*User"):
        replace(session.get_one(User, 1), name="Nona")


def test_a_subclass_snapshot_keeps_its_class(store):
    """And its columns."""
    shown = snapshot(store(company()).get_one(Manager, 2))
    changed = replace(shown, budget=5)
    assert isinstance(changed, Manager)
    assert (changed.budget, changed.name, changed.title()) == (5, "Max", "Director Max")


def test_related_snapshots_point_to_the_original(shown):
    """Only the one object is copied."""
    changed = replace(shown, name="Nona")
    assert changed.avatars[0].user is shown


def test_a_copy_of_a_copy(shown):
    """Changes add up."""
    changed = replace(replace(shown, name="Nona"), balance=7)
    assert (changed.name, changed.balance) == ("Nona", 7)


def test_a_related_snapshot_can_be_copied(shown):
    """It is one like others."""
    changed = replace(shown.avatars[0], name="other")
    assert (changed.name, changed.user) == ("other", shown)
    assert isinstance(changed, Avatar)


def test_a_cached_property_is_computed_anew(store):
    """What the original has kept is not the copy's."""
    shown = snapshot(store(Account(id=1, first="Mona", last="Lisa")).get_one(Account, 1))
    assert shown.initials == "ML"
    assert replace(shown, first="Nona").initials == "NL"


def test_unmapped_fields_of_a_dataclass_stay(store):
    """They belong to the snapshot."""
    card = store(Card(id=1, title="t")).get_one(Card, 1)
    card.session_note = "set"
    assert replace(snapshot(card), title="new").session_note == "set"


@pytest.mark.parametrize("value", [None, 5, "text"], ids=repr)
def test_a_collection_takes_nothing_else(shown, value):
    """With the library's own error."""
    with pytest.raises(SnapshotSourceError, match="avatars"):
        replace(shown, avatars=value)


def test_a_composite_takes_no_tuple(store):
    """With the library's own error."""
    shown = snapshot(store(drawing()).get_one(Drawing, 1))
    with pytest.raises(SnapshotSourceError, match="point"):
        replace(shown, point=(1, 2))


def test_a_value_that_is_too_deep_is_refused(shown):
    """Deeper than Python's stack."""
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SnapshotSourceError, match="settings"):
        replace(shown, settings=deep)


def test_a_value_that_holds_itself_is_refused(shown):
    """It would never end."""
    endless = []
    endless.append(endless)
    with pytest.raises(SnapshotSourceError, match="settings"):
        replace(shown, settings=endless)
