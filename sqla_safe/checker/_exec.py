"""Statements: how a state goes through a block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.checker import (
    _escape,
    _eval,
    _kinds,
    _manage,
    _mixed,
    _nested,
    _read,
    _swallowed,
    _tasks,
)
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import last_name
from sqla_safe.checker._run import TooLongError
from sqla_safe.checker._values import (
    Const,
    Entity,
    Many,
    State,
    Table,
    Tup,
    Value,
    alternatives,
    join,
    join_values,
    refs_in,
)

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Block, Expr, Node
    from sqla_safe.checker._run import Frame, Run


def block(run: Run, frame: Frame, state: State | None, nodes: Block) -> State | None:
    """Follow a block; None when it never ends normally.

    Raises:
        TooLongError: there were too many steps in this analysis.
    """
    for at, node in enumerate(nodes):
        if state is None:
            return None
        run.steps += 1
        if run.steps > run.most:
            raise TooLongError
        if frame.on_yield and (found := _yielded(node)) is not None:
            state = _suspend(run, frame, state, found)
            continue
        kind, before = node[0], state
        state = _STATEMENTS[kind](run, frame, state, node)
        may_raise = state is not None and frame.guarded and kind in _MAY_RAISE
        if may_raise and state is not None and at + 1 == len(nodes):
            frame.may_raise(state)
        if run.doubts:  # what has failed without saying so does not raise
            _swallowed.after(run, frame, (before, state), node)
        if may_raise and state is not None and at + 1 < len(nodes) and _can_fail(nodes[at + 1]):
            frame.may_raise(state)
    return state


def _can_fail(node: Node) -> bool:
    """Return whether a statement calls something outside of a `try` of its own."""
    if node[0] == ir.TRY:
        return any(map(_can_fail, (*node[3], *node[4])))
    if node[0] == ir.FOR:
        return _calls(node[2]) or any(map(_can_fail, node[3]))
    if node[0] == ir.IF:
        return _calls(node[1]) or any(map(_can_fail, (*node[2], *node[3])))
    return node[0] == ir.RAISE or _calls(node)


def _calls(node: object) -> bool:
    """Return whether there is a call, an `await` or an attribute read in some code."""
    if not ir.is_node(node):
        return False
    is_call = len(node) > 1 and node[0] in (ir.CALL, ir.AWAIT, ir.YIELD, ir.ITEM)
    return is_call or any(map(_calls, node))


def _yielded(node: Node) -> Expr:
    """Return the `yield` that a statement consists of."""
    if node[0] not in (ir.EXPR, ir.ASSIGN, ir.RETURN):
        return None
    value: Expr = node[2] if node[0] == ir.ASSIGN else node[1]
    return value if value is not None and value[0] == ir.YIELD else None


def _suspend(run: Run, frame: Frame, state: State, found: Expr) -> State | None:
    """Stop at the `yield` of a context manager: what comes after it happens at the block's end."""
    assert found is not None
    value = _eval.value(run, frame, state, found[1])
    before = frame.yielded
    if before is None:
        run.log, run.maybe = [], 0
        frame.yielded = (state.copy(), value)
    else:
        joined = join(before[0], state.copy())
        assert joined is not None
        frame.yielded = (joined, join_values(before[1], value))
    if frame.on_yield == "raise":
        frame.may_raise(state)
        return None
    return state


def _assign(run: Run, frame: Frame, state: State, node: Node) -> State:
    value = _eval.value(run, frame, state, node[2])
    for target in node[1]:
        assign(run, frame, state, target, value, node[3])
    if frame.is_top:
        _tasks.kept(run, frame, state, node, value)
    return state


def assign(run: Run, frame: Frame, state: State, target: Expr, value: Value, at: int) -> None:
    """Bind a value to a target."""
    if target is None:
        return
    kind = target[0]
    if kind == ir.NAME:
        if target[1] in frame.globals:
            _escape.stored(run, frame, state, target[1], value, at, at + len(target[1]))
        if frame.ties:
            frame.ties.pop(target[1], None)
        state.env[target[1]] = value
    elif kind == ir.TUPLE:
        _unpack(run, frame, state, target[1], value, at)
    elif kind == ir.ATTRIBUTE:
        _read.set_attribute(run, frame, state, target, value)
    elif kind == ir.ITEM:
        _set_item(run, frame, state, target, value)
    elif kind == ir.STAR:
        assign(run, frame, state, target[1], Many(value), at)


