"""The sessions and entities that values hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.checker import _ir as ir
from sqla_safe.checker._values import Entity, FunctionRef, Instance, Scope, State, Value, refs_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._run import Run


def held_by(
    run: Run, state: State, args: list[Value], bound: Value
) -> tuple[frozenset[int], frozenset[int]]:
    """Return the sessions and the entities that a call is given."""
    scopes: set[int] = set()
    entities: set[int] = set()
    for value in args:
        for ref in refs_in(value):
            if isinstance(state.heap.get(ref.oid), Entity):
                entities.add(ref.oid)
            else:
                scopes |= scopes_of(state, ref)
    return frozenset(scopes), frozenset(entities)


def scopes_of(state: State, value: Value) -> set[int]:
    """Return the sessions that a value is or holds."""
    found: set[int] = set()
    if value is None:
        return found
    for ref in refs_in(value):
        thing = state.heap.get(ref.oid)
        if isinstance(thing, Scope):
            found.add(ref.oid)
        elif isinstance(thing, Instance):
            for _, part in thing.attributes:
                for inner in refs_in(part):
                    if isinstance(state.heap.get(inner.oid), Scope):
                        found.add(inner.oid)
    return found


def taken(run: Run, state: State, value: Value) -> list[Value]:
    """Return the sessions and entities that a function uses of the names around it.

    Objects that hold a session are left out: what is used of these is not known. So are entities
    that no session here has loaded.
    """
    if not isinstance(value, FunctionRef) or not value.closure:
        return []
    around: dict[str, Value] = value.closure
    own = {name for name, _, _ in value.of.params} | run.linked.assigned_names(value.of)
    names = [name for name in names_in(value.of.body) if name in around and name not in own]
    found = [around[name] for name in names if state.instance(around[name]) is None]
    return [value for value in found if not _is_of_nobody(state, value)]


def _is_of_nobody(state: State, value: Value) -> bool:
    entity = state.entity(value)
    return entity is not None and entity.scope is None


def taken_by_lambda(state: State, expr: Expr) -> list[Value]:
    """Return what a lambda takes with it of the names around it."""
    if expr is None or expr[0] != ir.LAMBDA:
        return []
    own = {name for name, _, _ in expr[1]}
    return [state.env[name] for name in names_in(expr[2]) if name in state.env and name not in own]


def names_in(node: Any) -> Iterator[str]:
    """Yield the names that code mentions, in order."""
    if ir.is_node(node):
        if len(node) == 3 and node[0] == ir.NAME:
            yield node[1]
        for part in node:
            yield from names_in(part)
