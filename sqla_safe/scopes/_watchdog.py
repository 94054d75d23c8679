"""One thread that cuts off blocking driver calls which take too long, in sync scopes."""

from __future__ import annotations

import contextlib
import os
import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Watchdog:
    """Calls functions at their time unless they are called off; its thread ends when idle."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._tasks: dict[object, tuple[float, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None
        self._next = float("inf")

    def arm(self, seconds: float, action: Callable[[], None]) -> object:
        """Call ``action`` from the watchdog's thread in so many seconds; return the key."""
        key, due = object(), monotonic() + seconds
        with self._changed:
            self._tasks[key] = (due, action)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="sqla_safe", daemon=True)
                self._thread.start()
            elif due < self._next:
                self._changed.notify()
        return key

    def disarm(self, key: object) -> None:
        """Call an action off; harmless when it has been called."""
        with self._changed:
            self._tasks.pop(key, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                if not self._tasks:
                    self._thread, self._next = None, float("inf")
                    return
                self._next = min(due for due, _ in self._tasks.values())
                self._changed.wait(max(0.0, self._next - monotonic()))
                due_now = [k for k, (due, _) in self._tasks.items() if due <= monotonic()]
                actions = [self._tasks.pop(key)[1] for key in due_now]
            for action in actions:
                with contextlib.suppress(Exception):  # one that fails must not stop the others
                    action()


watchdog = Watchdog()
if hasattr(os, "register_at_fork"):  # the thread does not survive a fork, nor does its lock
    os.register_at_fork(after_in_child=watchdog.__init__)  # type: ignore[misc]  # begins anew