def _unpack(
    run: Run, frame: Frame, state: State, targets: tuple[Expr, ...], value: Value, at: int
) -> None:
    size = len(targets)
    for one in alternatives(value):
        parts: tuple[Value, ...] = (None,) * size
        if isinstance(one, Tup) and len(one.items) == size:
            parts = one.items
        elif isinstance(one, Many):
            parts = (one.item,) * size
        for target, part in zip(targets, parts, strict=True):
            assign(run, frame, state, target, part, at)


def _set_item(run: Run, frame: Frame, state: State, target: Node, value: Value) -> None:
    owner = _eval.value(run, frame, state, target[1])
    _eval.value(run, frame, state, target[2])
    _escape.into_container(run, frame, state, owner, value, target[3], target[4])
    name = target[1]
    if name is not None and name[0] == ir.NAME and name[1] in state.env:
        key = target[2]
        if isinstance(owner, Table) and key is not None and key[0] == ir.CONST:
            pairs = {**dict(owner.items), str(key[1]): value}
            state.env[name[1]] = Table(tuple(pairs.items()))
        elif owner is None or isinstance(owner, Many):
            state.env[name[1]] = join_values(owner, Many(value)) if value is not None else owner


def _annotated(run: Run, frame: Frame, state: State, node: Node) -> State:
    value = _eval.value(run, frame, state, node[3])
    if value is None and node[3] is not None:
        value = _eval.weakly_typed(run, frame, state, node[2], node[4])
    assign(run, frame, state, node[1], value, node[4])
    return state


def _augmented(run: Run, frame: Frame, state: State, node: Node) -> State:
    value = _eval.value(run, frame, state, node[2])
    target = node[1]
    old = _eval.value(run, frame, state, target)
    if target is not None and target[0] == ir.NAME and isinstance(value, Many):
        state.env[target[1]] = join_values(old, value)
    elif target is not None and target[0] == ir.ATTRIBUTE:
        _read.set_attribute(run, frame, state, target, None)
    return state


def _expression(run: Run, frame: Frame, state: State, node: Node) -> State:
    _kinds.unawaited(run, frame, state, node[1])
    value = _eval.value(run, frame, state, node[1])
    _tasks.dropped(run, frame, state, node[1], value)
    return state


def _return(run: Run, frame: Frame, state: State, node: Node) -> None:
    value = _eval.value(run, frame, state, node[1])
    frame.returned.append((state, value, node[2]))


def _if(run: Run, frame: Frame, state: State, node: Node) -> State | None:
    _eval.value(run, frame, state, node[1])
    doubts = _swallowed.asked(run, state) if run.doubts else ()
    truth = _eval.truth(run, frame, state, node[1])
    other = state.copy() if truth is not True or doubts or frame.ties else state
    if doubts or frame.ties:
        _swallowed.narrowed(frame, state, node[1], doubts, truth=True)
        _swallowed.narrowed(frame, other, node[1], doubts, truth=False)
    run.steps += len(state.heap) >> 6  # what is copied takes time as well
    is_open = truth is None
    doubt = is_open and _eval.is_doubted(frame, state, node[1])
    frame.conditions += is_open
    frame.doubts += doubt
    run.maybe += is_open
    yes = (
        block(run, frame, _narrowed(state, node[1], truth=True), node[2])
        if truth is not False
        else None
    )
    no = (
        block(run, frame, _narrowed(other, node[1], truth=False), node[3])
        if truth is not True
        else None
    )
    frame.conditions -= is_open
    frame.doubts -= doubt
    run.maybe -= is_open
    return join(yes, no)


def _narrowed(state: State, test: Expr, *, truth: bool) -> State:
    """Return the state with a name that is tested for None set to it where it is."""
    if test is not None and test[0] == ir.NOT:
        return _narrowed(state, test[1], truth=not truth)
    if test is not None and test[0] == ir.IS and test[2] == (ir.CONST, None):
        test, truth = test[1], truth is test[3]
    if not truth and test is not None and test[0] == ir.NAME and test[1] in state.env:
        value = state.env[test[1]]
        if state.entity(value) is not None:
            state.env[test[1]] = Const(None)
    return state


