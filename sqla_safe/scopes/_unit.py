"""One session and its transaction: who may use it, what becomes of it, and how it ends.

The methods here are plain functions. Async scopes run those that talk to the database in a
greenlet, through ``AsyncSession.run_sync``, so that the rules are written once.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from sqla_safe import _dbapi
from sqla_safe.errors import CommitOutcomeUnknownError
from sqla_safe.scopes import _connections
from sqla_safe.scopes._boundary import (
    Doom,
    Ended,
    note,
    note_second,
    refuse_doomed,
    rollback_only,
    swallowed,
)
from sqla_safe.scopes._connected import Connected, is_shared
from sqla_safe.scopes._sqlite import is_prepared

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import SessionTransaction

    from sqla_safe.scopes._boundary import Boundary, Outcome

_COMMIT_SHARE = 0.75
"""The part of ``cleanup_timeout`` that COMMIT may take; the rest is for asking about it."""

ASK_AGAIN = 0.02
"""Seconds between two questions about a COMMIT whose answer was lost."""


class Unit(Connected):
    """The session of an outermost scope, shared by all that join it."""

    engine: Engine
    ended_with: BaseException | None = None
    asked = False
    asks_until = 0.0
    stored = False
    """Whether anything was committed, be it by an early `Scope.commit`."""
    steering: tuple[type[BaseException], ...] = ()
    """With what a framework leaves a joined block, such as `SkipHandler`, and means no error."""

    def begin_savepoint(self, boundary: Boundary) -> None:
        """Begin the savepoint of a nested scope."""
        self._refuse_unprepared_sqlite()
        self.is_plain = False
        boundary.failures_before = len(self.failures)
        boundary.savepoint = self.session.begin_nested()
        self.savepoints = [*self.savepoints, boundary]

    def end_savepoint(self, boundary: Boundary, body: BaseException | None) -> BaseException | None:
        """Release the savepoint or roll back to it; return what is to be raised."""
        self.savepoints = [s for s in self.savepoints if s is not boundary]
        error = body
        if error is None:
            try:
                self._release_savepoint(boundary)
            except BaseException as raised:  # noqa: BLE001  (returned, and raised by the caller)
                error = raised
        if error is None:
            boundary.outcome = "committed"
            self._remember_released(boundary)
            return None
        boundary.outcome = "rolled_back"
        self._undo_savepoint(boundary, error)
        return error

    def _remember_released(self, boundary: Boundary) -> None:
        assert boundary.savepoint is not None
        around = boundary.savepoint.parent
        if around is not None and around.nested and around is not self.innermost.savepoint:
            self.released = [*self.released, boundary]

    def _release_savepoint(self, boundary: Boundary) -> None:
        savepoint = boundary.savepoint
        assert savepoint is not None
        failed = self.failures[boundary.failures_before :]
        if not savepoint.is_active and boundary.doom is None:
            cause = failed[-1] if failed else None
            boundary.set_doom(
                "a flush failed and the error was swallowed",
                cause and cause.where,
                cause and cause.error,
            )
        refuse_doomed(boundary, self.place)
        self.session.flush()
        failed = self.failures[boundary.failures_before :]
        if failed and not all(_connections.still_usable(c, failed) for c in self.connections):
            boundary.set_doom(*swallowed(failed[0]))
            refuse_doomed(boundary, self.place)
        savepoint.commit()

    def _undo_savepoint(self, boundary: Boundary, error: BaseException) -> None:
        assert boundary.savepoint is not None
        try:
            self.acting = self.who()
            if not self.is_patient:
                self._hurry(self.policy.cleanup_timeout)
            if self.session.is_active or boundary.savepoint.is_active:
                boundary.savepoint.rollback()
            else:
                self._roll_back_to(boundary.savepoint)
        except BaseException as second:  # noqa: BLE001  (the first error wins)
            note(error, "rolling back to the savepoint", second)
            self.set_doom("rolling back to a savepoint failed", None, second)
        else:
            self.failures = self.failures[: boundary.failures_before]
        finally:
            self._take_your_time()
            self.acting = None

    def _roll_back_to(self, savepoint: SessionTransaction) -> None:
        if self.session.get_nested_transaction() is savepoint:
            savepoint.rollback()

    # -- the end -------------------------------------------------------------------------------

    def complete(self, body: BaseException | None) -> BaseException | None:
        """Store the work, or undo it, and give the connections back.

        Returns:
            What is to be raised, or None when everything is stored. ``outcome`` is set.
        """
        if self.ended_with is not None:  # a failed scope.commit() whose error was swallowed
            return body or self.ended_with
        self.acting = self.who()
        self.is_open, self.is_guarded = False, True
        error = body
        if error is None:
            try:
                self._prepare()
            except BaseException as raised:  # noqa: BLE001  (returned, and raised by the shell)
                error = raised
        return self.finish() if error is None else self._end_badly(error)

    def finish(self) -> BaseException | None:
        """Commit and give the connections back; all there is to `complete` in most blocks.

        They are the ones that are plain and have a connection. Short of calls, because every scope
        pays for it.
        """
        if self.is_open:
            self.acting = self.who()
            self.is_open, self.is_guarded = False, True
        self.phase = "committing"
        session: Any = self.session
        try:
            session._sqs_base.commit(session)
        except BaseException as error:  # noqa: BLE001  (returned, and raised by the shell)
            self._commit_failed(error)
            return self._end_badly(error)
        self.outcome = "committed"
        if not self.is_plain or session._sqs_closes_itself or session.identity_map:
            self._close(None)
        self.connections, self.is_closed, self.acting = (), True, None
        session._sqs_unit = Ended(self.place)  # no cycle stays behind for the garbage collector
        return None

    def _end_badly(self, error: BaseException) -> BaseException:
        error = _dbapi.unmasked(error)
        self._undo(error)
        if self.outcome == "unknown" and self.xid is None:
            error = self._unknown(error)
        if self.stored:
            _dbapi.mark_stored(error)
        return error

    def checkpoint(self) -> BaseException | None:
        """Store what is done so far and give the connections back, for `Scope.commit`.

        Returns:
            What went wrong, or None. `go_on` is called next in any case.
        """
        self.acting = self.who()
        try:
            self._store()
        except BaseException as raised:  # noqa: BLE001  (returned, and raised by the shell)
            if self.outcome == "unknown" and self.xid is not None:
                self._attempt(self.session.rollback, raised)
                self.discard_all()
            return raised
        return None

    def go_on(self, error: BaseException | None) -> BaseException | None:
        """Begin a new transaction after `checkpoint`, or end here; return what is to be raised."""
        self.acting = self.who()
        if error is None or self.outcome == "committed":
            interrupted = self.settle(error) if error is not None else None
            self._begin_anew()
            return interrupted
        self.is_open, self.is_guarded = False, True
        self._undo(error)
        self.ended_with = self._unknown(error) if self.outcome == "unknown" else error
        if self.stored:
            _dbapi.mark_stored(self.ended_with)
        return self.ended_with

    def _begin_anew(self) -> None:
        self._take_your_time()
        self.connections, self.failures, self._steered, self.released = (), (), {}, ()
        self.outcome, self.phase, self.wrote, self.xid = None, "body", False, None
        self._statement_limit = 0.0
        if not self.session.autobegin:
            self.begin()
        self.acting = None

    def _store(self) -> None:
        """Write what is pending, make sure that it can be stored, and commit."""
        self._prepare()
        self.phase = "committing"
        session: Any = self.session
        try:
            session._sqs_base.commit(session)
        except BaseException as error:
            self._commit_failed(error)
            raise
        self.outcome, self.stored = "committed", True

    def _prepare(self) -> None:
        """Do what COMMIT does not do by itself, or not in time."""
        self.phase = "preparing"
        if self.doom is not None or self.idle is not None or self.deadline is not None:
            self._refuse_at_the_end()
        session: Any = self.session
        session._sqs_base.flush(session)
        if self.failures or self.deadline is not None or self.read_only or not self.is_patient:
            self._prepare_commit()

    def _commit_failed(self, error: BaseException) -> None:
        self.outcome = self._judge(error)
        self.stored = self.stored or self.outcome == "committed"
        for connection in self.connections:
            _connections.end_failed_commit(connection, error)

    def _refuse_at_the_end(self) -> None:
        if self.idle is not None and self.connections:
            self.idle.check("its end")
        refuse_doomed(self, self.place)
        self.refuse_late()

    def _prepare_commit(self) -> None:
        """Ask what must be known before COMMIT is sent, and set the clock for its answer."""
        if self.failures or self.wrote:
            self._hurry(self.policy.cleanup_timeout)
        if self.failures:
            self._refuse_aborted()
        if self.wrote and self.policy.resolve_commit:
            self.xid = self._transaction_id()
            self.asks_until = monotonic() + self.policy.cleanup_timeout
        self._restore_connections()
        if self._statement_limit and any(map(is_shared, self.connections)):
            self.lift_statement_limit()
        self.refuse_late()
        if self.clock is not None:
            self.clock.reschedule(None)  # COMMIT is not torn
        if not self.is_patient:
            self._hurry(self.policy.cleanup_timeout * _COMMIT_SHARE)

    def _hurry(self, seconds: float) -> None:
        """Let the timer cut the connections off when the database does not answer."""
        if self.timer is not None:
            self.timer.arm(seconds)

    def _take_your_time(self) -> None:
        if self.timer is not None:
            self.timer.disarm()

    def refuse_late(self) -> None:
        """Raise if the time is up."""
        if self._seconds_left() <= 0 or (self.clock is not None and self.clock.expired()):
            raise self._too_late()

    def _refuse_aborted(self) -> None:
        """Raise if a swallowed error has taken the transaction with it; asks only after errors."""
        if any(c.invalidated for c in self.connections):
            reason = "the connection was lost inside the block and the error was swallowed"
            cause = self.failures[-1] if self.failures else None
            self.set_doom(reason, cause and cause.where, cause and cause.error)
        elif self.failures:
            failures = self.failures
            if not all(_connections.still_usable(c, failures) for c in self.connections):
                self.set_doom(*swallowed(failures[0]))
        refuse_doomed(self, self.place)

    def _transaction_id(self) -> int | None:
        if len(self.connections) != 1:
            return None
        connection = self.connections[0]
        if not self._is_own(connection) or not _connections.has_transaction_status(connection):
            return None
        xid = _connections.transaction_id(connection)
        self.engine = connection.engine  # to be asked on another connection
        self.wrote = xid is not None
        return xid

    def _judge(self, error: BaseException) -> Outcome:
        """Say what became of the data when ``session.commit()`` raised."""
        if self.outcome == "committed":  # it was a listener's error, after COMMIT
            return "committed"
        if self.is_undone:  # by the session, when the flush of `commit()` failed
            return "rolled_back"
        if self.in_transaction is not None:  # SQLite says so itself
            return "rolled_back" if self.in_transaction else "committed"
        if isinstance(error, SQLAlchemyError) and not isinstance(error, DBAPIError):
            return "rolled_back"
        return self._judge_interrupted(error) or self._judge_unanswered(error)

    def _judge_unanswered(self, error: BaseException) -> Outcome:
        """Say what is known when all there is to go by is the error, and what was sent."""
        sent = [c for c in self.connections if c.closed or not c.in_transaction()]
        if not sent:
            return "rolled_back"
        if len(self.connections) > 1:
            return "unknown"
        if not self.severed and _dbapi.server_answered(error):
            return "rolled_back"
        return "unknown" if self.wrote else "rolled_back"

    def _judge_interrupted(self, error: BaseException) -> Outcome | None:
        """Say what the driver knows when it was not the database that raised; None if nothing.

        A signal handler may raise after COMMIT and before SQLAlchemy takes note of it; it, and a
        listener, before COMMIT is sent, when SQLAlchemy has done with the transaction already.
        """
        if len(self.connections) != 1 or self.session.twophase or _dbapi.was_sent(error):
            return None
        connection = self.connections[0]
        is_left_open = _connections.is_in_transaction(connection)
        if is_left_open is None:
            return None
        if is_left_open:
            return "rolled_back"
        if not (self.wrote and connection.in_transaction()):  # SQLAlchemy has rolled back itself
            return None
        has_begun = self.xid is not None or is_prepared(connection.engine)
        return "committed" if has_begun else "unknown"

    def _undo(self, error: BaseException) -> None:
        """Roll back what is not committed and close the session, whatever goes wrong."""
        self.phase, self.is_plain = "releasing", False
        if self.outcome is None:
            self.outcome = "rolled_back"
        if self.outcome != "committed":
            if not self.is_patient:
                self._hurry(self.policy.cleanup_timeout)
            self._attempt(self._restore_connections, error)
            if self.session.is_active:  # a failed flush has rolled back already
                self._attempt(self.session.rollback, error)
        self._close(error)
        self.connections, self.is_closed, self.acting = (), True, None
        session: Any = self.session
        session._sqs_unit = Ended(self.place)

    def _close(self, error: BaseException | None) -> None:
        session: Any = self.session
        try:
            session._sqs_base.close(session)
        except BaseException as second:  # noqa: BLE001  (the first error wins)
            note_second(error, second)
            self.discard_all()
        if error is not None:
            self.discard_all()
        if self._waiting is not None:
            self._stop_waiting()
        if self.timer is not None:
            self.timer.disarm()

    # -- an answer that was lost ---------------------------------------------------------------

    @property
    def can_ask(self) -> bool:
        """Say whether the server can be asked what became of the transaction, and was not yet."""
        return self.outcome == "unknown" and self.xid is not None and not self.asked

    def give_up(self, body: BaseException | None) -> BaseException | None:
        """The end itself did not come to its end: return what is to be raised instead."""
        if self.outcome is None:
            may_be_stored = self.phase == "committing" and self.wrote
            self.outcome = "unknown" if may_be_stored else "rolled_back"
        if body is not None or self.outcome == "committed":
            return body
        if self.outcome == "unknown":
            return self._unknown(None)
        silent = Doom("the database did not answer in time", None, None)
        return rollback_only(silent, self.opened_at)

    def abandon(self) -> None:
        """End without a word to anybody what nobody will end any more."""
        self.give_up(None)
        self.acting = self.who()
        self.discard_all()
        self._close(None)
        self.connections, self.is_closed, self.acting = (), True, None

    def seconds_to_ask(self) -> float:
        """Return what COMMIT has left of ``cleanup_timeout``, or at least its last part."""
        least = self.policy.cleanup_timeout * (1 - _COMMIT_SHARE)
        return max(self.asks_until - monotonic(), least)

    def ask(self) -> bool:
        """Ask the server once what became of the transaction; say whether it knew.

        Raises:
            Exception: the server could not be asked.
        """
        assert self.xid is not None
        self.asked = True
        with self.engine.connect() as connection:
            self.connections = (connection,)
            try:
                since = monotonic() - self.asks_until + self.policy.cleanup_timeout
                status = _connections.transaction_status(connection, self.xid, since)
            finally:
                self.connections = ()
        if status == "committed":
            self.outcome = "committed"
        elif status == "aborted":
            self.outcome = "rolled_back"
        return self.outcome != "unknown"

    def settle(self, error: BaseException | None) -> BaseException | None:
        """Return what is to be raised after the server was asked."""
        if self.outcome == "committed":
            answered = self.asked and isinstance(error, (Exception, asyncio.CancelledError))
            if error is None or answered:
                return None
            error.add_note("sqla_safe: interrupted during COMMIT; the data is stored")
            return error
        return error if self.outcome == "rolled_back" else self._unknown(error)

    def _unknown(self, error: BaseException | None) -> BaseException:
        xid = None if self.xid is None else str(self.xid)
        unknown = CommitOutcomeUnknownError(opened_at=self.opened_at, transaction_id=xid)
        if error is not None and not isinstance(error, Exception | asyncio.CancelledError):
            error.add_note(f"sqla_safe: {unknown}")  # Ctrl-C and the like stay what they are
            return error
        unknown.__cause__ = error
        return unknown


class AsyncUnit(Unit):
    """The unit of an async scope."""

    is_async = True
    who = staticmethod(asyncio.current_task)
    calm: AsyncSession

    @property
    def public(self) -> AsyncSession:
        """The session that services are given."""
        return self.calm

    def abandon(self) -> None:
        """End without waiting for anything: the event loop was closed with the block still open."""
        self.give_up(None)
        self.is_open, self.is_guarded, self.phase = False, True, "releasing"
        self.sever()
        self.discard_all()
        self.is_closed = True
        session: Any = self.session
        session._sqs_unit = Ended(self.place)
