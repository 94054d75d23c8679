"""Calls: of functions of the project, which are followed, and of everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqla_safe.checker import (
    _ambient,
    _escape,
    _eval,
    _follow,
    _manage,
    _mixed,
    _nested,
    _outside,
    _read,
    _session,
    _sqla,
    _tasks,
)
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._given import Given
from sqla_safe.checker._index import last_name
from sqla_safe.checker._names import last, looks_like_session
from sqla_safe.checker._values import (
    Alternatives,
    ClassRef,
    Const,
    External,
    FunctionRef,
    Instance,
    Kept,
    Maker,
    Many,
    Method,
    Query,
    Ref,
    Rows,
    Scope,
    State,
    Table,
    Tup,
    Value,
    join_values,
)

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Frame, Run


_COPIES: Final = frozenset(
    ("list", "tuple", "set", "sorted", "reversed", "iter", "frozenset", "filter", "deque")
)
_KEYED: Final = frozenset(("sort", "sorted", "max", "min", "filter", "map"))
_PICKED_OF: Final = (1, 2)


_LISTED: Final = (Many, Tup)
_NAMELESS: Final = (-1, ir.CALL)


_GROUPS: Final = frozenset(("TaskGroup", "create_task_group", "open_nursery"))


_PICKLED: Final = frozenset(("pickle.dumps", "dill.dumps", "cloudpickle.dumps"))
_STACKS: Final = frozenset(("ExitStack", "AsyncExitStack"))


def call(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    """Follow one call."""
    target: Any = expr[1]
    kind = -1 if target is None else target[0]
    name: str = "" if kind in _NAMELESS else _name_of(target, kind)
    if kind == ir.NAME:
        if name == "super":
            return _super(run, frame, state)
        if name in _read.BY_NAME and len(expr[2]) > 1:
            return _read.by_name(run, frame, state, expr, name)
    callee = _callee(run, frame, state, target)
    frame.forgiven += name == "run_sync"
    args: list[Value] = []
    for part in expr[2]:
        args.append(_eval.value(run, frame, state, part))  # noqa: PERF401 - a frame for each call
    keywords: dict[str | None, Value] = {}
    for key, part in expr[3]:
        keywords[key] = _eval.value(run, frame, state, part)
    frame.forgiven -= name == "run_sync"
    if name in _KEYED:
        _keyed(run, frame, state, expr, args)
    given = Given(args, keywords, expr[4], expr[5], expr)
    if name in _tasks.SPAWNING:
        handled, found = _tasks.spawned(run, frame, state, name, callee, given)
        if handled:
            return found
    if not frame.is_top:  # what follows is about reports
        return _each(run, frame, state, callee, name, given)
    seen = len(run.troubles)
    before = run.mark
    if run.has_ended:
        _escape.passed(run, frame, state, name, callee, given)
    _tasks.handed(run, frame, state, callee, given)
    found = _each(run, frame, state, callee, name, given)
    if len(run.troubles) != seen:
        _read.blame(run, frame, state, callee, given, seen, before, name)
    if found is not None and args:
        _mixed.anonymous(run, frame, state, name, given, found)
    return found


def _name_of(target: Any, kind: int) -> str:
    """Return what is called, by its name: also `session_factory` of `ctx["session_factory"]()`."""
    if kind == ir.ATTRIBUTE:  # nearly always
        return str(target[2])
    key = target[2] if kind == ir.ITEM else None
    return str(key[1]) if key is not None and key[0] == ir.CONST else last_name(target)


def _keyed(run: Run, frame: Frame, state: State, expr: Node, args: list[Value]) -> None:
    """Follow the lambda that is called for each element: `sorted(users, key=lambda user: ...)`."""
    parts = [part for part in (*expr[2], *[word[1] for word in expr[3]]) if part is not None]
    keys = [part for part in parts if part[0] == ir.LAMBDA and part[1]]
    if not keys:
        return
    target = expr[1]
    is_method = target is not None and target[0] == ir.ATTRIBUTE
    owner = target[1] if is_method and target is not None else None
    sources = [_eval.value(run, frame, state, owner)] if is_method else args
    for source in sources:
        item = _eval.element(run, frame, state, source, expr[4])
        for key in keys if item is not None else ():
            _nested.called_with(run, frame, state, key, item)


def _each(run: Run, frame: Frame, state: State, callee: Value, name: str, given: Given) -> Value:
    if not isinstance(callee, Alternatives):
        return _one(run, frame, state, callee, name, given)
    found: Value = None
    methods = [one.owner for one in callee.options if isinstance(one, Method)]
    given.owners = frozenset([owner.oid for owner in methods if isinstance(owner, Ref)])
    for one in callee.options:
        found = join_values(found, _one(run, frame, state, one, name, given))
    return found


def _callee(run: Run, frame: Frame, state: State, target: Expr) -> Value:
    if target is not None and target[0] == ir.ATTRIBUTE:
        owner = _eval.value(run, frame, state, target[1])
        return _read.method(run, frame, state, target, owner)
    return _eval.value(run, frame, state, target)


def _super(run: Run, frame: Frame, state: State) -> Value:
    function = frame.function
    if function is None or function.cls is None or not function.params:
        return None
    return Method(state.env.get(function.params[0][0]), "super")


def _one(run: Run, frame: Frame, state: State, callee: Value, name: str, given: Given) -> Value:
    if isinstance(callee, Method):
        return _method(run, frame, state, callee, given)
    if isinstance(callee, External):
        return _external(run, frame, state, callee, given)
    if isinstance(callee, FunctionRef):
        return _follow.invoke(run, frame, state, callee, given)
    if isinstance(callee, ClassRef):
        return _follow.construct(run, frame, state, callee.of, given)
    if isinstance(callee, Maker):
        return _sqla.made(run, frame, state, callee, given)
    if not given.expr[2] and _is_factory(run, frame, name):
        seen = run.linked.makers.expiry_near(frame.module, is_async=None)
        maker = Maker(None, False if seen is False else None, name)
        return _ambient.new_scope(run, frame, state, given.start, maker)
    return _outside.unresolved(run, frame, state, name, None, given)


def _is_factory(run: Run, frame: Frame, name: str) -> bool:
    return looks_like_session(name) and run.linked.uses_sqlalchemy(frame.module)


def _external(run: Run, frame: Frame, state: State, callee: External, given: Given) -> Value:
    name = last(callee.name)
    if name in _COPIES:
        return _copied(run, frame, state, given)
    if name in ("next", "anext") and given.args and _manage.is_manager(given.args[0]):
        return _manage.enter(
            run, frame, state, given.args[0], given.start, is_async=name == "anext"
        ).value
    if name in ("next", "max", "min", "choice") and len(given.args) in _PICKED_OF:
        return _eval.element(run, frame, state, given.args[0], given.start)
    if name in ("enumerate", "zip"):
        parts = [_eval.element(run, frame, state, part, given.start) for part in given.args]
        return Many(Tup((None, *parts) if name == "enumerate" else tuple(parts)))
    if name == "cast" and len(given.args) > 1:
        return given.args[1]
    if callee.name in _PICKLED and given.args:
        return given.args[0]
    if name in _GROUPS or name in _STACKS:
        kind = "TaskGroup" if name in _GROUPS else "ExitStack"
        return run.make(frame, state, given.start, Instance(kind), kind)
    handled, found = _sqla.function(run, frame, state, callee, given)
    if handled:
        return found
    return _outside.unresolved(run, frame, state, name, callee, given)


def _copied(run: Run, frame: Frame, state: State, given: Given) -> Value:
    source = given.args[-1] if given.args else None
    if type(source) in _LISTED:
        return source
    return Many(_eval.element(run, frame, state, source, given.start))


def _method(run: Run, frame: Frame, state: State, callee: Method, given: Given) -> Value:
    owner, name = callee.owner, callee.name
    if isinstance(owner, Ref):
        thing = state.heap.get(owner.oid)
        if isinstance(thing, Scope):
            return _session.method(run, frame, state, owner, name, given)
        if name in _manage.STACKED and isinstance(thing, Instance) and thing.cls == "ExitStack":
            return _manage.stacked(run, frame, state, owner, name, given)
        return _outside.unresolved(run, frame, state, name, owner, given)
    if isinstance(owner, Rows):
        return _session.rows_method(run, frame, state, owner, name, given)
    if isinstance(owner, Query):
        return _sqla.query_method(run, frame, state, owner, name, given)
    if isinstance(owner, _LISTED):
        return _many_method(run, frame, state, owner, name, given)
    if isinstance(owner, Kept):
        return _escape.kept_method(run, frame, state, owner, name, given)
    if isinstance(owner, Table) and name in ("get", "pop") and given.args:
        key = given.args[0]
        return dict(owner.items).get(str(key.value)) if isinstance(key, Const) else None
    handled, found = _sqla.method(run, frame, state, owner, name, given)
    return found if handled else _outside.unresolved(run, frame, state, name, owner, given)


def _many_method(
    run: Run, frame: Frame, state: State, owner: Many | Tup, name: str, given: Given
) -> Value:
    if name in ("append", "add", "appendleft", "insert", "extend", "update"):
        if isinstance(owner, Many):
            _mixed.linked(run, frame, state, owner.item, Tup(tuple(given.args)), given.span)
        _grown(run, frame, state, given, name)
        return None
    if isinstance(owner, Tup):
        return None
    if name in ("pop", "popleft", "get", "setdefault"):
        return owner.item
    if name in ("copy", "values", "keys", "union"):
        return owner
    if name == "items":
        return Many(Tup((None, owner.item)))
    return None


def _grown(run: Run, frame: Frame, state: State, given: Given, name: str) -> None:
    """Let a local list grow: `tasks.append(...)`."""
    target = given.expr[1][1]
    if target is None or target[0] != ir.NAME or target[1] not in state.env or not given.args:
        return
    added = given.args[-1]
    if name in ("extend", "update"):
        added = _eval.element(run, frame, state, added, given.start)
    old = state.env[target[1]]
    state.env[target[1]] = _tasks.grown(old, added, is_loop=bool(frame.loops))
