"""What can be undone by itself, why it must be, and what is left when it has ended."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

from sqla_safe import _dbapi
from sqla_safe._locations import Place
from sqla_safe.errors import RollbackOnlyError, ScopeClosedError
from sqla_safe.scopes._policy import DEFAULT_POLICY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.orm import SessionTransaction

    from sqla_safe.scopes._connections import Failure

Outcome = Literal["committed", "rolled_back", "unknown"]


class Deadline(NamedTuple):
    """When the time is up (on the monotonic clock), how long it was, and who set it."""

    due: float
    seconds: float
    place: Place


class Doom(NamedTuple):
    """Why nothing may be committed any more."""

    reason: str
    where: str | None
    cause: BaseException | None
    asked: bool = False
    """Whether `set_rollback_only` asked for it: then there is no error to mend."""


class Boundary:
    """What can be undone by itself: a whole transaction, or one savepoint in it."""

    is_plain: bool = True
    """Whether nothing has come up so far that the end must look at before COMMIT."""
    doom: Doom | None = None
    outcome: Outcome | None = None
    savepoint: SessionTransaction | None = None
    failures_before = 0
    on_commit: Sequence[Callable[[], Any]] = ()
    on_rollback: Sequence[Callable[[], Any]] = ()

    def __init__(self, parent: Boundary | None = None) -> None:
        self.parent = parent

    def set_doom(
        self, reason: str, where: str | None, cause: BaseException | None, *, asked: bool = False
    ) -> None:
        """Make a commit impossible; the first reason stays."""
        self.is_plain = False
        if self.doom is None:
            self.doom = Doom(reason, where, cause, asked)

    def take_back(self) -> None:
        """What had ended well was undone later: it is not stored, and nobody is told that it is."""
        self.outcome = "rolled_back"
        around = self.parent
        assert around is not None
        waiting = list(around.on_commit)
        for callback in self.on_commit:
            with suppress(ValueError):
                waiting.remove(callback)
        around.on_commit, self.on_commit = waiting, ()


def is_inside(inner: SessionTransaction | None, outer: SessionTransaction) -> bool:
    """Say whether a transaction is a part of another one."""
    while inner is not None and inner is not outer:
        inner = inner.parent
    return inner is not None


class Ended(Place):
    """Stands in for the unit in a session whose scope has ended: whatever comes is refused.

    All that it knows is where the scope was opened.
    """

    __slots__ = ()

    is_open = False
    is_closed = True
    wrote = True
    busy = None
    is_guarded = True
    phase = "releasing"
    policy = DEFAULT_POLICY

    def refuse_closed(self, operation: str) -> NoReturn:
        """Raise for anything that comes after the end."""
        raise ScopeClosedError(opened_at=str(self), operation=operation)

    def enter(self) -> NoReturn:
        """Refuse an operation."""
        self.refuse_closed("Use of the session")

    def steer(self, bind: object) -> NoReturn:  # noqa: ARG002  (as `Connected.steer`)
        """Refuse to name an engine."""
        self.refuse_closed("Use of the session")

    expect_change = refuse_closed

    def adopt(self, connection: Connection) -> NoReturn:
        """Refuse a connection that was taken past the session's doors."""
        connection.close()
        self.refuse_closed("Use of the session")

    def cancelled(self) -> bool:
        """Nothing of the scope can be running any more."""
        return False

    def sever(self) -> None:
        """Nothing of the scope is connected any more."""

    def forbid(self, method: str) -> NoReturn:
        """Refuse a call that would end or begin a transaction."""
        self.refuse_closed(f"session.{method}()")

    refuses = forbid

    def acts(self) -> bool:
        """Say that no scope is at work any more."""
        return False


def swallowed(failure: Failure) -> tuple[str, str | None, BaseException | None]:
    reason = "a statement failed, the error was swallowed, and the transaction was aborted with it"
    return reason, failure.where, failure.error


def rollback_only(doom: Doom, opened_at: str) -> RollbackOnlyError:
    error = RollbackOnlyError(
        opened_at=opened_at, reason=doom.reason, where=doom.where, asked=doom.asked
    )
    error.__cause__ = doom.cause
    return error


def refuse_doomed(boundary: Boundary, opened: Place) -> None:
    if boundary.doom is not None:
        raise rollback_only(boundary.doom, str(opened))


def note_second(error: BaseException | None, second: BaseException) -> None:
    if error is not None and second is not error:
        note(error, "the clean-up", second)


def note(error: BaseException, during: str, second: BaseException) -> None:
    error.add_note(f"sqla_safe: {during} failed too, with {_dbapi.describe(second)}")
