"""`dumps` and `loads`: the snapshot as bytes that hold data only."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select

from sqla_safe import (
    FrozenSnapshotError,
    NotLoadedError,
    SnapshotSourceError,
    dumps,
    is_snapshot,
    loads,
    snapshot,
)
from tests.unit.snapshots.dumps.support import every_format, over
from tests.unit.snapshots.models.computed import Account
from tests.unit.snapshots.models.gallery import User, lisa, many


@every_format
def test_a_round_trip_is_equal(shown, form):
    """In both formats."""
    assert over(User, shown, form) == shown


def test_the_default_is_msgpack(shown):
    """It is the smaller one."""
    assert dumps(shown) == dumps(shown, format="msgpack")
    assert len(dumps(shown)) < len(dumps(shown, format="json"))


def test_json_is_json(shown):
    """Other tools can at least read it."""
    assert json.loads(dumps(shown, format="json"))


@every_format
def test_the_data_is_bytes(shown, form):
    """For both formats."""
    assert type(dumps(shown, format=form)) is bytes


@every_format
def test_what_comes_back_is_a_frozen_snapshot(shown, form):
    """Of the same class."""
    back = over(User, shown, form)
    assert is_snapshot(back)
    assert type(back) is type(shown)
    with pytest.raises(FrozenSnapshotError):
        back.name = "Nona"
    with pytest.raises(FrozenSnapshotError):
        back.settings["theme"] = "light"


@every_format
def test_identity_and_cycles_are_kept(shown, form):
    """One object, one object."""
    back = over(User, shown, form)
    assert back.avatars[0].user is back
    assert back.tags[0].users[0] is back


def test_a_shared_object_is_written_once(store):
    """Two users with one team."""
    shown = snapshot(store(*many(2)).scalars(select(User)).all(), User.team)
    data = dumps(shown)
    assert data.count(b"Louvre") == 1
    one, two = loads(tuple[User, ...], data)
    assert one.team is two.team


@every_format
def test_what_is_missing_is_missing(shown, form):
    """Not None."""
    with pytest.raises(NotLoadedError, match=r"User\.bio"):
        _ = over(User, shown, form).bio


def test_the_same_snapshot_gives_the_same_data(store):
    """For caches that compare."""
    one, two = [snapshot(store(lisa()).get_one(User, 1), User.avatars) for _ in range(2)]
    assert dumps(one) == dumps(two)


@every_format
def test_several_snapshots(store, form):
    """A tuple of them, in its order."""
    shown = snapshot(store(*many(3)).scalars(select(User).order_by(User.id.desc())).all())
    assert loads(tuple[User, ...], dumps(shown, format=form)) == shown


def test_a_list_of_snapshots(store):
    """Any iterable, it comes back as a tuple."""
    shown = snapshot(store(*many(3)).scalars(select(User)).all())
    assert loads(tuple[User, ...], dumps(list(shown))) == shown


def test_no_snapshots():
    """An empty tuple."""
    assert loads(tuple[User, ...], dumps(())) == ()


def test_an_entity_is_refused(store):
    """Freeze it first."""
    with pytest.raises(SnapshotSourceError, match=r"dumps\(\) was given .*User"):
        dumps(store(lisa()).get_one(User, 1))


def test_a_list_with_an_entity_in_it_is_refused(store):
    """Each item is looked at."""
    user = store(lisa()).get_one(User, 1)
    with pytest.raises(SnapshotSourceError):
        dumps([snapshot(user), user])


def test_no_column_names_of_the_database_are_in_it(store):
    """Attribute names are, since they are the mapping's."""
    session = store(Account(id=1, first="a", last="b", nick="c"))
    shown = snapshot(session.get_one(Account, 1))
    assert over(Account, shown).nick == "c"
