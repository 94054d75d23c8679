"""Entities of which a part has expired."""

from __future__ import annotations

import pytest
from sqlalchemy import select, update

from sqla_safe import (
    DeletedEntityError,
    NotLoadedError,
    snapshot,
)
from tests.unit.snapshots.models.gallery import Photo, User, many
from tests.unit.snapshots.models.versions import Stamped
from tests.unit.snapshots.support import sent


def test_an_expired_entity_is_loaded_again(session):
    """Its columns, in one statement."""
    user = session.get_one(User, 1)
    session.commit()
    with sent() as statements:
        shown = snapshot(user)
    assert (shown.name, len(statements)) == ("Lisa", 1)


def test_expired_entities_of_one_class_cost_one_statement(store):
    """Fifty of them."""
    session = store(*many(50))
    users = session.scalars(select(User)).all()
    session.commit()
    with sent() as statements:
        shown = snapshot(users)
    assert (len(shown), len(statements)) == (50, 1)


def test_expired_entities_of_two_classes_cost_two_statements(session):
    """Users and their avatars."""
    user = session.get_one(User, 1)
    for avatar in user.avatars:
        session.expire(avatar, ["name"])
    session.expire(user, ["name"])
    with sent() as statements:
        shown = snapshot(user)
    assert len(statements) == 2
    assert [avatar.name for avatar in shown.avatars] == ["Mona", "Gioconda"]


def test_a_single_expired_column_is_loaded(session):
    """The others stay as they are."""
    user = session.get_one(User, 1)
    user.balance = 99
    session.expire(user, ["name"])
    shown = snapshot(user)
    assert (shown.name, shown.balance) == ("Lisa", 99)


def test_an_expired_deferred_column_is_not_loaded(session):
    """Expiring brings no path along: bio was never captured."""
    user = session.get_one(User, 1)
    session.commit()
    with pytest.raises(NotLoadedError):
        _ = snapshot(user).bio


def test_an_expired_collection_is_not_captured(session):
    """It is no longer loaded."""
    user = session.get_one(User, 1)
    assert user.avatars
    session.commit()
    with pytest.raises(NotLoadedError):
        _ = snapshot(user).avatars


def test_an_expired_collection_is_a_path(session):
    """Named, it is loaded with its members."""
    user = session.get_one(User, 1)
    assert user.avatars
    session.commit()
    assert [avatar.name for avatar in snapshot(user, User.avatars).avatars] == ["Mona", "Gioconda"]


def test_after_a_rollback_the_row_is_read_again(session):
    """Changes that were undone are not frozen."""
    user = session.get_one(User, 1)
    user.name = "Nona"
    session.flush()
    session.rollback()
    assert snapshot(user).name == "Lisa"


def test_a_server_side_onupdate_is_loaded(store):
    """The flush expired it."""
    session = store(Stamped(id=1, name="a"))
    stamped = session.get_one(Stamped, 1)
    stamped.name = "b"
    session.flush()
    with sent() as statements:
        shown = snapshot(stamped)
    assert (shown.name, shown.changes, len(statements)) == ("b", 7, 1)


def test_a_server_default_is_loaded(store):
    """The flush left it for later."""
    session = store(Stamped(id=1, name="a"))
    new = Stamped(id=2, name="n")
    session.add(new)
    session.flush()
    assert snapshot(new).made == 5


def test_a_sql_expression_that_was_assigned_is_loaded(session):
    """After its flush the value is the database's."""
    user = session.get_one(User, 1)
    user.balance = User.balance + 5
    session.flush()
    assert snapshot(user).balance == 15


def test_an_expired_entity_whose_row_is_gone(session):
    """Deleted behind the session's back."""
    user = session.get_one(Photo, 1)
    session.commit()
    session.connection().exec_driver_sql("DELETE FROM photo WHERE id = 1")
    with pytest.raises(DeletedEntityError, match="Photo"):
        snapshot(user)


def test_a_bulk_update_is_seen(session):
    """`synchronize_session` expires or sets the attribute."""
    user = session.get_one(User, 1)
    session.execute(update(User).values(balance=1))
    assert snapshot(user).balance == 1
