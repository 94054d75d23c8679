"""The real bot as its operators run it: migrations, Redis, polling and webhook in a process."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiogram.fsm.storage.memory import MemoryStorage
from aiogram.fsm.storage.redis import RedisStorage
from aiohttp import ClientSession
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine

from avatar_bot.dispatcher import create_dispatcher
from avatar_bot.engine import Sessions, create_engine
from avatar_bot.locales import ru
from avatar_bot.migrations import config, migrate
from avatar_bot.models import Avatar, Base
from avatar_bot.settings import Settings, from_environment
from avatar_bot.simulator.server import Simulator, serving
from avatar_bot.storage import create_storage
from sqla_safe import FsmDataError
from tests.integration.avatar_bot.chat import TELEGRAM_ID, Chat
from tests.integration.avatar_bot.processes import bot_process
from tests.integration.avatar_bot.world import World, free_port
from tests.servers import Server

ROOT = Path(__file__).resolve().parents[3]
BOT = ROOT / "examples" / "avatar_bot"
ANNA = 1001


@pytest.fixture
async def bare(url: str) -> AsyncIterator[AsyncEngine]:
    """Give an engine on an empty database."""
    engine = create_engine(url)
    yield engine
    await engine.dispose()


# migrations


async def test_migrations_make_what_the_models_say(bare: AsyncEngine) -> None:
    """After them there is nothing left that Alembic would change."""
    await migrate(bare)
    await migrate(bare)

    def compare(connection: Connection) -> list[Any]:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)

    async with bare.connect() as connection:
        assert await connection.run_sync(compare) == []


async def test_migrations_can_be_undone(bare: AsyncEngine) -> None:
    """Down to the empty database and up again."""
    await migrate(bare)
    async with bare.begin() as connection:
        await connection.run_sync(lambda c: command.downgrade(config(c), "base"))
        left = await connection.run_sync(lambda c: inspect(c).get_table_names())
    assert left == ["alembic_version"]
    await migrate(bare)


async def test_several_that_start_at_once_migrate_once(bare: AsyncEngine) -> None:
    """Workers wait for each other, and none fails."""
    if bare.dialect.name == "sqlite":
        pytest.skip("SQLite serves one process; its writers wait anyway")
    await asyncio.gather(*(migrate(bare) for _ in range(4)))


def test_migrate_is_a_command(tmp_path: Path) -> None:
    """`python -m avatar_bot migrate` works on DATABASE_URL."""
    file = tmp_path / "made.db"
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite+aiosqlite:///{file}",
        "PYTHONPATH": str(ROOT),
    }
    arguments = [sys.executable, "-W", "error", "-m", "avatar_bot", "migrate"]
    subprocess.run(arguments, cwd=ROOT / "examples", env=environment, check=True)
    assert file.exists()


# settings


def test_every_variable_is_read_and_documented(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example file names what the settings read: at most eight variables."""
    text = (BOT / ".env.example").read_text()
    names = re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)
    assert len(names) == len(Settings("x")) == 8
    for name in names:
        monkeypatch.setenv(name, "8" if name == "PORT" else name.lower())
    expected = {"bot_token", "database_url", "redis_url", "bot_api_url", "webhook_url"}
    assert {*from_environment()} == expected | {"webhook_secret", "host", 8}


def test_nothing_but_the_token_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing or empty has its default."""
    for name in re.findall(r"^#?([A-Z_]+)=", (BOT / ".env.example").read_text(), re.MULTILINE):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("BOT_TOKEN", "1:a")
    assert from_environment() == Settings("1:a")


def test_the_container_installs_what_the_bot_needs() -> None:
    """The requirements are those of the project's own groups and extras."""
    project = (ROOT / "pyproject.toml").read_text()
    needed = (BOT / "requirements.txt").read_text().split()
    assert [line for line in needed if f'"{line}"' not in project] == []


# storage


@pytest.fixture
async def redis(valkey: Server) -> AsyncIterator[RedisStorage]:
    """Give a storage on an empty server."""
    storage = create_storage(f"redis://127.0.0.1:{valkey.port}/0")
    assert isinstance(storage, RedisStorage)
    await storage.redis.flushall()
    yield storage
    await storage.close()


