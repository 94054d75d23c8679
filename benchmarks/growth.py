"""What becomes of the costs as things grow: rows, scopes at once, services in a scope.

Run ``PYTHONPATH=. python benchmarks/growth.py [--rounds N]``. Each size is measured beside the
same work without the library, in turns, and divided within the round, so that a cost that grew
faster than the work itself would show as a ratio that climbs. Memory is the most that Python
objects take at a time.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import tracemalloc
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from databases import postgres, url
from figures import Fact, Figure, Skipped, from_pairs, from_turns, parser, run
from models import AVATARS, PHOTOS, Base, Photo, store
from pydantic import TypeAdapter
from shapes import PhotoModel
from sqlalchemy import bindparam, create_engine, insert, select, update
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import StaticPool
from timing import seconds, shuffled, turns_async

from sqla_safe import configure, fetch, scoped_services, snapshot, stream_views

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncSession

    Ways = dict[str, Callable[[], object]]
    Times = dict[str, list[float]]
    Operation = Callable[[int], Awaitable[None]]

ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
MANY = (1_000, 10_000, 100_000)
"""Of how many rows the memory is measured: fewer are one batch."""
SCOPES = (1, 10, 100, 1_000)
SERVICES = range(9)
POOL = {"pool_size": 10, "max_overflow": 0, "pool_timeout": 600}
OPERATIONS = 400
"""How many blocks a crowd does together, if there are no more in it."""
BLOCK = 24
USERS = 50
STORED = USERS * AVATARS * PHOTOS
BATCH = 1_000


# --- rows --------------------------------------------------------------------


class PhotoView(msgspec.Struct, frozen=True, gc=False):
    """A photo."""

    id: int
    url: str
    width: int
    height: int


def photos(rows: int) -> Engine:
    """Return a SQLite database in memory with so many photos."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(insert(Photo), [photo(number) for number in range(rows)])
    return engine


def photo(number: int) -> dict[str, Any]:
    """Return what is stored of a photo."""
    url = f"https://example.org/{number}.jpg"
    return {"avatar_id": number, "url": url, "width": 640, "height": 480}


ALL = select(Photo)
MODELS = TypeAdapter(list[PhotoModel])


def entities(session: Session) -> list[Photo]:
    """Load them."""
    return list(session.scalars(ALL))


def loading(engine: Engine) -> Ways:
    """Return the ways from the rows to objects; the first is the measure."""
    plain, guarded = sessionmaker(engine), sessionmaker(engine)
    configure(guarded, guard="raise")

    def loaded_with(maker: sessionmaker[Session]) -> object:
        with maker() as session:
            return entities(session)

    def fetched() -> object:
        with plain() as session:
            return fetch(session, PhotoView, ALL)

    return {
        "entities": lambda: loaded_with(plain),
        "guard": lambda: loaded_with(guarded),
        "fetch": fetched,
    }


def freezing(loaded: list[Photo]) -> Ways:
    """Return the ways from loaded entities to something frozen; the first is the measure."""
    return {
        "pydantic": lambda: MODELS.validate_python(loaded, from_attributes=True),
        "snapshot": lambda: snapshot(loaded),
    }


def taken(ways: Ways, rounds: int, repeats: int) -> Times:
    """Return the processor seconds of all ways, which take turns."""
    times: Times = {name: [] for name in ways}
    for _ in range(rounds):
        for name in shuffled(ways):
            gc.collect()
            times[name].append(seconds(again(ways[name], repeats), process_time) / repeats)
    return times


def again(way: Callable[[], object], repeats: int) -> Callable[[], None]:
    """Return the way, so many times in a row."""

    def block() -> None:
        for _ in range(repeats):
            way()

    return block


