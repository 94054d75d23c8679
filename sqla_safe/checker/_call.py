"""Calls: of functions of the project, which are followed, and of everything else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqla_safe.checker import (
    _ambient,
    _escape,
    _eval,
    _exec,
    _memo,
    _read,
    _session,
    _sqla,
)
from sqla_safe.checker import (
    _ir as ir,
)
from sqla_safe.checker._index import Class, last_name
from sqla_safe.checker._names import last, looks_like_session
from sqla_safe.checker._run import DEEPEST, Frame
from sqla_safe.checker._values import (
    Alternatives,
    ClassRef,
    Const,
    Entity,
    External,
    FunctionRef,
    Instance,
    Kept,
    Maker,
    Manager,
    Many,
    Method,
    Pending,
    Query,
    Ref,
    Rows,
    Scope,
    State,
    Table,
    Tup,
    Value,
    join,
    join_values,
    refs_in,
)

if TYPE_CHECKING:
    from sqla_safe.checker._index import Function
    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Run

_COPIES: Final = frozenset(
    ("list", "tuple", "set", "sorted", "reversed", "iter", "frozenset", "filter", "deque")
)
_GIVES_ENTITIES: Final = frozenset(
    (
        "get",
        "find",
        "fetch",
        "load",
        "create",
        "update",
        "upsert",
        "one",
        "first",
        "all",
        "list",
        "by",
        "select",
        "read",
        "retrieve",
        "lookup",
        "save",
        "register",
        "search",
        "add",
    )
)
_GIVES_OTHERS: Final = frozenset(
    (
        "count",
        "exists",
        "is",
        "has",
        "can",
        "total",
        "sum",
        "number",
        "id",
        "ids",
        "balance",
        "stats",
        "name",
        "names",
        "url",
        "status",
        "text",
        "setting",
        "settings",
        "value",
        "token",
        "data",
        "path",
        "delete",
        "remove",
        "statistics",
        "schema",
        "dict",
        "json",
        "response",
        "key",
        "engine",
        "amount",
        "values",
        "paginated",
        "page",
        "config_value",
        "price",
        "limit",
        "bind",
        "send",
        "message",
        "timestamp",
        "timestamps",
        "date",
        "dates",
        "time",
        "urls",
        "emails",
        "usernames",
        "keys",
        "counts",
        "totals",
        "hash",
        "secret",
        "language",
        "locale",
        "currency",
        "rate",
        "percent",
        "metadata",
        "mapping",
    )
)


@dataclass(slots=True, eq=False)
class Given:
    """The arguments of a call."""

    args: list[Value]
    keywords: dict[str | None, Value]
    start: int
    end: int
    expr: Node

    def all(self) -> list[Value]:
        """Return every argument."""
        return [*self.args, *self.keywords.values()]

    def first(self, name: str = "") -> Value:
        """Return the first argument, or the one of a name."""
        return self.args[0] if self.args else self.keywords.get(name)


def call(run: Run, frame: Frame, state: State, expr: Node) -> Value:
    """Follow one call."""
    target: Any = expr[1]
    name = last_name(target) if target is not None and target[0] != ir.CALL else ""
    kind = -1 if target is None else target[0]
    if name == "super" and kind == ir.NAME:
        return _super(run, frame, state)
    if name in _read.BY_NAME and kind == ir.NAME and len(expr[2]) > 1:
        return _read.by_name(run, frame, state, expr, name)
    callee = _callee(run, frame, state, target)
    frame.forgiven += name == "run_sync"
    args = [_eval.value(run, frame, state, part) for part in expr[2]]
    keywords = {key: _eval.value(run, frame, state, part) for key, part in expr[3]}
    frame.forgiven -= name == "run_sync"
    given = Given(args, keywords, expr[4], expr[5], expr)
    if name in _escape.SPAWNING:
        handled, found = _escape.spawned(run, frame, state, name, callee, given)
        if handled:
            return found
    if not frame.is_top:  # what follows is about reports
        return _each(run, frame, state, callee, name, given)
    seen = len(run.troubles)
    before = run.mark
    _escape.passed(run, frame, state, name, callee, given)
    found = _each(run, frame, state, callee, name, given)
    _read.blame(run, frame, state, callee, given, seen, before, name)
    _escape.anonymous(run, frame, state, name, given, found)
    return found


def _each(run: Run, frame: Frame, state: State, callee: Value, name: str, given: Given) -> Value:
    if not isinstance(callee, Alternatives):
        return _one(run, frame, state, callee, name, given)
    found: Value = None
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
    if isinstance(callee, FunctionRef):
        return invoke(run, frame, state, callee, given)
    if isinstance(callee, ClassRef):
        return construct(run, frame, state, callee.of, given)
    if isinstance(callee, Maker):
        return _sqla.made(run, frame, state, callee, given)
    if isinstance(callee, Method):
        return _method(run, frame, state, callee, given)
    if isinstance(callee, External):
        return _external(run, frame, state, callee, given)
    if not given.expr[2] and _is_factory(run, frame, name):
        seen = run.linked.makers.expiry(is_async=None)
        maker = Maker(None, False if seen is False else None, name)
        return _ambient.new_scope(run, frame, state, given.start, maker)
    return unresolved(run, frame, state, name, None, given)


def _is_factory(run: Run, frame: Frame, name: str) -> bool:
    return looks_like_session(name) and run.linked.uses_sqlalchemy(frame.module)


def _external(run: Run, frame: Frame, state: State, callee: External, given: Given) -> Value:
    name = last(callee.name)
    if name in _COPIES:
        return _copied(run, frame, state, given)
    if name == "next" and given.args:
        return _eval.element(run, frame, state, given.args[0], given.start)
    if name in ("enumerate", "zip"):
        parts = [_eval.element(run, frame, state, part, given.start) for part in given.args]
        return Many(Tup((None, *parts) if name == "enumerate" else tuple(parts)))
    if name == "cast" and len(given.args) > 1:
        return given.args[1]
    handled, found = _sqla.function(run, frame, state, callee, given)
    if handled:
        return found
    return unresolved(run, frame, state, name, callee, given)


def _copied(run: Run, frame: Frame, state: State, given: Given) -> Value:
    source = given.args[-1] if given.args else None
    if isinstance(source, Many | Tup):
        return source
    if isinstance(source, Rows | Query):
        return Many(_eval.element(run, frame, state, source, given.start))
    return Many(_eval.element(run, frame, state, source, given.start))


def _method(run: Run, frame: Frame, state: State, callee: Method, given: Given) -> Value:
    owner, name = callee.owner, callee.name
    if isinstance(owner, Ref):
        thing = state.heap.get(owner.oid)
        if isinstance(thing, Scope):
            return _session.method(run, frame, state, owner, name, given)
        return unresolved(run, frame, state, name, owner, given)
    if isinstance(owner, Rows):
        return _session.rows_method(run, frame, state, owner, name, given)
    if isinstance(owner, Query):
        return _sqla.query_method(run, frame, state, owner, name, given)
    if isinstance(owner, Many | Tup):
        return _many_method(run, frame, state, owner, name, given)
    if isinstance(owner, Kept):
        return _escape.kept_method(run, frame, state, owner, name, given)
    if isinstance(owner, Table) and name in ("get", "pop") and given.args:
        key = given.args[0]
        return dict(owner.items).get(str(key.value)) if isinstance(key, Const) else None
    handled, found = _sqla.method(run, frame, state, owner, name, given)
    return found if handled else unresolved(run, frame, state, name, owner, given)


def _many_method(
    run: Run, frame: Frame, state: State, owner: Many | Tup, name: str, given: Given
) -> Value:
    if name in ("append", "add", "appendleft", "insert", "extend", "update"):
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
    state.env[target[1]] = _escape.grown(old, added, is_loop=bool(frame.loops))


# --- functions of the project --------------------------------------------------------


def invoke(run: Run, frame: Frame, state: State, ref: FunctionRef, given: Given) -> Value:
    """Follow a call of a function of the project."""
    function = ref.of
    scopes, entities = _held(run, state, given.all(), ref.bound)
    if function.is_generator:
        return Manager("function", ref, given)
    if not _can_follow(run, frame, function, is_given=bool(entities)):
        found = promised(run, frame, state, function, ref, given)
        for oid in scopes:
            run.touch(state, oid)
        return Pending(found, scopes, entities, function.name) if function.is_async else found
    touched, run.touched = run.touched, set()
    before = run.mark
    found = _memo.follow(run, frame, state, ref, given)
    used = frozenset([oid for oid in run.touched if oid <= before])
    run.touched |= touched
    if found is None:
        found = promised(run, frame, state, function, ref, given)
    return Pending(found, used, entities, function.name) if function.is_async else found


def _held(
    run: Run, state: State, args: list[Value], bound: Value
) -> tuple[frozenset[int], frozenset[int]]:
    """Return the sessions and the entities that a call is given."""
    scopes: set[int] = set()
    entities: set[int] = set()
    for value in args:
        for ref in refs_in(value):
            if isinstance(state.heap.get(ref.oid), Entity):
                entities.add(ref.oid)
            else:
                scopes |= scopes_of(state, ref)
    return frozenset(scopes), frozenset(entities)


def scopes_of(state: State, value: Value) -> set[int]:
    """Return the sessions that a value is or holds."""
    found: set[int] = set()
    for ref in refs_in(value):
        thing = state.heap.get(ref.oid)
        if isinstance(thing, Scope):
            found.add(ref.oid)
        elif isinstance(thing, Instance):
            for _, part in thing.attributes:
                for inner in refs_in(part):
                    if isinstance(state.heap.get(inner.oid), Scope):
                        found.add(inner.oid)
    return found


def _can_follow(run: Run, frame: Frame, function: Function, *, is_given: bool) -> bool:
    """Return whether a call is worth following: it may use sessions, or is given entities."""
    is_deep = len(frame.key) >= DEEPEST or function in run.stack
    return (
        not is_deep
        and not run.is_spent
        and (is_given or run.linked.relevance.is_relevant(function))
    )


def follow(run: Run, frame: Frame, state: State, ref: FunctionRef, given: Given) -> Value:
    """Follow the body of a function with the arguments of a call."""
    inner = enter_frame(frame, ref, given.start)
    before = dict(state.heap)
    local = State(bind(run, inner, state, ref, given), state.heap)
    inner.fixed = fixed(run, ref.of, local.env)
    seen = len(run.troubles)
    found, joined = run_body(run, inner, local, ref.of)
    run.troubles[seen:] = _memo.of_callers(run.troubles[seen:], before, ref.of)
    if joined is not None:
        state.heap = _memo.settled(_memo.pruned(run, joined.heap, before, found), before)
    return found


def fixed(run: Run, function: Function, env: dict[str, Value]) -> frozenset[str]:
    """Return the arguments that are constants, and that the function does not assign anew."""
    told = [
        name
        for name, value in env.items()
        if isinstance(value, Const) and (value.value is None or isinstance(value.value, bool | str))
    ]
    return frozenset(told) - run.linked.assigned_names(function) if told else frozenset()


def run_body(
    run: Run, inner: Frame, local: State, function: Function
) -> tuple[Value, State | None]:
    """Follow a body; return what it returns, and the state that it leaves."""
    run.stack.append(function)
    joined = _exec.block(run, inner, local, function.body)
    run.stack.pop()
    found: Value = None
    for way, value, _ in inner.returned:
        found = join_values(found, value)
        joined = join(joined, way)
    return found, joined


def enter_frame(frame: Frame, ref: FunctionRef, at: int) -> Frame:
    """Return the frame of a call."""
    key = (*frame.key, at)
    return Frame(ref.of, ref.of.module, ref.of.is_async or frame.is_async, key, closure=ref.closure)


def bind(run: Run, frame: Frame, state: State, ref: FunctionRef, given: Given) -> dict[str, Value]:
    """Return the names that a call binds in the function."""
    function = ref.of
    params: list[Any] = list(function.params)
    args = list(given.args)
    is_static = "staticmethod" in function.decorator_names()
    if function.cls is not None and not is_static and ref.bound is not None:
        args.insert(0, ref.bound)
    env: dict[str, Value] = {}
    for param in params:
        name: str = str(param[0])
        note, default = param[1:]
        if args:
            env[name] = args.pop(0)
        elif name in given.keywords:
            env[name] = given.keywords[name]
        elif default is not None and default[0] != ir.CALL:
            env[name] = _eval.value(run, frame, State({}, state.heap), default)
        else:
            env[name] = None
        if env[name] is None and note is not None:
            env[name] = _plain_instance(run, frame, state, note, name)
    return env


def _plain_instance(run: Run, frame: Frame, state: State, note: Expr, name: str) -> Value:
    found = run.linked.notes.class_named(frame.module, note)
    if isinstance(found, Class) and not run.models.is_model(found):
        return run.make(frame, state, 0, Instance(found), f"argument {name}")
    return None


def promised(
    run: Run, frame: Frame, state: State, function: Function, ref: FunctionRef, given: Given
) -> Value:
    """Return what the annotation of a function says that it returns."""
    if function.returns is None:
        return None
    scopes: set[int] = set()
    for value in (*given.all(), ref.bound):
        scopes |= scopes_of(state, value)
    scope = scopes.pop() if len(scopes) == 1 else None
    note = run.linked.notes.return_note(function, ref, state)
    inner = Frame(function, function.module, frame.is_async, (*frame.key, given.start))
    found = _ambient.annotated(run, inner, state, note, given.start, "result", scope)
    for part in refs_in(found):
        entity = state.heap.get(part.oid)
        if isinstance(entity, Entity):
            state.heap[part.oid] = entity._replace(source="guess" if scope is None else "param")
    return found


def construct(run: Run, frame: Frame, state: State, cls: Class | str, given: Given) -> Value:
    """Make an object of a class."""
    if isinstance(cls, str):
        return unresolved(run, frame, state, last(cls), External(cls), given)
    kind = run.names.is_session_class(ClassRef(cls))
    if kind:
        return _sqla.opened(run, frame, state, cls.name, given, is_async=kind == "async")
    if run.models.is_model(cls):
        return _new_entity(run, frame, state, cls, given)
    ref = run.make(frame, state, given.start, Instance(cls), "instance")
    init = run.names.method(cls, "__init__")
    if init is not None:
        if len(frame.key) < DEEPEST + 2 and init not in run.stack:
            _memo.follow(run, frame, state, FunctionRef(init, ref), given)
    else:
        _fill_fields(run, state, ref, cls, given)
    return ref


def _fill_fields(run: Run, state: State, ref: Ref, cls: Class, given: Given) -> None:
    instance = state.heap[ref.oid]
    assert isinstance(instance, Instance)
    fields = [name for name, written in cls.names.items() if written.annotation is not None]
    pairs = [*zip(fields, given.args, strict=False), *given.keywords.items()]
    for name, value in pairs:
        if name is not None and value is not None:
            instance = instance.with_(name, value)
    state.heap[ref.oid] = instance


def _new_entity(run: Run, frame: Frame, state: State, cls: Class, given: Given) -> Value:
    related = tuple([(key, value) for key, value in given.keywords.items() if key is not None])
    known = frozenset(key for key, _ in related)
    entity = Entity(cls, None, "new", given.start, loads=known, related=related, is_made=True)
    if None in given.keywords:
        entity = entity._replace(is_open=True)
    ref = run.make(frame, state, given.start, entity, "new")
    for key, value in related:
        mapped = run.models.attribute(cls, key)
        if mapped is not None and mapped.back and value is not None:
            _read.set_back(run, state, ref, mapped, value)
    return ref


# --- calls that lead out of what was read --------------------------------------------


def unresolved(
    run: Run, frame: Frame, state: State, name: str, owner: Value, given: Given
) -> Value:
    """Return what may come out of a call of something unknown that is given a session."""
    scopes: set[int] = set()
    for value in (*given.all(), owner):
        scopes |= scopes_of(state, value)
    for oid in scopes:
        run.touch(state, oid)
        run.unsure.add(oid)
    _deleted(run, frame, state, name, scopes, given)
    if len(scopes) != 1 or not run.linked.is_own(frame.module, owner):
        return Pending(None, frozenset(scopes)) if scopes and frame.is_async else None
    oid = scopes.pop()
    found = _made_of(run, frame, state, name, owner, oid, given)
    if _makes_service(name) or not frame.is_async:
        return found
    _, entities = _held(run, state, given.all(), None)
    return Pending(found, frozenset((oid,)), entities, name)


def _made_of(
    run: Run, frame: Frame, state: State, name: str, owner: Value, scope: int, given: Given
) -> Value:
    if _makes_service(name):
        instance = Instance(name, (("session", Ref(scope)),))
        return run.make(frame, state, given.start, instance, "service")
    words = name.lower().lstrip("_").partition("_by_")[0].split("_")
    says_entity = any(word in _GIVES_ENTITIES for word in words)
    if words[-1] in _GIVES_OTHERS or words[0] in _GIVES_OTHERS:
        return None
    cls = owner.name if isinstance(owner, External) and last(owner.name)[:1].isupper() else None
    entity = Entity(cls, scope, "guess", given.start, is_open=True, is_weak=not says_entity)
    return run.make(frame, state, given.start, entity, "guess")


def _makes_service(name: str) -> bool:
    is_class = name[:1].isupper() and not name.isupper()
    tail = name.lower()
    return is_class or tail.endswith(
        ("from_session", "factory", "_service", "_repository", "_repo")
    )


def _deleted(
    run: Run, frame: Frame, state: State, name: str, scopes: set[int], given: Given
) -> None:
    """Let an unknown helper that deletes an entity commit as well, where that would expire it."""
    if name not in ("delete", "remove", "destroy") or not scopes:
        return
    for part, value in zip(given.expr[2], given.args, strict=False):
        entity = state.entity(value)
        if entity is not None and isinstance(value, Ref):
            state.heap[value.oid] = _session.after_delete(entity, given.start)
        elif value is None and part is not None and part[0] == ir.NAME and part[1] in state.env:
            entity = Entity(None, min(scopes), "load", given.start, is_open=True)
            entity = _session.after_delete(entity, given.start)
            state.env[part[1]] = run.make(frame, state, given.start, entity, "deleted")
