"""What a view costs, divided by what people use today, from the query to the nested objects.

Run ``PYTHONPATH=. python benchmarks/views.py [--rounds N] [--gc on|off|both] [--only
sqlite,asyncpg] [--markdown FILE]``. It fills a SQLite file and a PostgreSQL of its own with users,
each with 5 avatars of 4 photos, and asks for 1, 100 and 1,000 of them in a new session. Each round
runs every way once, in an order of its own; the figures are the medians of the ratios within the
rounds: of time, and on sqlite3, where nothing is waited for, of the processor's time.
``--markdown`` writes all ways with their milliseconds, and beside each ratio of time, in brackets,
that of the processor time of this process, which leaves out the server and which a busy machine
disturbs less. All ways but the bare driver are first seen to give equal values.
"""

from __future__ import annotations

import asyncio
import datetime as dt  # noqa: TC003  (views read annotations at run time)
import gc
import inspect
import json
import sqlite3
import statistics
import tempfile
from collections import defaultdict
from contextlib import AsyncExitStack, ExitStack
from decimal import Decimal  # noqa: TC003  (the same)
from itertools import chain
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, NamedTuple

import aiosqlite
import asyncpg
import msgspec
import psycopg
from figures import Fact, Figure, Skipped, from_pairs, parser, run
from models import AVATARS, OBJECTS, PHOTOS, Avatar, Photo, User, store
from pydantic import BaseModel, TypeAdapter
from shapes import UserCard, UserModel, UserStruct
from sqlalchemy import ARRAY, Integer, String, any_, bindparam, create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, selectinload
from timing import shuffled

from sqla_safe import afetch, fetch
from tests.servers import ServerError, postgres_server

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from sqlalchemy import Engine, Row, Select
    from sqlalchemy.ext.asyncio import AsyncEngine

    Ways = dict[str, Callable[[int], Any]]
    Query = Callable[[Sequence[int]], tuple[Select[Any], Any]]

DRIVERS = ("sqlite", "aiosqlite", "psycopg", "asyncpg")
SIZES = {1: 2.0, 100: 1.0, 1_000: 0.25}
"""How many users, and for how large a part of the rounds."""
QUICK = {1: 1.0, 100: 1.0}
REPEATS = 10
"""Runs in a row with one user: the first after a collection finds the processor's caches cold."""
CHUNK = 500
"""As many keys as SQLAlchemy's own `selectinload` sends at a time."""

P, CONVERT, H, BUILT, R = "P", "convert", "H", "built", "R"
CORE, KEPT = "core", "kept"
RESOLVE, SQLMODEL = "resolve", "sqlmodel"
STRUCT, CARD = "view", "dataclass"
TITLES = {
    P: "P: selectinload, pydantic",
    CONVERT: "selectinload, msgspec.convert",
    RESOLVE: "pydantic-resolve",
    SQLMODEL: "SQLModel, selectinload, response model",
    H: "H: Core rows by hand, msgspec",
    BUILT: "the same, statements built once",
    CORE: "Core statements of a view, built once, rows only",
    KEPT: "view, msgspec Struct, statement built once",
    R: "R: bare driver, rows only",
    STRUCT: "view, msgspec Struct",
    CARD: "view, frozen dataclass",
}
MEASURES = (P, H, R)
DIVISORS = (P, CONVERT, RESOLVE, SQLMODEL, H, R)


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


ARRAY_KEYS = any_(bindparam("keys", type_=ARRAY(Integer)))
JSON_KEYS = select(func.json_each(bindparam("keys", type_=String())).table_valued("value").c.value)
AS_ONE: dict[str, tuple[Select[Any], Select[Any], Callable[[list[int]], Any]]] = {
    "postgresql": (
        AVATAR_ROWS.where(avatar.user_id == ARRAY_KEYS),
        PHOTO_ROWS.where(photo.avatar_id == ARRAY_KEYS),
        list,
    ),
    "sqlite": (
        AVATAR_ROWS.where(avatar.user_id.in_(JSON_KEYS)),
        PHOTO_ROWS.where(photo.avatar_id.in_(JSON_KEYS)),
        json.dumps,
    ),
}


