"""The sessions and entities that values hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.checker._values import Entity, Instance, Scope, State, Value, refs_in

if TYPE_CHECKING:
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
