"""Entities and sessions that get into tasks, threads and background jobs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqla_safe.checker import _branches, _escape, _eval, _mixed
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._given import Given
from sqla_safe.checker._holding import scopes_of, taken, taken_by_lambda
from sqla_safe.checker._index import bound_in, dotted, last_name
from sqla_safe.checker._run import Frame, Report
from sqla_safe.checker._values import (
    Alternatives,
    Entity,
    External,
    FunctionRef,
    Instance,
    Many,
    Method,
    Pending,
    Ref,
    Scope,
    State,
    Tup,
    Value,
    alternatives,
    join_values,
    refs_in,
)
from sqla_safe.checker._wording import entities_in, label_of

if TYPE_CHECKING:
    from sqla_safe.checker._given import Given
    from sqla_safe.checker._index import Function
    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Run
    from sqla_safe.checker.findings import Severity


_TASKS: Final = frozenset(("create_task", "ensure_future", "run_coroutine_threadsafe", "spawn"))


_LATER: Final = frozenset(
    (
        "add_task",
        "submit",
        "to_thread",
        "run_in_executor",
        "call_later",
        "call_soon",
        "add_job",
        "call_soon_threadsafe",
        "delay",
        "apply_async",
        "send_task",
        "start_soon",
        "Thread",
        "Timer",
        "kiq",
        "enqueue",
        "enqueue_job",
    )
)


_LISTENING: Final = frozenset(
    ("register", "listen", "add_listener", "subscribe", "connect", "add_done_callback")
)
"""What calls a function later; other values that these are given are no functions."""


_QUEUES: Final = ("queue", "pool", "executor", "scheduler", "broker", "redis", "arq")
_POOLS: Final = frozenset(("ThreadPoolExecutor", "ProcessPoolExecutor"))
_PARTS_OF_WITH: Final = 5


_WAITED: Final = frozenset(("to_thread", "run_in_executor"))


_TOGETHER: Final = frozenset(("gather", "as_completed", "wait"))


KEEPS: Final = frozenset(("update_data", "set_data"))


SPAWNING: Final = (
    _TASKS | _LATER | KEEPS | _TOGETHER | _LISTENING | {"set", "put", "setex", "add", "store"}
)


_CACHE_NAME: Final = re.compile(r"(?i)cache|redis|memo")


def _kept_by_name(run: Run, frame: Frame, state: State, name: str, given: Given) -> None:
    """Follow `state.update_data(user=user)` and `cache.set(key, user)`."""
    target = given.expr[1]
    owner = last_name(target[1]) if target is not None and target[0] == ir.ATTRIBUTE else ""
    is_cache = name in ("set", "put", "setex", "add", "store") and _CACHE_NAME.search(owner)
    if name in KEEPS or is_cache:
        for value in given.all():
            _escape.stored(run, frame, state, f"{owner}.{name}", value, given.start, given.end)


def spawned(
    run: Run, frame: Frame, state: State, name: str, callee: Value, given: Given
) -> tuple[bool, Value]:
    """Follow calls that start something which runs on its own."""
    assert name in SPAWNING
    _kept_by_name(run, frame, state, name, given)
    if name in _TOGETHER and (name == "gather" or isinstance(callee, External)):
        _shared(run, frame, state, _branches.given(run, frame, state, given), given)
        return True, Many(None)
    if name in _TASKS and given.args:
        return True, _task(run, frame, state, callee, given)
    group = _group(state, callee)
    if name == "start_soon" and group is not None and given.args:
        started = _branches.started(run, state, given)
        _in_group(run, frame, state, group, started, given)
        if frame.is_top:
            _fire_and_forget(run, frame, state, started, given.expr, group)
        return True, None
    if name in _WAITED and frame.waits:
        return True, None
    if name in _LATER and len(given.all()) > 0 and not isinstance(callee, FunctionRef):
        _later(run, frame, state, name, given)
        return True, None
    if name in _LISTENING and not isinstance(callee, FunctionRef):
        _listening(run, frame, state, name, given)
    return False, None


def _listening(run: Run, frame: Frame, state: State, name: str, given: Given) -> None:
    """Report entities that a function takes with it which is called later: `register(f)`."""
    functions = [value for value in given.all() if isinstance(value, FunctionRef)]
    held = [part for value in functions for part in taken(run, state, value)]
    for part in given.expr[2]:
        held += taken_by_lambda(state, part)
    for value in held:
        for _, entity in entities_in(state, value):
            if not entity.is_free and entity.source != "guess":
                captured(run, frame, entity, f"`{name}`", given.span)


def _task(run: Run, frame: Frame, state: State, callee: Value, given: Given) -> Value:
    started = _branches.given(run, frame, state, given)[0]
    group = _group(state, callee)
    if group is not None:
        return _in_group(run, frame, state, group, started, given)
    return started


def _group(state: State, callee: Value) -> Ref | None:
    if isinstance(callee, Method) and isinstance(callee.owner, Ref):
        thing = state.heap.get(callee.owner.oid)
        if isinstance(thing, Instance) and thing.cls == "TaskGroup":
            return callee.owner
    return None


def _in_group(
    run: Run, frame: Frame, state: State, group: Ref, started: Value, given: Given
) -> Value:
    thing = state.heap[group.oid]
    assert isinstance(thing, Instance)
    before = thing.get("started")
    _shared(run, frame, state, [before, started], given)
    state.heap[group.oid] = thing.with_("started", Tup((before, started)))
    return started


def dropped(run: Run, frame: Frame, state: State, expr: Expr, value: Value) -> None:
    """Report what a statement that ignores its value has lost: a task's coroutine, a merge."""
    if not frame.is_top or expr is None:
        return
    inner = expr[1] if expr[0] == ir.AWAIT else expr
    if inner is None or inner[0] != ir.CALL:
        return
    name = last_name(inner[1])
    if name in _TASKS and expr[0] != ir.AWAIT:
        _fire_and_forget(run, frame, state, value, inner, _group_of(run, frame, state, inner))
    elif name == "merge":
        _mixed.merge_ignored(run, frame, state, inner)