def by_core(session: Session, size: int) -> Sequence[Any]:
    """Do what every view must do: ask SQLAlchemy's connection for the rows, and no more."""
    avatars_of, photos_of, pack = AS_ONE[session.get_bind().dialect.name]
    users = core_rows(session, USERS_BUILT, {"size": size})
    avatars = core_rows(session, avatars_of, {"keys": pack([row[0] for row in users])})
    return (
        users,
        avatars,
        core_rows(session, photos_of, {"keys": pack([row[1] for row in avatars])}),
    )


def core_rows(session: Session, statement: Select[Any], parameters: dict[str, Any]) -> Any:
    """Take the rows from the driver's cursor, which is quicker than making `Row` objects."""
    result: Any = session.connection().execute(statement, parameters)
    rows = result.cursor.fetchall()
    result.close()
    return rows


BY_SESSION: dict[str, Callable[[Session, int], object]] = {
    P: validated,
    CONVERT: converted,
    H: by_hand,
    BUILT: by_hand_built,
    CORE: by_core,
}
AWAITED: dict[str, Callable[[Session | AsyncSession, int], Awaitable[object]]] = {}
"""Ways that are asynchronous with a session of either kind."""
VIEWS: dict[str, type[Any]] = {STRUCT: UserView, CARD: UserCard}
STATEMENTS = {size: chosen(size) for size in SIZES}
"""Built once, as an application's constant would be."""

try:
    import competitors
except ImportError as error:
    MISSING = [Skipped("pydantic-resolve and SQLModel", f"{error.name} is not installed")]
else:
    MISSING = []
    BY_SESSION[SQLMODEL] = competitors.by_sqlmodel
    AWAITED[RESOLVE] = competitors.by_resolver


def sync_ways(engine: Engine) -> Ways:
    """Return every way through a session."""

    def way(work: Callable[[Session, int], object]) -> Callable[[int], object]:
        def within(size: int) -> object:
            with Session(engine) as session:
                return work(session, size)

        return within

    def view(
        into: type[Any], statement: Callable[[int], Select[Any]] = chosen
    ) -> Callable[[int], object]:
        return way(lambda session, size: fetch(session, into, statement(size)))

    def awaited(work: Callable[[Session, int], Awaitable[object]]) -> Callable[[int], object]:
        async def within(size: int) -> object:
            with Session(engine) as session:
                return await work(session, size)

        return within

    made = {name: way(work) for name, work in BY_SESSION.items()}
    made |= {name: awaited(work) for name, work in AWAITED.items()}
    made |= {name: view(into) for name, into in VIEWS.items()}
    return made | {KEPT: view(UserView, STATEMENTS.__getitem__)}


def async_ways(engine: AsyncEngine) -> Ways:
    """Return every way through an asynchronous session."""

    def way(work: Callable[[Session, int], object]) -> Callable[[int], object]:
        async def within(size: int) -> object:
            async with AsyncSession(engine) as session:
                return await session.run_sync(work, size)

        return within

    def view(
        into: type[Any], statement: Callable[[int], Select[Any]] = chosen
    ) -> Callable[[int], object]:
        async def within(size: int) -> object:
            async with AsyncSession(engine) as session:
                return await afetch(session, into, statement(size))

        return within

    def awaited(work: Callable[[AsyncSession, int], Awaitable[object]]) -> Callable[[int], object]:
        async def within(size: int) -> object:
            async with AsyncSession(engine) as session:
                return await work(session, size)

        return within

    made = {name: way(work) for name, work in BY_SESSION.items()}
    made |= {name: awaited(work) for name, work in AWAITED.items()}
    made |= {name: view(into) for name, into in VIEWS.items()}
    return made | {KEPT: view(UserView, STATEMENTS.__getitem__)}


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


async def timed(way: Callable[[int], Any], size: int, runs: int) -> Times:
    """Run a way so often; the result is dropped when the clocks have stopped."""
    gc.collect()
    processor, clock = process_time(), perf_counter()
    for _ in range(runs):
        result = await result_of(way, size)
    times = Times((perf_counter() - clock) / runs, (process_time() - processor) / runs)
    del result
    return times


