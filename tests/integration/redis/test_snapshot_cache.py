"""A cache that never holds what the database does not, against a real server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import ExitStack

import pytest
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from sqla_safe import (
    ScopeOptionError,
    SnapshotSourceError,
    SqlaSafeError,
    is_snapshot,
    scoped_services,
)
from sqla_safe.ext.redis import SnapshotCache
from tests.integration.containers.support import import_without
from tests.integration.redis.support import Shelf
from tests.integration.tasks.support import User
from tests.servers import valkey_server


async def test_a_snapshot_is_loaded_once_and_kept(shelf: Shelf) -> None:
    """The second reader gets an equal one, relationships included, without the database."""
    first = await shelf.cache.get(1, shelf.load)
    again = await shelf.other_process().cache.get(1, _never)
    assert first == again
    assert is_snapshot(again)
    assert again is not None
    assert [avatar.name for avatar in again.avatars] == ["Mona"]
    assert shelf.loads == 1


async def _never() -> User | None:
    pytest.fail("the database was asked")


async def test_an_entry_is_forgotten_after_its_time(shelf: Shelf) -> None:
    """`ttl` is in seconds."""
    short = shelf.other_process(ttl=0.05)
    await short.name()
    await asyncio.sleep(0.1)
    await short.name()
    assert short.loads == 2


async def test_no_row_is_not_kept(shelf: Shelf) -> None:
    """It may come into being at any time."""
    assert await shelf.cache.get(7, lambda: shelf.load(7)) is None
    assert await shelf.cache.get(7, lambda: shelf.load(7)) is None
    assert shelf.loads == 2
    assert await shelf.keys() == []


async def test_readers_of_one_process_load_once(shelf: Shelf) -> None:
    """However many ask at the same time."""
    assert await asyncio.gather(*(shelf.name() for _ in range(20))) == ["Anna"] * 20
    assert shelf.loads == 1


async def test_readers_of_many_processes_load_once(shelf: Shelf) -> None:
    """The first one has a lease; the others wait for what it stores."""
    processes = [shelf.other_process() for _ in range(5)]
    assert await asyncio.gather(*(p.name() for p in processes)) == ["Anna"] * 5
    assert sum(process.loads for process in processes) == 1


async def test_a_loader_that_fails_leaves_its_lease_to_the_next(shelf: Shelf) -> None:
    """Its error reaches those who waited for it, and nobody else."""

    async def fail() -> User | None:
        raise ZeroDivisionError

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await shelf.cache.get(1, fail)
    assert await shelf.name() == "Anna"


async def test_a_loader_that_is_lost_is_not_waited_for_for_ever(shelf: Shelf) -> None:
    """After `lease` seconds the others load for themselves."""
    lost = shelf.other_process(lease=0.1)
    lost.gate = asyncio.Event()
    stuck = asyncio.create_task(lost.name())
    await _until(lambda: lost.loads == 1)
    assert await shelf.other_process(lease=0.1).name() == "Anna"
    lost.gate.set()
    await stuck


async def test_a_reader_that_is_cancelled_does_not_disturb_the_others(shelf: Shelf) -> None:
    """The load goes on for whoever still waits."""
    shelf.gate = asyncio.Event()
    first, second = asyncio.create_task(shelf.name()), asyncio.create_task(shelf.name())
    await _until(lambda: shelf.loads == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    shelf.gate.set()
    assert await second == "Anna"
    assert shelf.loads == 1


async def test_a_load_that_is_cancelled_ends_for_all(shelf: Shelf) -> None:
    """As when the loop is shut down; the next reader begins anew."""
    shelf.gate = asyncio.Event()
    reading = asyncio.create_task(shelf.name())
    await _until(lambda: shelf.loads == 1)
    [flight] = shelf.cache._flights.values()  # noqa: SLF001
    flight.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    shelf.gate = None
    assert await shelf.name() == "Anna"


async def test_a_commit_invalidates(shelf: Shelf) -> None:
    """Here and in other processes."""
    other = shelf.other_process()
    assert (await shelf.name(), await other.name()) == ("Anna", "Anna")
    await shelf.rename("Berta")
    assert (await shelf.name(), await other.name()) == ("Berta", "Berta")


async def test_a_rollback_leaves_nothing_stale(shelf: Shelf) -> None:
    """What was never stored is never cached, and caching goes on."""
    with pytest.raises(KeyError):
        await shelf.rename("Berta", error=KeyError())
    assert await shelf.name() == "Anna"
    assert await shelf.other_process().cache.get(1, _never) is not None


async def test_uncommitted_changes_do_not_get_into_the_cache(shelf: Shelf) -> None:
    """Not even by a loader that uses the changing scope's own session."""

    async def load_dirty() -> User | None:
        from sqla_safe import asnapshot

        return await asnapshot(await scope.session.get_one(User, 1), User.avatars)

    with pytest.raises(KeyError):
        async with scoped_services(shelf.sessions) as scope:
            await shelf.cache.invalidate_on_commit(scope, 1)
            user = await scope.session.get_one(User, 1)
            user.name = "never stored"
            await scope.session.flush()
            dirty = await shelf.cache.get(1, load_dirty)
            assert dirty is not None
            assert dirty.name == "never stored"
            raise KeyError
    assert await shelf.name() == "Anna"