def kept(run: Run, frame: Frame, state: State, node: Node, value: Value) -> None:
    """Report a task that is kept from being collected, and not awaited here."""
    target, call = node[1][0], node[2]
    if call is None or call[0] != ir.CALL or last_name(call[1]) not in _TASKS:
        return
    if target is not None and target[0] == ir.ATTRIBUTE and frame.function is not None:
        _kept_by_object(run, frame, state, target, call, value)
    is_name = len(node[1]) == 1 and target is not None and target[0] == ir.NAME
    if not is_name or target is None or frame.function is None:
        return
    if _is_left(frame.function, target[1], node[3]):
        group = _group_of(run, frame, state, call)
        _fire_and_forget(run, frame, state, value, call, group)


def _kept_by_object(
    run: Run, frame: Frame, state: State, target: Node, call: Node, value: Value
) -> None:
    """Report what a task is given that an object keeps: `self._task = create_task(work(session))`.

    What the object itself holds lives as long as it does.
    """
    work = call[2][0] if call[2] else None
    if work is None or work[0] != ir.CALL or not isinstance(value, Pending):
        return
    assert frame.function is not None
    waited = [node[1] for node in _mixed.nodes_of(frame.function.body) if node[0] == ir.AWAIT]
    if any(one is not None and dotted(one) == dotted(target) for one in waited):
        return
    parts = [*work[2], *[part for _, part in work[3]]]
    names = [part[1] for part in parts if part is not None and part[0] == ir.NAME]
    given = {ref.oid for name in names for ref in refs_in(state.env.get(name))}
    scopes, entities = value.scopes & given, value.entities & given
    started = Pending(value.result, scopes, entities, value.called)
    _fire_and_forget(run, frame, state, started, call, None)


def handed(run: Run, frame: Frame, state: State, callee: Value, given: Given) -> None:
    """Report a coroutine that is given to a function which starts a task of it."""
    if not isinstance(callee, FunctionRef) or _TASKS.isdisjoint(callee.of.called):
        return
    if frame.waits and not callee.of.is_async:  # `await as_future(work(session))`
        return
    started = {
        node[2][0][1]
        for node in _mixed.nodes_of(callee.of.body)
        if node[0] == ir.CALL
        and last_name(node[1]) in _TASKS
        and node[2]
        and node[2][0] is not None
        and node[2][0][0] == ir.NAME
    }
    names = [name for name, _, _ in callee.of.params][callee.bound is not None :]
    for name, value in (*zip(names, given.args, strict=False), *given.keywords.items()):
        if name in started:
            _fire_and_forget(run, frame, state, value, given.expr, None)


