"""A snapshot to send."""

from __future__ import annotations

import pytest

from sqla_safe import snapshot
from tests.unit.snapshots.models.gallery import Avatar, Tag, User, lisa


@pytest.fixture
def shown(store):
    """Give a snapshot with cycles."""
    paths = User.avatars, Avatar.photos, User.team, User.tags, Tag.users
    return snapshot(store(lisa()).get_one(User, 1), *paths)