@pytest.mark.parametrize("same_process", [True, False], ids=["same process", "other process"])
async def test_a_slow_reader_cannot_store_what_was_changed_meanwhile(
    shelf: Shelf, *, same_process: bool
) -> None:
    """It read before the COMMIT and stores after it: its lease is gone."""
    slow = shelf if same_process else shelf.other_process()
    slow.gate = asyncio.Event()
    reading = asyncio.create_task(slow.name())
    await _until(lambda: slow.loads == 1)
    await shelf.rename("Berta")
    slow.gate.set()
    assert await reading == "Anna"
    slow.gate = None
    assert await slow.name() == "Berta"
    assert await shelf.other_process().name() == "Berta"


async def test_a_reader_between_change_and_commit_stores_nothing(shelf: Shelf) -> None:
    """It reads the old row, rightly; but a process that dies at COMMIT could not invalidate it."""
    other = shelf.other_process()
    async with scoped_services(shelf.sessions) as scope:
        await shelf.cache.invalidate_on_commit(scope, 1)
        assert await other.name() == "Anna"
        assert not any(key.endswith("values") for key in await shelf.keys())


async def test_a_reader_after_its_own_commit_does_not_join_an_older_load(shelf: Shelf) -> None:
    """Read your own writes, although somebody else's load is still under way."""
    shelf.gate = asyncio.Event()
    old = asyncio.create_task(shelf.name())
    await _until(lambda: shelf.loads == 1)
    await shelf.rename("Berta")
    new = asyncio.create_task(shelf.name())
    await _until(lambda: shelf.loads == 2)
    shelf.gate.set()
    assert (await old, await new) == ("Anna", "Berta")


async def test_a_reader_after_a_commit_does_not_join_a_load_from_before_it(shelf: Shelf) -> None:
    """Not even one that began while the change was under way."""
    shelf.gate = asyncio.Event()
    async with scoped_services(shelf.sessions) as scope:
        await shelf.cache.invalidate_on_commit(scope, 1)
        old = asyncio.create_task(shelf.name())
        await _until(lambda: shelf.loads == 1)
        (await scope.session.get_one(User, 1)).name = "Berta"
    new = asyncio.create_task(shelf.name())
    await _until(lambda: shelf.loads == 2)
    shelf.gate.set()
    assert (await old, await new) == ("Anna", "Berta")


async def test_a_process_that_dies_at_commit_leaves_nothing_stale(shelf: Shelf) -> None:
    """Its hold is forgotten after a while, and the entry was dropped before the COMMIT."""
    dying = shelf.other_process(hold=0.1)
    await shelf.name()
    with pytest.raises(SystemExit):
        async with scoped_services(shelf.sessions) as scope:
            await dying.cache.invalidate_on_commit(scope, 1)
            scope._unit.on_commit = scope._unit.on_rollback = []
            raise SystemExit
    assert (await shelf.name(), await shelf.name()) == ("Anna", "Anna")
    loads = shelf.loads
    await asyncio.sleep(0.15)
    await shelf.name()
    await shelf.name()
    assert shelf.loads == loads + 1


async def test_a_nested_scope_that_is_undone_ends_its_hold(shelf: Shelf) -> None:
    """The outer one has changed nothing, so caching goes on."""
    async with scoped_services(shelf.sessions):
        with pytest.raises(KeyError):
            async with scoped_services(shelf.sessions, propagation="nested") as nested:
                await shelf.cache.invalidate_on_commit(nested, 1)
                raise KeyError
        await shelf.name()
        assert await shelf.other_process().cache.get(1, _never) is not None


async def test_an_entry_can_be_invalidated_by_hand(shelf: Shelf) -> None:
    """For changes that came another way."""
    await shelf.name()
    await shelf.cache.invalidate(1)
    await shelf.name()
    assert shelf.loads == 2


