"""Two processes behind one webhook: PostgreSQL, Valkey, and updates that go to them in turn."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from asyncio.subprocess import Process
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from avatar_bot.engine import create_engine
from avatar_bot.locales import en, ru
from avatar_bot.models import (
    AlbumPart,
    BalanceTransaction,
    Training,
    TrainingStatus,
    TransactionKind,
    UserBalance,
)
from avatar_bot.services.training import PRICE
from avatar_bot.services.user import WELCOME_COINS
from avatar_bot.simulator.server import Simulator, serving
from tests import databases
from tests.integration.avatar_bot.chat import picture
from tests.integration.avatar_bot.processes import QUICK, Balancer, balancing, bot_process
from tests.integration.avatar_bot.world import World, free_port
from tests.servers import Server

PEOPLE = 6
BARS = re.compile(r"(\d+)%")


@dataclass
class Site:
    """Two workers, what stands before and behind them, and the people."""

    live: World
    balancer: Balancer
    workers: dict[int, Process]
    engine: AsyncEngine

    async def scalars(self, statement: Any) -> list[Any]:
        """Ask the database."""
        async with AsyncSession(self.engine) as session:
            return list(await session.scalars(statement))

    def said(self, chat: int, text: str) -> int:
        """Return how often the bot has said or shown a text that holds this one."""
        calls = self.live.simulator.calls
        return sum(c.fields.get("chat_id") == str(chat) and text in c.text for c in calls)


@pytest.fixture
async def site(postgres: Server, valkey: Server) -> AsyncIterator[Site]:
    """Start two workers on one database and one Redis, behind one address."""
    hook, ports, simulator = free_port(), [free_port(), free_port()], Simulator()
    async with AsyncExitStack() as stack:
        database = stack.enter_context(databases.postgres_database("asyncpg", postgres))
        address = await stack.enter_async_context(serving(simulator))
        balancer = await stack.enter_async_context(balancing(hook, ports))
        variables = {
            "DATABASE_URL": database.url,
            "REDIS_URL": f"redis://127.0.0.1:{valkey.port}/1",
            "WEBHOOK_URL": f"http://127.0.0.1:{hook}/telegram",
            "WEBHOOK_SECRET": "secret",
        }
        started = [bot_process(address, QUICK, **variables, PORT=str(port)) for port in ports]
        workers = [await stack.enter_async_context(worker) for worker in started]
        engine = create_engine(database.url)
        stack.push_async_callback(engine.dispose)
        nobody: Any = None
        client = await stack.enter_async_context(ClientSession())
        live = World(simulator, address, nobody, client)
        await live.until(lambda: both_ask(simulator), "both workers", 60)
        yield Site(live, balancer, dict(zip(ports, workers, strict=True)), engine)


def both_ask(simulator: Simulator) -> bool:
    """Tell whether both workers have introduced themselves, after which they listen."""
    return [call.method for call in simulator.calls].count("setWebhook") == 2


async def create(site: Site, chat: int, name: str) -> None:
    """Go from /start to the question whether to pay, with an album of four photos."""
    await site.live.create(chat, name, *(picture(chat + n) for n in range(4)))


async def pay_twice(site: Site, chat: int, name: str) -> None:
    """Press "pay" twice at once, so that each worker gets one press, and wait for the end."""
    live, texts = site.live, site.live.texts(chat)
    press = live.press(chat, texts.START_TRAINING), live.press(chat, texts.START_TRAINING)
    await asyncio.gather(*press)
    await live.sees(chat, texts.training_done(name))


@pytest.mark.timeout(180)
async def test_several_people_at_once(site: Site) -> None:
    """Albums go to both workers and are answered once; each training is taken and paid once."""
    simulator = site.live.simulator
    chats = [*simulator.people]
    chats += [simulator.add_person(f"P{n}", "en").chat["id"] for n in range(PEOPLE - len(chats))]
    names = {chat: f"Avatar {chat}" for chat in chats}
    await asyncio.gather(*(create(site, chat, name) for chat, name in names.items()))
    await asyncio.gather(*(pay_twice(site, chat, name) for chat, name in names.items()))
    await site.live.until(lambda: not simulator.open_queries, "an answer to every press")
    await asyncio.sleep(0.3)  # what would come twice had time to come

    taken = [len(updates) for updates in site.balancer.handed.values()]
    assert len(taken) == 2
    assert min(taken) > 3 * PEOPLE
    assert len(albums_of_both(site)) > PEOPLE / 2
    for chat, name in names.items():
        assert site.said(chat, site.live.texts(chat).ask_photos(name, 4, 3, 10)) == 1
        assert site.said(chat, site.live.texts(chat).training_done(name)) == 1
        assert bars(site, chat) == [0, *range(10, 101, 10)]
    told = Counter(call.text for call in simulator.calls)
    assert (told[ru.BUSY] + told[en.BUSY], told[ru.FAILED] + told[en.FAILED]) == (PEOPLE, 0)
    assert await site.scalars(select(AlbumPart)) == []
    await check_books(site, PEOPLE)


def albums_of_both(site: Site) -> list[str]:
    """Return the albums of which both workers got photos."""
    seen = defaultdict(set)
    for port, updates in site.balancer.handed.items():
        for message in [one.get("message", {}) for one in updates]:
            seen[message.get("media_group_id")].add(port)
    return [album for album, ports in seen.items() if album and len(ports) == 2]


def bars(site: Site, chat: int) -> list[int]:
    """Return the progress that was shown, in order."""
    calls = [c for c in site.live.simulator.calls if c.fields.get("chat_id") == str(chat)]
    return [int(found[1]) for call in calls if (found := BARS.search(call.text))]


async def check_books(site: Site, people: int) -> None:
    """Everybody has paid once, and the balance is the sum of its changes."""
    kinds = Counter(await site.scalars(select(BalanceTransaction.kind)))
    assert kinds == {TransactionKind.WELCOME: people, TransactionKind.CHARGE: people}
    total = func.sum(BalanceTransaction.amount)
    sums = await site.scalars(select(total).group_by(BalanceTransaction.user_id))
    assert sums == await site.scalars(select(UserBalance.coins)) == [WELCOME_COINS - PRICE] * people
    done = [TrainingStatus.DONE] * people
    assert await site.scalars(select(Training.status)) == done


@pytest.mark.timeout(180)
async def test_a_training_outlives_its_worker(site: Site) -> None:
    """Paid on one worker and watched from the other; after kill -9 another one ends it, once."""
    live, chat, texts = site.live, 1001, ru
    payer, other = site.workers
    await create(site, chat, "Летний")
    site.balancer.pinned[chat] = payer
    await live.press(chat, texts.START_TRAINING)
    await live.sees(chat, "20%")
    site.balancer.pinned[chat] = other
    await live.post("write", chat=chat, text="/start")
    await live.sees(chat, texts.coins(WELCOME_COINS - PRICE))
    await live.press(chat, texts.GALLERY)
    await live.sees(chat, texts.NAMES_OF_STATUS["training"])

    holder = await holder_of(site)
    killed, left = sorted(site.workers, key=lambda port: site.workers[port].pid != holder)
    os.kill(holder, signal.SIGKILL)
    await site.workers[killed].wait()
    async with AsyncSession(site.engine) as session, session.begin():
        await session.execute(update(Training).values(lease_until=0))  # as after a quarter minute
    site.balancer.pinned.clear()
    await live.sees(chat, texts.training_done("Летний"))
    await live.press(chat, texts.GALLERY)  # also when it was the dead worker's turn
    await live.sees(chat, texts.NAMES_OF_STATUS["ready"])
    assert await holder_of(site) == site.workers[left].pid
    assert bars(site, chat)[-1] == 100
    assert site.said(chat, texts.training_done("Летний")) == 1
    await check_books(site, 1)


async def holder_of(site: Site) -> int:
    """Return the process that has written its mark into the training."""
    [mark] = await site.scalars(select(Training.worker))
    return int(mark.partition("-")[0])
