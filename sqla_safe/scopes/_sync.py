"""`with scoped_services(...)`: the sync shell.

`_async.py` is its twin, line for line, but for the straight way in and out of the usual block.
"""

from __future__ import annotations

from asyncio import _get_running_loop, current_task
from contextlib import suppress
from threading import get_ident
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from sqlalchemy.orm import sessionmaker

from sqla_safe._owners import current_owner
from sqla_safe.errors import CommitCallbackError
from sqla_safe.scopes import _ambient, _callbacks, _connections
from sqla_safe.scopes._entry import (
    doom_by_inner,
    entered_twice,
    inner_boundary,
    inner_options,
    plan,
    units_of_this_task,
)
from sqla_safe.scopes._options import DEFAULT
from sqla_safe.scopes._scope import BaseScope, Inner, Scope
from sqla_safe.scopes._session import managed_class
from sqla_safe.scopes._unit import ASK_AGAIN, Unit
from sqla_safe.scopes._watchdog import watchdog
from sqla_safe.services._inject import KNOWN, get_services

if TYPE_CHECKING:
    from types import TracebackType

    from sqla_safe._locations import Place
    from sqla_safe.scopes._options import ScopeOptions

T = TypeVar("T")
_innermost, _set_innermost = _ambient.innermost, _ambient.set_innermost


class ScopedServices(Generic[T]):
    """The context manager that `scoped_services` returns for a ``sessionmaker``."""

    __slots__ = (
        "_deadline",
        "_kind",
        "_options",
        "_outer",
        "_place",
        "_scope",
        "_services",
        "_source",
    )

    def __init__(
        self,
        source: sessionmaker[Any] | Scope[Any],
        services: tuple[Any, ...],
        options: ScopeOptions,
        place: Place,
    ) -> None:
        self._source = source
        self._services = services
        self._options = options
        self._place = place
        self._scope: Any = None

    def __enter__(self) -> T:
        if self._scope is not None and self._scope.is_active:
            raise entered_twice(self._scope)
        around = _innermost()
        if around is None and self._options is DEFAULT and type(self._source) is sessionmaker:
            self._kind = "open"  # the usual answer of `plan`
            self._scope = scope = self._make(self._source)
            _set_innermost(scope)
        else:
            self._kind, outer = plan(self._source, self._options, self._place)
            if outer is not None and self._kind != "open":
                scope = self._join(outer)
            else:
                scope = self._open(outer)
            self._scope = scope
            _ambient.push(scope)
        if not self._services:
            return scope  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  # T is its type
        try:
            unit = scope._unit
            return get_services(unit.session, unit.instances, self._services, KNOWN)  # type: ignore[no-any-return]
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        scope: Scope[Any] = self._scope
        scope.is_active = False
        if _innermost() is scope:
            _set_innermost(scope._around)
        if self._kind == "open":
            unit = scope._unit
            if error is None and unit.busy is None and unit.is_plain and unit.connections:
                failed = unit.finish()
                if failed is not None:
                    _go_on(unit, None, failed)
            else:
                _end(unit, error)
        else:
            leave = self._end_savepoint if self._kind == "savepoint" else self._leave
            failed = leave(scope, error)
            if failed is not None and failed is not error:
                self._scope = None
                raise failed
        self._scope = None

    def __del__(self) -> None:
        """Clean up after an exception out of a signal handler on the way in or out.

        It can come just before the block begins, when nobody will call `__exit__`, or within it.
        """
        if self._scope is not None:
            with suppress(Exception):  # of a driver, on a connection that may be in any state
                abandon(self._scope, is_outermost=self._kind == "open")

    if not TYPE_CHECKING:  # a static error already

        async def __aenter__(self) -> NoReturn:
            msg = (
                "a sessionmaker gives a sync scope: write `with scoped_services(...)`, or make the "
                "sessionmaker with async_sessionmaker(async_engine)"
            )
            raise TypeError(msg)

        async def __aexit__(self, *_: object) -> None:
            """Never reached; `async with` looks for it before it enters."""

    def _open(self, outer: BaseScope[Any] | None) -> Scope[Any]:
        scope = self._make(self._source if outer is None else outer._unit.source)
        if self._options.propagation == "requires_new":
            scope._unit.be_independent_of(units_of_this_task())
        return scope

    def _make(self, source: Any) -> Scope[Any]:
        unit = Unit(source, self._options, self._place)
        options = {**source.kw, **unit.session_options}
        session: Any = managed_class(source.class_, unit.is_steered)(**options)
        session._sqs_unit = unit
        unit.session = session
        if not session.autobegin:
            unit.begin()
        return Scope(unit, get_ident() if _get_running_loop() is None else current_task())

    def _join(self, outer: BaseScope[Any]) -> Scope[Any]:
        unit = outer._unit
        boundary = inner_boundary(outer, self._kind)
        options = inner_options(outer, self._options)
        if self._options.read_only and not unit.read_only:
            unit.session.flush()
        if self._kind == "savepoint":
            unit.begin_savepoint(boundary)
        if self._options.read_only and not unit.read_only:
            unit.begin_reading()
        self._outer, self._deadline = outer, unit.limit(self._options.timeout, self._place)
        owner = current_owner()
        return Scope(unit, owner, Inner(boundary, self._place, options))

    def _end_savepoint(self, scope: Scope[Any], body: BaseException | None) -> BaseException | None:
        unit, boundary = scope._unit, scope._boundary
        unit.timer = Timer(unit)
        error = unit.end_savepoint(boundary, self._before_leaving(scope, body))
        unit.timer = None
        if error is None:
            _callbacks.move_up(boundary)
        else:
            _callbacks.after_rollback(boundary, error)
        return error

    def _leave(self, scope: Scope[Any], body: BaseException | None) -> BaseException | None:
        error = self._before_leaving(scope, body)
        if error is not None:
            doom_by_inner(scope, error)
        return error

    def _before_leaving(
        self, scope: Scope[Any], body: BaseException | None
    ) -> BaseException | None:
        """Give the outer block its own limits back; return what the inner ones have to say."""
        unit = scope._unit
        error = body
        try:
            if error is None and self._options.read_only:
                unit.expect_flush()
            if error is None and self._options.timeout is not None:
                unit.refuse_late()
        except Exception as refused:  # noqa: BLE001  (returned, and raised by the caller)
            error = refused
        unit.deadline = self._deadline
        if unit.deadline is None and error is None:
            unit.lift_statement_limit()
        unit.end_reading(is_over=not self._outer._options.read_only)
        return error


