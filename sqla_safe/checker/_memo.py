"""Calls are followed once for each shape of arguments, and replayed after that.

What a call does to the caller is little: a list of operations on the sessions, changes of the
objects that it was given, and new objects. So the first call is followed with nothing but its
arguments in sight, and later ones of the same shape, also from other functions and files, are
replayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from sqla_safe.checker import _follow, _objects, _swallowed
from sqla_safe.checker._given import Given
from sqla_safe.checker._index import last_name
from sqla_safe.checker._recording import Recording
from sqla_safe.checker._renaming import reachable_from, renamed, renamed_thing
from sqla_safe.checker._run import Frame, Operation, Trouble
from sqla_safe.checker._shapes import shapes_of
from sqla_safe.checker._swallowed import Doubt, Swallowed
from sqla_safe.checker._values import (
    Const,
    Entity,
    Expiry,
    FunctionRef,
    Instance,
    Ref,
    Scope,
    State,
    Tup,
    Value,
    refs_in,
)

if TYPE_CHECKING:
    from sqla_safe.checker._index import Class, Function
    from sqla_safe.checker._run import Run
    from sqla_safe.checker._values import Thing

_UNTOLD: Final = frozenset(("", "Any", "object"))


class Summary(Struct, frozen=True, eq=False):
    """What one call did."""

    found: Value
    heap: dict[int, Thing]
    inputs: tuple[int, ...]
    known: dict[int, Any]
    operations: tuple[tuple[Operation, int], ...]
    touched: frozenset[int]
    unsure: frozenset[int]
    troubles: tuple[Trouble, ...]
    swallowed: tuple[Swallowed, ...] = ()


def follow(run: Run, frame: Frame, state: State, ref: FunctionRef, given: Given) -> Value:
    """Follow a call, or replay what is known of it."""
    inputs: list[int] = []
    shape = shapes_of(state, (ref.bound, *given.args, *given.keywords.values()), inputs)
    if shape is None or ref.closure is not None:
        return _follow.follow(run, frame, state, ref, given)
    key = (ref.of, tuple(given.keywords), len(given.args), frame.is_async, shape)
    summary = run.linked.memory.known(run, key)
    if summary is None:
        recording = Recording(run)
        summary = _summarise(run, frame, state, ref, given, tuple(inputs))
        run.linked.memory.keep(run, recording, key, summary, ref.of)
    return _replayed(run, frame, state, given, summary, tuple(inputs))


def _summarise(
    run: Run, frame: Frame, state: State, ref: FunctionRef, given: Given, inputs: tuple[int, ...]
) -> Summary:
    inner = Frame(ref.of, ref.of.module, ref.of.is_async or frame.is_async, (ref.of.start,))
    local = State({}, {oid: state.heap[oid] for oid in inputs})
    probes = {oid: -oid for oid in inputs if isinstance(local.heap[oid], Scope)}
    for oid, probe in probes.items():
        local.heap[probe] = Entity(None, oid, "load", 0)
    local.env = _follow.bind(run, inner, local, ref, given)
    inner.fixed = _follow.fixed(run, ref.of, local.env)
    bound = local.env.copy()
    local.env[_follow.ARGUMENTS] = Tup((ref.bound, *given.all()))
    outer = run.log, run.touched, run.unsure
    run.log, run.touched, run.unsure = None, set(), set()
    seen = len(run.troubles)
    found, joined = _follow.run_body(run, inner, local, ref.of)
    new = [each for each in run.troubles[seen:] if each.oid in inputs]
    troubles = tuple(of_callers(new, state.heap, ref.of, bound)) if new else ()
    del run.troubles[seen:]
    heap = joined.heap if joined is not None else {}
    operations = [each for oid, probe in probes.items() for each in _happened(heap.get(probe), oid)]
    swallowed = _swallowed_by(inner, heap, probes, inputs)
    heap = settled(heap, {oid: state.heap[oid] for oid in inputs})
    changed = [oid for oid in inputs if heap.get(oid) is not state.heap[oid]]
    kept = reachable_from(heap, [found, *[Ref(oid) for oid in changed]])
    in_sight = kept.union(inputs)
    summary = Summary(
        found,
        {oid: heap[oid] for oid in kept if oid not in inputs or oid in changed},
        inputs,
        _known(run, kept, inputs),
        tuple(operations),
        in_sight.intersection(run.touched),
        in_sight.intersection(run.unsure),
        troubles,
        swallowed,
    )
    run.log, run.touched, run.unsure = outer
    return summary


def _known(run: Run, kept: frozenset[int], inputs: tuple[int, ...]) -> dict[int, Any]:
    """Return the keys of those objects that are found by name, the oldest first."""
    if not run.known_keys:
        return {}
    found = [oid for oid in kept if oid in run.known_keys and oid not in inputs]
    return {oid: run.known_keys[oid] for oid in sorted(found)}


def of_callers(
    troubles: list[Trouble], before: dict[int, Thing], function: Function, env: dict[str, Value]
) -> list[Trouble]:
    """Return the troubles that are the callers' fault: not what the function itself has expired.

    It is looked at by itself as well, where it says what its arguments are.
    """
    if not troubles or not any(note is not None for _, note, _ in function.params):
        return troubles
    untold = _untold(function, env)
    found: list[Trouble] = []
    for each in troubles:
        old = before.get(each.oid)
        was = old.expired if isinstance(old, Entity) else None
        if each.expired is None or each.expired == was or each.oid in untold:
            found.append(each)
    return found


def _untold(function: Function, env: dict[str, Value]) -> frozenset[int]:
    """Return the arguments of which a function does not say what they are."""
    params = function.params if function.cls is None else function.params[1:]
    names = [name for name, note, _ in params if last_name(note) in _UNTOLD]
    return frozenset([ref.oid for name in names for ref in refs_in(env.get(name))])


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


def _swallowed_by(
    frame: Frame, heap: dict[int, Thing], probes: dict[int, int], inputs: tuple[int, ...]
) -> tuple[Swallowed, ...]:
    """Return the sessions that were rolled back on some of the ways that return."""
    found: list[Swallowed] = []
    for oid, probe in probes.items():
        expired = _rolled_back(heap.get(probe))
        if expired is None or expired.is_certain:
            continue
        ways = [(way, value) for way, value, _ in frame.returned]
        ways += [(frame.fell, Const(None))] if frame.fell is not None else []
        told = [
            each
            for way, value in ways
            if _rolled_back(way.heap.get(probe)) is not None
            for each in _swallowed.outcomes(way, (value,))
        ]
        spared = [
            each
            for each in inputs
            if isinstance(heap.get(each), Entity) and _rolled_back(heap[each]) is None
        ]
        found.append(Swallowed(oid, tuple(dict.fromkeys(told)), frozenset(spared)))
    return tuple(found)


def _rolled_back(probe: Thing | None) -> Expiry | None:
    expired = probe.expired if isinstance(probe, Entity) else None
    return expired if expired is not None and expired.by in ("rollback", "call") else None


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
    doubts = [_doubt(state, each, names, given) for each in summary.swallowed]
    for operation, oid in summary.operations:
        run.apply(state, operation, names[oid], given.start)
    for oid, thing in summary.heap.items():
        new = names[oid]
        if oid in summary.inputs:
            _changed(state, new, renamed_thing(thing, names))
        elif new not in state.heap or oid not in summary.known:
            state.heap[new] = renamed_thing(thing, names)
    for oid in summary.touched:
        run.touch(state, names[oid], busy=oid in summary.inputs and _is_busy(summary, oid))
    if summary.unsure:
        run.unsure |= {names[oid] for oid in summary.unsure}
    if summary.troubles:
        run.troubles += [replace(each, oid=names[each.oid]) for each in summary.troubles]
    run.doubts += doubts
    return renamed(summary.found, names)


def _doubt(state: State, swallowed: Swallowed, names: dict[int, int], given: Given) -> Doubt:
    """Return what a swallowed rollback may have done to the entities of a caller."""
    expiry = Expiry("call", given.start, is_sure=False, is_certain=False)
    spared = {names[oid] for oid in swallowed.spared}
    oids = _swallowed.in_doubt(state, names[swallowed.scope]) - spared
    return Doubt(expiry, oids, swallowed.outcomes)


def _names(
    run: Run, frame: Frame, given: Given, summary: Summary, inputs: tuple[int, ...]
) -> dict[int, int]:
    """Return what the objects of a summary are called here."""
    names = dict(zip(summary.inputs, inputs, strict=True))
    for oid in summary.heap:
        if oid not in names and oid not in summary.known:
            names[oid] = run.oid(frame, given.start, (summary, oid))
    for oid in summary.known:
        key = tuple([names.get(p, p) if type(p) is int else p for p in summary.known[oid]])
        names[oid] = run.known(key).oid
    return names


def _changed(state: State, oid: int, thing: Thing) -> None:
    """Take over what a call has done to one of its arguments."""
    before = state.heap.get(oid)
    if isinstance(thing, Instance):
        state.heap[oid] = thing
    elif isinstance(thing, Entity) and isinstance(before, Entity):
        state.heap[oid] = replace(thing, at=before.at, is_here=before.is_here)
    elif isinstance(thing, Scope) and isinstance(before, Scope):
        has_committed = thing.has_committed or before.has_committed
        state.heap[oid] = replace(before, is_busy=thing.is_busy, has_committed=has_committed)


def _is_busy(summary: Summary, oid: int) -> bool:
    thing = summary.heap.get(oid)
    return isinstance(thing, Scope) and thing.is_busy


def made_self(run: Run, frame: Frame, state: State, ref: Ref, cls: Class, init: Function) -> None:
    """Run the constructor of a `self` that nobody in sight has made; once for each class."""
    key = ("self", cls, frame.is_async)
    summary = run.linked.memory.known(run, key)
    if summary is None:
        recording = Recording(run)
        local = State({}, {ref.oid: Instance(cls)})
        outer = Frame(None, init.module, frame.is_async)
        _objects.construct(run, outer, local, ref, init)
        kept = reachable_from(local.heap, [ref])
        known = _known(run, kept, (ref.oid,))
        heap = {oid: local.heap[oid] for oid in kept}
        nothing: frozenset[int] = frozenset()
        summary = Summary(ref, heap, (ref.oid,), known, (), nothing, nothing, ())
        run.linked.memory.keep(run, recording, key, summary, init)
    given = Given([], {}, init.start, init.start, (0, None, (), (), init.start, init.start))
    _replayed(run, frame, state, given, summary, (ref.oid,))