def measure_rows(rows: int, rounds: int) -> Iterator[Figure]:
    """Measure what there is to do with so many rows."""
    engine = photos(rows)
    repeats = max(1, 1_000 // rows // 4)
    times = taken(loading(engine), rounds, repeats)
    for name in ("fetch", "guard"):
        yield from_pairs(f"growth-rows.{name}.{rows}", times[name], times["entities"])
    with Session(engine) as session:
        times = taken(freezing(entities(session)), rounds, repeats)
    yield from_pairs(f"growth-rows.snapshot.{rows}", times["snapshot"], times["pydantic"])
    engine.dispose()


# --- memory ------------------------------------------------------------------


def measure_memory(rows: int) -> Iterator[Figure]:
    """Measure the most that so many rows take at a time."""
    engine = photos(rows)

    def streamed() -> None:
        with Session(engine) as session:
            for batch in stream_views(session, PhotoView, ALL, batch_size=BATCH):
                assert batch

    for name, way in (loading(engine) | {"stream": streamed}).items():
        if name != "guard":
            yield Figure(f"growth-memory.{name}.{rows}", peak(way) / 1_000)
    engine.dispose()


def peak(way: Callable[[], object]) -> int:
    """Return the most bytes that Python objects take while a way runs."""
    way()  # whatever is made once
    gc.collect()
    tracemalloc.start()
    way()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


# --- scopes at once ----------------------------------------------------------


class Work(NamedTuple):
    """A statement in a block, with the library and without."""

    name: str
    bare: Operation
    scope: Operation


READ = select(Photo.url).where(Photo.id == bindparam("number"))
WRITE = update(Photo.__table__).where(Photo.id == bindparam("number")).values(width=641)


def work(name: str, maker: async_sessionmaker[AsyncSession], statement: Any) -> Work:
    """Return what is to be done at once."""

    async def bare(number: int) -> None:
        async with maker() as session, session.begin():
            await session.execute(statement, {"number": number % STORED + 1})

    async def scope(number: int) -> None:
        async with scoped_services(maker) as own:
            await own.session.execute(statement, {"number": number % STORED + 1})

    return Work(name, bare, scope)


async def crowd(operation: Operation, at_once: int) -> list[float]:
    """Let so many workers do the operation again and again; return how long each one took."""
    numbers = iter(range(max(OPERATIONS, at_once)))
    latencies: list[float] = []

    async def worker() -> None:
        for number in numbers:
            start = perf_counter()
            await operation(number)
            latencies.append(perf_counter() - start)

    await asyncio.gather(*(worker() for _ in range(at_once)))
    return latencies


async def measure_crowd(own: Work, at_once: int, rounds: int) -> list[Figure]:
    """Return what all take together, and what one in a hundred takes at least, by bare sessions."""
    times: Times = {"bare": [], "scope": []}
    slowest: Times = {"bare": [], "scope": []}
    ways = {"bare": own.bare, "scope": own.scope}
    await crowd(own.scope, at_once)  # the pool's connections
    for _ in range(rounds):
        for name in shuffled(ways):
            gc.collect()
            start = perf_counter()
            latencies = await crowd(ways[name], at_once)
            times[name].append((perf_counter() - start) / len(latencies))
            slowest[name].append(statistics.quantiles(latencies, n=100)[98])
    return [
        from_pairs(f"growth-scopes.{own.name}.{at_once}", times["scope"], times["bare"]),
        from_pairs(f"growth-p99.{own.name}.{at_once}", slowest["scope"], slowest["bare"]),
    ]


async def measure_scopes(
    url: str, names: dict[str, Any], sizes: Sequence[int], rounds: int
) -> list[Figure]:
    """Measure scopes at once on a database."""
    async with AsyncExitStack() as stack:
        engine = create_async_engine(url, **POOL)
        stack.push_async_callback(engine.dispose)
        maker = async_sessionmaker(engine)
        return [
            figure
            for name, statement in names.items()
            for at_once in sizes
            for figure in await measure_crowd(work(name, maker, statement), at_once, rounds)
        ]


def filled(where: str) -> None:
    """Store what is asked for."""
    engine = create_engine(where)
    store(engine, USERS)
    engine.dispose()


def measure_all_scopes(sizes: Sequence[int], rounds: int) -> Iterator[Figure | Fact | Skipped]:
    """Measure them on SQLite and on PostgreSQL."""
    with ExitStack() as stack:
        lite = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "photos.db")
        filled(url("sqlite", lite))
        crowd = measure_scopes(url("aiosqlite", lite), {"aiosqlite": READ}, sizes, rounds)
        yield from asyncio.run(crowd)
        where = postgres("asyncpg", stack)
        if isinstance(where, Skipped):
            yield where
            return
        filled(url("psycopg", where))
        names = {"asyncpg": READ, "asyncpg-write": WRITE}
        yield from asyncio.run(measure_scopes(url("asyncpg", where), names, sizes, rounds))


# --- services ----------------------------------------------------------------


class Service:
    """A service as users write it."""

    def __init__(self, session: Any) -> None:
        self.session = session


KINDS: tuple[type[Service], ...] = tuple(type(f"Service{n}", (Service,), {}) for n in SERVICES)[1:]
ONE = select(1)


def measure_sync_services(rounds: int) -> Iterator[Figure]:
    """Divide scopes with services by bare sessions with as many, on sqlite3 in memory."""
    maker = sessionmaker(create_engine("sqlite://", poolclass=StaticPool))
    for number in SERVICES:
        kinds = KINDS[:number]

        def bare(kinds: Sequence[type[Service]] = kinds) -> None:
            for _ in range(BLOCK):
                with maker() as session, session.begin():
                    services = [kind(session) for kind in kinds]
                    assert len(services) == len(kinds)
                    session.execute(ONE)

        def scope(kinds: Any = kinds) -> None:
            for _ in range(BLOCK):
                with scoped_services(maker, *kinds) as given:
                    session_of(given).execute(ONE)

        times = taken({"bare": bare, "scope": scope}, rounds, 1)
        yield from_pairs(f"growth-services.sqlite3.{number}", times["scope"], times["bare"])


def session_of(given: Any) -> Any:
    """Return the session of what a scope gives: itself, a service, or several."""
    return (given[0] if isinstance(given, tuple) else given).session


async def measure_async_services(rounds: int) -> list[Figure]:
    """Do the same on aiosqlite."""
    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    maker = async_sessionmaker(engine)
    figures = []
    for number in SERVICES:
        kinds = KINDS[:number]

        async def bare(kinds: Sequence[type[Service]] = kinds) -> None:
            for _ in range(BLOCK):
                async with maker() as session, session.begin():
                    services = [kind(session) for kind in kinds]
                    assert len(services) == len(kinds)
                    await session.execute(ONE)

        async def scope(kinds: Any = kinds) -> None:
            for _ in range(BLOCK):
                async with scoped_services(maker, *kinds) as given:
                    await session_of(given).execute(ONE)

        [own] = (await turns_async(bare, {"scope": scope}, rounds)).values()
        figures.append(from_turns(f"growth-services.aiosqlite.{number}", own))
    await engine.dispose()
    return figures


def measure(options: Namespace) -> Iterator[Figure | Fact | Skipped]:
    """Measure everything."""
    rounds = options.rounds
    shorter = slice(1 if options.quick else None)
    for rows in ROWS[shorter]:
        yield from measure_rows(rows, max(2, rounds // 2 if rows > 10_000 else rounds))
    for rows in MANY[shorter]:
        yield from measure_memory(rows)
    yield from measure_all_scopes(SCOPES[shorter], rounds)
    yield from measure_sync_services(rounds * 4)
    yield from asyncio.run(measure_async_services(rounds * 4))


if __name__ == "__main__":
    run(parser(__doc__, rounds=8), measure)
