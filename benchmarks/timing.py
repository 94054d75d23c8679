"""How the benchmarks measure: what is compared runs in turns, and is divided within each turn."""

from __future__ import annotations

import gc
import random
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Block = Callable[[], object]
    AsyncBlock = Callable[[], Awaitable[object]]


class Turn(NamedTuple):
    """The seconds of a block, and those of the bare block before and after it."""

    before: float
    own: float
    after: float

    @property
    def ratio(self) -> float:
        """What the block takes, divided by the bare one around it."""
        return self.own / ((self.before + self.after) / 2)


def seconds(block: Block, clock: Callable[[], float] = perf_counter) -> float:
    """Return the seconds that a block takes; its result is dropped when the clock has stopped."""
    gc.collect(0)
    start = clock()
    result = block()
    elapsed = clock() - start
    del result
    return elapsed


async def seconds_async(block: AsyncBlock, clock: Callable[[], float] = perf_counter) -> float:
    """Return the same for a block that is awaited."""
    gc.collect(0)
    start = clock()
    result = await block()
    elapsed = clock() - start
    del result
    return elapsed


def turns(
    bare: Block,
    own: Mapping[str, Block],
    rounds: int,
    clock: Callable[[], float] = perf_counter,
) -> dict[str, list[Turn]]:
    """Run every block between two bare ones, as often as there are rounds.

    What never waits is best measured by `process_time`, which leaves out what else a machine does.
    """
    taken: dict[str, list[Turn]] = {name: [] for name in own}
    for _ in range(rounds):
        for name in shuffled(own):
            blocks = (bare, own[name], bare)
            taken[name].append(Turn(*(seconds(block, clock) for block in blocks)))
    return taken


async def turns_async(
    bare: AsyncBlock, own: Mapping[str, AsyncBlock], rounds: int
) -> dict[str, list[Turn]]:
    """Do the same with blocks that are awaited."""
    taken: dict[str, list[Turn]] = {name: [] for name in own}
    for _ in range(rounds):
        for name in shuffled(own):
            before, mine = await seconds_async(bare), await seconds_async(own[name])
            taken[name].append(Turn(before, mine, await seconds_async(bare)))
    return taken


def shuffled(names: Mapping[str, object]) -> list[str]:
    """Return the names in an order of their own for each round."""
    return random.sample(list(names), len(names))
