"""What `configure` sets, and what it refuses."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import async_sessionmaker

from sqla_safe import (
    ConcurrentUseError,
    IdleInTransactionWarning,
    ManagedTransactionError,
    ScopeOptionError,
    ScopeSourceError,
    configure,
    current_scope,
    scoped_services,
)
from tests.integration.scopes.async_.support import on_sqlite, on_two
from tests.integration.scopes.models import Notes, stored

IDLE = 0.3
"""Seconds that are too long here: enough for a loaded machine to run a statement meanwhile."""
REFUSED = {
    "unknown name": {"expire_on_comit": False},
    "unknown service_commit": {"service_commit": "ignore"},
    "negative drain_timeout": {"drain_timeout": -1},
    "cleanup_timeout of zero": {"cleanup_timeout": 0},
    "cleanup_timeout in words": {"cleanup_timeout": "2 s"},
    "read_only_bind that is none": {"read_only_bind": "replica"},
}


@pytest.mark.parametrize("case", REFUSED)
@on_sqlite
async def test_impossible_policies_are_refused(maker, case):
    """A name or value that cannot be is refused where it is written."""
    with pytest.raises(ScopeOptionError):
        configure(maker, **REFUSED[case])


@on_sqlite
async def test_unknown_name_lists_the_known(maker):
    """The error for an unknown name lists those there are."""
    with pytest.raises(ScopeOptionError, match=r"cleanup_timeout.*service_commit"):
        configure(maker, cleanup=1)


@on_sqlite
async def test_other_sources_are_refused(async_engine):
    """The policy belongs to a sessionmaker, not to an engine."""
    with pytest.raises(ScopeSourceError):
        configure(async_engine, cleanup_timeout=1)


@on_sqlite
async def test_second_call_changes_only_what_it_names(maker):
    """A second configure keeps what the first one set."""
    configure(maker, service_commit="flush")
    configure(maker, guard_owner=True)
    with pytest.raises(ConcurrentUseError):
        async with scoped_services(maker, Notes) as notes:
            await notes.session.commit()
            await asyncio.create_task(notes.add("a"))
    configure(maker, service_commit="raise")
    async with scoped_services(maker, Notes) as notes:
        with pytest.raises(ManagedTransactionError):
            await notes.session.commit()


@on_sqlite
async def test_policy_is_of_one_sessionmaker(maker, async_engine):
    """Another sessionmaker of the same engine has its own policy."""
    configure(maker, service_commit="flush")
    async with scoped_services(async_sessionmaker(async_engine), Notes) as notes:
        with pytest.raises(ManagedTransactionError):
            await notes.session.commit()


@on_two
async def test_idle_transaction_is_warned_about(maker, async_database):
    """A transaction left open over a slow call is warned about, with the scope's line."""
    configure(maker, idle_in_transaction_warning=IDLE)
    with pytest.warns(IdleInTransactionWarning, match=r"test_configure\.py") as caught:
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await asyncio.sleep(1.1 * IDLE)
            await notes.add("b")
    assert len(caught) == 1
    assert stored(async_database) == ["a", "b"]


@on_two
async def test_idle_transaction_before_the_end_is_warned_about(maker, async_database):
    """A slow call after the last statement is warned about, too."""
    configure(maker, idle_in_transaction_warning=IDLE)
    with pytest.warns(IdleInTransactionWarning):
        async with scoped_services(maker, Notes) as notes:
            await notes.add("a")
            await asyncio.sleep(1.1 * IDLE)
    assert stored(async_database) == ["a"]


@on_two
async def test_no_warning_without_a_transaction(maker, async_database):
    """A slow call before the first statement, or after scope.commit(), is fine."""
    configure(maker, idle_in_transaction_warning=IDLE)
    async with scoped_services(maker, Notes) as notes:
        await asyncio.sleep(1.1 * IDLE)
        await notes.add("a")
        await current_scope(maker).commit()
        await asyncio.sleep(1.1 * IDLE)
        await notes.add("b")
    assert stored(async_database) == ["a", "b"]


@on_two
async def test_no_warning_about_a_slow_statement(maker, async_database):
    """A statement that itself takes long is no idle transaction."""
    configure(maker, idle_in_transaction_warning=IDLE)
    async with scoped_services(maker, Notes) as notes:
        await notes.session.run_sync(lambda _: time.sleep(1.1 * IDLE))
        await notes.add("a")
    assert stored(async_database) == ["a"]


@on_sqlite
async def test_guard_owner_names_both_tasks(maker):
    """With guard_owner=True the error names the owner and the other task."""
    configure(maker, guard_owner=True)

    async def use(session) -> None:
        await session.execute(text("SELECT 1"))

    with pytest.raises(ConcurrentUseError) as caught:
        async with scoped_services(maker) as scope:
            await asyncio.create_task(use(scope.session), name="the other")
    assert "the other" in caught.value.second_task


@on_sqlite
async def test_errors_never_show_values(maker):
    """The text of our errors holds no value of a row or a bound parameter."""
    texts = []
    for options, make in (
        ({}, lambda scope: scope.get(Notes).session.commit()),
        ({"read_only": True}, lambda scope: scope.get(Notes).add("top secret")),
    ):
        with pytest.raises((ManagedTransactionError, DBAPIError, Exception)) as caught:
            async with scoped_services(maker, **options) as scope:
                await make(scope)
        texts.append(str(caught.value))
    assert not any("secret" in text for text in texts)
