"""`install`: every session of the process, and none of it left afterwards."""

from __future__ import annotations

import pytest
from sqlalchemy.exc import InvalidRequestError, MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import DetachedInstanceError

from sqla_safe import ConcurrentUseError, ScopeOptionError, configure, install
from sqla_safe.guard import _makers
from tests.integration.guard.models import User
from tests.integration.guard.support import holds, of


def in_any_session(maker):
    with maker() as session:  # open, close
        user = session.get(User, 1)  # load
    _ = user.team  # read


@pytest.mark.parametrize("sync_database", ["sqlite3"], indirect=True)
class TestSync:
    def test_every_session_is_guarded(self, plain):
        """A sessionmaker that nobody configured gives the whole explanation."""
        with install("raise"), pytest.raises(DetachedInstanceError) as caught:
            in_any_session(plain)
        holds(of(caught.value), in_any_session)

    def test_sessions_without_a_maker_are_guarded(self, sync_engine, plain):
        """`Session(engine)` too."""
        with install("raise"):
            with Session(sync_engine) as session:
                user = session.get(User, 1)
            with pytest.raises(DetachedInstanceError) as caught:
                _ = user.team
        assert of(caught.value).code == "SQS101"

    def test_a_session_that_was_there_before_is_guarded(self, plain):
        """From its next statement on."""
        with plain() as session:
            with install("raise"):
                user = session.get(User, 1)
                session.close()
                with pytest.raises(DetachedInstanceError) as caught:
                    _ = user.team
            assert of(caught.value).code == "SQS101"

    def test_undo_leaves_sqlalchemy_as_it_was(self, plain, monkeypatch):
        """No method, no listener, no attribute stays behind."""
        monkeypatch.setattr(_makers, "is_anything_guarded", lambda: False)  # by other tests
        before = dict(vars(Session)), dict(vars(AsyncSession))
        with install("raise"), plain() as session:
            session.get(User, 1)
        after = dict(vars(Session)), dict(vars(AsyncSession))
        assert after == before
        assert "__init__" not in vars(DetachedInstanceError)
        assert "__init__" not in vars(InvalidRequestError)
        with pytest.raises(DetachedInstanceError) as caught:
            in_any_session(plain)
        assert not hasattr(caught.value, "sqla_safe")

    def test_a_configured_guard_wins(self, plain):
        """`off` is an exception from it."""
        with install("raise"):
            configure(plain, guard="off")
            with pytest.raises(DetachedInstanceError) as caught:
                in_any_session(plain)
        assert not hasattr(caught.value, "sqla_safe")

    def test_what_was_turned_off_before_stays_off(self, plain):
        """A sessionmaker is configured where it is made, and `install` comes with the program."""
        configure(plain, guard="off")
        with install("raise"), pytest.raises(DetachedInstanceError) as caught:
            in_any_session(plain)
        assert not hasattr(caught.value, "sqla_safe")

    def test_another_option_does_not_turn_it_off(self, plain):
        """Only a guard that was named is an exception."""
        configure(plain, idle_in_transaction_warning=60.0)
        with install("raise"), pytest.raises(DetachedInstanceError) as caught:
            in_any_session(plain)
        assert of(caught.value).code == "SQS101"

    def test_undoing_the_first_leaves_the_second(self, plain):
        """Two parts of a program need not know of each other, whichever goes first."""
        first, second = install("report"), install("raise")
        first.undo()
        with pytest.raises(DetachedInstanceError) as caught:
            in_any_session(plain)
        assert of(caught.value).code == "SQS101"
        second.undo()
        with pytest.raises(DetachedInstanceError) as caught:
            in_any_session(plain)
        assert not hasattr(caught.value, "sqla_safe")

    def test_a_configured_guard_stays_when_it_is_undone(self, plain):
        """Each of the two can go without the other."""
        installed = install("report")
        configure(plain, guard="raise")
        installed.undo()
        with pytest.raises(DetachedInstanceError) as caught:
            in_any_session(plain)
        assert of(caught.value).code == "SQS101"

    def test_installing_twice_changes_the_mode(self, plain):
        """Undoing goes back to the mode before."""
        with install("raise"):
            with install("off"), pytest.raises(DetachedInstanceError) as caught:
                in_any_session(plain)
            assert not hasattr(caught.value, "sqla_safe")
            with pytest.raises(DetachedInstanceError) as caught:
                in_any_session(plain)
        assert of(caught.value).code == "SQS101"

    def test_undo_is_done_once(self, plain):
        """A second call changes nothing."""
        first = install("raise")
        first.undo()
        with install("raise"):
            first.undo()
            with pytest.raises(DetachedInstanceError) as caught:
                in_any_session(plain)
        assert of(caught.value).code == "SQS101"

    def test_an_unknown_mode_is_refused(self, plain):
        """The text names those that exist."""
        with pytest.raises(ScopeOptionError, match="'strict'"):
            install("loud")
        with pytest.raises(ScopeOptionError, match="'strict'"):
            configure(plain, guard="loud")


@pytest.mark.parametrize("async_database", ["aiosqlite", "asyncpg"], indirect=True)
class TestAsync:
    async def test_implicit_io_is_explained(self, plain_async):
        """Async sessions are known as such."""
        with install("raise"):
            async with plain_async() as session:
                user = await session.get(User, 1)
                with pytest.raises(MissingGreenlet) as caught:
                    _ = user.team
        assert of(caught.value).code == "SQS102"

    async def test_concurrent_use_is_refused(self, plain_async):
        """And the block ends well."""
        import asyncio

        with install("raise"), pytest.raises(ConcurrentUseError):
            async with plain_async() as session:
                await asyncio.gather(session.get(User, 1), session.get(User, 2))

    async def test_the_end_of_a_block_is_known(self, plain_async):
        """`async with` closes in another task; the line is known all the same."""
        with install("raise"):
            async with plain_async() as session:
                user = await session.get(User, 1)
            with pytest.raises(DetachedInstanceError) as caught:
                _ = user.team
        assert (of(caught.value).closed or "").startswith("closed :")
