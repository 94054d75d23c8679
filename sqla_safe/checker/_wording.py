"""What messages say of entities, and how bad a finding is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.checker._names import last
from sqla_safe.checker._values import Entity, Ref, Scope, State, Value, refs_in

if TYPE_CHECKING:
    from sqla_safe.checker.findings import Severity


def entities_in(state: State, value: Value) -> list[tuple[Ref, Entity]]:
    """Return the entities that a value holds, with their references."""
    found: list[tuple[Ref, Entity]] = []
    for ref in refs_in(value):
        thing = state.heap.get(ref.oid)
        if isinstance(thing, Entity):
            found.append((ref, thing))
    return found


def severity_of(entity: Entity) -> Severity:
    """Return how bad it is that an entity is used when its session has ended."""
    if entity.expired is not None:
        return "error" if entity.expired.is_sure else "warning"
    return "info"


def scope_behind(state: State, entity: Entity) -> Scope | None:
    """Return the session of an entity."""
    thing = state.heap.get(entity.scope) if entity.scope is not None else None
    return thing if isinstance(thing, Scope) else None


def label_of(entity: Entity) -> str:
    """Return what messages call an entity."""
    cls = entity.cls
    if cls is None:
        return "an entity"
    return f"`{last(cls) if isinstance(cls, str) else cls.name}`"
