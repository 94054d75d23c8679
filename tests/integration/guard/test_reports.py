"""What is told without an exception: N+1, and everything in report mode."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import warnings

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import MissingGreenlet, StatementError
from sqlalchemy.orm import selectinload
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import IdleInTransactionWarning, configure, explain
from tests.integration.guard.models import User
from tests.integration.guard.support import told


@pytest.fixture(autouse=True)
def log(caplog):
    """Look at all that is logged."""
    caplog.set_level(logging.DEBUG)


def test_an_attribute_loaded_for_one_after_another_is_told(maker, caplog):
    """From the third entity on, once, with the option that loads them together."""
    with maker() as session:
        for user in session.scalars(select(User).order_by(User.id)):
            _ = user.posts
    [explanation] = told(caplog)
    assert explanation.code == "SQS109"
    assert explanation.title == "User.posts was loaded for 3 entities, one by one (N+1)"
    assert explanation.instead == ".options(selectinload(User.posts)) where it is loaded"


def test_two_are_no_pattern(maker, caplog):
    """Nothing is told below the threshold."""
    with maker() as session:
        for user in session.scalars(select(User).limit(2)).all():
            _ = user.posts
    assert told(caplog) == []


def test_one_entity_read_again_and_again_is_no_pattern(maker, caplog):
    """Only different entities count."""
    with maker() as session:
        user = session.get(User, 1)
        for _ in range(5):
            session.expire(user, ["posts"])
            _ = user.posts
    assert told(caplog) == []


def test_loading_together_is_not_told(maker, caplog):
    """An eager load is what the report asks for."""
    with maker() as session:
        for user in session.scalars(select(User).options(selectinload(User.posts))):
            _ = user.posts
    assert told(caplog) == []


def test_what_is_in_the_identity_map_is_not_told(maker, caplog):
    """A many-to-one whose target is there sends nothing."""
    with maker() as session:
        users = session.scalars(select(User)).all()
        assert len({user.team for user in users}) == 1
    assert told(caplog) == []


def test_a_deferred_column_counts_too(maker, caplog):
    """A query for each row is one, whatever is loaded."""
    with maker() as session:
        for user in session.scalars(select(User)).all():
            _ = user.bio
    assert [e.instead for e in told(caplog)] == [".options(undefer(User.bio)) where it is loaded"]


async def test_async_code_is_told_in_run_sync(amaker, caplog):
    """Where lazy loads work under asyncio they are counted too."""
    async with amaker() as session:
        users = (await session.scalars(select(User))).all()
        await session.run_sync(lambda _: [user.posts for user in users])
    assert [e.code for e in told(caplog)] == ["SQS109"]


def test_report_mode_logs_what_is_raised_anyway(plain, caplog):
    """The exception has its explanation, and so has the log: once for each site."""
    configure(plain, guard="report")
    for _ in range(3):
        with plain() as session:
            user = session.get(User, 1)
        with pytest.raises(DetachedInstanceError):
            _ = user.team
    assert [e.code for e in told(caplog)] == ["SQS101"]


async def test_report_mode_leaves_implicit_io_to_sqlalchemy(plain_async, caplog):
    """SQLAlchemy raises what it always raises; the log says where and why."""
    configure(plain_async, guard="report")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a coroutine that SQLAlchemy did not await
        async with plain_async() as session:
            user = await session.get(User, 1)
            with pytest.raises((MissingGreenlet, StatementError)) as caught:
                _ = user.team
            explanation = explain(caught.value)
            del caught
            gc.collect()
    assert explanation == told(caplog)[0]
    assert explanation.code == "SQS102"


async def test_report_mode_tells_of_concurrent_use(plain_async, caplog):
    """What SQLAlchemy makes of it is left alone."""
    configure(plain_async, guard="report")
    session = plain_async()
    async with session:
        await asyncio.gather(*(session.get(User, n) for n in (1, 2)), return_exceptions=True)
        await asyncio.sleep(0.05)
    assert "SQS153" in {e.code for e in told(caplog)}


def test_off_says_nothing(plain, caplog):
    """No note, no log."""
    configure(plain, guard="off")
    with plain() as session:
        user = session.get(User, 1)
    with pytest.raises(DetachedInstanceError) as caught:
        _ = user.team
    assert not hasattr(caught.value, "__notes__")
    assert told(caplog) == []


def test_the_mode_can_change(maker, caplog):
    """A guard that is switched off is silent, and one that is switched on again is not."""
    configure(maker, guard="off")
    with maker() as session:
        user = session.get(User, 1)
    with pytest.raises(DetachedInstanceError) as caught:
        _ = user.team
    assert not hasattr(caught.value, "__notes__")
    configure(maker, guard="raise")
    with maker() as session:
        user = session.get(User, 1)
    with pytest.raises(DetachedInstanceError) as caught:
        _ = user.team
    assert hasattr(caught.value, "__notes__")


def test_an_idle_transaction_is_warned_of_outside_of_scopes_too(plain):
    """With a guard, the pause is measured for every session of the sessionmaker."""
    configure(plain, guard="raise", idle_in_transaction_warning=0.02)
    with plain() as session:
        session.get(User, 1)
        time.sleep(0.03)
        with pytest.warns(IdleInTransactionWarning, match="session opened at"):
            session.get(User, 2)


def test_a_pause_without_a_transaction_is_not_warned_of(plain):
    """After a commit the connection is back in its pool."""
    configure(plain, guard="raise", idle_in_transaction_warning=0.02)
    with plain() as session:
        session.get(User, 1)
        session.commit()
        time.sleep(0.03)
        session.get(User, 2)


def test_a_listener_of_ones_own_still_sees_each_statement_once(maker):
    """The guard does not execute anything itself."""
    seen: list[object] = []
    event.listen(maker, "do_orm_execute", lambda state: seen.append(state.statement))
    with maker() as session:
        _ = session.get(User, 1).posts
    assert len(seen) == 3  # the user, the badges that come with it, and the posts
