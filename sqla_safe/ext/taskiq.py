"""taskiq: snapshots as arguments, and retries when the database asks for them.

The scope of a task is that of `transactional`::

    @broker.task
    @transactional(Session, UserService)
    async def greet(users: UserService, user: User) -> None: ...
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

from sqla_safe.errors import ScopeOptionError
from sqla_safe.ext._extras import missing
from sqla_safe.ext._task_values import TaskCodec
from sqla_safe.scopes import is_retryable

try:
    from taskiq import TaskiqMiddleware
    from taskiq.exceptions import NoResultError
    from taskiq.kicker import AsyncKicker
except ModuleNotFoundError as _error:
    raise missing(_error, "taskiq") from None

if TYPE_CHECKING:
    from taskiq import TaskiqMessage, TaskiqResult

__all__ = ["RetryMiddleware", "SnapshotMiddleware"]

_RETRIES = "sqla_safe_retries"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


class SnapshotMiddleware(TaskiqMiddleware):
    """Lets tasks be sent snapshots, and refuses entities, sessions and scopes.

    Snapshots travel as the data of `dumps`, whatever the broker's serializer is, and arrive as
    snapshots. Both sides name the same entities; no other class comes out of a message. A task that
    returns an entity ends with the same error.

    Args:
        *entities: the classes whose snapshots tasks may be sent.

    Raises:
        SnapshotSourceError: something else than mapped classes.
        TaskArgumentError: at ``kiq()``, for anything that belongs to a session. Nothing is sent.

    Example:
        >>> from taskiq import InMemoryBroker
        >>> broker = InMemoryBroker().with_middlewares(SnapshotMiddleware(User))
    """

    def __init__(self, *entities: type[Any]) -> None:
        super().__init__()
        self._codec = TaskCodec(entities, "SnapshotMiddleware(...)")

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Write the arguments as plain data."""
        args = [self._codec.pack(value, f"args[{n}]") for n, value in enumerate(message.args)]
        kwargs = {name: self._codec.pack(value, name) for name, value in message.kwargs.items()}
        return message.model_copy(update={"args": args, "kwargs": kwargs})

    def pre_execute(self, message: TaskiqMessage) -> TaskiqMessage:
        """Read them."""
        args = [self._codec.unpack(value) for value in message.args]
        kwargs = {name: self._codec.unpack(value) for name, value in message.kwargs.items()}
        return message.model_copy(update={"args": args, "kwargs": kwargs})

    def post_execute(self, message: TaskiqMessage, result: TaskiqResult[Any]) -> None:  # noqa: ARG002  (taskiq's signature)
        """Let no entity into the result backend."""
        try:
            result.return_value = self._codec.pack(result.return_value, "the result")
        except Exception as refused:  # noqa: BLE001  (it becomes the task's own error)
            result.return_value, result.is_err, result.error = None, True, refused


class RetryMiddleware(TaskiqMiddleware):
    """Sends a task again when its error says that the same work may well succeed.

    That is what `is_retryable` says: the database gave the transaction up for another one, or the
    connection was lost before COMMIT. Any other error, and a COMMIT whose outcome is unknown, is
    left to the result backend as it is. ``transactional(..., attempts=3)`` tries again in the same
    worker before that.

    Args:
        max_retries: how often one task is sent again.

    Raises:
        ScopeOptionError: ``max_retries`` is no such number.
    """

    def __init__(self, max_retries: int = 3) -> None:
        super().__init__()
        if type(max_retries) is not int or max_retries < 0:
            raise ScopeOptionError(
                problem="max_retries is not a number of times", instead="max_retries=3"
            )
        self._max_retries = max_retries

    async def on_error(
        self, message: TaskiqMessage, result: TaskiqResult[Any], exception: BaseException
    ) -> None:
        """Send the task again, with the same id, or leave it."""
        retries = int(message.labels.get(_RETRIES, 0))
        if retries >= self._max_retries or not is_retryable(exception):
            return
        bound = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**retries)
        await asyncio.sleep(random.uniform(0, bound))  # noqa: S311  (no secret)
        labels = {**message.labels, _RETRIES: retries + 1}
        kicker = AsyncKicker[Any, Any](message.task_name, self.broker, labels)
        await kicker.with_task_id(message.task_id).kiq(*message.args, **message.kwargs)
        result.error = NoResultError()
