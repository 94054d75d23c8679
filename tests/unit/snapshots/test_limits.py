"""Caps: what is too large raises, and nothing is cut off."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from sqla_safe import (
    SnapshotLimitError,
    SnapshotSourceError,
    dumps,
    loads,
    snapshot,
    to_dict,
)
from tests.unit.snapshots.models.gallery import Avatar, User, lisa, many
from tests.unit.snapshots.models.trees import Node, chain


def test_as_many_objects_as_allowed(store):
    """Lisa and two avatars are three."""
    user = store(lisa()).get_one(User, 1)
    assert len(snapshot(user, User.avatars, max_objects=3).avatars) == 2


def test_one_object_more_than_allowed(store):
    """An error, no shorter list."""
    user = store(lisa()).get_one(User, 1)
    with pytest.raises(SnapshotLimitError, match=r"More than 2 objects.*max_objects="):
        snapshot(user, User.avatars, max_objects=2)


def test_roots_count(store):
    """They are objects too."""
    users = store(*many(5)).scalars(select(User)).all()
    with pytest.raises(SnapshotLimitError):
        snapshot(users, max_objects=4)


def test_shared_objects_count_once(store):
    """Five users and one team are six."""
    users = store(*many(5)).scalars(select(User)).all()
    assert len(snapshot(users, User.team, max_objects=6)) == 5


def test_the_error_has_its_data(store):
    """For programs."""
    users = store(*many(5)).scalars(select(User)).all()
    with pytest.raises(SnapshotLimitError) as caught:
        snapshot(users, max_objects=4)
    assert (caught.value.limit, caught.value.value) == ("max_objects", 4)


def test_as_deep_as_allowed(store):
    """Relationships are counted, not objects."""
    user = store(lisa()).get_one(User, 1)
    shown = snapshot(user, User.avatars, Avatar.photos, max_depth=2)
    assert shown.avatars[0].photos[0].url == "1.jpg"


def test_one_level_deeper_than_allowed(store):
    """An error, no shorter branch."""
    user = store(lisa()).get_one(User, 1)
    with pytest.raises(SnapshotLimitError, match=r"More than 1 levels.*max_depth="):
        snapshot(user, User.avatars, Avatar.photos, max_depth=1)


def test_no_depth_is_the_root_alone(store):
    """A graph without relationships."""
    assert snapshot(store(lisa()).get_one(User, 1), max_depth=0).name == "Lisa"


def test_a_chain_is_limited_by_default(store):
    """A hundred levels."""
    root = store(chain(103)).get_one(Node, 1)
    with pytest.raises(SnapshotLimitError) as caught:
        snapshot(root, Node.children)
    assert (caught.value.limit, caught.value.value) == ("max_depth", 100)


def test_a_chain_may_be_allowed_to_be_longer(store):
    """With the option that the error names."""
    root = store(chain(103)).get_one(Node, 1)
    shown, depth = snapshot(root, Node.children, max_depth=200), 0
    while shown.children:
        shown, depth = shown.children[0], depth + 1
    assert depth == 102


@pytest.mark.parametrize("limit", [None, -1, True, 2.5, "5", float("inf")])
@pytest.mark.parametrize("name", ["max_objects", "max_depth"])
def test_a_limit_is_a_whole_number(store, name: str, limit: Any):
    """Refused before anything is loaded, and never taken for "no limit"."""
    user = store(lisa()).get_one(User, 1)
    with pytest.raises(SnapshotSourceError, match=rf"^{name} is not a whole number"):
        snapshot(user, User.avatars, **{name: limit})
    assert "avatars" not in vars(user)


@pytest.mark.parametrize("limit", [None, -1, "5"])
def test_to_dict_and_loads_take_the_same_limits(store, limit: Any):
    """Not a TypeError from inside them."""
    shown = snapshot(store(lisa()).get_one(User, 1))
    with pytest.raises(SnapshotSourceError, match="max_objects is not a whole number"):
        to_dict(shown, max_objects=limit)
    with pytest.raises(SnapshotSourceError, match="max_objects is not a whole number"):
        loads(User, dumps(shown), max_objects=limit)


def test_a_limit_leaves_the_entities_usable(store):
    """The session goes on."""
    user = store(lisa()).get_one(User, 1)
    with pytest.raises(SnapshotLimitError):
        snapshot(user, User.avatars, max_objects=1)
    assert len(snapshot(user, User.avatars).avatars) == 2
