"""Connections that break at random moments: who was told "stored" is stored, once; nobody else is.

Transfers go through a proxy that cuts connections before a COMMIT arrives or after it was done,
backends are terminated and the whole server is killed. Afterwards it is quiet, and every later
transfer must succeed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from sqla_safe import CommitOutcomeUnknownError, configure, current_scope, transactional
from tests import databases, servers
from tests.databases import Database
from tests.faults.bank import Bank, Ledger, check, open_accounts
from tests.proxy import Proxy, proxy_to

ACCOUNTS = 10
CLIENTS = 24
ATTEMPTS = 60
BACKENDS = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
)


@dataclass
class World:
    """A bank behind a proxy, and the clients' ledger."""

    database: Database
    engine: AsyncEngine
    proxy: Proxy
    maker: async_sessionmaker[Any]
    ledger: Ledger
    faults: int = 0
    pace: float = 0.0
    """Seconds from one transfer to the next when nothing is in the way."""
    stored_before: int = 0

    async def measure_pace(self, chance: random.Random) -> None:
        """Let some transfers go undisturbed: how many faults they stand depends on the machine."""
        numbers = range(-2 * CLIENTS, 0)
        began = time.perf_counter()
        await self.run(chance, numbers, ATTEMPTS)
        self.pace = (time.perf_counter() - began) / len(numbers)

    async def wait(self, chance: random.Random) -> None:
        """Wait for about two transfers."""
        await asyncio.sleep(chance.random() * 4 * self.pace)

    def has_got_on(self) -> bool:
        """Say whether anything was stored since it was last asked; else a slow machine never is."""
        now = len(self.ledger.stored)
        has_got_on, self.stored_before = now > self.stored_before, now
        return has_got_on

    async def run(self, chance: random.Random, numbers: range, attempts: int) -> None:
        """Let the clients do their transfers."""
        plans = [(n, *chance.sample(range(ACCOUNTS), 2), chance.randint(1, 50)) for n in numbers]
        transfer = self._transfer(attempts)
        work = (self._client(transfer, plans[client::CLIENTS]) for client in range(CLIENTS))
        await asyncio.gather(*work)

    def _transfer(self, attempts: int) -> Callable[[tuple[int, int, int, int]], Any]:
        @transactional(self.maker, Bank, attempts=attempts, isolation_level="SERIALIZABLE")
        async def transfer(bank: Bank, plan: tuple[int, int, int, int]) -> None:
            self.ledger.tries[plan[0]] += 1
            called_back = self.ledger.called_back
            current_scope(self.maker).on_commit(lambda: called_back.update([plan[0]]))
            await bank.transfer(*plan)

        return transfer

    async def _client(self, transfer: Any, plans: list[tuple[int, int, int, int]]) -> None:
        for plan in plans:
            try:
                await transfer(plan)
            except CommitOutcomeUnknownError:
                self.ledger.unknown.add(plan[0])
            except Exception as error:
                self.ledger.refuse(plan[0], error)
            else:
                self.ledger.stored.add(plan[0])

    async def run_until_hit(self, chance: random.Random, number: int, faults: int) -> int:
        """Let them do so many transfers, and more until there were faults enough; say how many."""
        done = 0
        while done < number or self.faults < faults:
            await self.run(chance, range(done, done + number), ATTEMPTS)
            done += number
        return done

    async def until_done(self, work: asyncio.Task[Any], fault: Callable[[], Any]) -> None:
        """Let a fault happen again and again until the work is done."""
        while not work.done():
            await asyncio.sleep(0.01)
            with contextlib.suppress(psycopg.Error):
                self.faults += bool(await fault())
        await work


@contextlib.asynccontextmanager
async def world(database: Database, **options: object) -> AsyncIterator[World]:
    """Give a bank behind a proxy; afterwards its pool is full."""
    open_accounts(database, ACCOUNTS)
    url = make_url(database.url)
    async with proxy_to(url.port) as proxy:
        through = url.set(port=proxy.port)
        engine = create_async_engine(through, pool_size=10, max_overflow=0, **options)
        maker = async_sessionmaker(engine)
        configure(maker, cleanup_timeout=30)  # a loaded machine needs longer than usual to answer
        yield World(database, engine, proxy, maker, Ledger())
        assert engine.pool.checkedout() == 0
        await engine.dispose()


async def quiet(there: World, chance: random.Random, after: int) -> float:
    """Let the storm pass; return the seconds in which 50 further transfers go through."""
    began = time.perf_counter()
    await there.run(chance, range(after, after + 50), ATTEMPTS)
    return time.perf_counter() - began


