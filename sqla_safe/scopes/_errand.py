"""Work that must come to its end whatever happens to the task that waits for it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextlib import AbstractContextManager

T = TypeVar("T")


def _no_reaction() -> None:
    """Let the errand go on."""


class Errand(Generic[T]):
    """A coroutine in a task of its own, with a waiter that cancellation cannot drive away.

    The coroutine must not raise: it returns what went wrong. Its task is not among
    ``asyncio.all_tasks()``: a loop that shuts down cancels all tasks it finds there, and waits for
    them. It finds the one that waits for this errand.
    """

    __slots__ = ("_waiter", "given_up", "task")

    def __init__(self, work: Coroutine[Any, Any, T]) -> None:
        self.task: asyncio.Task[T] = asyncio.get_running_loop().create_task(work)
        self.task.add_done_callback(self._wake)
        asyncio._unregister_task(self.task)  # noqa: SLF001  (documented for extensions of asyncio)
        self._waiter: asyncio.Future[None] | None = None
        self.given_up = False

    async def wait(
        self, on_cancel: Callable[[], None] = _no_reaction
    ) -> asyncio.CancelledError | None:
        """Wait for the end; return the first cancellation that came meanwhile, if any.

        Args:
            on_cancel: called once, when the first cancellation comes.
        """
        try:
            await self._once()
        except asyncio.CancelledError as cancelled:
            on_cancel()
            with shielded_from_anyio():
                await self._insist()
            return cancelled
        return None

    async def insist(self) -> None:
        """Wait for the end in a task that is being cancelled already."""
        with shielded_from_anyio():
            await self._insist()

    def give_up(self) -> None:
        """Let the waiter go although the work has not ended."""
        self.given_up = True
        asyncio._register_task(self.task)  # noqa: SLF001  (nobody waits for it any more)
        self._wake(self.task)

    async def _insist(self) -> None:
        while not self._is_over():
            try:
                await self._once()
            except asyncio.CancelledError:
                continue

    async def _once(self) -> None:
        if not self._is_over():
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _is_over(self) -> bool:
        return self.given_up or self.task.done()

    def _wake(self, _task: asyncio.Task[T]) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def shielded_from_anyio() -> AbstractContextManager[Any]:
    """Return anyio's own shield where anyio is loaded.

    A cancelled anyio scope cancels again on every turn of the loop; without its shield the waiting
    above would spin.
    """
    anyio = sys.modules.get("anyio")
    return nullcontext() if anyio is None else anyio.CancelScope(shield=True)
