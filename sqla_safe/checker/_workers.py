"""Work in several processes, where it is enough to pay for them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from multiprocessing.context import BaseContext

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")

CAN_FORK: Final = sys.platform == "linux"  # elsewhere fork is missing, or breaks system libraries


def default_jobs() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def mapped(
    work: Callable[[TaskT], ResultT], tasks: Sequence[TaskT], jobs: int
) -> Iterator[ResultT]:
    """Give the results in the order of the tasks.

    Under Linux the processes are forked: they see what this one has in memory.
    """
    jobs = min(jobs, len(tasks))
    if jobs <= 1:
        yield from map(work, tasks)
        return
    gc.freeze()  # a collection in a child would copy every page of its parent
    try:
        pool = ProcessPoolExecutor(jobs, _context(), _begin)
        try:
            yield from pool.map(work, tasks)
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C must not wait for what is still queued
    finally:
        gc.unfreeze()


@contextmanager
def collecting(*, is_on: bool) -> Generator[None]:
    """Look for garbage meanwhile, or do not, and go on as before.

    There is hardly any where files are checked, in much that would be looked through; of syntax
    trees that are changed it may be much.
    """
    back = gc.enable if gc.isenabled() else gc.disable
    (gc.enable if is_on else gc.disable)()
    try:
        yield
    finally:
        back()


def _context() -> BaseContext:
    return multiprocessing.get_context("fork" if CAN_FORK else "spawn")


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says what Ctrl-C means
    gc.disable()  # syntax trees are many objects and no garbage


def chunks(names: Iterable[str], size: Callable[[str], int], limit: int) -> list[list[str]]:
    """Put names into groups of about the same size.

    Args:
        names: what to group.
        size: gives the size of one.
        limit: the size at which a group is full.
    """
    groups: list[list[str]] = []
    room = 0
    for name in names:
        if room <= 0:
            groups.append([])
            room = limit
        groups[-1].append(name)
        room -= size(name)
    return groups