async def measured(ways: Ways, size: int, rounds: int) -> Results:
    """Run all ways in each round, in an order of its own."""
    results: Results = {name: [] for name in ways}
    runs = REPEATS if size == 1 else 1
    for _ in range(rounds):
        for name in shuffled(ways):
            results[name].append(await timed(ways[name], size, runs))
    return results


async def check(ways: Ways, size: int) -> None:
    """See that all ways give the same, and as much as was asked for."""
    for name in (CORE, R):
        rows = await result_of(ways[name], size)
        assert [len(level) for level in rows] == [size, size * AVATARS, size * AVATARS * PHOTOS]
    expected = plain(await result_of(ways[P], size))
    for name in ways.keys() - {P, R, CORE}:
        assert plain(await result_of(ways[name], size)) == expected, name


def plain(result: Any) -> Any:
    """Return nested objects of any kind as lists and dicts."""
    models = isinstance(result[0], BaseModel)
    dumped = [one.model_dump() for one in result] if models else result
    return msgspec.json.decode(msgspec.json.encode(dumped))


# --- the figures -------------------------------------------------------------


Clocks = dict[str, list[float]]


def figures_of(section: str, row: str, clocks: Clocks) -> Iterator[Figure]:
    """Divide the view by every other way, and the dataclass by the msgspec Struct."""
    for name in DIVISORS:
        if name in clocks:
            yield from_pairs(f"{section}.{row}.{name}", clocks[STRUCT], clocks[name])
    yield from_pairs(f"{section}.{row}.{CARD}", clocks[CARD], clocks[STRUCT])


def floor_of(row: str, clocks: Clocks) -> Iterator[Figure]:
    """Divide what every view must do by both ends, and the view by that."""
    for name, own, base in ((P, CORE, P), (R, CORE, R), (STRUCT, STRUCT, CORE), (KEPT, KEPT, P)):
        yield from_pairs(f"views-floor.{row}.{name}", clocks[own], clocks[base])


def shares(row: str, clocks: Clocks) -> Iterator[Figure]:
    """Divide every way by the entities that pydantic reads, for the plot."""
    for name, own in clocks.items():
        yield from_pairs(f"views-plot.{row}.{name}", own, clocks[P])


def ratio(own: list[Times], base: list[Times]) -> str:
    """Return the medians of the ratios within the rounds."""
    pairs = list(zip(own, base, strict=True))
    clock = statistics.median(mine.clock / its.clock for mine, its in pairs)
    processor = statistics.median(mine.processor / its.processor for mine, its in pairs)
    return f"{clock:.2f} ({processor:.2f})"


def table(title: str, results: Results) -> Iterator[str]:
    """Give the lines of a table in Markdown."""
    yield f"\n### {title}, {len(results[P])} rounds\n"
    yield f"| way | ms | {' | '.join(f'/ {name}' for name in MEASURES)} |"
    yield f"|---|---|{'---|' * len(MEASURES)}"
    for name in sorted(results, key=lambda name: middle(results[name])):
        own = results[name]
        ratios = [ratio(own, results[measure]) for measure in MEASURES]
        yield f"| {TITLES[name]} | {middle(own) * 1e3:.2f} | {' | '.join(ratios)} |"


def middle(own: list[Times]) -> float:
    """Return the median seconds."""
    return statistics.median(one.clock for one in own)


class Part(NamedTuple):
    """What was measured on one driver with so many users, the garbage collector on or off."""

    driver: str
    size: int
    gc: str
    results: Results

    def figures(self) -> Iterator[Figure]:
        """Give the figures of the documentation."""
        row, clocks = f"{self.driver}.{self.size}", self.clocks()
        if self.gc == "off":
            return figures_of("views-off", row, clocks)
        found = figures_of("views", row, clocks), floor_of(row, clocks), shares(row, clocks)
        return chain.from_iterable(found)

    def clocks(self) -> Clocks:
        """Return the seconds of each way: the processor's where nothing is ever waited for."""
        which = "processor" if self.driver == "sqlite" else "clock"
        return {way: [getattr(one, which) for one in own] for way, own in self.results.items()}

    def table(self) -> str:
        """Return the table of all ways."""
        users = f"{self.size:,} user{'s' if self.size > 1 else ''}, {self.size * OBJECTS:,} rows"
        collector = "" if self.gc == "on" else ", the garbage collector off"
        return "\n".join(table(f"{self.driver}, {users}{collector}", self.results))


