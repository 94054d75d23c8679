"""Composite attributes: read, equal and immutable."""

from __future__ import annotations

import copy
import dataclasses

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.orm import load_only

from sqla_safe import FrozenSnapshotError, NotLoadedError, replace, snapshot
from tests.unit.snapshots.models.computed import (
    Colour,
    Drawing,
    Mail,
    Marker,
    Money,
    Pair,
    Place,
    Point,
    Release,
    Span,
    Spot,
    drawing,
    marker,
)
from tests.unit.snapshots.support import pickled

CHANGES = {"point": "x", "colour": "red", "price": "amount", "span": "start"}
every_composite = pytest.mark.parametrize(("name", "part"), CHANGES.items(), ids=list(CHANGES))
EQUAL = {
    "point": Point(1, 2),
    "colour": Colour(3, 4),
    "price": Money(5, "EUR"),
    "span": Span(6, 7),
}


@pytest.fixture
def live(store):
    """Give an entity whose composites are set."""
    session = store(drawing())
    yield session.get_one(Drawing, 1)
    session.close()


@pytest.fixture
def shown(live):
    """Give its snapshot."""
    return snapshot(live)


@pytest.mark.parametrize("name", CHANGES)
def test_a_composite_equals_the_entity_s(shown, name):
    """In both directions."""
    value = getattr(shown, name)
    assert value == EQUAL[name]
    assert EQUAL[name] == value


@every_composite
def test_a_composite_is_of_its_class(shown, name, part):
    """`isinstance` holds."""
    assert isinstance(getattr(shown, name), type(EQUAL[name]))


@every_composite
def test_a_composite_cannot_be_changed(shown, name, part):
    """None of its parts."""
    with pytest.raises(AttributeError):
        setattr(getattr(shown, name), part, 99)


@every_composite
def test_a_composite_has_no_part_to_delete(shown, name, part):
    """None of its parts."""
    with pytest.raises(AttributeError):
        delattr(getattr(shown, name), part)


@every_composite
def test_changing_the_live_composite_changes_nothing(live, shown, name, part):
    """Nothing is shared."""
    if name != "colour":
        setattr(getattr(live, name), part, 99)
    assert getattr(getattr(shown, name), part) != 99


@every_composite
def test_a_composite_cannot_be_set(shown, name, part):
    """It is an attribute of a snapshot."""
    with pytest.raises(FrozenSnapshotError):
        setattr(shown, name, EQUAL[name])


@pytest.mark.parametrize("name", CHANGES)
def test_a_composite_can_be_pickled(shown, name):
    """And is equal afterwards."""
    assert pickled(getattr(shown, name)) == EQUAL[name]


@pytest.mark.parametrize("name", CHANGES)
def test_a_composite_can_be_copied(shown, name):
    """Deeply, too."""
    assert copy.deepcopy(getattr(shown, name)) == EQUAL[name]


@pytest.mark.parametrize("name", CHANGES)
def test_equal_composites_have_equal_hashes(shown, name):
    """They can be keys."""
    assert hash(getattr(shown, name)) == hash(getattr(shown, name))


def test_a_composite_s_methods_work(shown):
    """It is an object, not a tuple."""
    assert shown.point.length() == 3


def test_a_composite_that_was_read_before_is_the_same(live):
    """Whether or not the entity has built it yet."""
    assert live.point == Point(1, 2)
    assert snapshot(live).point == Point(1, 2)


def test_a_composite_shows_what_the_entity_was_assigned(live):
    """An assignment before the flush counts."""
    live.point = Point(7, 8)
    assert snapshot(live).point == Point(7, 8)


def test_a_mutable_composite_shows_what_was_changed_in_place(live):
    """Its parts are the columns' values at the moment of freezing."""
    live.span.end = 70
    live.span.start = 60
    assert (snapshot(live).span.start, snapshot(live).span.end) == (60, 70)


def test_a_nullable_composite_reads_as_on_the_entity(live, shown):
    """What SQLAlchemy makes of NULLs, its releases differ in it."""
    assert (shown.place is None) == (live.place is None)


def test_a_nullable_composite_that_is_set(store):
    """With one of its columns NULL."""
    made = drawing()
    made.place = Place("Rue de Rivoli", None)
    shown = snapshot(store(made).get_one(Drawing, 1))
    assert shown.place == Place("Rue de Rivoli", None)


def test_the_columns_of_a_composite_can_be_read(shown, live):
    """They are attributes of their own."""
    names = [prop.key for prop in inspect(Drawing).composites["point"].props]
    assert [getattr(shown, name) for name in names] == [1, 2]


def test_a_composite_is_a_path(live):
    """It stands for its columns."""
    session = inspect(live).session
    session.expunge_all()
    loaded = session.scalars(select(Drawing).options(load_only(Drawing.id))).one()
    assert snapshot(loaded, Drawing.point).point == Point(1, 2)


def test_a_composite_whose_columns_are_missing_is_not_captured(live):
    """And says which column is missing."""
    session = inspect(live).session
    session.expunge_all()
    loaded = session.scalars(select(Drawing).options(load_only(Drawing.id))).one()
    with pytest.raises(NotLoadedError, match=r"Drawing\."):
        _ = snapshot(loaded).point


def test_no_composite_is_ever_none_without_reason(shown):
    """Those that are set are there."""
    assert None not in (shown.point, shown.colour, shown.price, shown.span)


def test_a_composite_with_slots(store):
    """Equal to the entity's, and immutable as well."""
    release = Release(id=1, pair=Pair(3, 4))
    shown = snapshot(store(release).get_one(Release, 1))
    assert shown.pair == Pair(3, 4)
    with pytest.raises(AttributeError):
        shown.pair.left = 9
    assert shown.pair == Pair(3, 4)


# --- with habits of their own -----------------------------------------------------------------


@pytest.fixture
def mark(store):
    """Give the snapshot of a marker."""
    return snapshot(store(marker()).get_one(Marker, 1))


def test_a_composite_keeps_an_equality_of_its_own(mark):
    """In both directions."""
    assert mark.mail == Mail("lisa", "other")
    assert Mail("lisa", "other") == mark.mail


def test_a_composite_keeps_a_hash_of_its_own(mark):
    """Sets find it by the entity's composite."""
    assert hash(mark.mail) == hash(Mail("lisa", "other"))


def test_a_method_can_make_another_composite_of_its_class(mark):
    """Which is no frozen one."""
    assert type(mark.spot.moved(1)) is Spot


def test_a_composite_made_by_a_method_has_its_values(mark):
    """Those that the method gave."""
    assert mark.spot.moved(1) == Spot(2, 2)


def test_composites_can_be_added(mark):
    """By an operator of their own."""
    assert mark.spot + Spot(1, 1) == Spot(2, 3)


def test_dataclasses_replace_makes_a_composite(mark):
    """A plain one with the change."""
    assert dataclasses.replace(mark.spot, x=4) == Spot(4, 2)


def test_a_composite_can_be_ordered(mark):
    """By what the dataclass compares."""
    assert mark.spot < Spot(5, 5)


def test_composites_can_be_sorted(mark):
    """Beside plain ones."""
    assert sorted([mark.spot, Spot(0, 0)]) == [Spot(0, 0), Spot(1, 2)]


def test_two_frozen_composites_can_be_ordered(mark):
    """Neither of them is plain."""
    assert mark.spot <= replace(mark, spot=Spot(9, 9)).spot


def test_a_frozen_composite_is_as_frozen_after_its_methods(mark):
    """Making another one opens nothing."""
    mark.spot.moved(1)
    with pytest.raises(FrozenSnapshotError):
        mark.spot.x = 9
