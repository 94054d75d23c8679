"""A session with an entity to bring into each state."""

from __future__ import annotations

import pytest

from tests.unit.snapshots.models.gallery import lisa


@pytest.fixture
def session(store):
    """Give a session on a database with Lisa in it."""
    return store(lisa())
