"""The rows of the users with each driver alone, as the measure of all that is made of them."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

import aiosqlite
import asyncpg
import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AsyncExitStack


class Texts(NamedTuple):
    """The three queries of a driver, and what it takes for many keys."""

    users: str
    avatars: str
    photos: str
    pack: Callable[[list[int]], Any]


def texts(mark: str, many: str, pack: Callable[[list[int]], Any]) -> Texts:
    """Return the queries with a driver's marks for parameters."""
    return Texts(
        "SELECT id, telegram_id, name, email, balance, is_active, created_at FROM users "  # noqa: S608
        f"WHERE id <= {mark} ORDER BY id",
        "SELECT user_id, id, name, status, created_at FROM avatars "  # noqa: S608
        f"WHERE user_id {many} ORDER BY user_id, id",
        "SELECT avatar_id, id, url, width, height FROM photos "  # noqa: S608
        f"WHERE avatar_id {many} ORDER BY avatar_id, id",
        pack,
    )


SQLITE = texts("?", "IN (SELECT value FROM json_each(?))", json.dumps)
PSYCOPG = texts("%s", "= ANY(%s)", lambda keys: keys)
ASYNCPG = texts("$1", "= ANY($1)", lambda keys: keys)


def bare(ask: Callable[[str, Any], Sequence[Any]], own: Texts) -> Callable[[int], object]:
    """Return the way that fetches the rows and does nothing with them."""

    def way(size: int) -> object:
        users = ask(own.users, size)
        avatars = ask(own.avatars, own.pack([row[0] for row in users]))
        return users, avatars, ask(own.photos, own.pack([row[1] for row in avatars]))

    return way


def bare_async(ask: Callable[[str, Any], Any], own: Texts) -> Callable[[int], object]:
    """Return the same for a driver that is awaited."""

    async def way(size: int) -> object:
        users = await ask(own.users, size)
        avatars = await ask(own.avatars, own.pack([row[0] for row in users]))
        return users, avatars, await ask(own.photos, own.pack([row[1] for row in avatars]))

    return way


def bare_sync_driver(driver: str, database: str, stack: AsyncExitStack) -> Callable[[int], object]:
    """Connect with the driver itself."""
    if driver == "sqlite":
        lite = sqlite3.connect(database)
        stack.callback(lite.close)
        return bare(lambda sql, argument: lite.execute(sql, (argument,)).fetchall(), SQLITE)
    postgres = psycopg.connect(f"postgresql://{database}")
    stack.callback(postgres.close)
    return bare(lambda sql, argument: postgres.execute(sql, (argument,)).fetchall(), PSYCOPG)


async def bare_async_driver(
    driver: str, database: str, stack: AsyncExitStack
) -> Callable[[int], object]:
    """Connect with the driver itself, awaiting it."""
    if driver == "aiosqlite":
        lite = await stack.enter_async_context(aiosqlite.connect(database))
        return bare_async(lambda sql, one: lite.execute_fetchall(sql, (one,)), SQLITE)
    postgres = await asyncpg.connect(f"postgresql://{database}")
    stack.push_async_callback(postgres.close)
    return bare_async(postgres.fetch, ASYNCPG)
