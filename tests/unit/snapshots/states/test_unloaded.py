"""Entities of which a part is not loaded."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import raiseload

from sqla_safe import (
    DetachedEntityError,
    NotLoadedError,
    PendingEntityError,
    snapshot,
)
from tests.unit.snapshots.models.gallery import Avatar, User
from tests.unit.snapshots.support import sent

# --- unloaded ---------------------------------------------------------------------------------


def test_an_unloaded_collection_is_not_captured(session):
    """Neither loaded nor empty."""
    shown = snapshot(session.get_one(User, 1))
    with pytest.raises(NotLoadedError):
        _ = shown.avatars


def test_an_unloaded_collection_is_not_loaded(session):
    """Freezing sends nothing."""
    user = session.get_one(User, 1)
    with sent() as statements:
        snapshot(user)
    assert statements == []


def test_raiseload_does_not_disturb(session):
    """It concerns lazy loads; there are none."""
    user = session.scalars(select(User).options(raiseload("*"))).one()
    assert snapshot(user).name == "Lisa"


def test_a_path_goes_before_raiseload(session):
    """Named is named."""
    user = session.scalars(select(User).options(raiseload("*"))).one()
    assert len(snapshot(user, User.avatars).avatars) == 2


def test_a_path_loads_only_what_is_missing(session):
    """Two of three users have their avatars loaded: theirs are left alone."""
    session.add_all([User(id=2, name="two"), User(id=3, name="three")])
    session.commit()
    users = session.scalars(select(User).order_by(User.id)).all()
    users[0].avatars[0].name = "changed in memory"
    with session.no_autoflush:
        shown = snapshot(users, User.avatars)
    assert shown[0].avatars[0].name == "changed in memory"
    assert [len(one.avatars) for one in shown] == [2, 0, 0]


def test_what_is_loaded_already_costs_nothing(session):
    """A path that is there sends nothing."""
    user = session.get_one(User, 1)
    assert user.avatars
    with sent() as statements:
        snapshot(user, User.avatars)
    assert statements == []


def test_changes_in_memory_are_what_is_frozen(session):
    """The entity's state, not the row's."""
    user = session.get_one(User, 1)
    user.name = "Nona"
    assert snapshot(user).name == "Nona"


def test_changes_in_memory_survive_the_loading_of_paths(session):
    """A load does not bring back the row's value."""
    user = session.get_one(User, 1)
    user.name = "Nona"
    assert snapshot(user, User.avatars, User.bio).name == "Nona"
    assert user.name == "Nona"


def test_a_new_member_in_memory_is_part_of_the_graph(session):
    """After its flush it has a key."""
    user = session.get_one(User, 1)
    user.avatars.append(Avatar(name="new"))
    session.flush()
    assert [avatar.name for avatar in snapshot(user).avatars] == ["Mona", "Gioconda", "new"]


# --- collections that were changed before they were loaded ------------------------------------


def test_a_pending_member_of_an_unloaded_collection_is_refused(session):
    """The row of the collection's owner is there; the new member is what is not."""
    user = session.get_one(User, 1)
    with session.no_autoflush:
        session.add(Avatar(name="new", user=user))
        with pytest.raises(PendingEntityError):
            snapshot(user, User.avatars)


def test_a_member_that_left_an_unloaded_collection_is_not_in_it(session):
    """As the entity reads, before the flush."""
    session.add(User(id=2, name="Nona"))
    session.commit()
    with session.no_autoflush:
        user = session.get_one(User, 1)
        session.get_one(Avatar, 1).user = session.get_one(User, 2)
        assert [avatar.id for avatar in snapshot(user, User.avatars).avatars] == [2]


def test_a_member_that_joined_an_unloaded_collection_is_in_it(session):
    """As the entity reads, before the flush."""
    session.add(User(id=2, name="Nona"))
    session.commit()
    with session.no_autoflush:
        other = session.get_one(User, 2)
        session.get_one(Avatar, 1).user = other
        assert [avatar.id for avatar in snapshot(other, User.avatars).avatars] == [1]


def test_a_path_below_an_expunged_member_is_an_error(session):
    """It is detached; its row is there."""
    user = session.get_one(User, 1)
    session.expunge(user.avatars[0])
    with pytest.raises(DetachedEntityError, match=r"Avatar\.photos"):
        snapshot(user, User.avatars, Avatar.photos)
