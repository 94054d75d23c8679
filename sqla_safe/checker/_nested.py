"""Functions and lambdas that are defined inside others, and what they capture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.checker import _ambient, _eval, _exec, _tasks
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import Function, last_name
from sqla_safe.checker._run import Frame
from sqla_safe.checker._values import Entity, FunctionRef, State, Value
from sqla_safe.checker._wording import entities_in

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Run


def nested(run: Run, frame: Frame, state: State, node: Node) -> None:
    """Follow a function that is defined inside another one."""
    function = Function(node, frame.module)
    state.env[function.name] = FunctionRef(function, None, state.env)
    listener = _listener(function)
    if not frame.is_top:
        run.depends_on_more()  # the names around it go with it
        return
    key = (*frame.key, function.start)
    inner = Frame(function, frame.module, function.is_async, key, is_top=True)
    inner.closure = dict(state.env)
    local = State({}, dict(state.heap))
    if listener:
        for oid, thing in local.heap.items():
            if isinstance(thing, Entity):
                local.heap[oid] = thing._replace(is_free=True)
        _listens(run, frame, state, function, listener)
    _ambient.parameters(run, inner, local, function)
    _exec.block(run, inner, local, function.body)


def _listener(function: Function) -> str:
    for decorator in function.decorators:
        if (
            decorator is not None
            and last_name(decorator) == "listens_for"
            and decorator[0] == ir.CALL
        ):
            names = [part[1] for part in decorator[2] if part is not None and part[0] == ir.CONST]
            return str(names[0]) if names else ""
    return ""


def _listens(run: Run, frame: Frame, state: State, function: Function, event: str) -> None:
    """Report entities that an `after_commit` listener has captured, where it uses them."""
    if event not in (
        "after_commit",
        "after_rollback",
        "after_soft_rollback",
        "after_transaction_end",
    ):
        return
    own = {name for name, _, _ in function.params}
    bound: dict[str, Entity] = {}
    for name, value in state.env.items():
        for _, entity in entities_in(state, value):
            if name not in own and not entity.is_free:
                bound.setdefault(name, entity)
    for statement in function.body:
        _uses_captured(run, frame, statement, dict(bound), event)


def _uses_captured(run: Run, frame: Frame, node: Any, bound: dict[str, Entity], event: str) -> None:
    if not ir.is_node(node):
        return
    if node and node[0] == ir.FOR and len(node) == 7:
        source = node[2]
        if source is not None and source[0] == ir.NAME and source[1] in bound:
            for name in _target_names(node[1]):
                bound[name] = bound[source[1]]
            for part in node[3]:
                _uses_captured(run, frame, part, bound, event)
            return
    is_call = len(node) == 6 and node[0] == ir.CALL
    if is_call:
        for part in (*node[2], *[value for _, value in node[3]]):
            if part is not None and part[0] == ir.NAME and part[1] in bound:
                span = (node[4], node[5])
                _tasks.captured(
                    run, frame, bound[part[1]], f"an `{event}` listener", span, sure=True
                )
    is_read = len(node) == 5 and node[0] == ir.ATTRIBUTE
    if is_read and node[1] is not None and node[1][0] == ir.NAME and node[1][1] in bound:
        span = (node[3], node[4])
        _tasks.captured(run, frame, bound[node[1][1]], f"an `{event}` listener", span, sure=True)
    for part in node:
        _uses_captured(run, frame, part, bound, event)


def _target_names(target: Expr) -> list[str]:
    if target is None:
        return []
    if target[0] == ir.NAME:
        return [target[1]]
    return (
        [name for part in target[1] for name in _target_names(part)]
        if target[0] == ir.TUPLE
        else []
    )


def called_with(run: Run, frame: Frame, state: State, expr: Node, value: Value) -> None:
    """Follow a lambda that is called with one value."""
    outer = dict(state.env)
    state.env[expr[1][0][0]] = value
    _eval.value(run, frame, state, expr[2])
    state.env = outer


def lambda_(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    """Follow a lambda as if it were called where it stands."""
    inner = dict(state.env)
    for name, _, _ in expr[1]:
        state.env[name] = None
    _eval.value(run, frame, state, expr[2])
    state.env = inner
    return None