def _is_left(function: Function, name: str, at: int) -> bool:
    """Return whether a task is only given a callback, or put among those of somebody else."""
    nodes = [node for node in _mixed.nodes_of(function.body) if node[0] in (ir.NAME, ir.CALL)]
    used = [node for node in nodes if _mixed.is_name(node, name) and node[2] > at]
    own = frozenset(bound_in(function.body))
    harmless = {id(part) for node in nodes if node[0] == ir.CALL for part in _left_by(node, own)}
    return all(id(node) in harmless for node in used)


def _left_by(call: Node, own: frozenset[str]) -> list[Expr]:
    """Return the parts of a call that it does not wait for."""
    target = call[1]
    if target is None or target[0] != ir.ATTRIBUTE:
        return []
    if target[2] in ("add_done_callback", "set_name"):
        return [target[1]]
    owner = target[1]
    is_own = owner is not None and owner[0] == ir.NAME and owner[1] in own
    return list(call[2]) if target[2] in ("add", "append") and not is_own else []


def _group_of(run: Run, frame: Frame, state: State, call: Node) -> Ref | None:
    """Return the task group that a call starts a task in: its block waits for the task."""
    target = call[1]
    if target is None or target[0] != ir.ATTRIBUTE:
        return None
    return _group(state, Method(_eval.value(run, frame, state, target[1]), target[2]))


def _outlives(group: Ref | None, scope: int | None) -> bool:
    """Return whether a session may end before a task does: it was opened within the group."""
    return group is None or (scope is not None and scope > group.oid)


def _fire_and_forget(
    run: Run, frame: Frame, state: State, value: Value, call: Node, group: Ref | None
) -> None:
    if not isinstance(value, Pending):
        return
    span = (call[4], call[5])
    for oid in value.entities:
        entity = state.heap.get(oid)
        is_caught = isinstance(entity, Entity) and not entity.is_free
        if is_caught and isinstance(entity, Entity) and _outlives(group, entity.scope):
            captured(run, frame, entity, "a task", span)
    direct = [oid for oid in value.scopes if _is_owned(state, oid) and _outlives(group, oid)]
    if direct:
        task = f"the task `{value.called}()`" if value.called else "a task"
        message = f"the session is handed to {task}, which may outlive it"
        hint = "open a session inside the task"
        run.report(frame, Report(*span, "SQS032", "error", message, hint))


def _is_owned(state: State, oid: int) -> bool:
    scope = state.heap.get(oid)
    return isinstance(scope, Scope) and scope.owner in ("local", "param", "dependency")


def captured(
    run: Run, frame: Frame, entity: Entity, by: str, span: tuple[int, int], *, sure: bool = False
) -> None:
    severity: Severity = "error" if sure else "warning"
    message = f"{label_of(entity)} is captured by {by}, which runs when its session may be closed"
    hint = "pass the id and load the entity again, or pass a snapshot"
    run.report(frame, Report(*span, "SQS031", severity, message, hint))


def _later(run: Run, frame: Frame, state: State, name: str, given: Given) -> None:
    """Follow `background_tasks.add_task(f, user)` and the like."""
    span = (given.start, given.end)
    waits = _pool_of(frame, given) if name == "submit" else None
    is_own = name in run.linked.queueing and not _is_of_queue(given)
    for value in _handed(run, frame, state, given):
        for ref, entity in entities_in(state, value):
            is_safe = is_own or (waits is not None and _lives_on(state, entity, waits))
            if not entity.is_free and entity.source != "guess" and not is_safe:
                captured(run, frame, entity, f"`{name}`", span)
            del ref
        for oid in sorted(scopes_of(state, value)):
            if _is_owned(state, oid) and frame.is_top:
                message = f"the session is handed to `{name}`, which runs when it may be closed"
                hint = "open a session inside the task"
                run.report(frame, Report(*span, "SQS032", "error", message, hint))


