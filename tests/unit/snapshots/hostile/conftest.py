"""A snapshot with cycles, and its data in both formats."""

from __future__ import annotations

import pytest

from sqla_safe import dumps, snapshot
from tests.unit.snapshots.models.gallery import Avatar, User, lisa


@pytest.fixture
def shown(store):
    """Give a snapshot with cycles."""
    return snapshot(
        store(lisa()).get_one(User, 1), User.avatars, Avatar.photos, User.team, User.tags
    )


@pytest.fixture(params=["msgpack", "json"])
def data(shown, request):
    """Give its data, in both formats."""
    return dumps(shown, format=request.param)
