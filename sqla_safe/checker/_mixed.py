"""Sessions that get mixed up: entities of two, results of `merge` ignored, borrowed ones closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqla_safe.checker import _eval
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._given import Given
from sqla_safe.checker._index import Function, dotted
from sqla_safe.checker._run import Frame, Report, Trouble
from sqla_safe.checker._values import Const, Entity, Ref, Scope, State, Value, alternatives
from sqla_safe.checker._wording import entities_in, label_of, scope_behind
from sqla_safe.checker.findings import Fix

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqla_safe.checker._given import Given
    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Run
    from sqla_safe.checker._values import Thing
    from sqla_safe.checker.findings import Severity

_ENDING: Final = ("close", "clean", "teardown", "exit", "dispose", "release")
"""What a function is called that may close a session which it was given."""


def moved(
    run: Run, frame: Frame, state: State, ref: Ref, sessions: Collection[int], span: tuple[int, int]
) -> None:
    """Report an entity of one open session that is added to another, or deleted by it.

    Several sessions are given where it may be any of them.
    """
    entity = state.heap[ref.oid]
    assert isinstance(entity, Entity)
    if entity.source == "new" and entity.scope is None:
        _moved_with(run, frame, state, entity, sessions, span)
    if entity.scope is None or entity.scope in sessions or entity.is_detached or entity.is_free:
        return
    theirs = scope_behind(state, entity)
    is_sure = (
        theirs is not None
        and not theirs.is_closed
        and theirs.owner == "local"
        and entity.source in ("load", "child", "new")
        and all(_is_local(state.heap.get(session)) for session in sessions)
    )
    if is_sure:
        message = f"{label_of(entity)} belongs to another session that is still open"
        hint = "use one session for both, or `merge` it and go on with what `merge` returns"
        run.report(frame, Report(*span, "SQS051", "error", message, hint))
        if not frame.is_top:
            run.troubles.append(Trouble(ref.oid, "SQS051", "error", message, hint))


def _is_local(session: Thing | None) -> bool:
    return isinstance(session, Scope) and session.owner == "local"


def _moved_with(
    run: Run,
    frame: Frame,
    state: State,
    entity: Entity,
    sessions: Collection[int],
    span: tuple[int, int],
) -> None:
    """Report what a new entity brings along: `add` cascades to what it is related to."""
    for _, value in entity.related:
        for ref, other in entities_in(state, value):
            if other.source != "new":
                moved(run, frame, state, ref, sessions, span)


def linked(
    run: Run, frame: Frame, state: State, owner: Value, value: Value, span: tuple[int, int]
) -> None:
    """Report an entity that gets related to one of another session that is still open."""
    entity = state.entity(owner)
    if entity is None or entity.scope is None or entity.is_detached or entity.is_free:
        return
    for ref, _ in entities_in(state, value):
        moved(run, frame, state, ref, {entity.scope}, span)


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


def _is_held(state: State, value: Value, session: Value) -> bool:
    """Return whether a session holds what is merged: then `merge` gives it back."""
    entities = [state.entity(one) for one in alternatives(value)]
    held = [each for each in entities if each is not None]
    return bool(held) and all(_is_in(each, session) for each in held)


def _is_in(entity: Entity, session: Value) -> bool:
    is_gone = entity.is_detached or entity.is_free or entity.source not in ("load", "child", "new")
    return not is_gone and isinstance(session, Ref) and session.oid == entity.scope


def merge_ignored(run: Run, frame: Frame, state: State, call: Node) -> None:
    target = call[1]
    first = call[2][0] if call[2] else None
    if target is None or target[0] != ir.ATTRIBUTE or first is None or first[0] != ir.NAME:
        return
    owner = _eval.value(run, frame, state, target[1])
    value = state.env.get(first[1])
    if state.scope(owner) is None or frame.function is None or _is_held(state, value, owner):
        return
    uses = _uses_after(frame.function, first[1], call[4])
    if uses and not _is_told(run, state, value, owner, uses):
        message = f"the result of `merge()` is ignored, and `{first[1]}` stays detached"
        hint = f"write `{first[1]} = {dotted(target)}({first[1]})`"
        data = (
            ("line", ir.line_of(call[4])),
            ("column", ir.column_of(call[4])),
            ("name", first[1]),
        )
        fix = Fix("use-merge-result", data)
        is_sure = _is_returned(frame.function, first[1]) and not _may_be_in(state, value)
        severity: Severity = "error" if is_sure else "warning"
        report = Report(call[4], call[5], "SQS050", severity, message, hint, fix)
        run.report(frame, report)


def _may_be_in(state: State, value: Value) -> bool:
    """Return whether somebody hands in an entity, of this session for all that is known."""
    entities = [each for one in alternatives(value) if (each := state.entity(one)) is not None]
    return any(each.source == "param" and not each.is_detached for each in entities)


def _is_told(run: Run, state: State, value: Value, session: Value, uses: list[str]) -> bool:
    """Return whether a made object is only asked for what the code in sight has told it."""
    entities = [each for one in alternatives(value) if (each := state.entity(one)) is not None]
    made = [each for each in entities if not _is_in(each, session)]
    if not made or not all(each.source == "new" and each.scope is None for each in made):
        return False
    return all(_is_plain(run, each, name) for each in made for name in uses)


def _is_plain(run: Run, entity: Entity, name: str) -> bool:
    mapped = run.models.attribute(entity.cls, name)
    is_column = mapped is not None and mapped.kind == "column"
    return is_column and mapped is not None and not mapped.is_key


def _uses_after(function: Function, name: str, at: int) -> list[str]:
    """Return the attributes that are read of a name from some point on; "" is any other use."""
    nodes = nodes_of(function.body)
    again = _bound_again(function.body, name, at)
    used = [
        node
        for node in nodes
        if is_name(node, name)
        and node[2] > at + 4096
        and not any(first <= node[2] < last for first, last in again)
    ]
    read = [node for node in nodes if node[0] == ir.ATTRIBUTE and is_name(node[1], name)]
    written = {
        id(target)
        for node in nodes
        if node[0] in (ir.ASSIGN, ir.ANNOTATED, ir.AUGMENTED, ir.CALL)
        for target in (node[1] if node[0] == ir.ASSIGN else (node[1],))
    }
    plain = {node[1][2]: node[2] for node in read if id(node) not in written}
    return [plain.get(node[2], "") for node in used]


def _bound_again(block: Any, name: str, at: int) -> list[tuple[int, int]]:
    """Return where, after some point, a name stands for something else that its block binds."""
    found: list[tuple[int, int]] = []
    todo: list[Any] = [block]
    while todo:
        one = todo.pop()
        if not ir.is_node(one):
            continue
        todo.extend(one)
        for number, node in enumerate(one):
            if _binds(node, name) and node[3] > at:
                after = [each[2] for each in nodes_of(one[number:]) if is_name(each, name)]
                found.append((node[3], max(after) + 1))
    return found


def _binds(node: Any, name: str) -> bool:
    is_assignment = ir.is_node(node) and bool(node) and node[0] == ir.ASSIGN
    return is_assignment and any(is_name(target, name) for target in node[1])


def is_name(node: Any, name: str) -> bool:
    """Return whether an expression is a certain name."""
    return bool(node) and node[0] == ir.NAME and len(node) == 3 and node[1] == name


def _is_returned(function: Function, name: str) -> bool:
    returns = [node for node in nodes_of(function.body) if node[0] == ir.RETURN]
    return any(
        node[1] is not None and node[1][0] == ir.NAME and node[1][1] == name for node in returns
    )


def nodes_of(node: Any) -> list[Node]:
    """Return every statement and expression in some code."""
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
    if not [value for value in given.args if type(value) is Ref and state.scope(value) is not None]:
        return
    if frame.function is not None and frame.function.is_test:  # which may have made a double
        return
    kept = entities_in(state, found)
    scopes = {each.scope for _, each in kept if not each.is_weak}
    if kept and not scopes:  # only guessed at
        return
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
    name = (frame.function.name if frame.function is not None else "").lower()
    if not any(word in name for word in _ENDING):
        _closing(run, frame, dotted(target[1]), (given.start, given.end))


def _is_lent(frame: Frame, scope: Scope, written: Expr) -> bool:
    """Return whether a session is a parameter, or one that the constructor was given."""
    function = frame.function
    if function is None or function.is_generator or scope.owner not in ("param", "dependency"):
        return False
    if function.is_test:  # its fixtures are made for it
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