def sizes(options: Namespace) -> dict[int, float]:
    """Return how many users, and for how large a part of the rounds."""
    return QUICK if options.quick else SIZES


async def parts(driver: str, database: str, options: Namespace) -> AsyncIterator[Part]:
    """Measure a driver with every number of users."""
    async with AsyncExitStack() as stack:
        ways = await ways_of(driver, database, stack)
        for size, share in sizes(options).items():
            await check(ways, size)
            rounds = max(2, int(options.rounds * share))
            if options.gc != "off":
                yield Part(driver, size, "on", await measured(ways, size, rounds))
            if options.gc != "on":
                gc.disable()
                few = max(2, rounds // 2)
                yield Part(driver, size, "off", await measured(ways, size, few))
                gc.enable()


def filled(
    drivers: Sequence[str], users: int, stack: ExitStack
) -> Iterator[Database | Fact | Skipped]:
    """Give each driver with its database, filled, and say which server that is."""
    lite = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "users.db")
    if ours := [name for name in drivers if "sqlite" in name]:
        fill(url("sqlite", lite), users)
        yield from (Database(name, lite) for name in ours)
    if others := [name for name in drivers if "sqlite" not in name]:
        yield from on_postgres(others, users, stack)


def on_postgres(
    others: list[str], users: int, stack: ExitStack
) -> Iterator[Database | Fact | Skipped]:
    """Give the drivers of PostgreSQL, if it can be started."""
    try:
        server = stack.enter_context(postgres_server())
    except (ServerError, OSError) as error:
        yield Skipped(", ".join(others), f"PostgreSQL did not start: {str(error).splitlines()[0]}")
        return
    where = f"postgres@{server.host}:{server.port}/postgres"
    yield Fact("PostgreSQL", fill(url("psycopg", where), users))
    yield from (Database(name, where) for name in others)


class Database(NamedTuple):
    """A driver, and the path of a file or a server's address."""

    driver: str
    where: str


def fill(where: str, users: int) -> str:
    """Store the users, let the database know its tables, and return its version."""
    engine = create_engine(where)
    store(engine, users)
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")
        version = ".".join(map(str, connection.dialect.server_version_info or ()))
    engine.dispose()
    return version


def measure(options: Namespace) -> Iterator[Figure | Fact | Skipped]:
    """Measure what was asked for."""
    tables: list[str] = []
    yield from MISSING
    with ExitStack() as stack:
        for one in filled(options.only.split(","), max(sizes(options)), stack):
            if not isinstance(one, Database):
                yield one
                continue
            for part in collected(parts(one.driver, one.where, options)):
                tables.append(part.table())
                yield from part.figures()
    if options.markdown:
        options.markdown.write_text("\n".join(tables).lstrip() + "\n", encoding="utf-8")


def collected(given: AsyncIterator[Part]) -> Iterator[Part]:
    """Give what is measured as soon as it is there."""
    with asyncio.Runner() as runner:
        while (part := runner.run(following(given))) is not None:
            yield part


async def following(given: AsyncIterator[Part]) -> Part | None:
    """Return the next, or None at the end."""
    return await anext(given, None)


if __name__ == "__main__":
    options = parser(__doc__, rounds=16)
    options.add_argument(
        "--gc", choices=["on", "off", "both"], default="both", help="the collector"
    )
    options.add_argument("--only", default=",".join(DRIVERS), help="drivers, with commas between")
    options.add_argument(
        "--markdown", type=Path, help="also write a table of all ways to this file"
    )
    run(options, measure)
