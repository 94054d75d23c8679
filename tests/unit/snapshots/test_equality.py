"""Equal by class, key and captured state; hashable."""

from __future__ import annotations

import decimal
import math

import pytest
from sqlalchemy import select

from sqla_safe import replace, snapshot
from tests.unit.snapshots.models.boxes import Box, full_box
from tests.unit.snapshots.models.family import Circle, Employee, Manager, Shape, company
from tests.unit.snapshots.models.gallery import Avatar, Tag, Team, User, lisa
from tests.unit.snapshots.models.trees import Node, add_deep_chain, chain
from tests.unit.snapshots.models.values import Opaque, Record, record
from tests.unit.snapshots.support import pickled


def taken(store, *paths, **changes):
    """Freeze Lisa out of a database of her own."""
    made = lisa()
    for name, value in changes.items():
        setattr(made, name, value)
    return snapshot(store(made).get_one(User, 1), *paths)


def test_two_snapshots_of_one_state_are_equal(store):
    """Although they are two objects."""
    assert taken(store) == taken(store)


def test_equal_snapshots_have_equal_hashes(store):
    """So sets and dicts find them."""
    assert len({taken(store), taken(store)}) == 1


def test_another_value_is_unequal(store):
    """One column is enough."""
    assert taken(store) != taken(store, name="Nona")


def test_another_key_is_unequal(store):
    """Two rows with the same values."""
    session = store(Tag(id=1, name="oil"), Tag(id=2, name="oil"))
    one, two = snapshot(session.scalars(select(Tag)).all())
    assert one != two


def test_another_set_of_captured_attributes_is_unequal(store):
    """Not captured is not None."""
    assert taken(store) != taken(store, User.bio)


def test_related_state_counts(store):
    """A change two levels down."""
    other = lisa()
    other.avatars[1].photos[0].url = "other"
    paths = User.avatars, Avatar.photos
    assert taken(store, *paths) != snapshot(store(other).get_one(User, 1), *paths)


def test_related_state_that_was_not_captured_does_not_count(store):
    """Only what is held is compared."""
    other = lisa()
    other.avatars[1].photos[0].url = "other"
    assert taken(store, User.avatars) == snapshot(store(other).get_one(User, 1), User.avatars)


def test_the_order_of_a_list_counts(store):
    """Lists are tuples."""
    one = taken(store, User.avatars)
    assert one != replace(one, avatars=one.avatars[::-1])


def test_a_shorter_list_is_unequal(store):
    """The lengths are compared."""
    one = taken(store, User.avatars)
    assert one != replace(one, avatars=one.avatars[:1])


def test_a_relationship_that_is_none_is_unequal_to_one_that_is_not(store):
    """In both directions."""
    one = taken(store, User.team)
    other = replace(one, team=None)
    assert one != other
    assert other != one


def test_cyclic_snapshots_are_compared(store):
    """Without end it would not come back."""
    assert taken(store, User.tags, Tag.users) == taken(store, User.tags, Tag.users)


def test_cyclic_snapshots_that_differ_are_unequal(store):
    """Far round the cycle."""
    other = lisa()
    other.tags[1].name = "other"
    paths = User.tags, Tag.users
    assert taken(store, *paths) != snapshot(store(other).get_one(User, 1), *paths)


def deep_nodes(store):
    """Freeze a chain of five thousand nodes."""
    session = store(chain(1))
    add_deep_chain(session, 5_000)
    return snapshot(session.scalars(select(Node).order_by(Node.id)).all())


def test_deep_snapshots_are_compared_without_recursion(store):
    """Five thousand levels."""
    assert deep_nodes(store)[-1] == deep_nodes(store)[-1]


def test_deep_snapshots_are_hashed_without_recursion(store):
    """A hash looks at the key only."""
    assert len(set(deep_nodes(store))) == 5_000


def test_sets_are_compared_by_class_and_key(store):
    """Whatever their order."""
    paths = Box.chosen, Box.notes, Box.listed, Box.by_size
    one = snapshot(store(full_box()).get_one(Box, 1), *paths)
    other = snapshot(store(full_box()).get_one(Box, 1), *paths)
    assert one == other


