"""A cache of snapshots in Redis or Valkey that never holds what the database does not."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

from sqla_safe.errors import ScopeOptionError, SnapshotDecodeError, SnapshotSourceError
from sqla_safe.ext._extras import missing
from sqla_safe.scopes._policy import check_seconds
from sqla_safe.scopes._source import described
from sqla_safe.snapshots import dumps, loads
from sqla_safe.snapshots._plan import plan_of

try:
    from redis import Redis as SyncRedis
    from redis.exceptions import RedisError
except ModuleNotFoundError as _error:
    raise missing(_error, "redis") from None

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from redis.asyncio import Redis

    from sqla_safe.scopes._scope import AsyncScope

__all__ = ["SnapshotCache"]

T = TypeVar("T")
_logger = logging.getLogger("sqla_safe.redis")
_POLL = 0.02

# Three keys for each entry, in one slot of a cluster: the values by fingerprint, who is loading
# them (leases), and the transactions that are changing the row (holds, by when they are forgotten).
# Whoever invalidates takes the leases away too: what was read before cannot be stored any more.

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
_LOOK = f"""
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then return {{'found', found}} end
{_NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
if redis.call('ZCARD', KEYS[3]) > 0 then return {{'held'}} end
if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 0 then return {{'wait'}} end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return {{'lease'}}
"""
_STORE = """
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
if ARGV[3] == '' then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""
_HOLD = f"""
redis.call('DEL', KEYS[1], KEYS[2])
{_NOW}
redis.call('ZADD', KEYS[3], now + ARGV[2], ARGV[1])
if redis.call('PTTL', KEYS[3]) < tonumber(ARGV[2]) then
    redis.call('PEXPIRE', KEYS[3], ARGV[2])
end
"""
_FREE = """
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('DEL', KEYS[1], KEYS[2])
"""


class SnapshotCache(Generic[T]):
    """Keeps snapshots of one entity in Redis or Valkey.

    Concurrent requests for one key load it once, in this process and in others. Snapshots are
    msgpack (`dumps`), under a fingerprint of the mapped columns: after a migration old entries are
    not found. A server that does not answer is as good as an empty cache.

    A transaction that changes a row says so with `invalidate_on_commit`. From then until its end
    the row is not cached, so an entry is never older than the last COMMIT, whatever is rolled back,
    and whoever reads meanwhile.

    Args:
        client: an asyncio client whose answers are bytes (no ``decode_responses``).
        entity: the class whose snapshots are kept.
        ttl: seconds that an entry is kept.
        lease: seconds that one loader is waited for.
        hold: seconds that a transaction may take between `invalidate_on_commit` and its COMMIT.
        prefix: of the keys on the server.

    Raises:
        ScopeOptionError: a time that is no positive number, a client that decodes its answers, or
            none for asyncio.
        SnapshotSourceError: ``entity`` is no mapped class.

    Example:
        >>> from redis.asyncio import Redis
        >>> cache = SnapshotCache(Redis(), User, ttl=60)
    """

    def __init__(
        self,
        client: Redis,
        entity: type[T],
        /,
        *,
        ttl: float,
        lease: float = 10.0,
        hold: float = 60.0,
        prefix: str = "sqla_safe",
    ) -> None:
        for name, seconds in (("ttl", ttl), ("lease", lease), ("hold", hold)):
            check_seconds(name, seconds, may_be_none=False)
        _check_client(client)
        _check_entity(entity)
        _refuse_decoding(client)
        self._client: Any = client
        self._entity = entity
        self._version = plan_of(entity).fingerprint
        self._ttl, self._lease, self._hold = (int(s * 1000) for s in (ttl, lease, hold))
        self._prefix = prefix
        self._flights: dict[str, asyncio.Task[T | None]] = {}
        scripts = (_LOOK, _STORE, _HOLD, _FREE)
        self._look, self._store, self._hold_back, self._free = map(self._script, scripts)

    def _script(self, source: str) -> Any:
        return self._client.register_script(source)

    async def get(self, key: object, load: Callable[[], Awaitable[T | None]], /) -> T | None:
        """Return the snapshot of a key, from the cache or from the database.

        Args:
            key: what names the row: its primary key, or a tuple of values.
            load: a coroutine function that opens a scope of its own and returns a snapshot, or
                None for no row; None is not kept. It runs in a task of its own, and once for all
                who ask at the same time.

        Raises:
            SnapshotSourceError: ``load`` returned an entity, or anything else than a snapshot.
        """
        name = self._name(key)
        flight = self._flights.get(name)
        if flight is None:
            flight = self._flights[name] = asyncio.create_task(self._fetch(name, load))
            flight.add_done_callback(partial(self._landed, name))
        return await asyncio.shield(flight)

    async def invalidate(self, key: object, /) -> None:
        """Forget a key now; for changes that were stored elsewhere.

        Raises:
            RedisError: the server did not answer.
        """
        name = self._name(key)
        self._flights.pop(name, None)
        await self._free(keys=_keys(name), args=[""])

    async def invalidate_on_commit(self, scope: AsyncScope[Any], key: object, /) -> None:
        """Say that an open scope changes a row; call it before the change.

        The entry is dropped now, and again after COMMIT; in between nothing is kept under this key.

        Args:
            scope: the open scope.
            key: as for `get`.

        Raises:
            ScopeClosedError: the scope has ended.
            RedisError: the server did not answer, so the entry might outlive the change.
        """
        name, token = self._name(key), uuid4().hex
        end = partial(self._end_hold, name, token)
        scope.on_commit(end)
        scope.on_rollback(end)
        self._flights.pop(name, None)
        await self._hold_back(keys=_keys(name), args=[token, self._hold])

    async def _end_hold(self, name: str, token: str) -> None:
        self._flights.pop(name, None)
        try:
            await self._free(keys=_keys(name), args=[token])
        except RedisError as error:  # the hold ends by itself, and the entry was dropped before
            _logger.warning("not reached after the end of a scope: %s", type(error).__name__)

    async def _fetch(self, name: str, load: Callable[[], Awaitable[T | None]]) -> T | None:
        token = uuid4().hex
        try:
            may_store, found = await self._find(name, token)
        except RedisError as error:
            _logger.warning("not reached, loading instead: %s", type(error).__name__)
            return await load()
        if found is not None:
            return found
        if not may_store:
            return await load()
        data = b""
        try:
            snap = await load()
            data = b"" if snap is None else dumps(snap)
        finally:  # without data this gives the lease back
            await self._keep(name, token, data)
        return snap

    async def _find(self, name: str, token: str) -> tuple[bool, T | None]:
        """Return whether the caller may store what it loads, and what was found, if anything."""
        due = monotonic() + self._lease / 1000
        while True:
            args = [self._version, token, self._lease]
            state, *data = await self._look(keys=_keys(name), args=args)
            if state == b"found":
                try:
                    return False, loads(self._entity, data[0])
                except SnapshotDecodeError:
                    await self._free(keys=_keys(name), args=[""])
            elif state == b"lease":
                return True, None
            elif state == b"held" or monotonic() > due:
                return False, None
            else:
                await asyncio.sleep(_POLL)

    async def _keep(self, name: str, token: str, data: bytes) -> None:
        try:
            await self._store(keys=_keys(name), args=[self._version, token, data, self._ttl])
        except RedisError as error:
            _logger.warning("not reached, nothing kept: %s", type(error).__name__)

    def _landed(self, name: str, flight: asyncio.Task[T | None]) -> None:
        if self._flights.get(name) is flight:
            del self._flights[name]
        if not flight.cancelled():
            flight.exception()  # seen, also when all who asked were cancelled

    def _name(self, key: object) -> str:
        parts: tuple[Any, ...] = key if isinstance(key, tuple) else (key,)  # pyright: ignore[reportUnknownVariableType]
        text = ":".join(quote(str(part), safe="") for part in parts)
        return f"{self._prefix}:{{{self._entity.__qualname__}:{text}}}"


def _keys(name: str) -> list[str]:
    return [f"{name}:values", f"{name}:leases", f"{name}:holds"]


def _check_client(client: Any) -> None:
    """Refuse a sync client, and what is none; Valkey's own is as good as that of Redis."""
    if isinstance(client, SyncRedis) or not hasattr(client, "register_script"):
        sync = "a sync " if isinstance(client, SyncRedis) else ""
        raise ScopeOptionError(
            problem=f"SnapshotCache takes an asyncio client first, not {sync}{described(client)}",
            instead="SnapshotCache(redis.asyncio.Redis(...), User, ttl=60)",
        )


def _check_entity(entity: Any) -> None:
    if not isinstance(entity, type):
        raise SnapshotSourceError(
            problem=f"SnapshotCache takes a mapped class, not {described(entity)}",
            instead="SnapshotCache(client, User, ttl=60)",
        )


def _refuse_decoding(client: Any) -> None:
    pool = getattr(client, "connection_pool", None)
    if getattr(pool, "connection_kwargs", {}).get("decode_responses"):
        raise ScopeOptionError(
            problem="the client decodes its answers, and snapshots are bytes",
            instead="Redis(...) without decode_responses, for the cache alone",
        )
