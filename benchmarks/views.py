"""What a view costs, divided by what people use today, from the query to the nested objects.

Run ``PYTHONPATH=. python benchmarks/views.py [--rounds N] [--gc off] [--only sqlite,asyncpg]
[--markdown FILE]``. It fills a SQLite file and a PostgreSQL of its own with users, each with 5
avatars of 4 photos, and asks for 1, 100 and 1,000 of them in a new session. Each round runs every
way once, in an order of its own. Printed are the medians of the ratios within the rounds: of time,
and in brackets of the processor time of this process, which leaves out the server and which a busy
machine disturbs less. All ways but the bare driver are first seen to give equal values.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt  # noqa: TC003  (views read annotations at run time)
import gc
import inspect
import json
import random
import sqlite3
import statistics
import tempfile
from collections import defaultdict
from contextlib import AsyncExitStack, ExitStack
from decimal import Decimal  # noqa: TC003  (the same)
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, NamedTuple

import aiosqlite
import asyncpg
import msgspec
import psycopg
from models import AVATARS, OBJECTS, PHOTOS, Avatar, Photo, User, store
from pydantic import TypeAdapter
from shapes import UserCard, UserModel, UserStruct
from sqlalchemy import bindparam, create_engine, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, selectinload

from sqla_safe import afetch, fetch
from tests.servers import postgres_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Engine, Row, Select
    from sqlalchemy.ext.asyncio import AsyncEngine

    Ways = dict[str, Callable[[int], Any]]
    Query = Callable[[Sequence[int]], tuple[Select[Any], Any]]

DRIVERS = ("sqlite", "aiosqlite", "psycopg", "asyncpg")
SIZES = (1, 100, 1_000)
REPEATS = 10
"""Runs in a row with one user: the first after a collection finds the processor's caches cold."""
CHUNK = 500
"""As many keys as SQLAlchemy's own `selectinload` sends at a time."""

P, H, R = "selectinload, pydantic", "Core rows by hand, msgspec", "bare driver, rows only"
MEASURES = {"P": P, "H": H, "R": R}


# --- the ways ----------------------------------------------------------------


class PhotoView(msgspec.Struct, frozen=True, gc=False):
    """A photo."""

    id: int
    url: str
    width: int
    height: int


class AvatarView(msgspec.Struct, frozen=True, gc=False):
    """An avatar."""

    id: int
    name: str
    status: str
    created_at: dt.datetime
    photos: tuple[PhotoView, ...]


class UserView(msgspec.Struct, frozen=True, gc=False):
    """A user."""

    id: int
    telegram_id: int
    name: str
    email: str | None
    balance: Decimal
    is_active: bool
    created_at: dt.datetime
    avatars: tuple[AvatarView, ...]


USERS = TypeAdapter(list[UserModel])


def entities(session: Session, size: int) -> Sequence[User]:
    """Load the users with what they have."""
    paths = selectinload(User.avatars).selectinload(Avatar.photos)
    return session.scalars(chosen(size).options(paths)).all()


def chosen(size: int) -> Select[tuple[User]]:
    """Return the SELECT of so many users."""
    return select(User).where(User.id <= size).order_by(User.id)


def validated(session: Session, size: int) -> list[UserModel]:
    """Load the users, and let pydantic read them."""
    return USERS.validate_python(entities(session, size), from_attributes=True)


def converted(session: Session, size: int) -> list[UserStruct]:
    """Load the users, and let msgspec read them."""
    return msgspec.convert(entities(session, size), list[UserStruct], from_attributes=True)


user = User.__table__.c
avatar = Avatar.__table__.c
photo = Photo.__table__.c
USER_ROWS = select(
    user.id, user.telegram_id, user.name, user.email, user.balance, user.is_active, user.created_at
).order_by(user.id)
AVATAR_ROWS = select(
    avatar.user_id, avatar.id, avatar.name, avatar.status, avatar.created_at
).order_by(avatar.user_id, avatar.id)
PHOTO_ROWS = select(photo.avatar_id, photo.id, photo.url, photo.width, photo.height).order_by(
    photo.avatar_id, photo.id
)
KEYS = bindparam("keys", expanding=True)
USERS_BUILT = USER_ROWS.where(user.id <= bindparam("size"))
AVATARS_BUILT = AVATAR_ROWS.where(avatar.user_id.in_(KEYS))
PHOTOS_BUILT = PHOTO_ROWS.where(photo.avatar_id.in_(KEYS))


def by_hand(session: Session, size: int) -> list[UserView]:
    """Write it with Core, as people do: each statement where it is needed."""
    users = session.execute(USER_ROWS.where(user.id <= size)).all()
    return assembled(
        session,
        users,
        lambda keys: (AVATAR_ROWS.where(avatar.user_id.in_(keys)), None),
        lambda keys: (PHOTO_ROWS.where(photo.avatar_id.in_(keys)), None),
    )