def _for(run: Run, frame: Frame, state: State, node: Node) -> State | None:
    source = _eval.value(run, frame, state, node[2])
    operations: _manage.Operations = ()
    if _manage.is_manager(source):
        entered = _manage.enter(run, frame, state, source, node[6], is_async=node[5])
        item, operations = entered.value, entered.normal
    else:
        item = _eval.element(run, frame, state, source, node[6])
    outer_broken, outer_continued = frame.broken, frame.continued
    frame.broken, frame.continued = [], []
    outer_each = loop(run, frame, item)
    after: State | None = state
    for _ in range(2 if frame.loops == 1 else 1):
        if after is None:
            break
        inner = after.copy()
        _another(inner, item, state)
        assign(run, frame, inner, node[1], item, node[6])
        ended = block(run, frame, inner, node[3])
        recovered = _recovered(after, ended) if _is_listed(node[2]) else {}
        for other in frame.continued:
            ended = join(ended, other)
        frame.continued = []
        after = join(ended, after)
        if after is not None:
            after.heap.update(_still_expired(after, recovered))
    frame.loops -= 1
    frame.each = outer_each
    broken, frame.broken, frame.continued = frame.broken, outer_broken, outer_continued
    after = block(run, frame, after, node[4])
    for other in broken:
        after = join(after, other)
    if after is not None:
        for operation, oid in operations:
            run.apply(after, operation, oid, node[6])
    return after


def loop(run: Run, frame: Frame, item: Value) -> frozenset[int]:
    """Begin a loop over something; return what those around it go over."""
    before = frame.each
    if not frame.loops:
        frame.before_loops = run.mark
    frame.loops += 1
    frame.each = before | {ref.oid for ref in refs_in(item)}
    return before


def _is_listed(source: Expr) -> bool:
    """Return whether a loop goes over what is written down there: `for one in (user, order)`."""
    return source is not None and source[0] == ir.TUPLE


def _another(state: State, item: Value, first: State) -> None:
    """Forget what the round before has done to its entity: this one is another."""
    for ref in refs_in(item):
        thing, old = state.heap.get(ref.oid), first.heap.get(ref.oid)
        if not isinstance(thing, Entity) or thing is old:
            continue
        is_freed = thing.is_free and isinstance(old, Entity) and not old.is_free
        if is_freed or thing.is_dirty or thing.is_deleted or thing.stale is not None:
            is_free = thing.is_free and not is_freed
            state.heap[ref.oid] = thing._replace(
                is_free=is_free, is_dirty=False, is_deleted=False, stale=None
            )


def _while(run: Run, frame: Frame, state: State, node: Node) -> State | None:
    outer_broken, outer_continued = frame.broken, frame.continued
    frame.broken, frame.continued = [], []
    is_endless = node[1] == (ir.CONST, True)
    after: State | None = state
    ended: State | None = None
    for _ in range(2):
        if after is None:
            break
        inner = after.copy()
        _eval.value(run, frame, inner, node[1])
        ended = block(run, frame, inner, node[2])
        for other in frame.continued:
            ended = join(ended, other)
        frame.continued = []
        after = join(ended, after)
    broken, frame.broken, frame.continued = frame.broken, outer_broken, outer_continued
    result = None if is_endless else block(run, frame, after, node[3])
    for other in broken:
        result = join(result, other)
    return result


def _with(run: Run, frame: Frame, state: State, node: Node) -> State | None:
    is_forgiving = any(_awaits_failure(context) for context, _ in node[1])
    frame.forgiven += is_forgiving
    after = _with_items(run, frame, state, node, 0)
    frame.forgiven -= is_forgiving
    return after


def _awaits_failure(context: Expr) -> bool:
    """Return whether a block is there to fail: `with pytest.raises(MissingGreenlet)`."""
    if context is None or context[0] != ir.CALL:
        return False
    name = last_name(context[1])
    if name in _RAISES and any(last_name(kind) in _ANY_ERROR for kind in context[2]):
        return True
    return name in (*_RAISES, "suppress") and any(map(_expects, context[2]))


