"""Celery: snapshots as arguments and results, and retries when the database asks for them.

The scope of a task is that of `transactional`::

    @app.task(base=RetryingTask)
    @transactional(Session, UserService)
    def greet(users: UserService, user: User) -> None: ...
"""

from __future__ import annotations

import inspect
import random
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sqla_safe.errors import ScopeOptionError, ScopeSourceError
from sqla_safe.ext._extras import missing
from sqla_safe.ext._task_values import TaskCodec
from sqla_safe.scopes import is_retryable
from sqla_safe.scopes._source import described


def _load(name: str) -> Any:
    """Import by name, because Celery has no types."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise missing(error, "celery") from None


if TYPE_CHECKING:

    class _Task:
        """What is used here of Celery's class."""

        request: Any
        retry: Any

        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

else:
    _Task = _load("celery").Task

_serialization = _load("kombu.serialization")
_json = _load("kombu.utils.json")

__all__ = ["RetryingTask", "use_snapshots"]

_PARTS = ("args", "kwargs", "options")
"""What the body of a message consists of, in Celery's second protocol."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0


def use_snapshots(app: Any, /, *entities: type[Any], name: str = "sqla-safe") -> None:
    """Let an application's tasks be sent snapshots, and refuse entities, sessions and scopes.

    It sets the application's serializer for arguments and results to JSON as Celery writes it, in
    which snapshots are the data of `dumps`; they arrive as snapshots. Both sides name the same
    entities; no other class comes out of a message. What belongs to a session is refused when it is
    sent, with a `TaskArgumentError` (inside Celery's ``EncodeError``).

    Args:
        app: the ``Celery`` application.
        *entities: the classes whose snapshots tasks may be sent.
        name: the serializer's name; applications with other entities in one process need another.

    Raises:
        ScopeSourceError: ``app`` is no application.
        SnapshotSourceError: something else than mapped classes.

    Example:
        >>> from celery import Celery
        >>> use_snapshots(Celery(), User)
    """
    if isinstance(app, type) or not hasattr(app, "conf"):
        raise ScopeSourceError(
            got=described(app),
            instead="use_snapshots(app, User, ...)",
            expected="use_snapshots takes the Celery application first, not",
        )
    codec = TaskCodec(entities, "use_snapshots(app, ...)")

    def encode(value: Any) -> str:
        text: str = _json.dumps([codec.pack(part, name) for name, part in _named(value)])
        return text

    def decode(text: str | bytes) -> Any:
        parts = codec.unpack(_json.loads(text))
        return parts[0] if len(parts) == 1 else parts

    _serialization.register(name, encode, decode, f"application/x-{name}", "utf-8")
    app.conf.update(
        task_serializer=name,
        result_serializer=name,
        accept_content=[name, *_accepted(app)],
    )


def _named(message: Any) -> list[tuple[str, Any]]:
    """Return the parts of what Celery writes: of a task, or the one of a result."""
    if isinstance(message, tuple) and len(message) == len(_PARTS):  # pyright: ignore[reportUnknownArgumentType]
        return list(zip(_PARTS, message, strict=True))  # pyright: ignore[reportUnknownArgumentType]
    return [("the result", message)]


def _accepted(app: Any) -> list[str]:
    """Return what the application accepts already; pickle only if it was asked for."""
    before = app.conf.accept_content
    return list(before) if before else ["json"]


def _refuse_coroutine(result: Any) -> Any:
    """Refuse what Celery would take for a result, without running it."""
    if not inspect.iscoroutine(result):
        return result
    result.close()
    raise ScopeOptionError(
        problem=f"{result.__qualname__} is a coroutine function, and Celery awaits nothing",
        instead="a plain function, with a sessionmaker; or asyncio.run(...) in it",
    )


class RetryingTask(_Task):
    """The base of tasks that are sent again when the database asks for it.

    That is what `is_retryable` says: the database gave the transaction up for another one, or the
    connection was lost before COMMIT. Any other error, and a COMMIT whose outcome is unknown, fails
    the task at once. ``max_retries`` is Celery's own (3). Called as a plain function the task runs
    once. ``transactional(..., attempts=3)`` tries again in the same worker before that.

    Example:
        >>> from celery import Celery
        >>> app = Celery()
        >>> @app.task(base=RetryingTask, max_retries=5)
        ... def greet(user_id: int) -> None: ...
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task, and ask Celery to retry it where that may help."""
        try:
            return _refuse_coroutine(super().__call__(*args, **kwargs))
        except Exception as error:
            if not is_retryable(error):
                raise
            bound = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self.request.retries)
            countdown = random.uniform(0, bound)  # noqa: S311  (no secret)
            raise self.retry(exc=error, countdown=countdown) from error
