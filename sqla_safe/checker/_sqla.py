"""SQLAlchemy's functions: statements, loader options, sessionmakers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from sqla_safe.checker import _ambient, _follow, _session
from sqla_safe.checker._index import Class
from sqla_safe.checker._names import is_sqlalchemy, last, looks_like_session
from sqla_safe.checker._values import (
    ClassAttribute,
    ClassRef,
    Const,
    External,
    FunctionRef,
    Loader,
    Maker,
    Manager,
    Many,
    Method,
    Query,
    Ref,
    State,
    Tup,
    Value,
    refs_in,
)

if TYPE_CHECKING:
    from sqla_safe.checker._given import Given
    from sqla_safe.checker._run import Frame, Run

LOADERS: Final = frozenset(
    ("selectinload", "joinedload", "subqueryload", "immediateload", "contains_eager", "undefer")
)
_NOT_LOADING: Final = frozenset(("raiseload", "noload", "defaultload", "with_loader_criteria"))
_PUTTING_OFF: Final = frozenset(("lazyload", "defer", "load_only"))
_NARROWING: Final = frozenset(("and_", "of_type"))
"""What takes a relationship in a loader option, and gives it back for fewer rows or a subclass."""
_ENDS: Final = frozenset(
    (
        "subquery",
        "cte",
        "alias",
        "exists",
        "scalar_subquery",
        "as_scalar",
        "compile",
        "lateral",
        "count",
        "with_only_columns",
        "with_entities",
        "delete",
        "update",
        "label",
    )
)
_FETCHES: Final = frozenset(
    ("first", "one", "one_or_none", "get", "scalar", "get_or_404", "first_or_404", "one_or_404")
)
_SETTING: Final = frozenset(("set_committed_value", "set_attribute"))
_FREE: Final = frozenset(("snapshot", "asnapshot", "to_dict", "fetch", "afetch", "deepcopy"))


def function(
    run: Run, frame: Frame, state: State, callee: External, given: Given
) -> tuple[bool, Value]:
    """Return whether a function is known, and what calling it gives."""
    name = last(callee.name)
    if name in LOADERS:
        return True, _loader(given)
    if name in _NOT_LOADING:
        return True, Loader(frozenset(), _stem(given))
    if name in _PUTTING_OFF:
        return True, Loader(_put_off(name, given), _stem(given))
    if name in _SETTING and len(given.args) > 1:
        return True, _set_by_hand(state, given)
    if name in _FREE and (is_sqlalchemy(callee.name) or name == "deepcopy"):
        return True, None
    if name == "scoped_services":
        return True, Manager("function", callee, given)
    if name == "closing" and given.args:
        return True, Manager("closing", given.args[0])
    if name in ("select", "insert", "update", "delete") and is_sqlalchemy(callee.name):
        targets = tuple([part if _is_entity(part) else None for part in given.args])
        targets = targets if name == "select" else ()
        return True, Query(targets, frozenset(), False, None, given.start, frame.is_top)
    return _sessions(run, frame, state, callee, given)


def _set_by_hand(state: State, given: Given) -> Value:
    """Follow `set_committed_value(user, "avatars", avatars)`: what it sets is there."""
    name = given.args[1]
    if not isinstance(name, Const) or not isinstance(name.value, str):
        return None
    for ref in refs_in(given.args[0]):
        entity = state.entity(ref)
        if entity is not None:
            loads, back = entity.loads | {name.value}, entity.back | {name.value}
            state.heap[ref.oid] = entity._replace(loads=loads, back=back)
    return None


def _sessions(
    run: Run, frame: Frame, state: State, callee: External, given: Given
) -> tuple[bool, Value]:
    kind = run.names.is_session_class(callee)
    name = last(callee.name)
    if kind and not name.startswith(("scoped", "async_scoped")):
        return True, opened(run, frame, state, name, given, is_async=kind == "async")
    maker = run.names.maker(frame.module, given.expr, "")
    if maker is not None:
        return True, maker
    is_like_one = looks_like_session(callee.name) and not name.startswith("_")
    if is_like_one and run.linked.may_be_own(frame.module, callee):
        seen = run.linked.makers.expiry(is_async=None)
        expires = False if seen is False else None
        return True, _ambient.new_scope(run, frame, state, given.start, Maker(None, expires, name))
    return False, None


def opened(
    run: Run,
    frame: Frame,
    state: State,
    name: str,
    given: Given,
    *,
    is_async: bool,
) -> Ref:
    """Open a session from its class."""
    expires: bool | None = True
    if "expire_on_commit" in given.keywords or None in given.keywords:
        value = given.keywords.get("expire_on_commit")
        expires = bool(value.value) if isinstance(value, Const) else None
    maker = Maker(is_async, expires, name)
    return _ambient.new_scope(run, frame, state, given.start, maker)


def made(run: Run, frame: Frame, state: State, maker: Maker, given: Given) -> Value:
    """Call a sessionmaker."""
    if maker.is_scoped:
        return _ambient.ambient_scope(run, state, maker.key, maker.key, maker)
    value = given.keywords.get("expire_on_commit")
    if isinstance(value, Const):
        maker = replace(maker, expires=bool(value.value))
    return _ambient.new_scope(run, frame, state, given.start, maker)


def _is_entity(value: Value) -> bool:
    if isinstance(value, ClassRef):
        return True
    return isinstance(value, External) and last(value.name)[:1].isupper()


def _loader(given: Given, stem: str = "") -> Loader:
    where = stem
    paths: set[str] = set()
    for part in given.args:
        if isinstance(part, ClassAttribute):
            where = f"{where}.{part.name}" if where else part.name
            paths.add(where)
        elif isinstance(part, Const) and isinstance(part.value, str):
            paths.add(part.value)
        else:
            return Loader(frozenset(paths), where, is_open=True)
    return Loader(frozenset(paths), where)


def _put_off(name: str, given: Given) -> frozenset[str]:
    """Return what `load_only(User.id)` or `defer(User.bio)` leaves out, as `with_options` has it.

    `!` stands for every column that is not named beside it, and `!bio` for one attribute.
    """
    names = {part.name for part in given.args if isinstance(part, ClassAttribute)}
    if name == "load_only":
        is_plain = len(names) == len(given.args) and "raiseload" not in given.keywords
        return frozenset(names | {"!"}) if is_plain else frozenset()
    return frozenset(f"!{each}" for each in names)


def _stem(given: Given) -> str:
    part = given.args[0] if given.args else None
    return part.name if isinstance(part, ClassAttribute) else ""


def with_options(query: Query, options: list[Value]) -> Query:
    """Add loader options to a statement."""
    loads, is_open = query.loads, query.is_open
    for option in _flattened(options):
        if isinstance(option, Loader):
            loads = (loads - {f"!{path}" for path in option.paths}) | option.paths
            is_open |= option.is_open
        else:
            is_open = True
    return replace(query, loads=loads, is_open=is_open)


def _flattened(options: list[Value]) -> list[Value]:
    flat: list[Value] = []
    for option in options:
        if isinstance(option, Tup):
            flat += option.items
        elif isinstance(option, Many):
            flat.append(option.item)
        else:
            flat.append(option)
    return flat


def query_method(
    run: Run, frame: Frame, state: State, query: Query, name: str, given: Given
) -> Value:
    """Call a method of a statement or legacy query."""
    if name == "options":
        return with_options(query, given.all())
    if name in _ENDS:
        return None
    if name == "returning":
        return replace(query, targets=tuple([p if _is_entity(p) else None for p in given.args]))
    if name == "add_columns":
        return replace(query, targets=(*query.targets, *[None] * len(given.args)))
    if query.scope is None:
        return query
    if name == "all":
        return Many(
            _session.row(run, frame, state, query, given.start, is_scalar=_is_single(query))
        )
    if name in _FETCHES:
        is_scalar = name == "scalar" or _is_single(query)
        return _session.row(run, frame, state, query, given.start, is_scalar=is_scalar)
    return query


def _is_single(query: Query) -> bool:
    return len(query.targets) == 1


def method(
    run: Run, frame: Frame, state: State, owner: Value, name: str, given: Given
) -> tuple[bool, Value]:
    """Call a method of something that is no object of the project."""
    if isinstance(owner, Loader):
        if name == "options":
            return True, _inner_options(owner, given)
        if name in LOADERS:
            found = _loader(given, owner.stem)
            is_open = found.is_open or owner.is_open
            return True, replace(found, paths=found.paths | owner.paths, is_open=is_open)
        return True, owner
    if isinstance(owner, ClassAttribute) and name in _NARROWING:
        return True, owner
    if isinstance(owner, Maker):
        if name == "begin":
            return True, Manager("session", owner, "begin")
        if name == "remove":
            return True, None
        if owner.is_scoped:
            ref = _ambient.ambient_scope(run, state, owner.key, owner.key, owner)
            return True, _session.method(run, frame, state, ref, name, given)
        return True, None
    if isinstance(owner, Method) and owner.name == "super":
        return _super_method(run, frame, state, owner, name, given)
    return False, None


def _super_method(
    run: Run, frame: Frame, state: State, owner: Method, name: str, given: Given
) -> tuple[bool, Value]:

    function = frame.function
    cls = _class_of(state, owner.owner)
    if function is None or cls is None:
        return False, None
    found = run.names.method(cls, name, after=function.cls)
    if found is None:
        return False, None
    return True, _follow.invoke(run, frame, state, FunctionRef(found, owner.owner), given)


def _class_of(state: State, value: Value) -> Class | None:
    if isinstance(value, ClassRef):
        return value.of if isinstance(value.of, Class) else None
    thing = state.heap.get(value.oid) if isinstance(value, Ref) else None
    cls = getattr(thing, "cls", None)
    return cls if isinstance(cls, Class) else None


def _inner_options(owner: Loader, given: Given) -> Loader:
    paths, is_open = owner.paths, owner.is_open
    for option in _flattened(given.all()):
        if isinstance(option, Loader):
            paths |= {f"{owner.stem}.{path}" for path in option.paths}
            is_open |= option.is_open
        else:
            is_open = True
    return replace(owner, paths=paths, is_open=is_open)
