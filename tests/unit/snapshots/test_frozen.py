"""Snapshots cannot be changed, and what happens to the entity does not reach them."""

from __future__ import annotations

import weakref

import pytest

from sqla_safe import FrozenSnapshotError, snapshot
from tests.unit.snapshots.models.gallery import Avatar, Team, User, lisa

NAMES = ["id", "name", "avatars", "team", "bio", "greeting", "brand_new", "_sa_instance_state"]


@pytest.fixture
def shown(store):
    """Give a snapshot with most of its graph."""
    return snapshot(store(lisa()).get_one(User, 1), User.avatars, User.team, User.tags)


@pytest.mark.parametrize("name", NAMES)
def test_no_attribute_can_be_set(shown, name):
    """Columns, relationships, methods, missing and new ones."""
    with pytest.raises(FrozenSnapshotError, match=rf"User\.{name} of a snapshot"):
        setattr(shown, name, None)


@pytest.mark.parametrize("name", NAMES)
def test_no_attribute_can_be_deleted(shown, name):
    """Nor can one be taken away."""
    with pytest.raises(FrozenSnapshotError):
        delattr(shown, name)


def test_the_error_names_the_repair(shown):
    """`replace`, and then `write_back`."""
    with pytest.raises(FrozenSnapshotError, match=r"replace\(snapshot, name=\.\.\.\)"):
        shown.name = "Nona"


@pytest.mark.parametrize("kind", [AttributeError, TypeError])
def test_the_error_is_what_frozen_classes_raise(shown, kind):
    """Dataclasses raise the one, tuples and dicts the other."""
    with pytest.raises(kind):
        shown.name = "Nona"


def test_a_related_snapshot_cannot_be_changed(shown):
    """At any depth."""
    with pytest.raises(FrozenSnapshotError, match=r"Avatar\.name"):
        shown.avatars[0].name = "other"


def test_augmented_assignment_is_refused(shown):
    """It is an assignment."""
    with pytest.raises(FrozenSnapshotError):
        shown.balance += 1


def test_a_refused_change_changes_nothing(shown):
    """The value is as it was."""
    with pytest.raises(FrozenSnapshotError):
        shown.name = "Nona"
    assert shown.name == "Lisa"


def test_a_collection_cannot_be_changed(shown):
    """A tuple has no way to."""
    assert not hasattr(shown.avatars, "append")


def test_a_backref_changes_no_snapshot(store):
    """Assigning the live child to another parent."""
    session = store(lisa())
    user = session.get_one(User, 1)
    shown = snapshot(user, User.avatars, User.team)
    user.avatars[0].user = User(name="other")
    user.team = Team(name="other")
    assert len(shown.avatars) == 2
    assert shown.avatars[0].user is shown
    assert shown.team.name == "Louvre"


def test_a_flush_changes_no_snapshot(store):
    """Nothing in it is tracked by the session."""
    session = store(lisa())
    user = session.get_one(User, 1)
    shown = snapshot(user, User.avatars)
    user.avatars.append(Avatar(name="new"))
    user.settings["theme"] = "light"
    session.commit()
    assert (len(shown.avatars), shown.settings["theme"]) == (2, "dark")


def test_a_snapshot_is_not_dirty(store):
    """The session knows nothing of it."""
    session = store(lisa())
    snapshot(session.get_one(User, 1), User.avatars)
    assert not session.dirty
    assert not session.new


def test_a_snapshot_can_be_weakly_referenced(shown):
    """For caches."""
    assert weakref.ref(shown)() is shown
