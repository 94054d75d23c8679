"""Entities that are not in the database yet, or not any more."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import make_transient

from sqla_safe import (
    DeletedEntityError,
    PendingEntityError,
    snapshot,
)
from tests.unit.snapshots.models.gallery import Avatar, Photo, User

# --- pending, transient -----------------------------------------------------------------------


def test_a_transient_entity_is_refused():
    """It has no row."""
    with pytest.raises(PendingEntityError, match=r"User .*flush"):
        snapshot(User(name="new"))


def test_a_pending_entity_is_refused(session):
    """It has no row yet."""
    user = User(name="new")
    session.add(user)
    with pytest.raises(PendingEntityError):
        snapshot(user)


def test_a_flushed_entity_is_frozen(session):
    """It has a key."""
    user = User(name="new")
    session.add(user)
    session.flush()
    assert snapshot(user).id == 2


def test_a_flushed_entity_holds_its_defaults(session):
    """Those that Python sets."""
    user = User(name="new")
    session.add(user)
    session.flush()
    assert snapshot(user).balance == 10


def test_a_pending_member_is_refused(session):
    """Also deep in the graph."""
    user = session.get_one(User, 1)
    with session.no_autoflush:
        user.avatars.append(Avatar(name="new"))
        with pytest.raises(PendingEntityError, match="Avatar"):
            snapshot(user)


def test_an_entity_made_transient_is_refused(session):
    """It has forgotten its row."""
    user = session.get_one(User, 1)
    make_transient(user)
    with pytest.raises(PendingEntityError):
        snapshot(user)


# --- deleted ----------------------------------------------------------------------------------


def test_an_entity_marked_for_deletion_is_frozen(session):
    """The row is still there: this is the moment for an audit trail."""
    photo = session.get_one(Photo, 1)
    session.delete(photo)
    assert snapshot(photo).url == "1.jpg"


def test_an_entity_whose_deletion_was_flushed_is_refused(session):
    """The row is gone."""
    photo = session.get_one(Photo, 1)
    session.delete(photo)
    session.flush()
    with pytest.raises(DeletedEntityError, match="Photo"):
        snapshot(photo)


def test_an_entity_whose_deletion_was_committed_is_refused(session):
    """The row is gone for good."""
    photo = session.get_one(Photo, 1)
    session.delete(photo)
    session.commit()
    with pytest.raises(DeletedEntityError):
        snapshot(photo)


def test_a_deletion_that_was_rolled_back_leaves_an_entity(session):
    """The row is back."""
    photo = session.get_one(Photo, 1)
    session.delete(photo)
    session.flush()
    session.rollback()
    assert snapshot(photo).url == "1.jpg"


def test_a_deleted_member_of_a_loaded_collection_is_refused(session):
    """The collection is older than the deletion."""
    avatar = session.get_one(Avatar, 1)
    photo = avatar.photos[0]
    session.delete(photo)
    session.flush()
    with pytest.raises(DeletedEntityError, match="take deleted entities out"):
        snapshot(avatar)