class Timer:
    """Lets the watchdog cut the connection off when ROLLBACK or COMMIT gets no answer."""

    __slots__ = ("_key", "_unit")

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._key: object = None

    def arm(self, seconds: float) -> None:
        """Cut off in so many seconds, where the driver shows its socket."""
        self.disarm()
        connections = [c for c in self._unit.connections if not (c.closed or c.invalidated)]
        if any(map(_connections.can_be_severed, connections)):
            self._key = watchdog.arm(seconds, self._unit.sever)

    def disarm(self) -> None:
        """Call it off."""
        if self._key is not None:
            watchdog.disarm(self._key)
            self._key = None


def abandon(scope: Scope[Any], *, is_outermost: bool) -> None:
    """Let nobody join a block that was never left, nor store what it wrote."""
    scope.is_active = False
    _ambient.pop(scope)
    if is_outermost:
        if not scope._unit.is_closed:
            scope._unit.abandon()
        return
    around = scope._boundary.parent or scope._boundary
    where = f"the inner scope opened at {scope.opened_at}"
    around.set_doom("an exception came just as an inner scope was entered or left", where, None)


def _end(unit: Unit, body: BaseException | None) -> None:
    busy = None if unit.busy is None or unit.busy == unit.who() else _drain(unit)
    if not unit.is_patient:
        unit.timer = Timer(unit)
    _go_on(unit, body, unit.complete(body or busy))


def _go_on(unit: Unit, body: BaseException | None, error: BaseException | None) -> None:
    """Do what comes after the end: ask what became of it, call back, raise."""
    if unit.can_ask:
        _ask(unit)
        error = unit.settle(error)
    unit.timer = None
    if unit.outcome == "committed":
        if unit.on_commit:
            _call_back(unit, error)
    elif error is not None and unit.outcome == "rolled_back":
        _callbacks.after_rollback(unit, error)
    if error is not None and error is not body:
        raise error


def commit_early(unit: Unit) -> None:
    """Store what is done and go on."""
    unit.timer = Timer(unit)
    error = unit.checkpoint()
    if unit.can_ask:
        _ask(unit)
    is_stored = error is None or unit.outcome == "committed"
    error = unit.go_on(error)
    unit.timer = None
    if is_stored:
        _call_back(unit, error)
    if error is not None:
        raise error


def _call_back(unit: Unit, error: BaseException | None) -> None:
    """Run the on_commit callbacks; an interruption of COMMIT wins over what they raise."""
    try:
        with _ambient.hidden():  # a scope that a callback opens is its own, as in async scopes
            _callbacks.after_commit(unit, unit.place)
    except CommitCallbackError as failed:
        if error is None:
            raise
        error.add_note(f"sqla_safe: {failed}")


def _drain(unit: Unit) -> BaseException | None:
    """Wait for another thread's statement; cut it off when it takes too long."""
    due = monotonic() + unit.policy.drain_timeout
    while unit.busy is not None:
        if monotonic() > due:
            error = unit.still_busy()
            unit.sever()
            return error
        sleep(0.002)
    return None


def _ask(unit: Unit) -> None:
    """Ask the server what became of the transaction until it knows or the time is up."""
    due = monotonic() + unit.seconds_to_ask()
    while not unit.severed and monotonic() < due and not _knows(unit):
        sleep(ASK_AGAIN)


def _knows(unit: Unit) -> bool:
    try:
        return unit.ask()
    except Exception:  # noqa: BLE001  (the server may be coming back: ask again)
        return False
