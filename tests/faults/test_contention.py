"""Many transactions that want the same rows: nothing lost, nothing twice, tries bounded."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from sqla_safe import AsyncScope, current_scope, transactional
from tests.faults.bank import Account, Bank, Ledger, check, open_accounts

WORKERS = 32
ATTEMPTS = 200


@pytest.fixture
def maker(pg, make_async_engine):
    """Give a sessionmaker with a connection for each worker."""
    engine = make_async_engine(pg, pool_size=WORKERS)
    yield async_sessionmaker(engine)
    assert engine.pool.checkedout() == 0


@pytest.mark.timeout(3_600)
async def test_increments(pg, maker, figures, sized):
    """32 workers that read, add one and write under SERIALIZABLE lose no increment."""
    each = sized(8, 1_000)
    open_accounts(pg, 1)
    tries: Counter[tuple[int, int]] = Counter()
    called_back: Counter[tuple[int, int]] = Counter()

    @transactional(maker, attempts=ATTEMPTS, isolation_level="SERIALIZABLE")
    async def increment(scope: AsyncScope[AsyncSession], key: tuple[int, int]) -> None:
        tries[key] += 1
        scope.on_commit(lambda: called_back.update([key]))
        account = await scope.session.get_one(Account, 0)
        account.balance += 1

    async def work(worker: int) -> None:
        for number in range(each):
            await increment((worker, number))

    await asyncio.gather(*map(work, range(WORKERS)))

    done = WORKERS * each
    lost = 1_000 + done - pg.probe.scalar("SELECT balance FROM account")
    most = max(tries.values())
    figures(f"{WORKERS} x {each}", lost=lost, tries=sum(tries.values()), most=most)
    assert lost == 0
    assert len(called_back) == done
    assert set(called_back.values()) == {1}
    assert most < ATTEMPTS
    assert pg.probe.idle_in_transaction() == 0


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("isolation_level", ["SERIALIZABLE", "REPEATABLE READ"])
async def test_transfers(pg, maker, figures, sized, seed, *, isolation_level):
    """Transfers between few accounts keep the sum, and each is done once and announced once."""
    accounts, number = 8, sized(150, 3_000)
    open_accounts(pg, accounts)
    chance, ledger = random.Random(seed), Ledger()
    plans = [(n, *chance.sample(range(accounts), 2), chance.randint(1, 50)) for n in range(number)]

    @transactional(maker, Bank, attempts=ATTEMPTS, isolation_level=isolation_level)
    async def transfer(bank: Bank, plan: tuple[int, int, int, int]) -> None:
        ledger.tries[plan[0]] += 1
        current_scope(maker).on_commit(lambda: ledger.called_back.update([plan[0]]))
        await bank.transfer(*plan)

    async def work(mine: list[tuple[int, int, int, int]]) -> None:
        for plan in mine:
            await transfer(plan)
            ledger.stored.add(plan[0])

    await asyncio.gather(*(work(plans[worker::WORKERS]) for worker in range(WORKERS)))

    wrong = check(pg, ledger, accounts)
    figures(f"{number} by {WORKERS}", **wrong, most_tries=max(ledger.tries.values()))
    assert not any(wrong.values()), wrong
    assert len(ledger.stored) == number


@pytest.mark.timeout(3_600)
async def test_deadlocks(pg, maker, figures, sized, seed):
    """Transactions that lock two rows in any order all get through."""
    each = sized(6, 100)
    open_accounts(pg, 2)
    add = text("UPDATE account SET balance = balance + 1 WHERE id = :id")
    tries: Counter[tuple[int, int]] = Counter()
    chance = random.Random(seed)

    @transactional(maker, attempts=ATTEMPTS)
    async def both(scope: AsyncScope[AsyncSession], key: tuple[int, int], order: list[int]) -> None:
        tries[key] += 1
        for account in order:
            await scope.session.execute(add, {"id": account})
            await asyncio.sleep(0)

    async def work(worker: int) -> None:
        for number in range(each):
            await both((worker, number), chance.sample([0, 1], 2))

    await asyncio.gather(*map(work, range(8)))

    done = 8 * each
    sums = pg.probe.rows("SELECT balance FROM account")
    figures(f"8 x {each}", tries=sum(tries.values()), most=max(tries.values()))
    assert sums == [(1_000 + done,), (1_000 + done,)]
    assert sum(tries.values()) > done, "nothing was ever in the way"