def _with_items(run: Run, frame: Frame, state: State, node: Node, at: int) -> State | None:
    if at == len(node[1]):
        return block(run, frame, state, node[2])
    context, target = node[1][at]
    manager = _eval.value(run, frame, state, context)
    start = context[4] if context is not None and context[0] == ir.CALL else node[4]
    _mixed.borrowed(run, frame, state, manager, context, node)
    bound = target[1] if target is not None and target[0] == ir.NAME else ""
    entered = _manage.enter(
        run, frame, state, manager, start, is_async=node[3], written=context, bound=bound
    )
    if target is not None:
        assign(run, frame, state, target, entered.value, start)
    if not entered.normal and not entered.failing:
        return _with_items(run, frame, state, node, at + 1)
    return _left(run, frame, state, node, at, entered)


def _left(
    run: Run, frame: Frame, state: State, node: Node, at: int, entered: _manage.Entered
) -> State | None:
    """Follow the body of a `with`, and what its end does on every way out."""
    marks = (len(frame.returned), len(frame.broken), len(frame.continued))
    outer, was_guarded = frame.swap_raised(None), frame.guarded
    opened = [(oid, node[4]) for operation, oid in entered.normal if operation == "close"]
    frame.blocks += opened
    frame.may_raise(state)
    after = _with_items(run, frame, state, node, at + 1)
    if opened:
        del frame.blocks[-len(opened) :]
    end = node[4]
    if frame.is_top:
        run.own_ends.add(end)
    ways = [returned[0] for returned in frame.returned[marks[0] :]]
    ways += frame.broken[marks[1] :] + frame.continued[marks[2] :]
    for way in (*ways, after):
        if way is not None:
            _apply(run, way, entered.normal, end)
    failed = frame.swap_raised(outer)
    if was_guarded and failed is not None:
        _apply(run, failed, entered.failing, end)
        frame.raised = join(frame.raised, failed)
        if entered.swallows:
            after = join(after, failed.copy())
    return after


def _apply(run: Run, state: State, operations: _manage.Operations, at: int) -> None:
    for operation, oid in operations:
        run.apply(state, operation, oid, at)


def _try(run: Run, frame: Frame, state: State, node: Node) -> State | None:
    marks = (len(frame.returned), len(frame.broken), len(frame.continued))
    before = state.copy()
    outer, was_guarded = frame.swap_raised(before.copy()), frame.guarded
    frame.guarded = True
    is_forgiving = any(_expects(handler[0]) for handler in node[2])
    frame.forgiven += is_forgiving
    after = block(run, frame, state, node[1])
    frame.forgiven -= is_forgiving
    has_final = bool(node[4])
    failed = frame.swap_raised(None if has_final else outer)
    frame.guarded = has_final or was_guarded
    after = block(run, frame, after, node[3])
    recovered = _recovered(before, after)
    for _, name, body in node[2]:
        handled = failed.copy() if failed is not None else None
        if handled is not None and name:
            handled.env[name] = None
        is_detour = frame.on_yield != "raise"
        run.maybe += is_detour
        after = join(block(run, frame, handled, body), after)
        run.maybe -= is_detour
    if after is not None:
        after.heap.update(_still_expired(after, recovered))
    if has_final:
        after = _finally(run, frame, after, node, marks, failed)
        inner, frame.guarded = frame.swap_raised(outer), was_guarded
        if was_guarded and inner is not None:
            frame.raised = join(outer, inner)
    elif not node[2] and was_guarded:
        frame.raised = join(frame.raised, failed)
    return after


def _recovered(before: State, after: State | None) -> dict[int, Entity]:
    """Return the entities that had expired before a `try`, and that its body has loaded again."""
    if after is None:
        return {}
    found: dict[int, Entity] = {}
    for oid, old in before.heap.items():
        new = after.heap.get(oid)
        if not isinstance(old, Entity) or old.expired is None or not isinstance(new, Entity):
            continue
        if new.expired is None or (new.expired == old.expired and new.back > old.back):
            found[oid] = new
    return found


