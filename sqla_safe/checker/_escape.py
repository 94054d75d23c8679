"""Entities and sessions that get away: stored, passed on, returned, captured, shared, moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqla_safe.checker import _eval, _mixed, _tasks
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._given import Given
from sqla_safe.checker._holding import scopes_of
from sqla_safe.checker._index import last_name
from sqla_safe.checker._run import Frame, Report
from sqla_safe.checker._values import (
    Entity,
    FunctionRef,
    Kept,
    Method,
    ModuleRef,
    Ref,
    Rows,
    State,
    Value,
)
from sqla_safe.checker._wording import entities_in, label_of, scope_behind, severity_of

if TYPE_CHECKING:
    from sqla_safe.checker._given import Given
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


_ADDING: Final = frozenset(("add", "add_all", "merge"))

# --- passed on and returned -------------------------------------------------------------


def passed(run: Run, frame: Frame, state: State, name: str, callee: Value, given: Given) -> None:
    """Report entities of a closed session that are passed on."""
    if (
        not run.has_ended
        or not frame.is_top
        or name in _HARMLESS
        or (isinstance(callee, Method) and name in _tasks.KEEPS)
    ):
        return
    if isinstance(callee, Method) and isinstance(callee.owner, Kept):
        return
    back = _taken_back(callee, given)
    for value in given.all():
        for ref, entity in entities_in(state, value) if value not in back else ():
            if not entity.is_detached or entity.is_free or entity.is_weak:
                continue
            severity = severity_of(entity)
            line = ir.line_of(entity.detached_at)
            message = (
                f"{label_of(entity)} is passed to `{name}()`; its session was closed in line {line}"
            )
            hint = "pass a snapshot or plain values, or call it inside the block"
            report = Report(given.start, given.end, "SQS003", severity, message, hint)
            run.report(frame, report)
            del ref


def _taken_back(callee: Value, given: Given) -> list[Value]:
    """Return the arguments that a function of the project adds to its own session again."""
    if not isinstance(callee, FunctionRef) or _ADDING.isdisjoint(callee.of.called):
        return []
    added = {
        part[1]
        for node in _mixed.nodes_of(callee.of.body)
        if node[0] == ir.CALL and last_name(node[1]) in _ADDING
        for part in node[2]
        if part is not None and part[0] == ir.NAME
    }
    names = [name for name, _, _ in callee.of.params][callee.bound is not None :]
    pairs = (*zip(names, given.args, strict=False), *given.keywords.items())
    return [value for name, value in pairs if name in added and value is not None]


def returned(run: Run, frame: Frame) -> None:
    """Report entities that a function returns out of the block that loaded them."""
    for state, value, start in frame.returned:
        held = _eval.element(run, frame, state, value, start) if isinstance(value, Rows) else value
        for ref, entity in entities_in(state, held):
            scope = scope_behind(state, entity)
            is_own = (
                scope is not None and scope.owner == "local" and entity.detached_at in run.own_ends
            )
            if not entity.is_detached or entity.is_free or not is_own or entity.source == "guess":
                continue
            severity = severity_of(entity)
            line = ir.line_of(entity.detached_at)
            message = f"{label_of(entity)} is returned out of its session, closed in line {line}"
            hint = "return a snapshot or plain values, or let the caller open the session"
            end = start + len("return")
            run.report(frame, Report(start, end, "SQS003", severity, message, hint))
            del ref


# --- stored -------------------------------------------------------------------------------


def _expires(state: State, entity: Entity) -> bool:
    """Return whether the session of an entity is known to expire it with the next commit."""
    scope = scope_behind(state, entity)
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
    for _, entity in entities_in(state, value):
        if entity.is_free or entity.is_weak:
            continue
        is_sure = entity.expired is not None and entity.expired.is_sure
        severity: Severity = (
            "error" if is_sure or (lives_on and _expires(state, entity)) else "warning"
        )
        message = f"{label_of(entity)} is stored in `{name}`, which outlives its session"
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
    """Follow `self.name = value`: entities of a session that this function opened and closes.

    Where the object keeps the session too, they live as long as each other.
    """
    function = frame.function
    is_self = function is not None and function.cls is not None and function.name != "__init__"
    if not frame.is_top or not is_self or function is None:
        return
    if not function.params or state.env.get(function.params[0][0]) != owner:
        return
    beside = scopes_of(state, owner)
    for _, entity in entities_in(state, value):
        scope = scope_behind(state, entity)
        if scope is not None and scope.owner == "local" and not entity.is_free:
            if entity.source == "guess" or entity.scope in beside:
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