def by_hand_built(session: Session, size: int) -> list[UserView]:
    """Write it with Core, each statement built once and for all."""
    return assembled(
        session,
        session.execute(USERS_BUILT, {"size": size}).all(),
        lambda keys: (AVATARS_BUILT, {"keys": keys}),
        lambda keys: (PHOTOS_BUILT, {"keys": keys}),
    )


def assembled(
    session: Session, users: Sequence[Row[Any]], avatars: Query, photos: Query
) -> list[UserView]:
    """Ask for what the users have, and put it together."""
    avatar_rows = rows_in_chunks(session, avatars, [row[0] for row in users])
    photos_of: dict[int, list[PhotoView]] = defaultdict(list)
    for key, *values in rows_in_chunks(session, photos, [row[1] for row in avatar_rows]):
        photos_of[key].append(PhotoView(*values))
    avatars_of: dict[int, list[AvatarView]] = defaultdict(list)
    for key, number, name, status, created_at in avatar_rows:
        own = tuple(photos_of[number])
        avatars_of[key].append(AvatarView(number, name, status, created_at, own))
    return [UserView(*row, tuple(avatars_of[row[0]])) for row in users]


def rows_in_chunks(session: Session, query: Query, keys: Sequence[int]) -> list[Row[Any]]:
    """Ask with so many keys at a time."""
    chunks = [keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK)]
    return [row for chunk in chunks for row in session.execute(*query(chunk)).all()]


BY_SESSION: dict[str, Callable[[Session, int], object]] = {
    P: validated,
    "selectinload, msgspec.convert": converted,
    H: by_hand,
    "the same, statements built once": by_hand_built,
}
VIEWS: dict[str, type[Any]] = {
    "view, msgspec Struct": UserView,
    "view, frozen dataclass": UserCard,
}


def sync_ways(engine: Engine) -> Ways:
    """Return every way through a session."""

    def way(work: Callable[[Session, int], object]) -> Callable[[int], object]:
        def within(size: int) -> object:
            with Session(engine) as session:
                return work(session, size)

        return within

    def view(into: type[Any]) -> Callable[[int], object]:
        return way(lambda session, size: fetch(session, into, chosen(size)))

    made = {name: way(work) for name, work in BY_SESSION.items()}
    return made | {name: view(into) for name, into in VIEWS.items()}


def async_ways(engine: AsyncEngine) -> Ways:
    """Return every way through an asynchronous session."""

    def way(work: Callable[[Session, int], object]) -> Callable[[int], object]:
        async def within(size: int) -> object:
            async with AsyncSession(engine) as session:
                return await session.run_sync(work, size)

        return within

    def view(into: type[Any]) -> Callable[[int], object]:
        async def within(size: int) -> object:
            async with AsyncSession(engine) as session:
                return await afetch(session, into, chosen(size))

        return within

    made = {name: way(work) for name, work in BY_SESSION.items()}
    return made | {name: view(into) for name, into in VIEWS.items()}


# --- the bare drivers --------------------------------------------------------


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


async def ways_of(driver: str, database: str, stack: AsyncExitStack) -> Ways:
    """Return every way on a driver; what is open is closed with the stack."""
    if driver in {"sqlite", "psycopg"}:
        engine = create_engine(url(driver, database))
        stack.callback(engine.dispose)
        return sync_ways(engine) | {R: bare_sync_driver(driver, database, stack)}
    async_engine = create_async_engine(url(driver, database))
    stack.push_async_callback(async_engine.dispose)
    return async_ways(async_engine) | {R: await bare_async_driver(driver, database, stack)}


def url(driver: str, database: str) -> str:
    """Return the URL for SQLAlchemy; a database is the path of a file, or a server's address."""
    kind = "sqlite" if "sqlite" in driver else f"postgresql+{driver}"
    if driver == "aiosqlite":
        kind = "sqlite+aiosqlite"
    return f"{kind}:///{database}" if "sqlite" in driver else f"{kind}://{database}"


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


# --- measuring ---------------------------------------------------------------


class Times(NamedTuple):
    """The seconds of one run, and the processor seconds of this process."""

    clock: float
    processor: float


Results = dict[str, list[Times]]


async def result_of(way: Callable[[int], Any], size: int) -> Any:
    """Run a way, awaited where it must be."""
    result = way(size)
    return await result if inspect.isawaitable(result) else result


async def timed(way: Callable[[int], Any], size: int) -> Times:
    """Run a way, a short one several times; the result is dropped when the clocks have stopped."""
    gc.collect()
    runs = REPEATS if size == 1 else 1
    processor, clock = process_time(), perf_counter()
    for _ in range(runs):
        result = await result_of(way, size)
    times = Times((perf_counter() - clock) / runs, (process_time() - processor) / runs)
    del result
    return times


