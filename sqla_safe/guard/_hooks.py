"""Explanations where exceptions end up: the log, asyncio's handler, and the interpreter's hook."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from sqla_safe.guard._explain import explained
from sqla_safe.guard._telling import attach

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sqla_safe.guard._explanation import Explanation


def annotate(error: BaseException | None) -> Explanation | None:
    """Put the explanation of an exception on it, where it is not there yet, and return it."""
    with suppress(Exception):  # what shows an error must not make another one
        found = None if error is None else explained(error)
        if found is not None:
            attach(*found)
            return found[1]
    return None


@contextmanager
def explaining() -> Generator[None]:
    """Annotate the exception that leaves a block."""
    try:
        yield
    except Exception as error:
        annotate(error)
        raise


class ExplainFilter(logging.Filter):
    """A logging filter that explains the exceptions which pass through it.

    It lets every record through. A formatter that prints tracebacks prints the explanation with
    them, and ``record.sqla_safe`` holds it for one that writes JSON.

    Example:
        >>> handler = logging.StreamHandler()
        >>> handler.addFilter(ExplainFilter())
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Explain the record's exception, if it has one."""
        if isinstance(record.exc_info, tuple) and not hasattr(record, "sqla_safe"):
            explanation = annotate(record.exc_info[1])
            if explanation is not None:
                record.sqla_safe = explanation
        return True


def explain_logging(*handlers: logging.Handler) -> Callable[[], None]:
    """Explain exceptions that are logged.

    Args:
        handlers: those that are to explain; by default all that the root logger has now.

    Returns:
        A function that undoes it.

    Example:
        >>> undo = explain_logging(logging.StreamHandler())
        >>> undo()
    """
    chosen = handlers or tuple(logging.getLogger().handlers)
    explaining = ExplainFilter()
    for handler in chosen:
        handler.addFilter(explaining)

    def undo() -> None:
        for handler in chosen:
            handler.removeFilter(explaining)

    return undo


def explain_asyncio(loop: asyncio.AbstractEventLoop | None = None) -> Callable[[], None]:
    """Explain exceptions of tasks that nobody awaited.

    Args:
        loop: the event loop; by default the running one.

    Returns:
        A function that undoes it.

    Raises:
        RuntimeError: no loop is given, and none is running.

    Example:
        >>> async def main() -> None:
        ...     explain_asyncio()
    """
    loop = loop or asyncio.get_running_loop()
    before = loop.get_exception_handler()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        annotate(context.get("exception"))
        if before is None:
            loop.default_exception_handler(context)
        else:
            before(loop, context)

    loop.set_exception_handler(handle)

    def undo() -> None:
        if loop.get_exception_handler() is handle:
            loop.set_exception_handler(before)

    return undo


def explain_excepthook() -> Callable[[], None]:
    """Explain exceptions that end the program, or a thread.

    Returns:
        A function that undoes it.

    Example:
        >>> undo = explain_excepthook()
        >>> undo()
    """
    before, before_thread = sys.excepthook, threading.excepthook

    def hook(kind: Any, error: BaseException, trace: Any) -> None:
        annotate(error)
        before(kind, error, trace)

    def thread_hook(arguments: Any) -> None:
        annotate(arguments.exc_value)
        before_thread(arguments)

    sys.excepthook, threading.excepthook = hook, thread_hook

    def undo() -> None:
        if sys.excepthook is hook:
            sys.excepthook = before
        if threading.excepthook is thread_hook:
            threading.excepthook = before_thread

    return undo