@pytest.fixture
def killable(request):
    """Give a database on a server of its own, which may be killed."""
    with (
        servers.postgres_server() as server,
        databases.postgres_database(request.param, server) as database,
    ):
        yield database


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("attempts", [1, ATTEMPTS], ids=["once", "retried"])
async def test_commits_cut(pg, figures, sized, seed, attempts):
    """A COMMIT whose way there or back is cut is resolved: nothing doubled, nothing unknown."""
    number = sized(120, 2_000)
    chance = random.Random(seed)
    async with world(pg) as there:
        await there.measure_pace(chance)

        async def cut() -> bool:
            await there.wait(chance)
            if not there.has_got_on():
                return False
            there.proxy.at("COMMIT", chance.choice(["lost", "answer lost"]))
            return True

        work = asyncio.create_task(there.run(chance, range(number), attempts))
        await there.until_done(work, cut)
        there.proxy.at("NEVER", "cut")
        took = await quiet(there, chance, number)
        wrong = check(pg, there.ledger, ACCOUNTS)
    counted = {"unknown": len(there.ledger.unknown), "refused": len(there.ledger.refused)}
    figures(f"{number}, {there.faults} cuts", **wrong, **counted, quiet=f"{took:.1f} s")
    assert not any(wrong.values()), wrong
    assert there.ledger.unknown == set()
    assert attempts == 1 or there.ledger.refused == set(), there.ledger.errors
    assert there.faults > number / 50


@pytest.mark.timeout(3_600)
async def test_commits_cut_where_nobody_asks(pg, figures, sized, seed):
    """Without resolve_commit a cut COMMIT is said to be unknown, is not retried, never doubled."""
    number = sized(80, 1_000)
    chance = random.Random(seed)
    async with world(pg) as there:
        configure(there.maker, resolve_commit=False, cleanup_timeout=30)
        await there.measure_pace(chance)

        async def cut() -> bool:
            await there.wait(chance)
            if not there.has_got_on():
                return False
            there.proxy.at("COMMIT", chance.choice(["lost", "answer lost"]))
            return True

        work = asyncio.create_task(there.run(chance, range(number), ATTEMPTS))
        await there.until_done(work, cut)
        there.proxy.at("NEVER", "cut")
        wrong = check(pg, there.ledger, ACCOUNTS)
    figures(f"{number}, {there.faults} cuts", **wrong, unknown=len(there.ledger.unknown))
    assert not any(wrong.values()), wrong
    assert there.ledger.unknown
    assert there.ledger.refused == set(), there.ledger.errors


@pytest.mark.timeout(3_600)
async def test_backends_terminated(pg, figures, sized, seed):
    """Transfers whose backends are terminated at random are all done, once."""
    number = sized(120, 2_000)
    chance = random.Random(seed)
    async with world(pg) as there:
        await there.measure_pace(chance)

        async def terminate() -> bool:
            await there.wait(chance)
            if not there.has_got_on():
                return False
            kill = f"SELECT pg_terminate_backend(pid) FROM ({BACKENDS}) AS one"
            return bool(await asyncio.to_thread(pg.probe.rows, kill))

        work = asyncio.create_task(there.run_until_hit(chance, number, faults=6))
        await there.until_done(work, terminate)
        took = await quiet(there, chance, work.result())
        wrong = check(pg, there.ledger, ACCOUNTS)
    unsure = {"unknown": len(there.ledger.unknown), "refused": len(there.ledger.refused)}
    most = max(there.ledger.tries.values())
    figures(
        f"{number}, {there.faults} killed",
        **wrong,
        **unsure,
        most_tries=most,
        quiet=f"{took:.1f} s",
    )
    assert not any(wrong.values()), wrong
    assert there.ledger.unknown == set()
    assert there.ledger.refused == set(), there.ledger.errors


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("killable", databases.POSTGRES_ASYNC, indirect=True)
async def test_server_restarts(killable, figures, sized, seed):
    """Transfers go on through crashes of the server: what was acknowledged is stored, once.

    A COMMIT that was sent when the server crashed may stay unknown: the server forgets.
    """
    number, restarts = sized(100, 2_000), sized(1, 5)
    chance = random.Random(seed)
    async with world(killable, pool_pre_ping=True) as there:

        async def crash() -> bool:
            if there.faults >= restarts or len(there.ledger.stored) < number * (
                there.faults + 1
            ) / (restarts + 2):
                return False
            [(pid,)] = await asyncio.to_thread(killable.probe.rows, BACKENDS)
            os.kill(pid, signal.SIGKILL)  # PostgreSQL ends all the others and starts again
            return True

        work = asyncio.create_task(there.run(chance, range(number), ATTEMPTS))
        await there.until_done(work, crash)
        took = await quiet(there, chance, number)
        wrong = check(killable, there.ledger, ACCOUNTS)
    counted = {"unknown": len(there.ledger.unknown), "refused": len(there.ledger.refused)}
    figures(f"{number}, {there.faults} crashes", **wrong, **counted, quiet=f"{took:.1f} s")
    assert not any(wrong.values()), (wrong, there.ledger.errors)
    assert there.faults == restarts
    known = len(there.ledger.stored) + len(there.ledger.unknown)
    assert known == number + 50, there.ledger.errors
    assert len(there.ledger.unknown) <= CLIENTS * restarts
