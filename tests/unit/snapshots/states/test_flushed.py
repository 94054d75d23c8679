"""Entities whose row was written in this session: unset columns and versions."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect

from sqla_safe import (
    NotLoadedError,
    snapshot,
)
from tests.unit.snapshots.models.gallery import Avatar, User
from tests.unit.snapshots.models.versions import Page
from tests.unit.snapshots.support import sent

# --- flushed, with columns that nobody set ----------------------------------------------------


def quietly(entity, *paths):
    """Freeze, and make sure that nothing is sent."""
    with sent() as statements:
        shown = snapshot(entity, *paths)
    assert statements == []
    return shown


@pytest.mark.parametrize("key", [{}, {"id": 50}], ids=["new key", "given key"])
@pytest.mark.parametrize("name", ["settings", "team_id"])
def test_what_was_not_set_before_the_flush_is_none(session, key, name):
    """As the entity reads, which sends nothing either."""
    user = User(name="new", **key)
    session.add(user)
    session.flush()
    assert getattr(quietly(user), name) is None


def test_many_entities_that_were_flushed_together_hold_none(session):
    """Each of them, whatever the others have set."""
    users = [User(name="one"), User(name="two", team_id=1)]
    session.add_all(users)
    session.flush()
    assert [user.team_id for user in quietly(users)] == [None, 1]


def test_freezing_does_not_set_what_was_not_set(session):
    """The entity stays as it is."""
    avatar = Avatar(name="alone")
    session.add(avatar)
    session.flush()
    quietly(avatar)
    assert "user_id" not in vars(avatar)


def test_a_deferred_column_that_was_not_set_is_not_captured(session):
    """The entity would load it."""
    user = User(name="new")
    session.add(user)
    session.flush()
    with pytest.raises(NotLoadedError, match=r"User\.bio"):
        _ = quietly(user).bio


# --- versions ---------------------------------------------------------------------------------


def test_the_version_is_held(store):
    """It is a column like others."""
    session = store(Page(id=1, title="a"))
    page = session.get_one(Page, 1)
    page.title = "b"
    session.commit()
    assert snapshot(page).version == 2


def test_freezing_leaves_the_version_alone(store):
    """Nothing is written."""
    session = store(Page(id=1, title="a"))
    page = session.get_one(Page, 1)
    snapshot(page)
    session.commit()
    assert page.version == 1
    assert inspect(page).session is session
