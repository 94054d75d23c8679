"""Rule 8: what became of a COMMIT whose answer was lost."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import select, text

from sqla_safe import (
    CommitOutcomeUnknownError,
    configure,
    is_retryable,
    scoped_services,
    transactional,
)
from tests.integration.scopes.async_.support import on_mysql, on_postgres, on_servers, until
from tests.integration.scopes.models import Note, Notes, stored
from tests.integration.scopes.watching import is_running, make_commits_slow
from tests.patience import in_time


@on_postgres
async def test_lost_answer_of_a_commit_that_was_done(proxied):
    """When PostgreSQL says that it committed, the block ends normally and callbacks run."""
    ran = []
    proxied.proxy.at("COMMIT", "answer lost")
    async with scoped_services(proxied.maker) as scope:
        await scope.get(Notes).add("a")
        scope.on_commit(lambda: ran.append("commit"))
        scope.on_rollback(lambda: ran.append("rollback"))
    assert proxied.proxy.hit.is_set()
    assert scope.outcome == "committed"
    assert ran == ["commit"]
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == ["a"]


@on_postgres
async def test_lost_commit_that_was_not_done(proxied):
    """When PostgreSQL says that it rolled back, the connection's error leaves the block."""
    ran = []
    proxied.proxy.at("COMMIT", "lost")
    with pytest.raises(Exception) as caught:
        async with scoped_services(proxied.maker) as scope:
            await scope.get(Notes).add("a")
            scope.on_commit(lambda: ran.append("commit"))
            scope.on_rollback(lambda: ran.append("rollback"))
    assert proxied.proxy.hit.is_set()
    assert not isinstance(caught.value, CommitOutcomeUnknownError)
    assert is_retryable(caught.value)
    assert scope.outcome == "rolled_back"
    assert ran == ["rollback"]
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []


@on_postgres
async def test_lost_answer_of_a_commit_that_is_still_going_on(proxied):
    """While PostgreSQL is still committing it is asked again, until it knows."""
    make_commits_slow(proxied.database, 0.2)
    proxied.proxy.at("COMMIT", "cut")
    async with scoped_services(proxied.maker) as scope:
        await scope.get(Notes).add("a")
    assert proxied.proxy.hit.is_set()
    assert scope.outcome == "committed"
    assert stored(proxied.database) == ["a"]


@on_postgres
@pytest.mark.parametrize("fault", ["lost", "answer lost"])
async def test_unreachable_server(proxied, fault):
    """When PostgreSQL cannot be asked, the outcome is unknown, says the error, in time."""
    ran = []
    configure(proxied.maker, cleanup_timeout=0.5)
    proxied.proxy.at("COMMIT", fault, then_refuse=True)
    with pytest.raises(CommitOutcomeUnknownError) as caught:
        async with scoped_services(proxied.maker) as scope:
            await scope.get(Notes).add("a")
            scope.on_commit(lambda: ran.append("commit"))
            before = time.monotonic()
    in_time(before, 0.5)
    assert caught.value.__cause__ is not None
    assert caught.value.transaction_id is not None
    assert caught.value.transaction_id in str(caught.value)
    assert not is_retryable(caught.value)
    assert scope.outcome == "unknown"
    assert ran == []
    assert proxied.engine.pool.checkedout() == 0


@on_postgres
async def test_all_of_the_time_for_cleaning_up_is_for_asking(proxied):
    """A server that comes back within cleanup_timeout is asked, however quickly COMMIT failed."""
    configure(proxied.maker, cleanup_timeout=4.0)
    proxied.proxy.at("COMMIT", "answer lost", then_refuse=True)

    async def come_back() -> None:
        await proxied.proxy.hit.wait()
        await asyncio.sleep(1.2)
        proxied.proxy.accept()

    coming_back = asyncio.create_task(come_back())
    async with scoped_services(proxied.maker) as scope:
        await scope.get(Notes).add("a")
    await coming_back
    assert scope.outcome == "committed"


@on_mysql
@pytest.mark.parametrize("fault", ["lost", "answer lost"])
async def test_server_that_cannot_be_asked(proxied, fault):
    """On MySQL, which forgets its transactions, a lost answer leaves the outcome unknown."""
    proxied.proxy.at("COMMIT", fault)
    with pytest.raises(CommitOutcomeUnknownError) as caught:
        async with scoped_services(proxied.maker) as scope:
            await scope.get(Notes).add("a")
    assert not is_retryable(caught.value)
    assert scope.outcome == "unknown"
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == (["a"] if fault == "answer lost" else [])


@on_postgres
async def test_asking_can_be_switched_off(proxied):
    """With resolve_commit=False a lost answer leaves the outcome unknown."""
    configure(proxied.maker, resolve_commit=False)
    proxied.proxy.at("COMMIT", "answer lost")
    with pytest.raises(CommitOutcomeUnknownError):
        async with scoped_services(proxied.maker) as scope:
            await scope.get(Notes).add("a")
    assert scope.outcome == "unknown"
    assert proxied.engine.pool.checkedout() == 0


