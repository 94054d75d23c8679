"""The main promises on every sync driver."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from sqla_safe import (
    StaleSnapshotError,
    asnapshot,
    dumps,
    loads,
    replace,
    scoped_services,
    snapshot,
    write_back,
)
from sqla_safe.errors import SnapshotSourceError
from tests.integration.snapshots.models import Avatar, User, lisa
from tests.unit.snapshots.support import pickled, sent


def test_a_snapshot_is_read_after_its_scope(sync_maker):
    """Nothing of it needs the session."""
    with scoped_services(sync_maker) as scope:
        shown = snapshot(scope.session.get_one(User, 1), User.avatars, Avatar.photos)
    with sent() as statements:
        assert shown.avatars[1].photos[0].url == "3.jpg"
        assert shown.avatars[0].user is shown
    assert statements == []


def test_a_path_is_one_statement(sync_maker):
    """For two hundred roots."""
    with sync_maker() as session:
        session.add_all([lisa(key) for key in range(2, 201)])
        session.flush()
        session.expunge_all()
        users = session.scalars(select(User)).all()
        with sent() as statements:
            shown = snapshot(users, Avatar.photos, User.avatars)
    assert (len(shown), len(statements)) == (200, 2)


def test_round_trips_are_equal(sync_maker):
    """Pickle and msgpack."""
    with sync_maker() as session:
        shown = snapshot(session.get_one(User, 1), User.avatars, Avatar.photos)
    assert pickled(shown) == shown
    assert loads(User, dumps(shown)) == shown


def test_a_change_is_written_back(sync_maker):
    """And read again."""
    with sync_maker() as session:
        base = snapshot(session.get_one(User, 1))
    with sync_maker.begin() as session:
        write_back(session, replace(base, name="Nona", settings=[1, {"a": None}]), base=base)
    with sync_maker() as session:
        user = session.get_one(User, 1)
        assert (user.name, user.settings, user.version) == ("Nona", [1, {"a": None}], 2)


def test_a_stale_change_is_refused(sync_maker):
    """Two sessions at one time: the second UPDATE finds another version."""
    with sync_maker() as session:
        base = snapshot(session.get_one(User, 1))
    with sync_maker.begin() as other:
        write_back(other, replace(base, name="theirs"), base=base)
    with sync_maker() as session, pytest.raises(StaleSnapshotError):
        write_back(session, replace(base, name="ours"), base=base)


def test_a_value_that_is_the_same_is_a_row_that_was_found(sync_maker):
    """MariaDB counts changed rows, if the driver lets it; matched ones are what counts."""
    with sync_maker() as session:
        base = snapshot(session.get_one(User, 1))
    changed = replace(base, name="Lisa ")
    with sync_maker.begin() as session:
        stored = write_back(session, changed, base=base)
    assert stored.version == 2


async def test_asnapshot_of_a_sync_entity_that_misses_something(sync_maker):
    """An ordinary session cannot be awaited."""
    with sync_maker() as session:
        user = session.get_one(User, 1)
        with pytest.raises(SnapshotSourceError, match="without await"):
            await asnapshot(user, User.avatars)