def test_a_set_whose_member_differs_is_unequal(store):
    """The members' states count."""
    made = full_box()
    next(iter(made.chosen)).name = "green"
    one = snapshot(store(full_box()).get_one(Box, 1), Box.chosen)
    other = snapshot(store(made).get_one(Box, 1), Box.chosen)
    assert one != other


def test_a_dict_whose_member_differs_is_unequal(store):
    """The same for keyed collections."""
    made = full_box()
    made.notes["a"].text = "other"
    one = snapshot(store(full_box()).get_one(Box, 1), Box.notes)
    other = snapshot(store(made).get_one(Box, 1), Box.notes)
    assert one != other


def test_snapshots_of_two_classes_are_unequal(store):
    """Equal keys are not enough."""
    session = store(lisa())
    assert snapshot(session.get_one(Tag, 1)) != snapshot(session.get_one(Team, 1))


def test_a_subclass_row_is_unequal_to_a_base_row(store):
    """Concrete rows may have one key."""
    session = store(Shape(id=1, name="a"), Circle(id=1, name="a", radius=1))
    one, two = snapshot(session.scalars(select(Shape)).all())
    assert one != two


def test_a_polymorphic_row_is_equal_however_it_was_loaded(store):
    """As its base class or as itself."""
    as_base = snapshot(store(company()).get_one(Employee, 2))
    as_itself = snapshot(store(company()).get_one(Manager, 2))
    assert as_base == as_itself
    assert hash(as_base) == hash(as_itself)


def test_a_snapshot_is_not_equal_to_its_entity(store):
    """They are different things, whichever stands first."""
    user = store(lisa()).get_one(User, 1)
    assert snapshot(user) != user
    assert user != snapshot(user)


@pytest.mark.parametrize("other", [None, 1, "User", (), {}], ids=repr)
def test_a_snapshot_is_not_equal_to_anything_else(store, other):
    """And no error."""
    assert taken(store) != other


def test_nan_equals_itself(store):
    """It is what was captured."""
    one, other = (snapshot(store(record(ratio=None)).get_one(Record, 1)) for _ in range(2))
    nan = float("nan")
    assert replace(one, ratio=nan) == replace(other, ratio=float(str(nan)))


def test_json_values_are_compared(store):
    """By value, at any depth."""
    assert taken(store) != taken(store, settings={"theme": "dark", "sizes": [1, {"unit": "em"}]})


def test_values_of_unknown_classes_are_compared_by_their_equality(store):
    """They were copied, so identity would not do."""
    one, other = (
        snapshot(store(record(anything=Opaque([1]))).get_one(Record, 1)) for _ in range(2)
    )
    assert one == other


def test_snapshots_are_keys_of_dicts(store):
    """One that is equal finds the value."""
    assert {taken(store): "found"}[taken(store)] == "found"


def test_a_snapshot_with_unhashable_values_can_be_hashed(store):
    """The key is what is hashed."""
    shown = snapshot(store(record(anything=Opaque([1]), document=[{}])).get_one(Record, 1))
    assert isinstance(hash(shown), int)


def test_members_of_a_set_with_one_key_are_counted(store):
    """Two states of one row are two members."""
    box = snapshot(store(full_box()).get_one(Box, 1), Box.chosen)
    one = next(iter(box.chosen))
    other = replace(one, name="another")
    both = replace(box, chosen={one, other})
    assert both not in (replace(box, chosen={one}), replace(box, chosen={other}))


@pytest.mark.parametrize(
    "value",
    [{"a": math.nan}, [1, [math.nan]], {"a": [{"b": math.nan}]}, {"a": decimal.Decimal("NaN")}],
    ids=repr,
)
def test_nan_inside_a_value_equals_itself(store, value):
    """After a pickle, which makes another NaN."""
    shown = replace(snapshot(store(record()).get_one(Record, 1)), anything=value)
    assert pickled(shown) == shown


def test_nan_inside_a_value_equals_no_number(store):
    """The rest is compared as ever."""
    shown = snapshot(store(record()).get_one(Record, 1))
    assert replace(shown, anything={"a": math.nan}) != replace(shown, anything={"a": 1.0})
