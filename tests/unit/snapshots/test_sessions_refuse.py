"""Sessions and `inspect()` refuse snapshots, and say what to do instead."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import make_transient, object_session
from sqlalchemy.orm.attributes import flag_modified, instance_state
from sqlalchemy.orm.exc import UnmappedInstanceError

from sqla_safe import SnapshotUnmappedError, snapshot
from tests.unit.snapshots.models.gallery import Avatar, User, lisa
from tests.unit.snapshots.support import sent

REFUSALS = {
    "add": lambda session, shown: session.add(shown),
    "add_all": lambda session, shown: session.add_all([shown]),
    "merge": lambda session, shown: session.merge(shown),
    "delete": lambda session, shown: session.delete(shown),
    "refresh": lambda session, shown: session.refresh(shown),
    "expire": lambda session, shown: session.expire(shown),
    "expunge": lambda session, shown: session.expunge(shown),
    "object_session": lambda _, shown: object_session(shown),
    "instance_state": lambda _, shown: instance_state(shown),
    "flag_modified": lambda _, shown: flag_modified(shown, "name"),
    "make_transient": lambda _, shown: make_transient(shown),
}


@pytest.fixture
def session(store):
    """Give a session on a database with Lisa in it."""
    return store(lisa())


@pytest.mark.parametrize("refused", REFUSALS.values(), ids=list(REFUSALS))
def test_a_session_refuses_a_snapshot(session, refused):
    """With an error of SQLAlchemy's own kind."""
    shown = snapshot(session.get_one(User, 1))
    with pytest.raises(UnmappedInstanceError):
        refused(session, shown)


@pytest.mark.parametrize("refused", REFUSALS.values(), ids=list(REFUSALS))
def test_the_refusal_names_the_repair(session, refused):
    """`write_back`, or the entity itself."""
    shown = snapshot(session.get_one(User, 1))
    with pytest.raises(
        SnapshotUnmappedError, match=r"snapshot of User.*write_back\(.*session\.get\(User, key\)"
    ):
        refused(session, shown)


@pytest.mark.parametrize("refused", REFUSALS.values(), ids=list(REFUSALS))
def test_a_refusal_leaves_the_session_as_it_was(session, refused):
    """Nothing is pending, nothing is sent."""
    shown = snapshot(session.get_one(User, 1))
    with sent() as statements, pytest.raises(UnmappedInstanceError):
        refused(session, shown)
    assert not session.new
    assert not session.dirty
    assert not session.deleted
    assert statements == []


def test_inspect_refuses_a_snapshot(session):
    """It has no state to look at."""
    shown = snapshot(session.get_one(User, 1))
    with pytest.raises((SnapshotUnmappedError, NoInspectionAvailable)):
        inspect(shown)


def test_a_snapshot_is_not_in_a_session(session):
    """`in` answers for entities."""
    shown = snapshot(session.get_one(User, 1))
    with pytest.raises(UnmappedInstanceError):
        _ = shown in session


def test_a_snapshot_cannot_be_assigned_to_a_relationship(session):
    """A live entity does not take it for one of its own."""
    shown = snapshot(session.get_one(User, 1))
    with pytest.raises((UnmappedInstanceError, AttributeError), match="snapshot"):
        Avatar(name="new").user = shown


def test_a_snapshot_cannot_be_appended_to_a_collection(session):
    """Nor one of its members."""
    user = session.get_one(User, 1)
    shown = snapshot(user, User.avatars)
    with pytest.raises((UnmappedInstanceError, AttributeError), match="snapshot"):
        user.avatars.append(shown.avatars[0])


def test_a_snapshot_cannot_be_compared_with_a_relationship_in_a_query(session):
    """SQL expressions want entities."""
    shown = snapshot(session.get_one(User, 1))
    with pytest.raises(SnapshotUnmappedError):
        session.scalars(select(Avatar).where(Avatar.user == shown)).all()


def test_the_key_of_a_snapshot_can_be_used_in_a_query(session):
    """It is a plain value."""
    shown = snapshot(session.get_one(User, 1))
    assert len(session.scalars(select(Avatar).where(Avatar.user_id == shown.id)).all()) == 2
