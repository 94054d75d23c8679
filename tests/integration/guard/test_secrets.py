"""No value and no bound parameter in any text of the guard."""

from __future__ import annotations

import asyncio
import logging
import traceback
import warnings

import pytest
from sqlalchemy import select
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import configure
from tests.integration.guard import test_async_reads, test_sync_reads
from tests.integration.guard.models import Team, User
from tests.integration.guard.support import of

CANARIES = ("user 1", "post 1", "a@example.org", "there is one already", "canary-name", "867530")


def texts(error: BaseException, caplog) -> str:
    """Return everything that the guard wrote."""
    notes = getattr(error, "__notes__", [])
    explanation = getattr(error, "sqla_safe", "")
    return "\n".join([*notes, repr(explanation), *(r.getMessage() for r in caplog.records)])


def clean(text: str) -> bool:
    """Say whether no canary sings."""
    return not any(canary in text for canary in CANARIES)


@pytest.mark.parametrize("mode", ["report", "raise", "strict"])
@pytest.mark.parametrize("sync_database", ["sqlite3"], indirect=True)
@pytest.mark.parametrize("program", [case[0] for case in test_sync_reads.CASES])
def test_sync_texts_hold_no_value(plain, program, mode, caplog):
    """Names, codes and lines only, whatever went wrong."""
    caplog.set_level(logging.DEBUG, logger="sqla_safe")
    configure(plain, guard=mode)
    with pytest.raises(DetachedInstanceError) as caught:
        program(plain)
    assert of(caught.value)
    assert clean(texts(caught.value, caplog))


@pytest.mark.parametrize("async_database", ["aiosqlite"], indirect=True)
@pytest.mark.parametrize("program", [case[0] for case in test_async_reads.CASES])
async def test_async_texts_hold_no_value(plain_async, program, caplog):
    """The same under asyncio."""
    caplog.set_level(logging.DEBUG, logger="sqla_safe")
    configure(plain_async, guard="raise")
    with pytest.raises(Exception) as caught:
        await program(plain_async)
    assert clean(texts(caught.value, caplog))


@pytest.mark.parametrize("sync_database", ["sqlite3"], indirect=True)
def test_bound_parameters_are_not_told(maker, caplog):
    """The statement that loaded the entity is named by its line alone."""
    with maker() as session:
        session.add(Team(id=867530, name="canary-name"))
        session.flush()
        statement = select(Team).where(Team.id == 867530, Team.name == "canary-name")
        team = session.scalars(statement).one()
        session.rollback()
        users = session.scalars(select(User).where(User.name.like("user 1%") | (User.id < 9)))
        for user in users.all():
            _ = user.posts
    assert "SQS109" in caplog.text
    assert clean("\n".join(r.getMessage() for r in caplog.records))
    assert team is not None


@pytest.mark.parametrize("async_database", ["aiosqlite"], indirect=True)
async def test_warnings_and_tracebacks_hold_no_value(plain_async):
    """Idle warnings and errors of concurrent use name tasks and lines."""
    configure(plain_async, guard="raise", idle_in_transaction_warning=0.01)
    with warnings.catch_warnings(record=True) as caught_warnings:
        warnings.simplefilter("always")
        async with plain_async() as session:
            await session.scalars(select(User).where(User.name == "canary-name"))
            await asyncio.sleep(0.03)
            calls = (session.scalars(select(User).where(User.id == 867530)) for _ in range(2))
            [*_, error] = await asyncio.gather(*calls, return_exceptions=True)
    assert [w for w in caught_warnings if "SQS165" in str(w.message)]
    assert clean("\n".join(str(w.message) for w in caught_warnings))
    assert clean("".join(traceback.format_exception_only(error)))