def _is_of_queue(given: Given) -> bool:
    """Return whether a method is one of something called like a queue of jobs."""
    target = given.expr[1]
    owner = target[1] if target is not None and target[0] == ir.ATTRIBUTE else None
    return last_name(owner).lower().endswith(_QUEUES)


def _pool_of(frame: Frame, given: Given) -> Node | None:
    """Return the `with` whose end waits for what is submitted: `with ThreadPoolExecutor() as pool`.

    A method call on the name that it binds is looked for in the function that is followed.
    """
    target = given.expr[1]
    owner = target[1] if target is not None and target[0] == ir.ATTRIBUTE else None
    if owner is None or owner[0] != ir.NAME or frame.function is None:
        return None
    for node in _mixed.nodes_of(frame.function.body):
        items = node[1] if node[0] == ir.WITH and len(node) == _PARTS_OF_WITH else ()
        for context, bound in items:
            is_call = context is not None and context[0] == ir.CALL
            is_pool = is_call and context is not None and last_name(context[1]) in _POOLS
            if is_pool and _mixed.is_name(bound, owner[1]) and _is_within(given.expr, node[2]):
                return node
    return None


def _is_within(call: Node, block: Node) -> bool:
    return any(node is call for node in _mixed.nodes_of(block))


def _lives_on(state: State, entity: Entity, block: Node) -> bool:
    """Return whether the session of an entity was there before a block, and is so after it."""
    scope = state.heap.get(entity.scope) if entity.scope is not None else None
    return not isinstance(scope, Scope) or scope.owner != "local" or scope.at < block[4]


def _is_self(frame: Frame, state: State, value: Value) -> bool:
    """Return whether a value is the object whose method is being looked at."""
    function = frame.function
    if function is None or function.cls is None or not function.params:
        return False
    return state.env.get(function.params[0][0]) == value


def _handed(run: Run, frame: Frame, state: State, given: Given) -> list[Value]:
    """Return what a call is given, with what its functions and lambdas take with them."""
    found = given.all()
    for value in given.all():
        found += taken(run, state, value)
        if isinstance(value, FunctionRef) and not _is_self(frame, state, value.bound):
            found.append(value.bound)
    for part in given.expr[2]:
        found += taken_by_lambda(state, part)
    return found


def grown(old: Value, added: Value, *, is_loop: bool) -> Value:
    """Return a list with one more element; coroutines are kept apart, to be counted."""
    if isinstance(added, Pending) and not is_loop:
        items = old.items if isinstance(old, Tup) else ()
        return Tup((*items, added))
    inner = old.item if isinstance(old, Many) else None
    if isinstance(old, Tup):
        for item in old.items:
            inner = join_values(inner, item)
    return Many(join_values(inner, added))


def _shared(run: Run, frame: Frame, state: State, branches: list[Value], given: Given) -> None:
    """Report a session that several branches use at once."""
    counts: dict[int, int] = {}
    for branch in branches:
        for oid, count in _uses(branch).items():
            counts[oid] = counts.get(oid, 0) + count
    for oid, count in counts.items():
        scope = state.heap.get(oid)
        if count > 1 and isinstance(scope, Scope):
            is_ours = scope.name == "the scope"  # of `scoped_services`, where no name is written
            who = "the session of the scope" if is_ours else f"`{scope.name}`"
            message = f"{who} is used by several branches at once"
            hint = "await them one after the other, or open a session in each"
            is_sure = oid not in run.unsure and scope.is_async is not False
            severity: Severity = "error" if is_sure else "warning"
            report = Report(given.start, given.end, "SQS040", severity, message, hint)
            run.report(frame, report)


def _uses(branch: Value) -> dict[int, int]:
    counts: dict[int, int] = {}
    if isinstance(branch, Pending):
        return dict.fromkeys(branch.scopes, 1)
    if isinstance(branch, Alternatives):
        for one in branch.options:
            for oid, count in _uses(one).items():
                counts[oid] = max(counts.get(oid, 0), count)
        return counts
    if isinstance(branch, Many):
        return {oid: 2 for one in alternatives(branch.item) for oid in _uses(one)}
    if isinstance(branch, Tup):
        for item in branch.items:
            for oid, count in _uses(item).items():
                counts[oid] = counts.get(oid, 0) + count
    return counts
