"""Calls are followed once for each shape of arguments, and replayed after that.

What a call does to the caller is little: a list of operations on the sessions, changes of the
objects that it was given, and new objects. So the first call is followed with nothing but its
arguments in sight, and later ones of the same shape, also from other functions and files, are
replayed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from sqla_safe.checker import _call, _objects
from sqla_safe.checker._run import Frame, Operation, Trouble
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
    Manager,
    Many,
    Method,
    ModuleRef,
    Pending,
    Query,
    Ref,
    Rows,
    Scope,
    State,
    Table,
    Tup,
    Value,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqla_safe.checker._call import Given
    from sqla_safe.checker._index import Class, Function
    from sqla_safe.checker._run import Run
    from sqla_safe.checker._values import Thing


@dataclass(frozen=True, slots=True)
class Summary:
    """What one call did."""

    found: Value
    heap: dict[int, Thing]
    inputs: tuple[int, ...]
    known: dict[int, Any]
    operations: tuple[tuple[Operation, int], ...]
    touched: frozenset[int]
    unsure: frozenset[int]
    troubles: tuple[Trouble, ...]


def follow(run: Run, frame: Frame, state: State, ref: FunctionRef, given: Given) -> Value:
    """Follow a call, or replay what is known of it."""
    inputs: list[int] = []
    shape = _shape(state, (ref.bound, *given.args, *given.keywords.values()), inputs)
    if shape is None or ref.closure is not None:
        return _call.follow(run, frame, state, ref, given)
    key = (ref.of, tuple(given.keywords), len(given.args), frame.is_async, shape)
    summary = run.linked.summaries.get(key)
    if summary is None:
        summary = _summarise(run, frame, state, ref, given, tuple(inputs))
        if not run.is_spent:
            run.linked.summaries[key] = summary
    return _replayed(run, frame, state, given, summary, tuple(inputs))


def _summarise(
    run: Run, frame: Frame, state: State, ref: FunctionRef, given: Given, inputs: tuple[int, ...]
) -> Summary:
    inner = Frame(ref.of, ref.of.module, ref.of.is_async or frame.is_async, (ref.of.start,))
    local = State({}, {oid: state.heap[oid] for oid in inputs})
    probes = {oid: -oid for oid in inputs if isinstance(local.heap[oid], Scope)}
    for oid, probe in probes.items():
        local.heap[probe] = Entity(None, oid, "load", 0)
    local.env = _call.bind(run, inner, local, ref, given)
    inner.fixed = _call.fixed(run, ref.of, local.env)
    outer = run.log, run.touched, run.unsure
    run.log, run.touched, run.unsure = None, set(), set()
    seen = len(run.troubles)
    found, joined = _call.run_body(run, inner, local, ref.of)
    new = [each for each in run.troubles[seen:] if each.oid in inputs]
    troubles = tuple(of_callers(new, state.heap, ref.of))
    del run.troubles[seen:]
    heap = joined.heap if joined is not None else {}
    operations = [each for oid, probe in probes.items() for each in _happened(heap.get(probe), oid)]
    heap = settled(heap, {})
    changed = [oid for oid in inputs if heap.get(oid) is not state.heap[oid]]
    kept = _reachable(heap, [found, *[Ref(oid) for oid in changed]])
    summary = Summary(
        found,
        {oid: heap[oid] for oid in kept if oid not in inputs or oid in changed},
        inputs,
        {oid: run.known_keys[oid] for oid in kept if oid in run.known_keys and oid not in inputs},
        tuple(operations),
        frozenset(run.touched) & (kept | frozenset(inputs)),
        frozenset(run.unsure) & (kept | frozenset(inputs)),
        troubles,
    )
    run.log, run.touched, run.unsure = outer
    return summary


def of_callers(
    troubles: list[Trouble], before: dict[int, Thing], function: Function
) -> list[Trouble]:
    """Return the troubles that are the callers' fault: not what the function itself has expired.

    It is looked at by itself as well, where it says what its arguments are.
    """
    if not any(note is not None for _, note, _ in function.params):
        return troubles
    found: list[Trouble] = []
    for each in troubles:
        old = before.get(each.oid)
        was = old.expired if isinstance(old, Entity) else None
        if each.expired is None or each.expired == was:
            found.append(each)
    return found


def _happened(probe: Thing | None, oid: int) -> list[tuple[Operation, int]]:
    """Return what certainly happened to the entities of a session, as one that was there tells."""
    found: list[tuple[Operation, int]] = []
    if not isinstance(probe, Entity):
        return found
    expired = probe.expired
    if expired is not None and expired.is_certain and expired.by in ("commit", "rollback"):
        found.append(("commit" if expired.by == "commit" else "rollback", oid))
    if probe.is_free:
        found.append(("expunge", oid))
    if probe.is_detached:
        found.append(("close", oid))
    return found


def settled(heap: dict[int, Thing], before: dict[int, Thing]) -> dict[int, Thing]:
    """Forget what a call may have expired on some of its ways only: its own `except` branches."""
    for oid, thing in heap.items():
        if not isinstance(thing, Entity) or thing.expired is None or thing.expired.is_certain:
            continue
        old = before.get(oid)
        if isinstance(old, Entity):
            if old.expired != thing.expired:
                heap[oid] = thing._replace(expired=old.expired, back=old.back)
        else:
            heap[oid] = thing._replace(expired=None)
    return heap


def _replayed(
    run: Run, frame: Frame, state: State, given: Given, summary: Summary, inputs: tuple[int, ...]
) -> Value:
    names = _names(run, frame, given, summary, inputs)
    for operation, oid in summary.operations:
        run.apply(state, operation, names[oid], given.start)
    for oid, thing in summary.heap.items():
        new = names[oid]
        if oid not in summary.inputs and not (oid in summary.known and new in state.heap):
            state.heap[new] = _renamed_thing(thing, names)
        elif oid in summary.inputs:
            _changed(state, new, _renamed_thing(thing, names))
    for oid in summary.touched:
        run.touch(state, names[oid], busy=oid in summary.inputs and _is_busy(summary, oid))
    run.unsure |= {names[oid] for oid in summary.unsure}
    run.troubles += [replace(each, oid=names[each.oid]) for each in summary.troubles]
    return _renamed(summary.found, names)


def _names(
    run: Run, frame: Frame, given: Given, summary: Summary, inputs: tuple[int, ...]
) -> dict[int, int]:
    """Return what the objects of a summary are called here."""
    names = dict(zip(summary.inputs, inputs, strict=True))
    for oid in summary.heap:
        if oid not in names and oid not in summary.known:
            names[oid] = run.oid(frame, given.start, f"memo {oid}")
    for oid in sorted(summary.known):
        key = tuple([names.get(p, p) if type(p) is int else p for p in summary.known[oid]])
        names[oid] = run.known(key).oid
    return names


def _changed(state: State, oid: int, thing: Thing) -> None:
    """Take over what a call has done to one of its arguments."""
    before = state.heap.get(oid)
    if isinstance(thing, Instance):
        state.heap[oid] = thing
    elif isinstance(thing, Entity) and isinstance(before, Entity):
        changed = thing._replace(at=before.at, is_here=before.is_here)
        if thing.expired is None and not thing.is_free:
            changed = changed._replace(expired=before.expired, back=before.back | thing.back)
        state.heap[oid] = changed
    elif isinstance(thing, Scope) and isinstance(before, Scope):
        has_committed = thing.has_committed or before.has_committed
        state.heap[oid] = before._replace(is_busy=thing.is_busy, has_committed=has_committed)


def _is_busy(summary: Summary, oid: int) -> bool:
    thing = summary.heap.get(oid)
    return isinstance(thing, Scope) and thing.is_busy


def made_self(run: Run, frame: Frame, state: State, ref: Ref, cls: Class, init: Function) -> None:
    """Run the constructor of a `self` that nobody in sight has made; once for each class."""
    key = ("self", cls, frame.is_async)
    summary = run.linked.summaries.get(key)
    if summary is None:
        local = State({}, {ref.oid: Instance(cls)})
        _objects.construct(run, replace(frame, key=(), is_top=False), local, ref, init)
        kept = _reachable(local.heap, [ref])
        known = {
            oid: run.known_keys[oid] for oid in kept if oid in run.known_keys and oid != ref.oid
        }
        heap = {oid: local.heap[oid] for oid in kept}
        nothing: frozenset[int] = frozenset()
        summary = Summary(ref, heap, (ref.oid,), known, (), nothing, nothing, ())
        run.linked.summaries[key] = summary
    given = _call.Given([], {}, init.start, init.start, (0, None, (), (), init.start, init.start))
    _replayed(run, frame, state, given, summary, (ref.oid,))


# --- shapes ------------------------------------------------------------------------------


def _shape(state: State, values: Iterable[Value], inputs: list[int]) -> Any:
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
        is_word = isinstance(value.value, str | bool) or value.value is None
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
    return _shape(state, value.items, inputs)


def _shape_of_table(state: State, value: Table, inputs: list[int]) -> Any:
    inner = _shape(state, [item for _, item in value.items], inputs)
    names = tuple([name for name, _ in value.items])
    return None if inner is None else ("table", names, inner)


def _shape_of_alternatives(state: State, value: Alternatives, inputs: list[int]) -> Any:
    inner = _shape(state, value.options, inputs)
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
        inner = _shape(state, [value for _, value in thing.attributes], inputs)
        names = tuple([name for name, _ in thing.attributes])
        return None if inner is None else ("instance", thing.cls, names, inner)
    return _shape_of_entity(state, thing, inputs) if isinstance(thing, Entity) else None


def _shape_of_entity(state: State, entity: Entity, inputs: list[int]) -> Any:
    scope = None if entity.scope is None else _shape_of_object(state, entity.scope, inputs)
    related = _shape(state, [value for _, value in entity.related], inputs)
    if related is None:
        return None
    names = tuple([name for name, _ in entity.related])
    return (
        "entity",
        entity._replace(at=0, is_here=False, scope=None, related=()),
        scope,
        names,
        related,
    )


# --- reaching and renaming -----------------------------------------------------------------


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
    kept = _reachable(heap, roots)
    return {
        oid: thing
        for oid, thing in heap.items()
        if oid in before or oid in kept or oid in run.known_keys
    }


def _reachable(heap: dict[int, Thing], roots: list[Value]) -> frozenset[int]:
    found: set[int] = set()
    todo: list[int] = [oid for value in roots for oid in _oids(value)]
    while todo:
        oid = todo.pop()
        if oid in found or oid not in heap:
            continue
        found.add(oid)
        thing = heap[oid]
        if isinstance(thing, Entity):
            todo += [part for _, value in thing.related for part in _oids(value)]
            if thing.scope is not None:
                todo.append(thing.scope)
        elif isinstance(thing, Instance):
            todo += [part for _, value in thing.attributes for part in _oids(value)]
    return frozenset(found)


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
        inner = given.all() if isinstance(given, _call.Given) else []
        subject = value.subject
        is_value = isinstance(subject, Ref | FunctionRef)
        return [*(_oids(subject) if is_value else []), *[o for part in inner for o in _oids(part)]]
    return []


def _renamed(value: Value, names: dict[int, int]) -> Value:
    if value is None or isinstance(value, Const):
        return value
    if isinstance(value, Ref):
        return Ref(names.get(value.oid, value.oid))
    if isinstance(value, Many):
        return Many(_renamed(value.item, names))
    if isinstance(value, Tup):
        return Tup(tuple([_renamed(item, names) for item in value.items]))
    if isinstance(value, Table):
        return Table(tuple([(key, _renamed(item, names)) for key, item in value.items]))
    if isinstance(value, Alternatives):
        return Alternatives(tuple([_renamed(item, names) for item in value.options]))
    if isinstance(value, Rows):
        query = _renamed(value.query, names)
        return structs.replace(value, query=query) if isinstance(query, Query) else value
    if isinstance(value, Query):
        scope = None if value.scope is None else names.get(value.scope)
        return structs.replace(value, scope=scope)
    return _renamed_call(value, names)


def _renamed_call(value: Value, names: dict[int, int]) -> Value:
    if isinstance(value, Pending):
        scopes = frozenset([names.get(oid, oid) for oid in value.scopes])
        entities = frozenset([names.get(oid, oid) for oid in value.entities])
        return Pending(_renamed(value.result, names), scopes, entities, value.called)
    if isinstance(value, FunctionRef):
        return replace(value, bound=_renamed(value.bound, names))
    if isinstance(value, Method):
        return Method(_renamed(value.owner, names), value.name)
    if isinstance(value, Manager):
        given = value.args
        if isinstance(given, _call.Given):
            args = [_renamed(part, names) for part in given.args]
            words = {key: _renamed(part, names) for key, part in given.keywords.items()}
            given = _call.Given(args, words, given.start, given.end, given.expr)
        is_value = isinstance(value.subject, Ref | FunctionRef)
        subject = _renamed(value.subject, names) if is_value else value.subject
        return Manager(value.kind, subject, given)
    return value


def _renamed_thing(thing: Thing, names: dict[int, int]) -> Thing:
    if isinstance(thing, Entity):
        related = tuple([(key, _renamed(value, names)) for key, value in thing.related])
        scope = None if thing.scope is None else names.get(thing.scope)
        return thing._replace(scope=scope, related=related)
    if isinstance(thing, Instance):
        pairs = [(key, _renamed(value, names)) for key, value in thing.attributes]
        return thing._replace(attributes=tuple(pairs))
    return thing