def test_redis_is_used_when_it_is_named() -> None:
    """Without an address the storage is the one in memory."""
    assert isinstance(create_storage(""), MemoryStorage)


async def test_a_conversation_outlives_its_process_in_redis(
    sessions: Sessions, redis: RedisStorage
) -> None:
    """A second dispatcher, as after a restart, goes on where the first one stopped."""
    chat = Chat(sessions)
    chat.safe = create_dispatcher(sessions, storage=redis)
    await chat.write("/start")
    await chat.press_data("new_avatar")
    await chat.write("Летний")
    chat.safe = create_dispatcher(sessions, storage=redis)
    await chat.press(ru.FEMALE)
    await chat.press(ru.PORTRAIT)
    async with sessions() as session:
        assert await session.scalar(select(func.count(Avatar.id))) == 1


async def test_a_conversation_is_nobody_elses(sessions: Sessions, redis: RedisStorage) -> None:
    """What the server keeps are this chat's state and plain JSON, gone when it is over."""
    chat = Chat(sessions)
    chat.safe = create_dispatcher(sessions, storage=redis)
    await chat.write("/start")
    await chat.press_data("new_avatar")
    await chat.write("Летний")
    keys = sorted([key.decode() async for key in redis.redis.scan_iter()])
    prefix = f"fsm:{TELEGRAM_ID}:{TELEGRAM_ID}"
    assert keys == [f"{prefix}:data", f"{prefix}:state"]
    assert json.loads(await redis.redis.get(keys[0])) == {"name": "Летний"}
    await chat.press(ru.CANCEL)
    assert [key async for key in redis.redis.scan_iter()] == []


async def test_entities_are_refused_before_they_reach_redis(
    sessions: Sessions, redis: RedisStorage
) -> None:
    """The error names the repair; Redis would only say that it is not serialisable."""
    chat = Chat(sessions)
    chat.safe = create_dispatcher(sessions, storage=redis)
    await chat.write("/start")

    async def keep(callback: Any, state: Any) -> None:
        await state.update_data(avatar=Avatar(name="Летний"))

    gallery = next(router for router in chat.safe.sub_routers if router.name == "gallery")
    gallery.callback_query.handlers.clear()
    gallery.callback_query.register(keep)
    with pytest.raises(FsmDataError):
        await chat.press_data("gallery:0")


# the process


@asynccontextmanager
async def at_home(simulator: Simulator, address: str, **variables: str) -> AsyncIterator[World]:
    """Run the bot as a process, and give the world around it."""
    nobody: Any = None
    async with bot_process(address, **variables), ClientSession() as client:
        yield World(simulator, address, nobody, client)


@pytest.mark.parametrize("mode", ["polling", "webhook"])
async def test_the_real_process_answers(url: str, mode: str) -> None:
    """On an empty database: it migrates, introduces itself, answers, and stops cleanly."""
    simulator, port = Simulator(), free_port()
    webhook = {
        "WEBHOOK_URL": f"http://127.0.0.1:{port}/telegram",
        "WEBHOOK_SECRET": "secret",
        "PORT": str(port),
    }
    async with serving(simulator) as address:
        variables = {"DATABASE_URL": url, **(webhook if mode == "webhook" else {})}
        async with at_home(simulator, address, **variables) as live:
            await live.post("write", chat=ANNA, text="/start")
            await live.sees(ANNA, "Добро пожаловать, Анна!")
        assert bool(simulator.webhook["url"]) == (mode == "webhook")
        assert simulator.commands


async def test_a_webhook_needs_its_secret(tmp_path: Path) -> None:
    """A webhook without the right secret is refused, and the bot goes on."""
    simulator, port = Simulator(), free_port()
    variables = {
        "DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'bot.db'}",
        "WEBHOOK_URL": f"http://127.0.0.1:{port}/telegram",
        "WEBHOOK_SECRET": "secret",
        "PORT": str(port),
    }
    async with (
        serving(simulator) as address,
        at_home(simulator, address, **variables) as live,
    ):
        await live.until(lambda: simulator.webhook["url"], "the webhook")
        async with live.client.post(simulator.webhook["url"], json={}) as answer:
            assert answer.status == 401
        await live.post("write", chat=ANNA, text="/start")
        await live.sees(ANNA, "Добро пожаловать")
