"""Reaching objects from others, and giving them other numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from sqla_safe.checker._given import Given
from sqla_safe.checker._values import (
    Alternatives,
    Const,
    Entity,
    FunctionRef,
    Instance,
    Manager,
    Many,
    Method,
    Pending,
    Query,
    Ref,
    Rows,
    Table,
    Tup,
    Value,
)

if TYPE_CHECKING:
    from sqla_safe.checker._run import Run
    from sqla_safe.checker._values import Thing


def pruned(
    run: Run, heap: dict[int, Thing], before: dict[int, Thing], found: Value
) -> dict[int, Thing]:
    """Drop the objects of a call that nobody can get at any more."""
    if len(heap) == len(before):
        return heap
    roots: list[Value] = [found]
    for oid, thing in before.items():
        if heap.get(oid) is not thing:
            roots.append(Ref(oid))
    kept = reachable_from(heap, roots)
    return {
        oid: thing
        for oid, thing in heap.items()
        if oid in before or oid in kept or oid in run.known_keys
    }


def reachable_from(heap: dict[int, Thing], roots: list[Value]) -> frozenset[int]:
    """Return the objects that values lead to."""
    found: set[int] = set()
    todo: list[int] = []
    _take(todo, roots)
    while todo:
        oid = todo.pop()
        if oid in found or oid not in heap:
            continue
        found.add(oid)
        thing = heap[oid]
        if isinstance(thing, Entity):
            _take(todo, [value for _, value in thing.related])
            if thing.scope is not None:
                todo.append(thing.scope)
        elif isinstance(thing, Instance):
            _take(todo, [value for _, value in thing.attributes])
    return frozenset(found)


def _take(oids: list[int], values: list[Value]) -> None:
    for value in values:
        if type(value) is Ref:  # nearly always
            oids.append(value.oid)
        elif value is not None:
            oids += _oids(value)


def _oids(value: Value) -> list[int]:
    if value is None or isinstance(value, Const):
        return []
    if isinstance(value, Ref):
        return [value.oid]
    if isinstance(value, Many):
        return _oids(value.item)
    if isinstance(value, Tup):
        return [oid for item in value.items for oid in _oids(item)]
    if isinstance(value, Table):
        return [oid for _, item in value.items for oid in _oids(item)]
    if isinstance(value, Alternatives):
        return [oid for item in value.options for oid in _oids(item)]
    if isinstance(value, Pending):
        return [*_oids(value.result), *value.scopes, *value.entities]
    if isinstance(value, Rows):
        return _oids(value.query)
    if isinstance(value, Query):
        return [] if value.scope is None else [value.scope]
    if isinstance(value, FunctionRef):
        return _oids(value.bound)
    if isinstance(value, Method):
        return _oids(value.owner)
    if isinstance(value, Manager):
        given = value.args
        inner = given.all() if isinstance(given, Given) else []
        subject = value.subject
        is_value = isinstance(subject, Ref | FunctionRef)
        return [*(_oids(subject) if is_value else []), *[o for part in inner for o in _oids(part)]]
    return []


def renamed(value: Value, names: dict[int, int]) -> Value:
    """Return a value with the numbers of its objects changed."""
    if value is None or isinstance(value, Const):
        return value
    if isinstance(value, Ref):
        return Ref(names.get(value.oid, value.oid))
    if isinstance(value, Many):
        return Many(renamed(value.item, names))
    if isinstance(value, Tup):
        return Tup(tuple([renamed(item, names) for item in value.items]))
    if isinstance(value, Table):
        return Table(tuple([(key, renamed(item, names)) for key, item in value.items]))
    if isinstance(value, Alternatives):
        return Alternatives(tuple([renamed(item, names) for item in value.options]))
    if isinstance(value, Rows):
        query = renamed(value.query, names)
        return structs.replace(value, query=query) if isinstance(query, Query) else value
    if isinstance(value, Query):
        scope = None if value.scope is None else names.get(value.scope)
        return structs.replace(value, scope=scope)
    return _renamed_call(value, names)


def _renamed_call(value: Value, names: dict[int, int]) -> Value:
    if isinstance(value, Pending):
        scopes = frozenset([names.get(oid, oid) for oid in value.scopes])
        entities = frozenset([names.get(oid, oid) for oid in value.entities])
        return Pending(renamed(value.result, names), scopes, entities, value.called)
    if isinstance(value, FunctionRef):
        return structs.replace(value, bound=renamed(value.bound, names))
    if isinstance(value, Method):
        return Method(renamed(value.owner, names), value.name)
    if isinstance(value, Manager):
        given = value.args
        if isinstance(given, Given):
            args = [renamed(part, names) for part in given.args]
            words = {key: renamed(part, names) for key, part in given.keywords.items()}
            given = Given(args, words, given.start, given.end, given.expr)
        is_value = isinstance(value.subject, Ref | FunctionRef)
        subject = renamed(value.subject, names) if is_value else value.subject
        return Manager(value.kind, subject, given)
    return value


def renamed_thing(thing: Thing, names: dict[int, int]) -> Thing:
    """Return an object with the numbers of those it leads to changed."""
    if isinstance(thing, Entity):
        related = tuple([(key, renamed(value, names)) for key, value in thing.related])
        scope = None if thing.scope is None else names.get(thing.scope)
        return structs.replace(thing, scope=scope, related=related)
    if isinstance(thing, Instance):
        pairs = [(key, renamed(value, names)) for key, value in thing.attributes]
        return Instance(thing.cls, tuple(pairs))
    return thing
