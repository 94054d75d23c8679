"""Entities that have left their session, and snapshots that outlive it."""

from __future__ import annotations

import gc
import weakref

import pytest
from sqlalchemy.orm import Session, selectinload

from sqla_safe import (
    DetachedEntityError,
    SnapshotSourceError,
    snapshot,
)
from tests.unit.snapshots.models.gallery import Avatar, User
from tests.unit.snapshots.support import sent

# --- detached ---------------------------------------------------------------------------------


def test_a_detached_entity_with_everything_loaded_is_frozen(session):
    """No session is needed for what is there."""
    user = session.get_one(User, 1)
    assert user.avatars
    session.expunge_all()
    assert [avatar.name for avatar in snapshot(user).avatars] == ["Mona", "Gioconda"]


def test_a_path_that_a_detached_entity_has_is_no_error(session):
    """It is there already."""
    user = session.get_one(User, 1)
    assert user.avatars
    session.expunge_all()
    assert len(snapshot(user, User.avatars).avatars) == 2


def test_a_path_that_a_detached_entity_lacks_is_an_error(session):
    """There is no session to load it."""
    user = session.get_one(User, 1)
    session.expunge_all()
    with pytest.raises(DetachedEntityError, match=r"User\.avatars"):
        snapshot(user, User.avatars)


def test_the_error_of_a_detached_entity_has_its_data(session):
    """Class and attributes, for programs."""
    user = session.get_one(User, 1)
    session.expunge_all()
    with pytest.raises(DetachedEntityError) as caught:
        snapshot(user, User.avatars, User.tags)
    assert caught.value.entity == "User"
    assert set(caught.value.missing) == {"User.avatars", "User.tags"}
    assert not caught.value.expired


def test_a_loader_option_needs_a_session(session):
    """It can only be run."""
    user = session.get_one(User, 1)
    session.expunge_all()
    with pytest.raises(DetachedEntityError):
        snapshot(user, selectinload(User.avatars))


def test_an_entity_that_expired_and_left_its_session_is_an_error(session):
    """Not even its key is there."""
    user = session.get_one(User, 1)
    session.commit()
    session.expunge_all()
    with pytest.raises(DetachedEntityError, match="expired when its transaction ended") as caught:
        snapshot(user)
    assert caught.value.expired


def test_an_entity_of_a_closed_session_is_detached(session):
    """`close()` expunges."""
    user = session.get_one(User, 1)
    session.close()
    assert snapshot(user).name == "Lisa"


def test_a_lazy_many_to_one_of_a_detached_graph_is_resolved(session):
    """Among the entities that are frozen together, the parent is found by its key."""
    user = session.get_one(User, 1)
    assert user.avatars
    session.expunge_all()
    shown = snapshot(user)
    assert shown.avatars[0].user is shown


# --- detached and expired together ------------------------------------------------------------


def test_an_expired_column_that_is_named_cannot_be_loaded_without_a_session(session):
    """It was asked for."""
    user = session.get_one(User, 1)
    session.expire(user, ["name"])
    session.expunge(user)
    with pytest.raises(DetachedEntityError, match=r"User\.name"):
        snapshot(user, User.name)


# --- sessions ---------------------------------------------------------------------------------


def test_roots_of_two_sessions_are_refused(session):
    """Their graphs would be mixed."""
    with Session(session.get_bind()) as other:
        users = [session.get_one(User, 1), other.get_one(User, 1)]
        with pytest.raises(SnapshotSourceError, match="several sessions"):
            snapshot(users)


def test_a_snapshot_outlives_its_session(session):
    """Everything that was captured can be read."""
    shown = snapshot(session.get_one(User, 1), User.avatars, Avatar.photos)
    session.close()
    assert shown.avatars[0].photos[0].avatar is shown.avatars[0]


def test_a_snapshot_survives_the_commit(session):
    """Nothing expires in it."""
    shown = snapshot(session.get_one(User, 1), User.avatars)
    session.commit()
    with sent() as statements:
        assert shown.avatars[0].name == "Mona"
    assert statements == []


def test_a_snapshot_does_not_follow_the_entity(session):
    """It holds the state of its moment."""
    user = session.get_one(User, 1)
    shown = snapshot(user, User.avatars)
    user.name = "Nona"
    user.avatars[0].name = "other"
    user.avatars.pop()
    session.flush()
    assert (shown.name, [avatar.name for avatar in shown.avatars]) == ("Lisa", ["Mona", "Gioconda"])


def test_freezing_does_not_keep_the_entities_alive(session):
    """A snapshot holds no reference to what it was made from."""
    user = session.get_one(User, 1)
    shown = snapshot(user, User.avatars)
    gone = weakref.ref(user)
    session.expunge_all()
    del user
    gc.collect()
    assert gone() is None
    assert shown.name == "Lisa"
