"""Entities and sessions that get away: stored, passed on, returned, captured, shared, moved."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from sqla_safe.checker import _ambient, _eval, _exec
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import Function, dotted, last_name
from sqla_safe.checker._names import last
from sqla_safe.checker._run import Frame, Report
from sqla_safe.checker._values import (
    Alternatives,
    Const,
    Entity,
    FunctionRef,
    Instance,
    Kept,
    Many,
    Method,
    ModuleRef,
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
from sqla_safe.checker.findings import Fix

if TYPE_CHECKING:
    from sqla_safe.checker._call import Given
    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Run
    from sqla_safe.checker.findings import Severity

_HARMLESS: Final = frozenset(
    (
        "len",
        "bool",
        "isinstance",
        "print",
        "str",
        "repr",
        "id",
        "list",
        "sorted",
        "enumerate",
        "zip",
        "iter",
        "next",
        "any",
        "all",
        "sum",
        "min",
        "max",
        "type",
        "hash",
        "tuple",
        "set",
        "dict",
        "merge",
        "add",
        "add_all",
        "refresh",
        "expunge",
        "delete",
        "append",
        "extend",
        "inspect",
        "snapshot",
        "asnapshot",
        "make_transient",
        "cast",
        "debug",
        "info",
        "warning",
        "error",
        "exception",
        "critical",
        "log",
        "getattr",
        "hasattr",
        "setattr",
        "update",
        "insert",
        "format",
        "filter",
        "map",
        "reversed",
        "gather",
        "create_task",
        "get",
        "isawaitable",
        "iscoroutine",
        "object_session",
        "write_back",
        "super",
        "range",
        "callable",
        "is_snapshot",
        "deepcopy",
    )
)
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
    )
)
_WAITED: Final = frozenset(("to_thread", "run_in_executor"))
_KEEPS: Final = frozenset(("update_data", "set_data"))
SPAWNING: Final = _TASKS | _LATER | _KEEPS | {"gather", "set", "put", "setex", "add", "store"}
_CACHE_NAME: Final = re.compile(r"(?i)cache|redis|memo")


def _entities(state: State, value: Value) -> list[tuple[Ref, Entity]]:
    found: list[tuple[Ref, Entity]] = []
    for ref in refs_in(value):
        thing = state.heap.get(ref.oid)
        if isinstance(thing, Entity):
            found.append((ref, thing))
    return found


def _severity(entity: Entity, scope: Scope | None) -> Severity:
    """Return how bad it is that an entity is used when its session has ended."""
    if entity.expired is not None:
        return "error" if entity.expired.is_sure else "warning"
    if entity.source == "guess" and scope is not None and scope.expires is not False:
        return "warning"
    return "info"


def _scope(state: State, entity: Entity) -> Scope | None:
    thing = state.heap.get(entity.scope) if entity.scope is not None else None
    return thing if isinstance(thing, Scope) else None


def _label(entity: Entity) -> str:
    cls = entity.cls
    if cls is None:
        return "an entity"
    return f"`{last(cls) if isinstance(cls, str) else cls.name}`"


# --- passed on and returned -------------------------------------------------------------


def passed(run: Run, frame: Frame, state: State, name: str, callee: Value, given: Given) -> None:
    """Report entities of a closed session that are passed on."""
    if (
        not run.has_ended
        or not frame.is_top
        or name in _HARMLESS
        or (isinstance(callee, Method) and name in _KEEPS)
    ):
        return
    if isinstance(callee, Method) and isinstance(callee.owner, Kept):
        return
    for value in given.all():
        for ref, entity in _entities(state, value):
            if not entity.is_detached or entity.is_free or entity.is_weak:
                continue
            severity = _severity(entity, _scope(state, entity))
            line = ir.line_of(entity.detached_at)
            message = (
                f"{_label(entity)} is passed to `{name}()`; its session was closed in line {line}"
            )
            hint = "pass a snapshot or plain values, or call it inside the block"
            report = Report(given.start, given.end, "SQS003", severity, message, hint)
            run.report(frame, report)
            del ref


def returned(run: Run, frame: Frame) -> None:
    """Report entities that a function returns out of the block that loaded them."""
    for state, value, start in frame.returned:
        for ref, entity in _entities(state, value):
            scope = _scope(state, entity)
            is_own = (
                scope is not None and scope.owner == "local" and entity.detached_at in run.own_ends
            )
            if not entity.is_detached or entity.is_free or not is_own or entity.source == "guess":
                continue
            severity = _severity(entity, scope)
            line = ir.line_of(entity.detached_at)
            message = f"{_label(entity)} is returned out of its session, closed in line {line}"
            hint = "return a snapshot or plain values, or let the caller open the session"
            end = start + len("return")
            run.report(frame, Report(start, end, "SQS003", severity, message, hint))
            del ref


# --- stored -------------------------------------------------------------------------------


def _expires(state: State, entity: Entity) -> bool:
    """Return whether the session of an entity is known to expire it with the next commit."""
    scope = _scope(state, entity)
    return scope is not None and scope.expires is True and not entity.is_detached


def stored(
    run: Run,
    frame: Frame,
    state: State,
    name: str,
    value: Value,
    start: int,
    end: int,
    *,
    lives_on: bool = False,
) -> None:
    """Report entities that are assigned to something that lives on."""
    for _, entity in _entities(state, value):
        if entity.is_free or entity.is_weak:
            continue
        is_sure = entity.expired is not None and entity.expired.is_sure
        severity: Severity = (
            "error" if is_sure or (lives_on and _expires(state, entity)) else "warning"
        )
        message = f"{_label(entity)} is stored in `{name}`, which outlives its session"
        hint = "store a snapshot, or the id and load the entity again"
        run.report(frame, Report(start, end, "SQS030", severity, message, hint))


def into_container(
    run: Run, frame: Frame, state: State, owner: Value, value: Value, start: int, end: int
) -> None:
    """Follow `container[key] = value`."""
    if isinstance(owner, Kept):
        stored(run, frame, state, owner.name, value, start, end, lives_on=True)
    elif isinstance(owner, ModuleRef):
        stored(run, frame, state, owner.of.parts[-1], value, start, end)


def on_instance(
    run: Run, frame: Frame, state: State, owner: Ref, name: str, value: Value, start: int, end: int
) -> None:
    """Follow `self.name = value`: entities of a session that this function opened and closes."""
    function = frame.function
    is_self = function is not None and function.cls is not None and function.name != "__init__"
    if not frame.is_top or not is_self or function is None:
        return
    if not function.params or state.env.get(function.params[0][0]) != owner:
        return
    for _, entity in _entities(state, value):
        scope = _scope(state, entity)
        if scope is not None and scope.owner == "local" and not entity.is_free:
            if entity.source == "guess":
                continue
            stored(run, frame, state, f"self.{name}", value, start, end)


def kept_method(
    run: Run, frame: Frame, state: State, owner: Kept, name: str, given: Given
) -> Value:
    """Call a method of a global dict, list or cache."""
    if name in (
        "append",
        "add",
        "setdefault",
        "update",
        "set",
        "put",
        "insert",
        "extend",
        "__setitem__",
    ):
        for value in given.all():
            stored(run, frame, state, owner.name, value, given.start, given.end)
    return owner if name in ("get", "setdefault", "pop", "copy", "values", "items") else None


def _kept_by_name(run: Run, frame: Frame, state: State, name: str, given: Given) -> None:
    """Follow `state.update_data(user=user)` and `cache.set(key, user)`."""
    target = given.expr[1]
    owner = last_name(target[1]) if target is not None and target[0] == ir.ATTRIBUTE else ""
    is_cache = name in ("set", "put", "setex", "add", "store") and _CACHE_NAME.search(owner)
    if name in _KEEPS or is_cache:
        for value in given.all():
            stored(run, frame, state, f"{owner}.{name}", value, given.start, given.end)


# --- captured by tasks --------------------------------------------------------------------


def spawned(
    run: Run, frame: Frame, state: State, name: str, callee: Value, given: Given
) -> tuple[bool, Value]:
    """Follow calls that start something which runs on its own."""
    assert name in SPAWNING
    _kept_by_name(run, frame, state, name, given)
    if name == "gather":
        _shared(run, frame, state, given.args, given)
        return True, Many(None)
    if name in _TASKS and given.args:
        return True, _task(run, frame, state, callee, given)
    if name in _WAITED and frame.waits:
        return True, None
    if name in _LATER and len(given.all()) > 0 and not isinstance(callee, FunctionRef):
        _later(run, frame, state, name, given)
        return True, None
    return False, None


def _task(run: Run, frame: Frame, state: State, callee: Value, given: Given) -> Value:
    started = given.args[0]
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
        _fire_and_forget(run, frame, state, value, inner)
    elif name == "merge":
        _merge_ignored(run, frame, state, inner)


def kept_task(run: Run, frame: Frame, state: State, expr: Expr, value: Value) -> None:
    """Report a task that is assigned to a name but never awaited here."""
    if frame.is_top and expr is not None and expr[0] == ir.CALL and last_name(expr[1]) in _TASKS:
        _fire_and_forget(run, frame, state, value, expr)


def _fire_and_forget(run: Run, frame: Frame, state: State, value: Value, call: Node) -> None:
    if not isinstance(value, Pending):
        return
    span = (call[4], call[5])
    for oid in value.entities:
        entity = state.heap.get(oid)
        if isinstance(entity, Entity) and not entity.is_free:
            _captured(run, frame, entity, "a task", span)
    direct = [oid for oid in value.scopes if _is_owned(state, oid)]
    if direct:
        message = f"the session is handed to the task `{value.called}()`, which may outlive it"
        hint = "open a session inside the task"
        run.report(frame, Report(*span, "SQS032", "error", message, hint))


def _is_owned(state: State, oid: int) -> bool:
    scope = state.heap.get(oid)
    return isinstance(scope, Scope) and scope.owner in ("local", "param", "dependency")


def _captured(
    run: Run, frame: Frame, entity: Entity, by: str, span: tuple[int, int], *, sure: bool = False
) -> None:
    severity: Severity = "error" if sure else "warning"
    message = f"{_label(entity)} is captured by {by}, which runs when its session may be closed"
    hint = "pass the id and load the entity again, or pass a snapshot"
    run.report(frame, Report(*span, "SQS031", severity, message, hint))


def _later(run: Run, frame: Frame, state: State, name: str, given: Given) -> None:
    """Follow `background_tasks.add_task(f, user)` and the like."""
    span = (given.start, given.end)
    for value in given.all():
        for ref, entity in _entities(state, value):
            if not entity.is_free and entity.source != "guess":
                _captured(run, frame, entity, f"`{name}`", span)
            del ref
        for oid in sorted({ref.oid for ref in refs_in(value)}):
            if _is_owned(state, oid) and frame.is_top:
                message = f"the session is handed to `{name}`, which runs when it may be closed"
                hint = "open a session inside the task"
                run.report(frame, Report(*span, "SQS032", "error", message, hint))


# --- shared by tasks ------------------------------------------------------------------------


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
            message = f"{scope.name!r} is used by several branches at once".replace("'", "`")
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


# --- nested functions -------------------------------------------------------------------------


def nested(run: Run, frame: Frame, state: State, node: Node) -> None:
    """Follow a function that is defined inside another one."""
    function = Function(node, frame.module)
    state.env[function.name] = FunctionRef(function, None, state.env)
    listener = _listener(function)
    if not frame.is_top:
        return
    key = (*frame.key, function.start)
    inner = Frame(function, frame.module, function.is_async, key, is_top=True)
    inner.closure = dict(state.env)
    local = State({}, dict(state.heap))
    if listener:
        for oid, thing in local.heap.items():
            if isinstance(thing, Entity):
                local.heap[oid] = thing._replace(is_free=True)
        _listens(run, frame, state, function, listener)
    _ambient.parameters(run, inner, local, function)
    _exec.block(run, inner, local, function.body)


def _listener(function: Function) -> str:
    for decorator in function.decorators:
        if (
            decorator is not None
            and last_name(decorator) == "listens_for"
            and decorator[0] == ir.CALL
        ):
            names = [part[1] for part in decorator[2] if part is not None and part[0] == ir.CONST]
            return str(names[0]) if names else ""
    return ""


def _listens(run: Run, frame: Frame, state: State, function: Function, event: str) -> None:
    """Report entities that an `after_commit` listener has captured, where it uses them."""
    if event not in (
        "after_commit",
        "after_rollback",
        "after_soft_rollback",
        "after_transaction_end",
    ):
        return
    own = {name for name, _, _ in function.params}
    bound: dict[str, Entity] = {}
    for name, value in state.env.items():
        for _, entity in _entities(state, value):
            if name not in own and not entity.is_free:
                bound.setdefault(name, entity)
    for statement in function.body:
        _uses_captured(run, frame, statement, dict(bound), event)


def _uses_captured(run: Run, frame: Frame, node: Any, bound: dict[str, Entity], event: str) -> None:
    if not _is_node(node):
        return
    if node and node[0] == ir.FOR and len(node) == 7:
        source = node[2]
        if source is not None and source[0] == ir.NAME and source[1] in bound:
            for name in _target_names(node[1]):
                bound[name] = bound[source[1]]
            for part in node[3]:
                _uses_captured(run, frame, part, bound, event)
            return
    is_call = len(node) == 6 and node[0] == ir.CALL
    if is_call:
        for part in (*node[2], *[value for _, value in node[3]]):
            if part is not None and part[0] == ir.NAME and part[1] in bound:
                span = (node[4], node[5])
                _captured(run, frame, bound[part[1]], f"an `{event}` listener", span, sure=True)
    is_read = len(node) == 5 and node[0] == ir.ATTRIBUTE
    if is_read and node[1] is not None and node[1][0] == ir.NAME and node[1][1] in bound:
        span = (node[3], node[4])
        _captured(run, frame, bound[node[1][1]], f"an `{event}` listener", span, sure=True)
    for part in node:
        _uses_captured(run, frame, part, bound, event)


def _target_names(target: Expr) -> list[str]:
    if target is None:
        return []
    if target[0] == ir.NAME:
        return [target[1]]
    return (
        [name for part in target[1] for name in _target_names(part)]
        if target[0] == ir.TUPLE
        else []
    )


def lambda_(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    """Follow a lambda as if it were called where it stands."""
    inner = dict(state.env)
    for name, _, _ in expr[1]:
        state.env[name] = None
    _eval.value(run, frame, state, expr[2])
    state.env = inner
    return None


# --- moved between sessions ---------------------------------------------------------------------


def moved(run: Run, frame: Frame, state: State, ref: Ref, session: Ref, given: Given) -> None:
    """Report an entity of one open session that is added to another."""
    entity = state.heap[ref.oid]
    assert isinstance(entity, Entity)
    if entity.scope in (None, session.oid) or entity.is_detached or entity.is_free:
        return
    ours, theirs = state.heap.get(session.oid), _scope(state, entity)
    is_sure = (
        isinstance(ours, Scope)
        and theirs is not None
        and ours.owner == "local" == theirs.owner
        and entity.source in ("load", "child", "new")
    )
    if is_sure:
        message = f"{_label(entity)} belongs to another session that is still open"
        hint = "use one session for both, or `merge` it and go on with what `merge` returns"
        run.report(frame, Report(given.start, given.end, "SQS051", "error", message, hint))


def refreshed(
    run: Run, frame: Frame, state: State, entity: Entity, session: Ref, given: Given
) -> None:
    """Report an entity that is refreshed by a session which does not know it."""
    if entity.scope in (None, session.oid) or entity.is_free or entity.source == "guess":
        return
    ours = state.heap.get(session.oid)
    theirs = _scope(state, entity)
    if isinstance(ours, Scope) and theirs is not None and ours.owner == "local" == theirs.owner:
        message = f"{_label(entity)} belongs to another session: `refresh` raises"
        hint = "`merge` it first and refresh what `merge` returns"
        run.report(frame, Report(given.start, given.end, "SQS051", "error", message, hint))


def _merge_ignored(run: Run, frame: Frame, state: State, call: Node) -> None:
    target = call[1]
    first = call[2][0] if call[2] else None
    if target is None or target[0] != ir.ATTRIBUTE or first is None or first[0] != ir.NAME:
        return
    owner = _eval.value(run, frame, state, target[1])
    if state.scope(owner) is None or frame.function is None:
        return
    if _is_used_after(frame.function, first[1], call[4]):
        message = f"the result of `merge()` is ignored, and `{first[1]}` stays detached"
        hint = f"write `{first[1]} = {dotted(target)}({first[1]})`"
        data = (
            ("line", ir.line_of(call[4])),
            ("column", ir.column_of(call[4])),
            ("name", first[1]),
        )
        fix = Fix("use-merge-result", data)
        is_returned = _is_returned(frame.function, first[1])
        severity: Severity = "error" if is_returned else "warning"
        report = Report(call[4], call[5], "SQS050", severity, message, hint, fix)
        run.report(frame, report)


def _is_used_after(function: Function, name: str, at: int) -> bool:
    return any(
        node[0] == ir.NAME and len(node) == 3 and node[1] == name and node[2] > at + 4096
        for node in _nodes(function.body)
    )


def _is_returned(function: Function, name: str) -> bool:
    returns = [node for node in _nodes(function.body) if node[0] == ir.RETURN]
    return any(
        node[1] is not None and node[1][0] == ir.NAME and node[1][1] == name for node in returns
    )


def _is_node(value: Any) -> TypeGuard[Node]:
    return isinstance(value, tuple)


def _nodes(node: Any) -> list[Node]:
    found: list[Node] = []
    todo: list[Any] = [node]
    while todo:
        one = todo.pop()
        if _is_node(one) and one:
            if isinstance(one[0], int):
                found.append(one)
            todo.extend(one)
    return found


def anonymous(run: Run, frame: Frame, state: State, name: str, given: Given, found: Value) -> None:
    """Report a session that is made in the arguments of a call, and kept by nobody after it."""
    if not frame.is_top or found is None or isinstance(found, Const):
        return
    if not any(state.scope(value) is not None for value in given.args):
        return
    scopes = {entity.scope for _, entity in _entities(state, found) if not entity.is_weak}
    for part, value in zip(given.expr[2], given.args, strict=False):
        scope = state.scope(value)
        if scope is None or part is None or part[0] != ir.CALL or not isinstance(value, Ref):
            continue
        if part[4] == scope.at and value.oid in run.touched:
            severity: Severity = "error" if value.oid in scopes else "warning"
            message = f"the session made for `{name}()` is kept by nobody, but its entities are"
            hint = "open it in a `with` block that lasts as long as its entities are used"
            run.report(frame, Report(part[4], part[5], "SQS051", severity, message, hint))


# --- borrowed sessions ---------------------------------------------------------------------------


def borrowed(
    run: Run, frame: Frame, state: State, manager: Value, context: Expr, node: Node
) -> None:
    """Report `with session:` on a session that was passed in."""
    scope = state.scope(manager)
    if scope is None or scope.owner != "param" or context is None or context[0] != ir.NAME:
        return
    if frame.conditions or not _is_parameter(frame, context[1]):
        return
    _closing(run, frame, context[1], (context[2], context[2] + len(context[1])))
    del node


def closed(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> None:
    """Report `session.close()` on a session that was passed in."""
    scope = state.heap.get(ref.oid)
    target = given.expr[1]
    if not isinstance(scope, Scope) or scope.owner != "param" or frame.conditions:
        return
    if target is None or target[0] != ir.ATTRIBUTE or target[1] is None:
        return
    if target[1][0] == ir.NAME and _is_parameter(frame, target[1][1]):
        name = frame.function.name if frame.function is not None else ""
        if not any(
            word in name.lower() for word in ("close", "clean", "teardown", "exit", "dispose")
        ):
            _closing(run, frame, target[1][1], (given.start, given.end))


def _is_parameter(frame: Frame, name: str) -> bool:
    function = frame.function
    if function is None or function.is_generator:
        return False
    return any(param == name and default is None for param, _, default in function.params)


def _closing(run: Run, frame: Frame, name: str, span: tuple[int, int]) -> None:
    message = f"`{name}` was passed in and is closed here: its owner goes on using it"
    run.report(frame, Report(*span, "SQS052", "warning", message, "leave closing to its owner"))
