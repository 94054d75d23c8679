"""Objects that nobody in sight has made: a `self`, and its attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.checker import _ambient, _exec
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import Class, Function
from sqla_safe.checker._relevance import SEEDS
from sqla_safe.checker._run import Frame
from sqla_safe.checker._values import Ref, State, Value, join

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._run import Run


def construct(run: Run, frame: Frame, state: State, ref: Ref, init: Function) -> None:
    """Run the constructor of a `self` that nobody in sight has made."""
    inner = Frame(init, init.module, frame.is_async, (*frame.key, init.start))
    local = State({}, state.heap)
    if run.is_running(init):
        return
    run.stack.append(init)
    instance = state.heap[ref.oid]
    _ambient.parameters(run, inner, local, init)
    local.heap[ref.oid] = instance
    local.env[init.params[0][0] if init.params else "self"] = ref
    after = _exec.block(run, inner, local, init.body)
    run.stack.pop()
    for way, _, _ in inner.returned:
        after = join(after, way)
    if after is not None:
        state.heap = after.heap


def attribute_value(
    run: Run, frame: Frame, state: State, owner: Ref, cls: Class, name: str
) -> Value:
    """Return an attribute of an object that no code in sight has set."""
    value = run.linked.notes.class_value(cls, name)
    if value is not None:
        return value
    found = run.names.class_attribute(cls, name)
    if found is not None and found[1].annotation is not None:
        inner = Frame(None, found[0].module, frame.is_async, (-1, owner.oid))
        return _ambient.annotated(run, inner, state, found[1].annotation, 0, name, None)
    return _assigned_value(run, cls, name)


def _assigned_value(run: Run, cls: Class, name: str) -> Value:
    for each in run.names.mro(cls):
        if isinstance(each, Class):
            found = _assignments(run, each).get(name)
            if found is not None and found[1] is not None and found[1][0] == ir.CALL:
                return run.names.maker(each.module, found[1], name)
    return None


def _assignments(run: Run, cls: Class) -> dict[str, tuple[Function, Expr]]:
    if cls not in run.linked.assigned:
        found: dict[str, tuple[Function, Expr]] = {}
        for method in cls.methods.values():
            if SEEDS.isdisjoint(method.called):
                continue
            for node in _flat(method.body):
                for target in node[1]:
                    if target is not None and target[0] == ir.ATTRIBUTE:
                        found[target[2]] = (method, node[2])
        run.linked.assigned[cls] = found
    return run.linked.assigned[cls]


def _flat(block: ir.Block) -> list[ir.Node]:
    from sqla_safe.checker._index import flat

    return [node for node in flat(block) if node[0] == ir.ASSIGN]
