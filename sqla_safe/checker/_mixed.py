"""Sessions that get mixed up: entities of two, results of `merge` ignored, borrowed ones closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.checker import _eval
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._given import Given
from sqla_safe.checker._index import Function, dotted
from sqla_safe.checker._run import Frame, Report, Trouble
from sqla_safe.checker._values import Const, Entity, Ref, Scope, State, Value
from sqla_safe.checker._wording import entities_in, label_of, scope_behind
from sqla_safe.checker.findings import Fix

if TYPE_CHECKING:
    from sqla_safe.checker._given import Given
    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Run
    from sqla_safe.checker.findings import Severity


def moved(
    run: Run, frame: Frame, state: State, ref: Ref, session: int, span: tuple[int, int]
) -> None:
    """Report an entity of one open session that is added to another, or deleted by it."""
    entity = state.heap[ref.oid]
    assert isinstance(entity, Entity)
    if entity.source == "new" and entity.scope is None:
        _moved_with(run, frame, state, entity, session, span)
    if entity.scope in (None, session) or entity.is_detached or entity.is_free:
        return
    ours, theirs = state.heap.get(session), scope_behind(state, entity)
    is_sure = (
        isinstance(ours, Scope)
        and theirs is not None
        and not theirs.is_closed
        and ours.owner == "local" == theirs.owner
        and entity.source in ("load", "child", "new")
    )
    if is_sure:
        message = f"{label_of(entity)} belongs to another session that is still open"
        hint = "use one session for both, or `merge` it and go on with what `merge` returns"
        run.report(frame, Report(*span, "SQS051", "error", message, hint))
        if not frame.is_top:
            run.troubles.append(Trouble(ref.oid, "SQS051", "error", message, hint))


def _moved_with(
    run: Run, frame: Frame, state: State, entity: Entity, session: int, span: tuple[int, int]
) -> None:
    """Report what a new entity brings along: `add` cascades to what it is related to."""
    for _, value in entity.related:
        for ref, other in entities_in(state, value):
            if other.source != "new":
                moved(run, frame, state, ref, session, span)


def linked(
    run: Run, frame: Frame, state: State, owner: Value, value: Value, span: tuple[int, int]
) -> None:
    """Report an entity that gets related to one of another session that is still open."""
    entity = state.entity(owner)
    if entity is None or entity.scope is None or entity.is_detached or entity.is_free:
        return
    for ref, _ in entities_in(state, value):
        moved(run, frame, state, ref, entity.scope, span)


def refreshed(
    run: Run, frame: Frame, state: State, entity: Entity, session: Ref, given: Given
) -> None:
    """Report an entity that is refreshed by a session which does not know it."""
    if entity.scope in (None, session.oid) or entity.is_free or entity.source == "guess":
        return
    ours = state.heap.get(session.oid)
    theirs = scope_behind(state, entity)
    if isinstance(ours, Scope) and theirs is not None and ours.owner == "local" == theirs.owner:
        message = f"{label_of(entity)} belongs to another session: `refresh` raises"
        hint = "`merge` it first and refresh what `merge` returns"
        run.report(frame, Report(given.start, given.end, "SQS051", "error", message, hint))


def _is_held(state: State, name: str, session: Value) -> bool:
    """Return whether a session has loaded what a name stands for: then `merge` gives it back."""
    entity = state.entity(state.env.get(name))
    if entity is None or entity.source not in ("load", "child") or entity.is_detached:
        return False
    return isinstance(session, Ref) and session.oid == entity.scope


def merge_ignored(run: Run, frame: Frame, state: State, call: Node) -> None:
    target = call[1]
    first = call[2][0] if call[2] else None
    if target is None or target[0] != ir.ATTRIBUTE or first is None or first[0] != ir.NAME:
        return
    owner = _eval.value(run, frame, state, target[1])
    if state.scope(owner) is None or frame.function is None or _is_held(state, first[1], owner):
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


def _nodes(node: Any) -> list[Node]:
    found: list[Node] = []
    todo: list[Any] = [node]
    while todo:
        one = todo.pop()
        if ir.is_node(one) and one:
            if isinstance(one[0], int):
                found.append(one)
            todo.extend(one)
    return found


def anonymous(run: Run, frame: Frame, state: State, name: str, given: Given, found: Value) -> None:
    """Report a session that is made in the arguments of a call, and kept by nobody after it."""
    if not frame.is_top or found is None or isinstance(found, Const) or "context" in name:
        return
    if not any(state.scope(value) is not None for value in given.args):
        return
    scopes = {entity.scope for _, entity in entities_in(state, found) if not entity.is_weak}
    for part, value in zip(given.expr[2], given.args, strict=False):
        scope = state.scope(value)
        if scope is None or part is None or part[0] != ir.CALL or not isinstance(value, Ref):
            continue
        if part[4] == scope.at and value.oid in run.touched:
            severity: Severity = "error" if value.oid in scopes else "warning"
            message = f"the session made for `{name}()` is kept by nobody, but its entities are"
            hint = "open it in a `with` block that lasts as long as its entities are used"
            run.report(frame, Report(part[4], part[5], "SQS051", severity, message, hint))


def borrowed(
    run: Run, frame: Frame, state: State, manager: Value, context: Expr, node: Node
) -> None:
    """Report `with session:` on a session that was passed in."""
    scope = state.scope(manager)
    if not isinstance(scope, Scope) or frame.conditions or not _is_lent(frame, scope, context):
        return
    name = dotted(context)
    start = context[2] if context is not None and context[0] == ir.NAME else node[4]
    _closing(run, frame, name, (start, start + len(name)))


def closed(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> None:
    """Report `session.close()` on a session that was passed in."""
    scope = state.heap.get(ref.oid)
    target = given.expr[1]
    if not isinstance(scope, Scope) or frame.conditions:
        return
    if target is None or target[0] != ir.ATTRIBUTE or not _is_lent(frame, scope, target[1]):
        return
    name = frame.function.name if frame.function is not None else ""
    if not any(word in name.lower() for word in ("close", "clean", "teardown", "exit", "dispose")):
        _closing(run, frame, dotted(target[1]), (given.start, given.end))


def _is_lent(frame: Frame, scope: Scope, written: Expr) -> bool:
    """Return whether a session is a parameter, or one that the constructor was given."""
    function = frame.function
    if function is None or function.is_generator or scope.owner not in ("param", "dependency"):
        return False
    if written is not None and written[0] == ir.NAME:
        return _is_parameter(function, written[1], scope)
    is_own = function.cls is not None and function.params and written is not None
    return bool(is_own) and dotted(written).startswith(f"{function.params[0][0]}.")


def _is_parameter(function: Function, name: str, scope: Scope) -> bool:
    """Return whether a name is a parameter that nobody makes a session for when it is missing."""
    return any(
        param == name and (default is None or scope.owner == "dependency")
        for param, _, default in function.params
    )


def _closing(run: Run, frame: Frame, name: str, span: tuple[int, int]) -> None:
    message = f"`{name}` was passed in and is closed here: its owner goes on using it"
    run.report(frame, Report(*span, "SQS052", "warning", message, "leave closing to its owner"))
