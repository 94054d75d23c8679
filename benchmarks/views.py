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
import gc
import inspect
import statistics
from contextlib import AsyncExitStack, ExitStack
from itertools import chain
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from databases import Database, filled
from figures import Fact, Figure, Skipped, from_pairs, parser, run
from models import AVATARS, OBJECTS, PHOTOS
from pydantic import BaseModel
from timing import shuffled
from ways import (
    CARD,
    CONVERT,
    CORE,
    KEPT,
    KEPT_CARD,
    MISSING,
    P_KEPT,
    RESOLVE,
    SQLMODEL,
    STRUCT,
    TITLES,
    H,
    P,
    R,
    ways_of,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import AsyncIterator, Callable, Iterator

    from ways import Ways

DRIVERS = ("sqlite", "aiosqlite", "psycopg", "asyncpg")
SIZES = {1: 2.0, 100: 1.0, 1_000: 0.5}
"""How many users, and for how large a part of the rounds."""
QUICK = {1: 1.0, 100: 1.0}
REPEATS = 10
"""Runs in a row with one user: the first after a collection finds the processor's caches cold."""
MEASURES = (P, H, R)
DIVISORS = (P, CONVERT, RESOLVE, SQLMODEL, H, R)

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
    for one, struct, card in ((row, STRUCT, CARD), (f"{row}-constant", KEPT, KEPT_CARD)):
        for name in DIVISORS:
            if name in clocks:
                yield from_pairs(f"{section}.{one}.{name}", clocks[struct], clocks[name])
        yield from_pairs(f"{section}.{one}.{CARD}", clocks[card], clocks[struct])


def floor_of(row: str, clocks: Clocks) -> Iterator[Figure]:
    """Divide what every view must do by both ends, and the view by that."""
    floors = {P: (CORE, P), R: (CORE, R), STRUCT: (STRUCT, CORE)}
    constants = {KEPT: (KEPT, CORE), P_KEPT: (KEPT, P_KEPT)}
    for name, (own, base) in (floors | constants).items():
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
