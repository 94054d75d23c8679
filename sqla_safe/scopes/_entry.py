"""What a new block does: open a transaction, join one, or set a savepoint. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqla_safe._owners import current_kind
from sqla_safe.errors import NoScopeError, ScopeOptionError
from sqla_safe.scopes import _ambient
from sqla_safe.scopes._boundary import Boundary
from sqla_safe.scopes._options import ScopeOptions, check_join
from sqla_safe.scopes._scope import BaseScope

if TYPE_CHECKING:
    from sqla_safe._locations import Place
    from sqla_safe.scopes._unit import Unit


class Plan(NamedTuple):
    """How a block begins."""

    kind: Literal["open", "join", "savepoint"]
    outer: BaseScope[Any] | None


def plan(source: Any, options: ScopeOptions, place: Place) -> Plan:
    """Decide how a block begins, from its propagation and the scope around it.

    Raises:
        ScopeClosedError: a scope was handed over that has ended.
        NoScopeError: ``mandatory`` without a scope.
        ScopeOptionError: ``never`` inside a scope, or an option that a join cannot honour.
    """
    outer: BaseScope[Any] | None
    if isinstance(source, BaseScope):
        outer = source  # pyright: ignore[reportUnknownVariableType]
        outer._require_active("scoped_services(scope)")
    else:
        outer = None if _innermost() is None else _ambient.find(source)
    if outer is not None:
        return _within(outer, options)
    if options.propagation == "mandatory":
        wanted = f'propagation="mandatory" at {place} asks for an open scope'
        raise NoScopeError(wanted=wanted, asker=current_kind())
    return _OPEN


_OPEN = Plan("open", None)
_innermost = _ambient.innermost


def _within(outer: BaseScope[Any], options: ScopeOptions) -> Plan:
    if options.propagation == "never":
        raise ScopeOptionError(
            problem=f'propagation="never" inside the scope opened at {outer.opened_at}',
            instead='call it outside, or use propagation="requires_new"',
        )
    if options.propagation == "requires_new":
        return Plan("open", outer)
    check_join(options, outer._options, outer.opened_at)
    return Plan("savepoint" if options.propagation == "nested" else "join", outer)


def units_of_this_task() -> list[Unit]:
    """Return the units of all scopes that the running task has open."""
    return [scope._unit for scope in _ambient.open_scopes()]


def inner_options(outer: BaseScope[Any], asked: ScopeOptions) -> ScopeOptions:
    """Return what holds inside a block that joins another one."""
    had = outer._options
    timeout = had.timeout if asked.timeout is None else asked.timeout
    return had._replace(read_only=had.read_only or asked.read_only, timeout=timeout)


def inner_boundary(outer: BaseScope[Any], kind: str) -> Boundary:
    """Return what a joining block can undo: a new savepoint, or the same as the block around it."""
    unit = outer._unit
    around = unit.innermost
    return Boundary(around) if kind == "savepoint" else around


def entered_twice(scope: BaseScope[Any]) -> ScopeOptionError:
    """Return the error for a context manager that is entered while its block is open."""
    return ScopeOptionError(
        problem=f"the block opened at {scope.opened_at} is open, and was entered again",
        instead="call scoped_services(...) for each block",
    )


def doom_by_inner(scope: BaseScope[Any], error: BaseException) -> None:
    """A block that joined has failed: whatever it wrote must not be stored by the outer one."""
    if isinstance(error, scope._unit.steering):
        return
    scope._boundary.set_doom(
        "an inner scope that had joined it failed, and the error was swallowed",
        f"the inner scope opened at {scope.opened_at}",
        error,
    )
