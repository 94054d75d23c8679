"""Values that come from around a function: parameters, annotations, globals, injected sessions."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from msgspec.structs import replace

from sqla_safe.checker import _ir as ir
from sqla_safe.checker import _manage, _memo, _mixed, _objects
from sqla_safe.checker._holding import scopes_of
from sqla_safe.checker._index import Class, dotted, last_name
from sqla_safe.checker._models import is_model_outside
from sqla_safe.checker._names import is_sqlalchemy
from sqla_safe.checker._values import (
    ClassRef,
    Entity,
    External,
    FunctionRef,
    Instance,
    Maker,
    Many,
    Ref,
    Scope,
    State,
    Tup,
    Value,
    alternatives,
    join_values,
)

if TYPE_CHECKING:
    from sqla_safe.checker._index import Function, Module
    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Frame, Run

_LISTS: Final = frozenset(
    (
        "list",
        "List",
        "set",
        "Set",
        "Sequence",
        "Iterable",
        "Collection",
        "Iterator",
        "AsyncIterator",
        "Generator",
        "AsyncGenerator",
        "ScalarResult",
        "frozenset",
        "FrozenSet",
        "MutableSequence",
    )
)
_TRANSPARENT: Final = frozenset(
    (
        "Optional",
        "Annotated",
        "Awaitable",
        "Coroutine",
        "Final",
        "ClassVar",
        "Union",
        "Mapped",
        "FromDishka",
        "FromComponent",
        "Injected",
        "Inject",
    )
)


def global_(run: Run, frame: Frame, state: State, name: str) -> Value:
    """Return what a name means that no local variable has."""
    found = run.linked.global_(frame.module, name)
    if found is None:
        return singleton(run, state, frame.module, name)
    return found


def singleton(run: Run, state: State, module: Module, name: str) -> Value:
    """Return the object that a module makes once, with the classes that it was made with."""
    cls = run.linked.notes.singleton(module, name)
    if cls is None:
        return None
    given = run.linked.notes.made_with(module, name)
    ref = run.known(("single", cls, given))
    if ref.oid not in state.heap:
        state.heap[ref.oid] = Instance(cls, given)
    return ref


def new_scope(run: Run, frame: Frame, state: State, at: int, maker: Maker, tag: str = "") -> Ref:
    """Open a session."""
    is_async = maker.is_async
    expires = run.linked.settings.expire_on_commit if maker.expires is None else maker.expires
    scope = Scope(is_async, expires, maker.key or "the session", at, "local", is_busy=False)
    return run.make(frame, state, at, scope, tag or "scope")


def ambient_scope(
    run: Run, state: State, key: object, name: str, maker: Maker | None = None
) -> Ref:
    """Return a session that is found by its name, such as `db.session`."""
    ref = run.known(("ambient", key, name))
    if ref.oid not in state.heap:
        text = name if "." in name or not isinstance(key, str) else f"{key}.{name}"
        is_async = run.linked.makers.kind_of(text) if maker is None else maker.is_async
        seen = run.linked.makers.expiry(is_async=is_async)
        expires = seen if maker is None else maker.expires
        state.heap[ref.oid] = Scope(is_async, expires, name, 0, "ambient")
    return ref


def session_named(
    run: Run, frame: Frame, state: State, name: str, owner: Value, expr: Node
) -> Value:
    """Return the session behind an attribute or item that is called like one."""
    if not run.linked.is_session_name(name) or isinstance(owner, ClassRef):
        return None
    if not run.linked.uses_sqlalchemy(frame.module):
        return None
    key = owner.oid if isinstance(owner, Ref) else dotted(expr[1])
    if isinstance(owner, Ref) and not isinstance(state.heap.get(owner.oid), Instance):
        return None
    return ambient_scope(run, state, key, name)


# --- parameters ------------------------------------------------------------------


def parameters(run: Run, frame: Frame, state: State, function: Function) -> None:
    """Bind the parameters of a function that nobody in sight has called."""
    names = list(function.params)
    is_method = function.cls is not None and "staticmethod" not in function.decorator_names()
    if is_method and names:
        state.env[names[0][0]] = _self(run, frame, state, function)
        names = names[1:]
    later: list[tuple[int, str, Expr, Function | None]] = []
    for at, (name, note, default) in enumerate(names):
        provider = _provider(run, frame, note, default)
        found = _session_parameter(run, frame, state, name, note, provider)
        state.env[name] = found
        if found is None:
            later.append((at, name, note, provider))
    for at, name, note, provider in later:
        state.env[name] = _parameter(run, frame, state, name, note, provider, function.start + at)


def _self(run: Run, frame: Frame, state: State, function: Function) -> Value:
    cls = function.cls
    assert cls is not None
    if "classmethod" in function.decorator_names():
        return ClassRef(cls)
    ref = run.known(("self", cls))
    if run.models.is_model(cls):
        entity = Entity(cls, None, "param", function.start, is_open=True)
        state.heap[ref.oid] = entity
        return ref
    state.heap[ref.oid] = Instance(cls)
    init = run.names.method(cls, "__init__")
    if init is not None and init is not function:
        _memo.made_self(run, frame, state, ref, cls, init)
    if run.linked.relevance.is_spawned(function):
        for oid, thing in list(state.heap.items()):
            if isinstance(thing, Entity):
                state.heap[oid] = thing._replace(is_captured=True)
    return ref


def _session_parameter(
    run: Run, frame: Frame, state: State, name: str, note: Expr, provider: Function | None
) -> Value:
    kind = "" if note is None else _session_kind(run, frame, note)
    if provider is not None:
        found = _provided(run, frame, state, provider)
        if found is not None:
            return found
    is_named = note is None and run.linked.is_session_name(name)
    is_named = is_named and run.linked.uses_sqlalchemy(frame.module)
    is_named |= run.linked.settings.is_session(name)
    if not kind and not is_named:
        return None
    is_async = {"async": True, "sync": False}.get(kind, _kind_nearby(run, frame))
    if run.linked.relevance.is_run_sync(frame.function):
        is_async = False
    ref = run.known(("parameter", frame.key, name))
    expires = run.linked.makers.expiry_near(frame.module, is_async=is_async)
    owner: Literal["dependency", "param"] = "dependency" if provider is not None else "param"
    state.heap[ref.oid] = Scope(is_async, expires, name, 0, owner)
    return ref


def _kind_nearby(run: Run, frame: Frame) -> bool | None:
    """Return the kind of a session of which only the name is known."""
    kind = run.linked.makers.kind()
    return True if kind is None and frame.is_async else kind


def _parameter(
    run: Run,
    frame: Frame,
    state: State,
    name: str,
    note: Expr,
    provider: Function | None,
    at: int,
) -> Value:
    if note is None and name not in ("self", "cls"):
        note = _by_its_name(run, frame, name)
    if note is None and provider is None:  # most parameters of most functions
        return None
    scope = the_scope(state)
    if provider is not None:
        found = _provided(run, frame, state, provider)
        if found is not None:
            return found
    found = annotated(run, frame, state, note, at, name, scope)
    for one in alternatives(found):
        _equip(run, frame, state, one)
    return found


def _equip(run: Run, frame: Frame, state: State, value: Value) -> None:
    """Give a service or repository that somebody hands in what its constructor keeps."""
    thing = state.instance(value)
    if thing is None or thing.attributes or not isinstance(thing.cls, Class):
        return
    init = run.names.method(thing.cls, "__init__")
    function, relevance = frame.function, run.linked.relevance
    if not isinstance(value, Ref) or init is None or init in run.stack or function is None:
        return
    is_asked = function.name == "__init__" or relevance.is_served(function)
    if is_asked and any(map(relevance.is_relevant, thing.cls.methods.values())):
        _memo.made_self(run, frame, state, value, thing.cls, init)


def _by_its_name(run: Run, frame: Frame, name: str) -> Expr:
    """Return the model that a parameter without annotation is called like."""
    wanted = _class_like(name)
    if wanted not in frame.module.names:
        return None
    note = (ir.NAME, wanted, 0)
    found = run.linked.notes.class_named(frame.module, note)
    is_model = isinstance(found, Class) and run.models.is_model(found)
    if frame.function is None or not _is_read_of(frame.function, name):
        return None
    return note if is_model or (isinstance(found, str) and is_model_outside(found)) else None


def _is_read_of(function: Function, name: str) -> bool:
    """Return whether a function reads an attribute of a parameter, or its object may later on."""
    if function.name == "__init__":
        return True
    nodes = _mixed.nodes_of(function.body)
    return any(node[0] == ir.ATTRIBUTE and _mixed.is_name(node[1], name) for node in nodes)


@lru_cache(2048)
def _class_like(name: str) -> str:
    """Return a name in the way in which classes are written."""
    return "".join([word.capitalize() for word in name.split("_")])


def the_scope(state: State) -> int | None:
    """Return the only session in sight, if there is exactly one."""
    heap = state.heap
    found = {
        value.oid
        for value in state.env.values()
        if type(value) is Ref and isinstance(heap.get(value.oid), Scope)
    }
    found = found or _own_scopes(state)
    return found.pop() if len(found) == 1 else None


def _own_scopes(state: State) -> set[int]:
    """Return the sessions that the objects in sight keep as attributes: `self.session`."""
    kept = [state.instance(value) for value in state.env.values() if type(value) is Ref]
    values = [value for thing in kept if thing is not None for _, value in thing.attributes]
    return {
        value.oid
        for value in values
        if type(value) is Ref and isinstance(state.heap.get(value.oid), Scope)
    }


def _within(frame: Frame, module: Module) -> Frame:
    return replace(frame, module=module)


def _provider(run: Run, frame: Frame, note: Expr, default: Expr) -> Function | None:
    """Return the function that FastAPI calls for a parameter."""
    if note is None and default is None:
        return None
    for module, expr in ((frame.module, default), *_metadata(run, frame, note)):
        if (
            expr is not None
            and expr[0] == ir.CALL
            and last_name(expr[1]) in ("Depends", "Security")
        ):
            target = run.names.value(module, expr[2][0]) if expr[2] else None
            return target.of if isinstance(target, FunctionRef) else None
    return None


def _metadata(run: Run, frame: Frame, note: Expr) -> tuple[tuple[Module, Expr], ...]:
    if note is None:
        return ()
    if note[0] == ir.NAME:
        alias = run.linked.notes.alias(frame.module, note[1])
        return _metadata(run, _within(frame, alias[0]), alias[1]) if alias is not None else ()
    if note[0] == ir.ITEM and last_name(note[1]) == "Annotated":
        inner = note[2]
        parts = inner[1][1:] if inner is not None and inner[0] == ir.TUPLE else ()
        return tuple([(frame.module, part) for part in parts])
    return ()


def _provided(run: Run, frame: Frame, state: State, provider: Function) -> Value:
    """Return what a dependency gives; within one request it is called once."""
    run.depends_on_more()
    if provider in run.dependencies:
        return run.dependencies[provider]
    run.dependencies[provider] = None
    ref = FunctionRef(provider)
    entered = _manage.provided(run, frame, state, ref)
    for found in scopes_of(state, entered):
        scope = state.heap[found]
        assert isinstance(scope, Scope)
        state.heap[found] = scope._replace(owner="dependency")
    run.dependencies[provider] = entered
    return entered


# --- annotations -------------------------------------------------------------------


def annotated(
    run: Run, frame: Frame, state: State, note: Expr, at: int, tag: str, scope: int | None
) -> Value:
    """Return what an annotation promises."""
    if note is None:
        return None
    if note[0] == ir.CONST and isinstance(note[1], Class):
        entity = Entity(note[1], scope, "param", at, is_open=True)
        return run.make(frame, state, at, entity, f"entity {tag}")
    if note[0] == ir.PARTS:
        found: Value = None
        for part in note[1]:
            found = join_values(found, annotated(run, frame, state, part, at, tag, scope))
        return found
    if note[0] == ir.ITEM:
        return _generic(run, frame, state, note, at, tag, scope)
    if note[0] in (ir.NAME, ir.ATTRIBUTE):
        return _named(run, frame, state, note, at, tag, scope)
    return None


def _generic(
    run: Run, frame: Frame, state: State, note: Node, at: int, tag: str, scope: int | None
) -> Value:
    outer, inner = last_name(note[1]), note[2]
    is_several = inner is not None and inner[0] == ir.TUPLE
    parts: tuple[Expr, ...] = inner[1] if is_several and inner is not None else (inner,)
    if outer in ("Optional", "Union", *_TRANSPARENT):
        chosen = (
            parts[-1:] if outer == "Coroutine" else parts[:1] if outer == "Annotated" else parts
        )
        found: Value = None
        for part in chosen:
            found = join_values(found, annotated(run, frame, state, part, at, tag, scope))
        return found
    if outer in ("async_sessionmaker", "sessionmaker"):
        return _maker(run, frame, outer, tag)
    if outer in _LISTS:
        item = annotated(run, frame, state, parts[0], at, tag, scope)
        return Many(item) if item is not None else None
    if outer in ("tuple", "Tuple"):
        items = [
            annotated(run, frame, state, part, at, f"{tag}{n}", scope)
            for n, part in enumerate(parts)
        ]
        if len(parts) == 2 and parts[1] is None:
            return Many(items[0]) if items[0] is not None else None
        return Tup(tuple(items)) if any(item is not None for item in items) else None
    return annotated(run, frame, state, note[1], at, tag, scope)


def _maker(run: Run, frame: Frame, outer: str, tag: str) -> Maker:
    is_async = True if outer.startswith("async") else None
    expires = run.linked.makers.expiry_near(frame.module, is_async=is_async)
    return Maker(is_async, expires, tag)


def _named(
    run: Run, frame: Frame, state: State, note: Node, at: int, tag: str, scope: int | None
) -> Value:
    if note[0] == ir.NAME:
        alias = run.linked.notes.alias(frame.module, note[1])
        if alias is not None:
            return annotated(run, _within(frame, alias[0]), state, alias[1], at, tag, scope)
    kind = _session_kind(run, frame, note)
    if kind:
        is_async = kind == "async"
        expires = run.linked.makers.expiry_near(frame.module, is_async=is_async)
        return run.make(frame, state, at, Scope(is_async, expires, tag, 0, "param"), f"scope {tag}")
    if last_name(note) in ("async_sessionmaker", "sessionmaker"):
        return _maker(run, frame, last_name(note), tag)
    found = run.linked.notes.class_named(frame.module, note)
    if isinstance(found, Class):
        if run.models.is_model(found):
            entity = Entity(found, scope, "param", at, is_open=True)
            return run.make(frame, state, at, entity, f"entity {tag}")
        ref = run.make(frame, state, at, Instance(found), f"instance {tag}")
        _session_fields(run, frame, state, ref, found)
        return ref
    if isinstance(found, str) and is_model_outside(found):
        entity = Entity(found, scope, "param", at, is_open=True)
        return run.make(frame, state, at, entity, f"entity {tag}")
    return None


def _session_fields(run: Run, frame: Frame, state: State, ref: Ref, cls: Class) -> None:
    """Give an object those of its declared fields that are sessions."""
    for name, written in cls.names.items():
        if written.annotation is not None and "ession" in last_name(written.annotation):
            value = _objects.attribute_value(run, frame, state, ref, cls, name)
            instance = state.heap[ref.oid]
            if state.scope(value) is not None and isinstance(instance, Instance):
                state.heap[ref.oid] = instance.with_(name, value)


def _session_kind(run: Run, frame: Frame, note: Expr) -> str:
    """Return "async" or "sync" when an annotation names a session, "?" when it may."""
    if note is None:
        return ""
    if note[0] == ir.PARTS:
        return next((kind for part in note[1] if (kind := _session_kind(run, frame, part))), "")
    if note[0] == ir.ITEM:
        inner = note[2]
        outer = last_name(note[1])
        if outer not in _TRANSPARENT and "ession" not in outer:
            return ""
        if "ession" in outer:
            return _session_kind(run, frame, note[1])
        first = inner[1][0] if inner is not None and inner[0] == ir.TUPLE and inner[1] else inner
        return _session_kind(run, frame, first)
    alias = run.linked.notes.alias(frame.module, note[1]) if note[0] == ir.NAME else None
    if alias is not None:
        return _session_kind(run, _within(frame, alias[0]), alias[1])
    found = run.names.value(frame.module, note)
    kind = run.names.is_session_class(found)
    if kind:
        return kind
    name = last_name(note)
    if not isinstance(found, External) or not run.linked.uses_sqlalchemy(frame.module):
        return ""
    if is_sqlalchemy(found.name) and not name.endswith("Session"):
        return ""
    if name in ("AsyncSession", "async_scoped_session"):
        return "async"
    is_own = name in (
        "Session",
        "SessionDep",
        "DbSession",
        "DBSession",
        "AsyncSessionDep",
        "CurrentSession",
    )
    if not is_own or "http" in found.name or "requests" in found.name:
        return ""
    return "?" if name != "AsyncSessionDep" else "async"
