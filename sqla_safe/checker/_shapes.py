"""Arguments without the identity of their objects: calls of one shape are followed once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from sqla_safe.checker._values import (
    Alternatives,
    ClassAttribute,
    ClassRef,
    Const,
    Entity,
    External,
    FunctionRef,
    Instance,
    Kept,
    Loader,
    Maker,
    Many,
    Method,
    ModuleRef,
    Pending,
    Ref,
    Scope,
    State,
    Table,
    Tup,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def shapes_of(state: State, values: Iterable[Value], inputs: list[int]) -> Any:
    """Return the arguments without the identity of their objects; None when there are odd ones."""
    parts: list[Any] = []
    for value in values:
        part = _shape_of(state, value, inputs)
        if part is None:
            return None
        parts.append(part)
    return tuple(parts)


def _shape_of(state: State, value: Value, inputs: list[int]) -> Any:
    if isinstance(value, Ref):
        return _shape_of_object(state, value.oid, inputs)
    if isinstance(value, Const):
        is_word = value.value is None or isinstance(value.value, _WORDS)
        return ("const", value.value) if is_word else _UNKNOWN
    if value is None:
        return _UNKNOWN
    if type(value) in _WITHOUT_OBJECTS:
        return value
    shape = _SHAPES.get(type(value))
    return None if shape is None else shape(state, value, inputs)


def _shape_of_many(state: State, value: Many, inputs: list[int]) -> Any:
    inner = _shape_of(state, value.item, inputs)
    return None if inner is None else ("many", inner)


def _shape_of_tuple(state: State, value: Tup, inputs: list[int]) -> Any:
    return shapes_of(state, value.items, inputs)


def _shape_of_table(state: State, value: Table, inputs: list[int]) -> Any:
    inner = shapes_of(state, [item for _, item in value.items], inputs)
    names = tuple([name for name, _ in value.items])
    return None if inner is None else ("table", names, inner)


def _shape_of_alternatives(state: State, value: Alternatives, inputs: list[int]) -> Any:
    inner = shapes_of(state, value.options, inputs)
    return None if inner is None else ("or", inner)


def _shape_of_pending(state: State, value: Pending, inputs: list[int]) -> Any:
    return _shape_of(state, value.result, inputs)


def _shape_of_function(state: State, value: FunctionRef, inputs: list[int]) -> Any:
    inner = None if value.closure is not None else _shape_of(state, value.bound, inputs)
    return None if inner is None else ("function", value.of, inner)


def _shape_of_method(state: State, value: Method, inputs: list[int]) -> Any:
    inner = _shape_of(state, value.owner, inputs)
    return None if inner is None else ("method", value.name, inner)


_UNKNOWN: Final = ("?",)
_WORDS: Final = (str, bool)


_WITHOUT_OBJECTS: Final = frozenset(
    (ClassRef, ClassAttribute, External, Maker, Kept, Loader, ModuleRef)
)


_SHAPES: Final[dict[type, Callable[[State, Any, list[int]], Any]]] = {
    Many: _shape_of_many,
    Tup: _shape_of_tuple,
    Table: _shape_of_table,
    Alternatives: _shape_of_alternatives,
    Pending: _shape_of_pending,
    FunctionRef: _shape_of_function,
    Method: _shape_of_method,
}


def _shape_of_object(state: State, oid: int, inputs: list[int]) -> Any:
    if oid in inputs:
        return ("same", inputs.index(oid))
    thing = state.heap.get(oid)
    inputs.append(oid)
    if isinstance(thing, Scope):
        return ("scope", thing.is_async, thing.expires, thing.is_closed, thing.is_busy, thing.owner)
    if isinstance(thing, Instance):
        inner = shapes_of(state, [value for _, value in thing.attributes], inputs)
        names = tuple([name for name, _ in thing.attributes])
        return None if inner is None else ("instance", thing.cls, names, inner)
    return _shape_of_entity(state, thing, inputs) if isinstance(thing, Entity) else None


def _shape_of_entity(state: State, entity: Entity, inputs: list[int]) -> Any:
    scope = None if entity.scope is None else _shape_of_object(state, entity.scope, inputs)
    related = shapes_of(state, [value for _, value in entity.related], inputs)
    if related is None:
        return None
    names = tuple([name for name, _ in entity.related])
    return (
        "entity",
        replace(entity, at=0, is_here=False, scope=None, related=()),
        scope,
        names,
        related,
    )
