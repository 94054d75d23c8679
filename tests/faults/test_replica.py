"""A primary and a streaming replica: read-only scopes read there, also through a promotion."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from sqla_safe import AsyncScope, ReadOnlyScopeError, configure, scoped_services, transactional
from tests import servers
from tests.databases import PostgresProbe
from tests.servers import Server

SERVER = text("SELECT pg_is_in_recovery()")


@contextlib.contextmanager
def replica_of(primary: Server) -> Iterator[Server]:
    """Start a standby that streams from a server."""
    with servers.own_folder("replica") as folder:
        binaries, data = servers.runnable_postgres(folder) / "bin", folder / "data"
        where: list[str | Path] = ["-h", primary.host, "-p", str(primary.port), "-U", "postgres"]
        servers.run([binaries / "pg_basebackup", *where, "-D", data, "-R", "-X", "stream"], folder)
        command: list[str | Path] = [binaries / "postgres", "-D", data, "-F"]
        command += ["-c", f"listen_addresses={servers.HOST}", "-c", "unix_socket_directories="]
        command += ["-c", "max_connections=200", "-c", "max_prepared_transactions=10"]
        with servers.serving(
            folder, lambda port: [*command, "-p", port], servers.ask_postgres, "INT"
        ) as server:
            yield server


def probe_of(server: Server) -> PostgresProbe:
    """Return a look at a server from outside."""
    where: dict[str, Any] = {"host": server.host, "port": server.port, "user": "postgres"}
    return PostgresProbe(lambda: psycopg.connect(**where, dbname="postgres", autocommit=True))


def url_of(server: Server, driver: str) -> str:
    """Return what an engine connects to."""
    return f"postgresql+{driver}://postgres@{server.host}:{server.port}/postgres"


def everybody(pids: list[int], number: signal.Signals) -> None:
    """Send a signal to processes, some of which may have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_replica_is_stopped_and_promoted(driver, figures):
    """Reads go to the replica and nothing is written there; after its promotion writes are."""
    with servers.postgres_server() as primary, replica_of(primary) as replica:
        there, copy = probe_of(primary), probe_of(replica)
        there.execute("CREATE TABLE part (op integer PRIMARY KEY)")
        writing = create_async_engine(url_of(primary, driver), pool_pre_ping=True)
        reading = create_async_engine(url_of(replica, driver), pool_pre_ping=True)
        maker = async_sessionmaker(writing)
        configure(maker, read_only_bind=reading)

        @transactional(maker, attempts=20)
        async def write(scope: AsyncScope[Any], op: int) -> None:
            await scope.session.execute(text("INSERT INTO part VALUES (:op)"), {"op": op})

        async def read() -> tuple[bool, int]:
            async with scoped_services(maker, read_only=True) as scope:
                there_is = bool(await scope.session.scalar(SERVER))
                return there_is, int(await scope.session.scalar(text("SELECT count(*) FROM part")))

        async def read_at_least(count: int) -> float:
            began = time.perf_counter()
            while (await read())[1] < count:  # noqa: ASYNC110  (the server tells nobody)
                await asyncio.sleep(0.01)
            return time.perf_counter() - began

        for op in range(50):
            await write(op)
        lag = await read_at_least(50)
        assert (await read())[0], "read-only scopes go to the replica"
        with pytest.raises(ReadOnlyScopeError):
            async with scoped_services(maker, read_only=True) as scope:
                await scope.session.execute(text("INSERT INTO part VALUES (1000)"))

        clients = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
        pids = [replica.process.pid, *(pid for (pid,) in copy.rows(clients))]
        everybody(pids, signal.SIGSTOP)  # silent, not gone
        with pytest.raises((TimeoutError, SQLAlchemyError, OSError)):
            async with asyncio.timeout(1):
                await read()
        for op in range(50, 60):
            await write(op)  # the primary does not mind
        everybody(pids, signal.SIGCONT)
        await read_at_least(60)

        primary.process.send_signal(signal.SIGQUIT)  # as in a crash
        copy.execute("SELECT pg_promote(true, 60)")
        configure(maker, read_only_bind=writing)
        maker.configure(bind=reading)  # what an application does when its primary changes

        for op in range(60, 100):
            await write(op)
        stored = copy.scalar("SELECT count(*) FROM part")
        figures("100 writes, 1 promotion", lost=100 - stored, lag=f"{lag:.2f} s")
        assert stored == 100
        assert reading.pool.checkedout() == 0  # type: ignore[attr-defined]  # a QueuePool
        assert copy.idle_in_transaction() == 0
        await reading.dispose()
        await writing.dispose()
