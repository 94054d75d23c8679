"""What listeners of the engine raise around COMMIT."""

from __future__ import annotations

import pytest
from sqlalchemy import event

from sqla_safe import current_scope, scoped_services
from tests.integration.scopes.models import Notes, stored


async def test_nobody_stores_what_a_listener_kept_from_commit(maker, async_engine, async_database):
    """An error just before COMMIT is sent rolls back, whoever gets the connection next."""

    @event.listens_for(async_engine.sync_engine, "commit", once=True)
    def refuse(_: object) -> None:
        raise KeyError

    with pytest.raises(KeyError):
        async with scoped_services(maker, Notes) as notes:
            scope = current_scope(maker)
            await notes.add("a")
    assert scope.outcome == "rolled_back"
    async with scoped_services(maker, Notes) as notes:
        await notes.add("b")
    assert stored(async_database) == ["b"]
    assert async_engine.pool.checkedout() == 0