async def measure(ways: Ways, size: int, rounds: int) -> Results:
    """Run all ways in each round, in an order of its own."""
    results: Results = {name: [] for name in ways}
    for _ in range(rounds):
        for name in random.sample(list(ways), len(ways)):
            results[name].append(await timed(ways[name], size))
    return results


async def check(ways: Ways, size: int) -> None:
    """See that all ways give the same, and as much as was asked for."""
    rows = await result_of(ways[R], size)
    assert [len(level) for level in rows] == [size, size * AVATARS, size * AVATARS * PHOTOS]
    expected = plain(await result_of(ways[P], size))
    for name in ways.keys() - {P, R}:
        assert plain(await result_of(ways[name], size)) == expected, name


def plain(result: Any) -> Any:
    """Return nested objects of any kind as lists and dicts."""
    if isinstance(result[0], UserModel):
        return msgspec.to_builtins([one.model_dump() for one in result])
    return msgspec.to_builtins(result)


# --- the table ---------------------------------------------------------------


def ratio(own: list[Times], base: list[Times]) -> str:
    """Return the medians of the ratios within the rounds."""
    pairs = list(zip(own, base, strict=True))
    clock = statistics.median(mine.clock / its.clock for mine, its in pairs)
    processor = statistics.median(mine.processor / its.processor for mine, its in pairs)
    return f"{clock:.2f} ({processor:.2f})"


def table(driver: str, size: int, rounds: int, results: Results) -> Iterator[str]:
    """Give the lines of a table in Markdown."""
    users = f"{size:,} user{'s' if size > 1 else ''}, {size * OBJECTS:,} rows"
    yield f"\n### {driver}, {users}, {rounds} rounds\n"
    yield f"| way | ms | {' | '.join(f'/ {name}' for name in MEASURES)} |"
    yield f"|---|---|{'---|' * len(MEASURES)}"
    signs = {name: f"{sign}: {name}" for sign, name in MEASURES.items()}
    for name in sorted(results, key=lambda name: middle(results[name])):
        own = results[name]
        ratios = [ratio(own, results[measure]) for measure in MEASURES.values()]
        yield f"| {signs.get(name, name)} | {middle(own) * 1e3:.2f} | {' | '.join(ratios)} |"


def middle(own: list[Times]) -> float:
    """Return the median seconds."""
    return statistics.median(one.clock for one in own)


async def measured(driver: str, database: str, rounds: int) -> list[str]:
    """Measure a driver with every number of users."""
    lines: list[str] = []
    async with AsyncExitStack() as stack:
        ways = await ways_of(driver, database, stack)
        for size, share in zip(SIZES, (4, 1, 0.25), strict=True):
            await check(ways, size)
            own_rounds = max(5, int(rounds * share))
            own = list(table(driver, size, own_rounds, await measure(ways, size, own_rounds)))
            print("\n".join(own), flush=True)
            lines += own
    return lines


def filled(drivers: Sequence[str], stack: ExitStack) -> Iterator[tuple[str, str]]:
    """Give each driver with its database, filled."""
    lite = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "users.db"
    databases = {"sqlite": str(lite), "aiosqlite": str(lite)}
    if {"psycopg", "asyncpg"} & set(drivers):
        server = stack.enter_context(postgres_server())
        where = f"postgres@{server.host}:{server.port}/postgres"
        databases |= {"psycopg": where, "asyncpg": where}
    for driver in ("sqlite", "psycopg"):
        if driver in databases:
            fill(url(driver, databases[driver]))
    for driver in drivers:
        yield driver, databases[driver]


def fill(where: str) -> None:
    """Store the users, and let the database know its tables."""
    engine = create_engine(where)
    store(engine, max(SIZES))
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")
    engine.dispose()


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description="What a view costs.")
    parser.add_argument("--rounds", type=int, default=30, help="with 100 users")
    parser.add_argument("--gc", choices=["on", "off"], default="on", help="the garbage collector")
    parser.add_argument("--only", default=",".join(DRIVERS), help="drivers, with commas between")
    parser.add_argument("--markdown", type=Path, help="also write the tables to this file")
    options = parser.parse_args()
    if options.gc == "off":
        gc.disable()
    print(f"Ratios of time (and of processor time), the garbage collector {options.gc}")
    with ExitStack() as stack:
        lines = [
            line
            for driver, database in filled(options.only.split(","), stack)
            for line in asyncio.run(measured(driver, database, options.rounds))
        ]
    if options.markdown:
        options.markdown.write_text("\n".join(lines).lstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