async def test_a_migration_finds_no_old_entries(shelf: Shelf, client: Redis) -> None:
    """Another mapping has another fingerprint; invalidating forgets those of both."""

    class Later(DeclarativeBase):
        pass

    later = type(
        "User",
        (Later,),
        {
            "__tablename__": "users",
            "__qualname__": "User",
            "__annotations__": {"id": Mapped[int], "nick": Mapped[str]},
            "id": mapped_column(primary_key=True),
            "nick": mapped_column(String(50)),
        },
    )
    await shelf.name()
    newer: SnapshotCache[object] = SnapshotCache(client, later, ttl=60)
    asked: list[int] = []

    async def load() -> None:
        asked.append(1)

    await newer.get(1, load)
    assert asked == [1]
    await newer.invalidate(1)
    await shelf.name()
    assert shelf.loads == 2


async def test_damaged_data_is_loaded_again(shelf: Shelf, client: Redis) -> None:
    """Whoever wrote it."""
    await shelf.name()
    [values] = [key for key in await client.keys("*") if key.endswith(b"values")]
    for field in await client.hkeys(values):
        await client.hset(values, field, b"\x93damaged")
    assert await shelf.name() == "Anna"
    assert shelf.loads == 2


async def test_only_snapshots_are_kept(shelf: Shelf) -> None:
    """An entity is refused, and the lease is given back."""

    async def load() -> User:
        return User(id=1, name="Anna")

    with pytest.raises(SnapshotSourceError):
        await shelf.cache.get(1, load)
    assert await shelf.name() == "Anna"


async def test_keys_of_many_parts_do_not_meet(shelf: Shelf) -> None:
    """Neither with each other nor with the hash tags of a cluster."""
    for key in (("a", "b"), ("a:b",), "a}b", "a{b", "a%7Db"):
        await shelf.cache.get(key, shelf.load)
    assert shelf.loads == 5


async def test_a_server_that_is_away_is_an_empty_cache(shelf: Shelf, sessions) -> None:
    """Readers load; a writer is told before it changes anything."""
    away = Shelf(Redis(port=1, retry=Retry(NoBackoff(), 0)), sessions)
    assert (await away.name(), await away.name(), away.loads) == ("Anna", "Anna", 2)
    with pytest.raises(RedisConnectionError):
        await away.rename("Berta")
    assert await shelf.name() == "Anna"
    await away.client.aclose()


async def test_a_server_that_goes_away_disturbs_no_commit(sessions) -> None:
    """Nor a reader who has just loaded: nothing is kept."""
    with ExitStack() as running:
        server = running.enter_context(valkey_server())
        client = Redis(port=server.port, retry=Retry(NoBackoff(), 0))
        leaving = Shelf(client, sessions)
        leaving.gate = asyncio.Event()
        reading = asyncio.create_task(leaving.name())
        await _until(lambda: leaving.loads == 1)
        async with scoped_services(sessions) as scope:
            await leaving.cache.invalidate_on_commit(scope, 1)
            (await scope.session.get_one(User, 1)).name = "Berta"
            running.close()
        leaving.gate.set()
        assert await reading == "Anna"
        assert await leaving.name() == "Berta"
        await client.aclose()


@pytest.mark.parametrize("options", [{"ttl": 0}, {"ttl": 1, "lease": -1}, {"ttl": 1, "hold": None}])
def test_times_are_positive(client: Redis, options: dict[str, float]) -> None:
    """Anything else is refused."""
    with pytest.raises(ScopeOptionError):
        SnapshotCache(client, User, **options)


def test_a_client_that_decodes_is_refused() -> None:
    """Snapshots are bytes."""
    with pytest.raises(ScopeOptionError, match="decode_responses"):
        SnapshotCache(Redis(decode_responses=True), User, ttl=1)


def test_a_missing_framework_gives_one_line() -> None:
    """It names the extra."""
    said = "redis is not installed. Instead: pip install 'sqla-safe[redis]' [SQS140]"
    assert import_without("redis") == said


def test_importing_sqla_safe_imports_no_framework() -> None:
    """None of those that there is an integration for."""
    code = "import sqla_safe, sys; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frameworks = {"redis", "celery", "kombu", "taskiq", "svcs", "dishka", "fastapi", "pytest"}
    assert not frameworks & set(done.stdout.split())


async def _until(condition) -> None:
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come to pass")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((SyncRedis(), User), "an asyncio client first, not a sync Redis. "),
        ((User, Redis()), "an asyncio client first, not the class User. "),
        (("redis://localhost", User), "an asyncio client first, not str. "),
        ((Redis(), User()), "a mapped class, not User. "),
    ],
    ids=["sync", "swapped", "url", "entity"],
)
def test_wrong_arguments_are_called_what_they_are(arguments, text) -> None:
    """The error says what to write, and not what an attribute is missing."""
    with pytest.raises(SqlaSafeError) as caught:
        SnapshotCache(*arguments, ttl=1)
    assert f"SnapshotCache takes {text}Instead: SnapshotCache(" in str(caught.value)
