"""`async with scoped_services(...)`: the async shell. `_sync.py` is its twin, line for line."""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

from sqla_safe.errors import ScopeTimeoutError
from sqla_safe.scopes import _ambient, _callbacks
from sqla_safe.scopes._entry import (
    doom_by_inner,
    entered_twice,
    inner_boundary,
    inner_options,
    plan,
    units_of_this_task,
)
from sqla_safe.scopes._errand import Errand
from sqla_safe.scopes._scope import AsyncScope, BaseScope, Inner
from sqla_safe.scopes._source import make_async_session
from sqla_safe.scopes._unit import ASK_AGAIN, AsyncUnit, Unit
from sqla_safe.services._inject import KNOWN_ASYNC, get_services

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

    from sqla_safe._locations import Place
    from sqla_safe.scopes._boundary import Outcome
    from sqla_safe.scopes._options import ScopeOptions

T = TypeVar("T")
_GRACE = 0.1
"""Seconds that a driver has to notice that its connection was cut off."""


class AsyncScopedServices(Generic[T]):
    """The context manager that `scoped_services` returns for an ``async_sessionmaker``."""

    __slots__ = (
        "_deadline",
        "_kind",
        "_options",
        "_outer",
        "_place",
        "_scope",
        "_services",
        "_source",
        "_timeout",
    )

    def __init__(
        self,
        source: async_sessionmaker[Any] | AsyncScope[Any],
        services: tuple[Any, ...],
        options: ScopeOptions,
        place: Place,
    ) -> None:
        self._source = source
        self._services = services
        self._options = options
        self._place = place
        self._scope: Any = None
        self._timeout: asyncio.Timeout | None = None

    async def __aenter__(self) -> T:
        if self._scope is not None:
            raise entered_twice(self._scope)
        self._kind, outer = plan(self._source, self._options, self._place)
        if outer is not None and self._kind != "open":
            scope = await self._join(outer)
        else:
            scope = self._open(outer)
        self._scope = scope
        _ambient.push(scope)
        try:
            if self._options.timeout is not None:
                self._timeout = asyncio.timeout(self._options.timeout)
                await self._timeout.__aenter__()
            if not self._services:
                return scope  # type: ignore[return-value]  # pyright: ignore[reportReturnType]  # T is its type
            unit = scope._unit
            return get_services(unit.public, unit.instances, self._services, KNOWN_ASYNC)  # type: ignore[no-any-return]
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        scope: AsyncScope[Any] = self._scope
        self._scope = None
        scope.is_active = False
        _ambient.pop(scope)
        if isinstance(error, GeneratorExit) and _get_running_loop() is None:
            scope._boundary.outcome = "rolled_back"
            scope._unit.abandon()
            return
        try:
            if self._kind == "open":
                await _end(scope._unit, error, self._timeout)
            elif self._kind == "savepoint":
                await self._end_savepoint(scope, error)
            else:
                self._leave(scope, error)
        except BaseException as raised:
            await self._stop_clock(scope, raised)
            raise
        if self._timeout is not None:
            await self._stop_clock(scope, error)

    if not TYPE_CHECKING:  # a static error already

        def __enter__(self) -> NoReturn:
            msg = "an async_sessionmaker gives an async scope: `async with scoped_services(...)`"
            raise TypeError(msg)

        def __exit__(self, *_: object) -> None:
            """Never reached; `with` looks for it before it enters."""

    async def _stop_clock(self, scope: AsyncScope[Any], error: BaseException | None) -> None:
        """Turn the cancellation by our own clock into ScopeTimeoutError."""
        clock = self._timeout
        if clock is None:
            return
        self._timeout = None
        try:
            await clock.__aexit__(type(error) if error else None, error, None)
        except TimeoutError:
            limit = self._options.timeout or 0.0
            raise ScopeTimeoutError(opened_at=scope.opened_at, timeout=limit) from error

    def _open(self, outer: BaseScope[Any] | None) -> AsyncScope[Any]:
        scope = self._make(self._source if outer is None else outer._unit.source)
        if self._options.propagation == "requires_new":
            scope._unit.be_independent_of(units_of_this_task())
        return scope

    def _make(self, source: Any) -> AsyncScope[Any]:
        unit = AsyncUnit(source, self._options, self._place)
        unit.calm = make_async_session(source, unit, unit.session_options)
        session = unit.session = unit.calm.sync_session
        if not session.autobegin:
            unit.begin()
        return AsyncScope(unit, asyncio.current_task())

    async def _join(self, outer: BaseScope[Any]) -> AsyncScope[Any]:
        unit = outer._unit
        boundary = inner_boundary(outer, self._kind)
        options = inner_options(outer, self._options)
        if self._options.read_only and not unit.read_only:
            await _run(unit, unit.session.flush)
        if self._kind == "savepoint":
            await _run(unit, lambda: unit.begin_savepoint(boundary))
        if self._options.read_only and not unit.read_only:
            unit.begin_reading()
        self._outer, self._deadline = outer, unit.limit(self._options.timeout, self._place)
        owner = asyncio.current_task()
        return AsyncScope(unit, owner, Inner(boundary, self._place, options))

    async def _end_savepoint(self, scope: AsyncScope[Any], body: BaseException | None) -> None:
        unit, boundary = scope._unit, scope._boundary
        before = self._before_leaving(scope, body)
        error, cancelled = await _see_through(
            unit,
            _in_greenlet(unit, lambda: unit.end_savepoint(boundary, before)),
            body,
            lambda errand: _stop_preparing(unit, errand),
        )
        error = cancelled or error
        if error is None:
            _callbacks.move_up(boundary)
            return
        if boundary.outcome == "committed":  # released, and cancelled while that was going on
            _callbacks.move_up(boundary)
        else:
            await _callbacks.after_rollback_async(boundary, error)
        if error is not body:
            raise error

    def _leave(self, scope: AsyncScope[Any], body: BaseException | None) -> None:
        error = self._before_leaving(scope, body)
        if error is not None:
            doom_by_inner(scope, error)
            if error is not body:
                raise error

    def _before_leaving(
        self, scope: AsyncScope[Any], body: BaseException | None
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
        unit.end_reading(is_over=not self._outer._options.read_only)
        return error


async def _run(unit: Unit, function: Callable[[], T]) -> T:
    """Run a function that talks to the database in a greenlet."""
    public = cast("AsyncSession", unit.public)
    return await public.run_sync(lambda _session: function())


async def _in_greenlet(
    unit: Unit, function: Callable[[], BaseException | None]
) -> BaseException | None:
    ended: list[BaseException | None] = []
    try:
        await _run(unit, lambda: ended.append(function()))
    except BaseException as error:  # noqa: BLE001  (an errand returns what went wrong)
        return ended[0] if ended else error
    return ended[0]


class Timer:
    """Cuts the connections off when ROLLBACK or COMMIT gets no answer, and lets the waiter go."""

    __slots__ = ("_errand", "_handle", "_unit")

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._handle: asyncio.TimerHandle | None = None
        self._errand: Errand[Any] | None = None

    def watch(self, errand: Errand[Any]) -> None:
        """Say which errand is to be ended with the connections."""
        self._errand = errand

    def arm(self, seconds: float) -> None:
        """Cut off in so many seconds."""
        self.disarm()
        self._handle = asyncio.get_running_loop().call_later(seconds, self._cut_off)

    def disarm(self) -> None:
        """Call it off."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _cut_off(self) -> None:
        self._unit.sever()
        self._handle = asyncio.get_running_loop().call_later(_GRACE, self._wake)

    def _wake(self) -> None:
        """The driver did not notice: interrupt it."""
        if self._errand is not None:
            self._errand.task.cancel()
        self._handle = asyncio.get_running_loop().call_later(_GRACE, self._give_up)

    def _give_up(self) -> None:
        if self._errand is not None:
            self._errand.give_up()


async def _see_through(
    unit: Unit,
    work: Coroutine[Any, Any, BaseException | None],
    body: BaseException | None,
    on_cancel: Callable[[Errand[Any]], None] | None = None,
) -> tuple[BaseException | None, asyncio.CancelledError | None]:
    """Run the end of a block to its end; return its result and a cancellation that came."""
    errand = Errand(work)
    timer = Timer(unit)
    timer.watch(errand)
    unit.timer = timer
    if isinstance(body, asyncio.CancelledError):
        await errand.insist()
        cancelled = None
    elif on_cancel is None:
        cancelled = await errand.wait()
    else:
        react = on_cancel
        cancelled = await errand.wait(lambda: react(errand))
    timer.disarm()
    unit.timer = None
    return (unit.give_up(body) if errand.given_up else errand.task.result()), cancelled


async def _end(unit: Unit, body: BaseException | None, clock: asyncio.Timeout | None) -> None:
    unit.clock = clock
    error, cancelled = await _see_through(
        unit, _finish(unit, body), body, lambda errand: _stop_preparing(unit, errand)
    )
    if cancelled is not None:
        error = _with_cancellation(unit, unit.outcome, error, cancelled)
    if unit.outcome == "committed":
        if unit.on_commit:
            error = await _call_back(unit, error)
    elif error is not None and unit.outcome == "rolled_back" and unit.on_rollback:
        stop, _ = await _see_through(unit, _after_rollback(unit, error), error)
        error = stop or error
    if error is not None and error is not body:
        raise error


def _stop_preparing(unit: Unit, errand: Errand[Any]) -> None:
    """A cancellation came: before COMMIT is sent it undoes the work, afterwards it waits."""
    if unit.phase in ("body", "preparing"):
        errand.task.cancel()


def _with_cancellation(
    unit: Unit,
    outcome: Outcome | None,
    error: BaseException | None,
    cancelled: asyncio.CancelledError,
) -> asyncio.CancelledError:
    if outcome == "committed":
        cancelled.add_note(
            f"sqla_safe: cancelled during COMMIT; the data of the scope opened at {unit.opened_at} "
            'is stored (scope.outcome is "committed")'
        )
    elif outcome == "unknown":
        cancelled.add_note(f"sqla_safe: {error}")
    return cancelled


async def _call_back(unit: Unit, error: BaseException | None) -> BaseException | None:
    """Run the on_commit callbacks to their end; return what is to be raised."""
    failed, cancelled = await _see_through(unit, _after_commit(unit), error)
    if cancelled is not None and error is None:
        cancelled.add_note("sqla_safe: cancelled during on_commit callbacks; the data is stored")
    error = error or cancelled
    if error is not None and failed is not None:
        error.add_note(f"sqla_safe: {failed}")
    return error or failed


async def _after_commit(unit: Unit) -> BaseException | None:
    try:
        await _callbacks.after_commit_async(unit, unit.place)
    except BaseException as error:  # noqa: BLE001  (an errand returns what went wrong)
        return error
    return None


async def _after_rollback(unit: Unit, error: BaseException) -> BaseException | None:
    try:
        await _callbacks.after_rollback_async(unit, error)
    except BaseException as failed:  # noqa: BLE001  (an errand returns what went wrong)
        return failed
    return None


async def _finish(unit: Unit, body: BaseException | None) -> BaseException | None:
    """Everything that must happen at the end, in a task of its own; returns what to raise."""
    busy: BaseException | None = None
    if unit.busy is not None:
        try:
            busy = await _drain(unit)
        except asyncio.CancelledError as cancelled:
            busy = cancelled
            unit.sever()
            unit.busy = None
    error = await _in_greenlet(unit, lambda: unit.complete(body or busy))
    if unit.can_ask:
        await _ask(unit)
        error = unit.settle(error)
    return error


async def commit_early(unit: Unit) -> None:
    """Store what is done and go on."""
    error, cancelled = await _see_through(
        unit, _checkpoint(unit), None, lambda errand: _stop_preparing(unit, errand)
    )
    outcome: Outcome | None = "committed" if error is None else unit.outcome
    if cancelled is not None:
        error = _with_cancellation(unit, outcome, error, cancelled)
    if outcome == "committed" and unit.on_commit:
        error = await _call_back(unit, error)
    if error is not None:
        raise error


async def _checkpoint(unit: Unit) -> BaseException | None:
    """What `_finish` is to the end of a scope, for `scope.commit()`."""
    error = await _in_greenlet(unit, unit.checkpoint)
    if unit.can_ask:
        await _ask(unit)
    return await _in_greenlet(unit, lambda: unit.go_on(error))


async def _drain(unit: Unit) -> BaseException | None:
    """Wait for another task's statement; cut it off when it takes too long."""
    due = monotonic() + unit.policy.drain_timeout
    unit.is_guarded, unit.is_open = True, False
    while unit.busy is not None:
        if monotonic() > due:
            error = unit.still_busy()
            unit.sever()
            unit.busy = None
            return error
        await asyncio.sleep(0.002)
    return None


async def _ask(unit: Unit) -> None:
    """Ask the server what became of the transaction until it knows or the time is up."""
    assert unit.timer is not None
    unit.timer.arm(unit.seconds_to_ask())
    unit.severed = False
    with suppress(asyncio.CancelledError):  # the timer's own: the time is up
        while not unit.severed and not await _knows(unit):  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(ASK_AGAIN)


async def _knows(unit: Unit) -> bool:
    try:
        return await _run(unit, unit.ask)
    except Exception:  # noqa: BLE001  (the server may be coming back: ask again)
        return False
