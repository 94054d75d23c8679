"""What tells whether a session is asynchronous: that its calls are awaited, or cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqla_safe.checker import _eval
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import dotted
from sqla_safe.checker._values import Ref, Scope

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._run import Frame, Run
    from sqla_safe.checker._values import Rows, State, Value

_SENDING: Final = frozenset(
    ("commit", "rollback", "flush", "execute", "refresh", "close", "delete", "merge")
)
"""Methods of which a call does nothing before it is awaited, if the session is asynchronous."""
_FETCHING: Final = frozenset(("scalar", "get", "execute", "scalars"))


def awaited(state: State, expr: Expr) -> None:
    """Learn from an `await` that a session is an asynchronous one."""
    if expr is None or expr[0] != ir.CALL or expr[1] is None or expr[1][0] != ir.ATTRIBUTE:
        return
    owner = expr[1][1]
    if owner is not None and owner[0] == ir.NAME:
        ref = state.env.get(owner[1])
        scope = state.scope(ref)
        if scope is not None and scope.is_async is not True and isinstance(ref, Ref):
            state.heap[ref.oid] = scope._replace(is_async=True)


def unawaited(run: Run, frame: Frame, state: State, expr: Expr) -> None:
    """Learn from a statement `session.commit()` that a session is no asynchronous one."""
    if _is_method(expr, _SENDING):
        synchronous(state, _owner(run, frame, state, expr))


def tested(run: Run, frame: Frame, state: State, expr: Expr) -> None:
    """Learn the same from `if user := session.get(...)`: a coroutine is never false."""
    if not frame.waits and _is_method(expr, _FETCHING):
        synchronous(state, _owner(run, frame, state, expr))


def chained(state: State, rows: Rows, call: Expr) -> None:
    """Learn the same from `session.execute(...).all()`: a coroutine has no such method."""
    target = call[1] if call is not None else None
    if target is None or target[0] != ir.ATTRIBUTE or rows.query.scope is None:
        return
    if _is_method(target[1], _FETCHING):
        synchronous(state, Ref(rows.query.scope))


def _is_method(expr: Expr, names: frozenset[str]) -> bool:
    if expr is None or expr[0] != ir.CALL or expr[1] is None:
        return False
    return expr[1][0] == ir.ATTRIBUTE and expr[1][2] in names and bool(dotted(expr[1]))


def _owner(run: Run, frame: Frame, state: State, expr: Expr) -> Value:
    """Return whose method is called; reading a dotted name again says nothing twice."""
    assert expr is not None
    owner = expr[1][1]
    return state.env.get(owner[1]) if owner[0] == ir.NAME else _eval.value(run, frame, state, owner)


def synchronous(state: State, session: Value) -> None:
    """Take a session whose kind is not known for a synchronous one."""
    scope = state.scope(session)
    if isinstance(session, Ref) and isinstance(scope, Scope) and scope.is_async is None:
        state.heap[session.oid] = scope._replace(is_async=False)