@on_servers
async def test_lost_answer_after_reading_is_not_unknown(proxied):
    """A scope that wrote nothing knows its outcome, whatever became of its COMMIT."""
    proxied.proxy.at("COMMIT", "answer lost")
    try:
        async with scoped_services(proxied.maker) as scope:
            await scope.session.execute(select(Note))
    except CommitOutcomeUnknownError:
        pytest.fail("nothing was written")
    except Exception:  # noqa: S110
        pass
    assert proxied.proxy.hit.is_set()
    assert scope.outcome in ("committed", "rolled_back")
    assert proxied.engine.pool.checkedout() == 0


@on_servers
async def test_lost_connection_in_the_flush_is_rolled_back(proxied):
    """A connection that is lost before COMMIT was sent means rolled back, and can be retried."""
    proxied.proxy.at("INSERT", "cut")
    with pytest.raises(Exception) as caught:
        async with scoped_services(proxied.maker) as scope:
            await scope.session.execute(text("SELECT 1"))
            scope.session.add(Note(text="a"))
    assert proxied.proxy.hit.is_set()
    assert not isinstance(caught.value, CommitOutcomeUnknownError)
    assert is_retryable(caught.value)
    assert scope.outcome == "rolled_back"
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == []


@on_postgres
async def test_cancelled_while_the_answer_is_lost(proxied):
    """A cancellation during a COMMIT whose answer is lost leaves saying "stored" when it was."""
    make_commits_slow(proxied.database, 0.2)

    async def work() -> None:
        nonlocal scope, left
        try:
            async with scoped_services(proxied.maker) as scope:
                await scope.get(Notes).add("a")
        except BaseException as error:
            left = error
            raise

    scope = left = None
    proxied.proxy.at("COMMIT", "answer lost")
    task = asyncio.create_task(work())
    await until(lambda: is_running(proxied.database, "COMMIT"))
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert any("stored" in note for note in left.__notes__)
    assert scope.outcome == "committed"
    assert proxied.engine.pool.checkedout() == 0
    assert stored(proxied.database) == ["a"]


@on_postgres
async def test_cancelled_while_nobody_knows(proxied):
    """A cancellation during a COMMIT of unknown outcome leaves as one, with a note that says so."""
    configure(proxied.maker, cleanup_timeout=0.5)
    make_commits_slow(proxied.database, 0.2)
    scopes, left = [], []

    async def work() -> None:
        try:
            async with scoped_services(proxied.maker) as scope:
                scopes.append(scope)
                await scope.get(Notes).add("a")
        except BaseException as error:
            left.append(error)
            raise

    proxied.proxy.at("COMMIT", "answer lost", then_refuse=True)
    task = asyncio.create_task(work())
    await until(lambda: is_running(proxied.database, "COMMIT"))
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert scopes[0].outcome == "unknown"
    assert any("stored whole or not at all" in note for note in left[0].__notes__)
    assert proxied.engine.pool.checkedout() == 0


@on_postgres
async def test_lost_answer_of_scope_commit(proxied):
    """scope.commit() whose answer is lost is resolved as well, and the scope goes on."""
    proxied.proxy.at("COMMIT", "answer lost")
    async with scoped_services(proxied.maker) as scope:
        await scope.get(Notes).add("a")
        await scope.commit()
        assert stored(proxied.database) == ["a"]
        await scope.get(Notes).add("b")
    assert proxied.proxy.hit.is_set()
    assert stored(proxied.database) == ["a", "b"]


# --- retries ----------------------------------------------------------------------------------


@on_postgres
async def test_done_commit_is_not_done_twice(proxied):
    """A lost COMMIT that was done is not run again."""
    calls = []

    @transactional(proxied.maker, Notes, attempts=5)
    async def work(notes: Notes) -> None:
        calls.append(notes)
        await notes.add(f"call {len(calls)}")

    proxied.proxy.at("COMMIT", "answer lost")
    await work()
    assert len(calls) == 1
    assert stored(proxied.database) == ["call 1"]


@on_postgres
async def test_undone_commit_is_retried(proxied):
    """A lost COMMIT that PostgreSQL knows it has not done is run again."""
    calls = []

    @transactional(proxied.maker, Notes, attempts=5)
    async def work(notes: Notes) -> None:
        calls.append(notes)
        await notes.add(f"call {len(calls)}")

    proxied.proxy.at("COMMIT", "lost")
    await work()
    assert len(calls) == 2
    assert stored(proxied.database) == ["call 2"]


@on_servers
@pytest.mark.parametrize("fault", ["lost", "answer lost"])
async def test_unknown_outcome_is_never_retried(proxied, fault):
    """A COMMIT of which nobody knows the outcome is not run again."""
    calls = []
    configure(proxied.maker, resolve_commit=False)

    @transactional(proxied.maker, Notes, attempts=5)
    async def work(notes: Notes) -> None:
        calls.append(notes)
        await notes.add(f"call {len(calls)}")

    proxied.proxy.at("COMMIT", fault)
    with pytest.raises(CommitOutcomeUnknownError):
        await work()
    assert len(calls) == 1
    assert stored(proxied.database) == (["call 1"] if fault == "answer lost" else [])
