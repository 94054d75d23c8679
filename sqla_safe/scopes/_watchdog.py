"""One thread that cuts off blocking driver calls which take too long, in sync scopes.

An exception from a signal handler can come at any call into Python code, also just after a lock was
taken in one, which then stays taken. So the only lock here is one of C, that `with` takes and gives
back whatever happens, and neither a condition nor `Thread.start`, which waits for one, is used.
"""

from __future__ import annotations

import contextlib
import os
import queue
from _thread import start_new_thread
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Watchdog:
    """Calls functions at their time unless they are called off; its thread ends when idle."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sooner: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._tasks: dict[object, tuple[float, Callable[[], None]]] = {}
        self._next = float("inf")
        self._is_running = False

    def arm(self, seconds: float, action: Callable[[], None]) -> object:
        """Call ``action`` from the watchdog's thread in so many seconds; return the key."""
        key, due = object(), monotonic() + seconds
        self._tasks[key] = (due, action)  # before the lock: who has it next sees the task
        with self._lock:
            if not self._is_running:
                start_new_thread(self._run, ())
                self._is_running = True
            elif due < self._next:
                self._sooner.put(None)
        return key

    def disarm(self, key: object) -> None:
        """Call an action off; harmless when it has been called."""
        self._tasks.pop(key, None)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._tasks:
                    self._is_running, self._next = False, float("inf")
                    return
                self._next = min((due for due, _ in list(self._tasks.values())), default=0.0)
            with contextlib.suppress(queue.Empty):
                self._sooner.get(timeout=max(0.0, self._next - monotonic()))
            self._call_what_is_due()

    def _call_what_is_due(self) -> None:
        for key, (due, action) in list(self._tasks.items()):
            if due <= monotonic() and self._tasks.pop(key, None) is not None:
                with contextlib.suppress(Exception):  # one that fails must not stop the others
                    action()


watchdog = Watchdog()
if hasattr(os, "register_at_fork"):  # the thread does not survive a fork, nor does its lock
    os.register_at_fork(after_in_child=watchdog.__init__)  # type: ignore[misc]  # begins anew