def _still_expired(after: State, recovered: dict[int, Entity]) -> dict[int, Entity]:
    """Return entities as an attempt to load them again leaves them: as if it had worked."""
    found: dict[int, Entity] = {}
    for oid, good in recovered.items():
        thing = after.heap.get(oid)
        if isinstance(thing, Entity):
            found[oid] = thing._replace(expired=good.expired, back=good.back)
    return found


def _expects(kind: Expr) -> bool:
    """Return whether a handler is for the errors of attributes that are not there."""
    if kind is None:
        return False
    kinds = kind[1] if kind[0] == ir.TUPLE else (kind,)
    return any(last_name(each) in _FORGIVING for each in kinds)


def _finally(
    run: Run,
    frame: Frame,
    after: State | None,
    node: Node,
    marks: tuple[int, int, int],
    failed: State | None,
) -> State | None:
    """Follow a `finally` on every way that leads through it."""
    escaping = frame.raised if node[2] else join(frame.raised, failed)
    frame.guarded = False
    final = node[4]
    for at in range(marks[0], len(frame.returned)):
        way, value, start = frame.returned[at]
        frame.returned[at] = (block(run, frame, way, final) or way, value, start)
    for ways, mark in ((frame.broken, marks[1]), (frame.continued, marks[2])):
        for at in range(mark, len(ways)):
            ways[at] = block(run, frame, ways[at], final) or ways[at]
    frame.raised = block(run, frame, escaping, final)
    return block(run, frame, after, final)


def _raise(run: Run, frame: Frame, state: State, node: Node) -> None:
    _eval.value(run, frame, state, node[1])
    frame.may_raise(state)


def _break(_run: Run, frame: Frame, state: State, _node: Node) -> None:
    frame.broken.append(state)


def _continue(_run: Run, frame: Frame, state: State, _node: Node) -> None:
    frame.continued.append(state)


def _def(run: Run, frame: Frame, state: State, node: Node) -> State:
    _nested.nested(run, frame, state, node[1])
    return state


def _nothing(_run: Run, _frame: Frame, state: State, _node: Node) -> State:
    return state


def _import(run: Run, frame: Frame, state: State, node: Node) -> State:
    for alias, module, name, level in node[1]:
        state.env[alias] = run.linked.imported(frame.module, (module, name, level))
    return state


def _delete(_run: Run, _frame: Frame, state: State, node: Node) -> State:
    for name in node[1]:
        state.env.pop(name, None)
    return state


def _global(_run: Run, frame: Frame, state: State, node: Node) -> State:
    frame.globals.update(node[1])
    return state


def _match(run: Run, frame: Frame, state: State, node: Node) -> State | None:
    _eval.value(run, frame, state, node[1])
    after: State | None = state.copy()
    frame.conditions += 1
    for names, guard, body in node[2]:
        way = state.copy()
        way.env.update(dict.fromkeys(names))
        _eval.value(run, frame, way, guard)
        after = join(block(run, frame, way, body), after)
    frame.conditions -= 1
    return after


_FORGIVING = frozenset(("MissingGreenlet", "DetachedInstanceError", "InvalidRequestError"))
_ANY_ERROR = frozenset(("Exception", "SQLAlchemyError"))
_RAISES = ("raises", "assertRaises", "assertRaisesRegex")
_MAY_RAISE = frozenset(
    (ir.ASSIGN, ir.ANNOTATED, ir.AUGMENTED, ir.EXPR, ir.RETURN, ir.FOR, ir.WITH, ir.IF)
)
_STATEMENTS = {
    ir.ASSIGN: _assign,
    ir.ANNOTATED: _annotated,
    ir.AUGMENTED: _augmented,
    ir.EXPR: _expression,
    ir.RETURN: _return,
    ir.IF: _if,
    ir.FOR: _for,
    ir.WHILE: _while,
    ir.WITH: _with,
    ir.TRY: _try,
    ir.RAISE: _raise,
    ir.BREAK: _break,
    ir.CONTINUE: _continue,
    ir.DEF: _def,
    ir.CLASS: _nothing,
    ir.IMPORT: _import,
    ir.DELETE: _delete,
    ir.GLOBAL: _global,
    ir.MATCH: _match,
}
