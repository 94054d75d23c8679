"""Expressions: what they stand for, and what reading them does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.checker import _ambient, _call, _exec, _kinds, _nested, _read, _session
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import last_name
from sqla_safe.checker._values import (
    Alternatives,
    Const,
    Kept,
    Many,
    Pending,
    Query,
    Ref,
    Rows,
    State,
    Table,
    Tup,
    Value,
    join_values,
    meanings,
)

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Frame, Run

_COPIES = frozenset(("list", "tuple", "set", "sorted", "reversed", "iter", "frozenset"))


def value(run: Run, frame: Frame, state: State, expr: Expr) -> Value:
    """Return what an expression stands for, following what it calls."""
    if expr is None:
        return None
    run.steps += 1
    kind = expr[0]
    if kind == ir.NAME and expr[1] in state.env:  # half of all expressions
        return state.env[expr[1]]
    if kind == ir.CALL:  # and many of the others
        return _call.call(run, frame, state, expr)
    return _KINDS[kind](run, frame, state, expr)


def _is_told(frame: Frame, name: str) -> bool:
    return name in _TOLD or name in frame.fixed


def is_doubted(frame: Frame, state: State, test: Expr) -> bool:
    """Return whether a condition is about an argument of a call of which nothing is known."""
    function = frame.function
    if frame.is_top or function is None or test is None:
        return False
    unknown = [name for name, _, _ in function.params if state.env.get(name) is None]
    return bool(unknown) and _names_one(test, unknown)


def _names_one(node: Any, names: list[str]) -> bool:
    if len(node) == 3 and node[0] == ir.NAME:
        return node[1] in names
    return any(_names_one(part, names) for part in node if type(part) is tuple and part)


def truth(run: Run, frame: Frame, state: State, test: Expr) -> bool | None:
    """Return whether a condition holds, as far as that is certain."""
    if test is None:
        return None
    if test[0] == ir.CONST:
        return bool(test[1])
    if test[0] == ir.NOT:
        inner = truth(run, frame, state, test[1])
        return None if inner is None else not inner
    if test[0] == ir.BOOL:
        parts = [truth(run, frame, state, part) for part in test[2]]
        if (not test[1]) in parts:
            return not test[1]
        return test[1] if parts and set(parts) == {test[1]} else None
    if test[0] == ir.CALL and last_name(test[1]) == "isinstance" and test[2]:
        first = test[2][0]
        name = first[1] if first is not None and first[0] == ir.NAME else ""
        is_none = _is_told(frame, name) and state.env.get(name) == Const(None)
        return False if is_none else None
    if test[0] == ir.NAME:
        found = state.env.get(test[1])
        is_known = isinstance(found, Const) and _is_told(frame, test[1])
        return bool(found.value) if is_known and isinstance(found, Const) else None
    if test[0] == ir.IS and test[2] == (ir.CONST, None) and test[1] is not None:
        name = test[1][1] if test[1][0] == ir.NAME else ""
        found = state.env.get(name)
        if _is_told(frame, name) and isinstance(found, Const):
            return (found.value is None) is not test[3]
    return None


_TOLD = frozenset(
    ("exc_type", "exc", "exc_val", "exc_value", "exctype", "et", "type_", "exception")
)


def element(run: Run, frame: Frame, state: State, source: Value, at: int) -> Value:
    """Return what iterating over a value gives."""
    found: Value = None
    for one in meanings(source):
        if isinstance(one, Many):
            part = one.item
        elif isinstance(one, Rows):
            part = _session.fetched(run, frame, state, one, at)
        elif isinstance(one, Query) and one.scope is not None:  # a legacy one
            part = _session.row(run, frame, state, one, at, is_scalar=len(one.targets) == 1)
        elif isinstance(one, Tup) and one.items:
            part = one.items[0]
            for other in one.items[1:]:
                part = join_values(part, other)
        elif isinstance(one, Ref) and (entity := state.entity(one)) is not None:
            part = one if entity.source == "guess" else None
        else:
            part = None
        found = join_values(found, part)
    return found


def weakly_typed(run: Run, frame: Frame, state: State, note: Expr, at: int) -> Value:
    """Return what an annotated variable holds when its value is not known."""
    return _ambient.annotated(run, frame, state, note, at, "note", None)


def _name(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    name = expr[1]
    if name in state.env:
        return state.env[name]
    if frame.closure is not None and name in frame.closure:
        return frame.closure[name]
    return _ambient.global_(run, frame, state, name)


def _attribute(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    owner = value(run, frame, state, expr[1])
    return _read.attribute(run, frame, state, expr, owner)


def _item(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    owner = value(run, frame, state, expr[1])
    index = expr[2]
    value(run, frame, state, index)
    found: Value = None
    for one in meanings(owner):
        found = join_values(found, _picked(run, frame, state, one, index, expr))
    if found is None and index is not None and index[0] == ir.CONST:
        return _ambient.session_named(run, frame, state, str(index[1]), owner, expr)
    return found


def _picked(run: Run, frame: Frame, state: State, owner: Value, index: Expr, expr: Node) -> Value:
    if isinstance(owner, Kept):
        return owner
    is_const = index is not None and index[0] == ir.CONST
    if isinstance(owner, Table) and is_const and index is not None:
        return dict(owner.items).get(str(index[1]))
    if isinstance(owner, Tup) and is_const and index is not None and isinstance(index[1], int):
        return owner.items[index[1]] if index[1] < len(owner.items) else None
    if isinstance(owner, Many | Rows):
        is_slice = index is not None and index[0] == ir.PARTS
        return owner if is_slice else element(run, frame, state, owner, expr[3])
    entity = state.entity(owner)
    return owner if entity is not None and entity.source == "guess" else None


def _const(_run: Run, _frame: Frame, _state: State, expr: Node) -> Value:
    return Const(expr[1])


def _await(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    inner = expr[1]
    frame.waits += 1
    found = value(run, frame, state, inner)
    frame.waits -= 1
    _kinds.awaited(state, inner)
    return unwrapped(found)


def unwrapped(found: Value) -> Value:
    """Return what awaiting a value gives."""
    if isinstance(found, Pending):
        return found.result
    if isinstance(found, Alternatives):
        result: Value = None
        for one in found.options:
            result = join_values(result, unwrapped(one))
        return result
    return found


def _yield(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    found = value(run, frame, state, expr[1])
    if frame.yielded is None and frame.on_yield:
        frame.yielded = (state.copy(), found)
    return None


def _tuple(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    items: list[Value] = []
    for part in expr[1]:
        found = value(run, frame, state, part)
        items.append(found.item if isinstance(found, Many) and part[0] == ir.STAR else found)
    return Tup(tuple(items))


def _dict(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    items: list[tuple[str, Value]] = []
    for at, (key, part) in enumerate(zip(expr[1], expr[2], strict=True)):
        value(run, frame, state, key)
        found = value(run, frame, state, part)
        name = str(key[1]) if key is not None and key[0] == ir.CONST else f"*{at}"
        items.append((name, found))
    return Table(tuple(items))


def _comprehension(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    outer, outer_loops, outer_each = dict(state.env), frame.loops, frame.each
    for target, source, conditions in expr[2]:
        item = element(run, frame, state, value(run, frame, state, source), 0)
        if isinstance(item, Const):
            item = None
        _exec.loop(run, frame, item)
        _exec.assign(run, frame, state, target, item, 0)
        for condition in conditions:
            value(run, frame, state, condition)
    found = value(run, frame, state, expr[1])
    frame.loops, frame.each = outer_loops, outer_each
    state.env = outer
    if isinstance(found, Table) and len(found.items) == 1:
        found = found.items[0][1]
    return Many(found)


def _if_else(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    value(run, frame, state, expr[1])
    told = truth(run, frame, state, expr[1])
    if told is not None:
        return value(run, frame, state, expr[2] if told else expr[3])
    doubt = is_doubted(frame, state, expr[1])
    frame.conditions += 1
    frame.doubts += doubt
    yes = value(run, frame, state, expr[2])
    no = value(run, frame, state, expr[3])
    frame.conditions -= 1
    frame.doubts -= doubt
    return join_values(yes, no)


def _bool(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    found: Value = None
    doubts = frame.doubts
    for at, part in enumerate(expr[2]):
        frame.conditions += at > 0
        one = value(run, frame, state, part)
        frame.conditions -= at > 0
        found = one if expr[1] else join_values(found, one)
        told = truth(run, frame, state, part)
        if told is not None and told is not expr[1]:
            break
        frame.doubts += is_doubted(frame, state, part)
    frame.doubts = doubts
    return found


def _parts(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    found: Value = None
    for part in expr[1]:
        one = value(run, frame, state, part)
        found = join_values(found, one) if isinstance(one, Many | Tup) else found
    return found


def _is(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    value(run, frame, state, expr[1])
    value(run, frame, state, expr[2])
    return None


def _not(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    value(run, frame, state, expr[1])
    return None


def _lambda(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    return _nested.lambda_(run, frame, state, expr)


def _walrus(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    _kinds.tested(run, frame, state, expr[2])
    found = value(run, frame, state, expr[2])
    state.env[expr[1]] = found
    return found


def _star(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    return value(run, frame, state, expr[1])


_KINDS = {
    ir.NAME: _name,
    ir.ATTRIBUTE: _attribute,
    ir.ITEM: _item,
    ir.CONST: _const,
    ir.AWAIT: _await,
    ir.YIELD: _yield,
    ir.TUPLE: _tuple,
    ir.DICT: _dict,
    ir.COMPREHENSION: _comprehension,
    ir.IF_ELSE: _if_else,
    ir.BOOL: _bool,
    ir.PARTS: _parts,
    ir.IS: _is,
    ir.NOT: _not,
    ir.LAMBDA: _lambda,
    ir.WALRUS: _walrus,
    ir.STAR: _star,
}
