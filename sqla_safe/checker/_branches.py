"""What is started side by side: the sessions and entities that each branch uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqla_safe.checker import _eval
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._holding import held_by
from sqla_safe.checker._values import FunctionRef, Many, Method, Pending, Ref, Tup, Value

if TYPE_CHECKING:
    from sqla_safe.checker._given import Given
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._run import Frame, Run
    from sqla_safe.checker._values import State

_SENDS: Final = frozenset(
    (
        "execute",
        "scalars",
        "scalar",
        "exec",
        "stream",
        "stream_scalars",
        "get",
        "get_one",
        "merge",
        "refresh",
        "flush",
        "commit",
        "delete",
        "run_sync",
    )
)


def given(run: Run, frame: Frame, state: State, given: Given) -> list[Value]:
    """Return what a call is given, each coroutine of a session's own methods with its session."""
    pairs = zip(given.expr[2], given.args, strict=False)
    return [_branch(run, frame, state, part, value) for part, value in pairs]


def _branch(run: Run, frame: Frame, state: State, part: Expr, value: Value) -> Value:
    if part is None:
        return value
    if part[0] == ir.STAR:
        return _branch(run, frame, state, part[1], value)
    if part[0] == ir.COMPREHENSION:
        item = value.item if isinstance(value, Many) else None
        return Many(_branch(run, frame, state, part[1], item))
    if part[0] == ir.TUPLE and isinstance(value, Tup):
        pairs = zip(part[1], value.items, strict=True)
        return Tup(tuple([_branch(run, frame, state, *pair) for pair in pairs]))
    return value if isinstance(value, Pending) else _sent(run, frame, state, part) or value


def _sent(run: Run, frame: Frame, state: State, call: Expr) -> Pending | None:
    """Return the coroutine of `session.get(...)`, which is followed as if it were awaited."""
    target = call[1] if call is not None and call[0] == ir.CALL else None
    if target is None or target[0] != ir.ATTRIBUTE or target[2] not in _SENDS:
        return None
    owner = _eval.value(run, frame, state, target[1])
    if not isinstance(owner, Ref) or state.scope(owner) is None:
        return None
    return Pending(None, frozenset((owner.oid,)), called=target[2])


def started(run: Run, state: State, given: Given) -> Pending:
    """Return the coroutine of `group.start_soon(function, *args)`."""
    first = given.args[0]
    bound = first.bound if isinstance(first, FunctionRef) else None
    if isinstance(first, Method):
        bound = first.owner
    scopes, entities = held_by(run, state, [*given.args[1:], bound], None)
    name = first.of.name if isinstance(first, FunctionRef) else ""
    return Pending(None, scopes, entities, name)
