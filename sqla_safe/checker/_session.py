"""The methods of sessions, and of the results that they give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from sqla_safe.checker import _follow, _kinds, _mixed
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import Class
from sqla_safe.checker._names import last
from sqla_safe.checker._values import (
    WHOLE,
    ClassRef,
    Const,
    Entity,
    Expiry,
    External,
    FunctionRef,
    Manager,
    Many,
    Query,
    Ref,
    Rows,
    Scope,
    State,
    Tup,
    Value,
    refs_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqla_safe.checker._given import Given
    from sqla_safe.checker._models import Attribute
    from sqla_safe.checker._run import Frame, Run

METHODS: Final = frozenset(
    (
        "execute",
        "scalars",
        "scalar",
        "exec",
        "stream",
        "stream_scalars",
        "get",
        "get_one",
        "query",
        "merge",
        "add",
        "add_all",
        "delete",
        "refresh",
        "expunge",
        "expunge_all",
        "expire",
        "expire_all",
        "commit",
        "rollback",
        "close",
        "flush",
        "begin",
        "begin_nested",
        "run_sync",
        "aclose",
        "remove",
        "reset",
        "invalidate",
        "connection",
        "in_transaction",
        "is_active",
        "no_autoflush",
        "sync_session",
        "bulk_save_objects",
        "paginate",
    )
)
_SAME: Final = frozenset(
    ("unique", "yield_per", "columns", "execution_options", "tuples", "partitions", "t")
)
_ONE: Final = frozenset(("first", "one", "one_or_none", "fetchone"))
_SCALAR: Final = frozenset(("scalar", "scalar_one", "scalar_one_or_none"))


def method(run: Run, frame: Frame, state: State, ref: Ref, name: str, given: Given) -> Value:
    """Call a method of a session."""
    handler = _HANDLERS.get(name)
    if handler is None:
        run.touch(state, ref.oid, busy=False)
        return None
    return handler(run, frame, state, ref, given)


def _execute(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.touch(state, ref.oid)
    statement = given.first("statement")
    if not isinstance(statement, Query):
        return None
    return Rows(replace(statement, scope=ref.oid), False, given.start)


def _exec(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    rows = _execute(run, frame, state, ref, given)
    if not isinstance(rows, Rows):
        return rows
    return replace(rows, is_scalar=len(rows.query.targets) == 1)


def _scalars(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    rows = _execute(run, frame, state, ref, given)
    return replace(rows, is_scalar=True) if isinstance(rows, Rows) else None


def _scalar(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    rows = _scalars(run, frame, state, ref, given)
    return fetched(run, frame, state, rows, given.start) if isinstance(rows, Rows) else None


def _get(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.touch(state, ref.oid)
    target = given.first("entity")
    query = Query((target,), frozenset(), target is None, ref.oid, given.start)
    options = given.keywords.get("options")
    if "options" in given.keywords and options != Const(None):
        from sqla_safe.checker import _sqla

        query = _sqla.with_options(query, [options])
    return row(run, frame, state, query, given.start, is_scalar=True)


def _query(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.touch(state, ref.oid)
    _kinds.synchronous(state, ref)
    return Query(tuple(given.args), frozenset(), False, ref.oid, given.start)


def _merge(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.touch(state, ref.oid)
    entity = state.entity(given.first("instance"))
    cls = entity.cls if entity is not None else None
    merged = Entity(cls, ref.oid, "load", given.start, is_open=True)
    return run.make(frame, state, given.start, merged, "merged")


def _known_entity(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> None:
    """Take something unknown for an entity, because it is given to a session."""
    part = given.expr[2][0] if given.expr[2] else None
    is_name = part is not None and part[0] == ir.NAME and part[1] in state.env
    if is_name and part is not None and state.env[part[1]] is None:
        entity = Entity(None, ref.oid, "load", given.start, is_open=True)
        made = run.make(frame, state, given.start, entity, "given")
        state.env[part[1]] = given.args[0] = made


def _add(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.touch(state, ref.oid)
    _known_entity(run, frame, state, ref, given)
    for value in given.all():
        for part in refs_in(value):
            entity = state.heap.get(part.oid)
            if isinstance(entity, Entity):
                _mixed.moved(run, frame, state, part, given.owners or {ref.oid}, given.span)
                state.heap[part.oid] = entity._replace(
                    scope=ref.oid, is_detached=False, is_free=False
                )
    return None


def _delete(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.touch(state, ref.oid)
    for part in refs_in(given.first("instance")):
        if isinstance(state.heap.get(part.oid), Entity):
            _mixed.moved(run, frame, state, part, given.owners or {ref.oid}, given.span)
    _each(state, given, lambda entity: entity._replace(is_deleted=True))
    return None


def _expunge(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    _each(state, given, lambda entity: entity._replace(is_free=True))
    return None


def _expire(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    expiry = Expiry("hand", given.start, is_sure=True)
    if len(given.all()) == 1:
        _each(state, given, lambda entity: entity._replace(expired=expiry, back=frozenset()))
    return None


def _each(state: State, given: Given, change: Callable[[Entity], Entity]) -> None:
    for value in given.all():
        for part in refs_in(value):
            entity = state.heap.get(part.oid)
            if isinstance(entity, Entity):
                state.heap[part.oid] = change(entity)


def _refresh(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.touch(state, ref.oid)
    _known_entity(run, frame, state, ref, given)
    names = given.args[1] if len(given.args) > 1 else given.keywords.get("attribute_names")
    target = given.first("instance")
    for part in refs_in(target):
        entity = state.heap.get(part.oid)
        if isinstance(entity, Entity):
            _mixed.refreshed(run, frame, state, entity, ref, given)
            state.heap[part.oid] = _fresh(run, entity, names, ref.oid)
    return None


def _fresh(run: Run, entity: Entity, names: Value, scope: int) -> Entity:
    if names is None or (isinstance(names, Const) and names.value is None):
        is_new = entity.source == "new" or entity.is_made
        loads = frozenset((WHOLE,)) if is_new else _whole(entity.loads)
        related = tuple([pair for pair in entity.related if _stays(run, entity, pair[0], loads)])
        return entity._replace(
            source="load" if entity.source == "new" else entity.source,
            expired=None,
            stale=None,
            loads=loads,
            related=related,
            scope=scope if entity.scope is None else entity.scope,
        )
    items = names.items if isinstance(names, Tup) else ()
    found = frozenset([str(item.value) for item in items if isinstance(item, Const)])
    if not found:
        return entity._replace(expired=None, stale=None, is_open=True)
    back = entity.back | found | run.models.keys(entity.cls)
    return entity._replace(back=back, loads=entity.loads | found)


def _whole(loads: frozenset[str]) -> frozenset[str]:
    """Return what is loaded after a refresh: columns that a statement had put off come too."""
    return frozenset([path for path in loads if path[0] != "!"])


def _stays(run: Run, entity: Entity, name: str, loads: frozenset[str]) -> bool:
    """Return whether a refresh keeps what was assigned: a column, or what comes with the entity."""
    mapped = run.models.attribute(entity.cls, name)
    return name in loads or (mapped is not None and mapped.kind == "column")


def _commit(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    _noted(run, frame, given)
    run.apply(state, "commit", ref.oid, given.start)
    return None


def _noted(run: Run, frame: Frame, given: Given) -> None:
    """Note that the function that is looked at has written the commit or rollback itself."""
    if frame.is_top:
        run.own_expiries.add(given.start)


def _rollback(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    _noted(run, frame, given)
    run.apply(state, "rollback", ref.oid, given.start)
    return None


def _close(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    _mixed.closed(run, frame, state, ref, given)
    if frame.is_top:
        run.own_ends.add(given.start)
    run.apply(state, "close", ref.oid, given.start)
    return None


def _flush(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.touch(state, ref.oid)
    run.apply(state, "flush", ref.oid, given.start)
    return None


def _expunge_all(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.apply(state, "expunge", ref.oid, given.start)
    return None


def _expire_all(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.apply(state, "expire", ref.oid, given.start)
    return None


def _begin(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    return Manager("begin", ref)


def _savepoint(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    run.touch(state, ref.oid)
    return Manager("savepoint", ref)


def _run_sync(run: Run, frame: Frame, state: State, ref: Ref, given: Given) -> Value:
    """Follow a function that is called with the session behind an asynchronous one."""
    run.touch(state, ref.oid)
    callee = given.first("fn")
    scope = state.heap[ref.oid]
    if not isinstance(callee, FunctionRef) or callee.of.is_async or not isinstance(scope, Scope):
        return None
    state.heap[ref.oid] = scope._replace(is_async=False)
    inner = replace(given, args=[ref, *given.args[1:]])
    found = _follow.invoke(run, frame, state, callee, inner)
    after = state.heap[ref.oid]
    assert isinstance(after, Scope)
    state.heap[ref.oid] = after._replace(is_async=scope.is_async)
    return found


def after_delete(entity: Entity, at: int) -> Entity:
    """Return an entity whose row an unknown helper has deleted."""
    return entity._replace(expired=Expiry("delete", at, is_sure=False), back=frozenset())


_HANDLERS: Final[dict[str, Callable[[Run, Frame, State, Ref, Any], Value]]] = {
    "execute": _execute,
    "exec": _exec,
    "stream": _execute,
    "scalars": _scalars,
    "stream_scalars": _scalars,
    "scalar": _scalar,
    "get": _get,
    "get_one": _get,
    "query": _query,
    "merge": _merge,
    "add": _add,
    "add_all": _add,
    "delete": _delete,
    "expunge": _expunge,
    "expunge_all": _expunge_all,
    "expire": _expire,
    "expire_all": _expire_all,
    "refresh": _refresh,
    "commit": _commit,
    "rollback": _rollback,
    "close": _close,
    "aclose": _close,
    "remove": _close,
    "reset": _close,
    "invalidate": _close,
    "flush": _flush,
    "begin": _begin,
    "begin_nested": _savepoint,
    "run_sync": _run_sync,
}


# --- results -----------------------------------------------------------------------


def rows_method(run: Run, frame: Frame, state: State, rows: Rows, name: str, given: Given) -> Value:
    """Call a method of a result."""
    _kinds.chained(state, rows, given.expr)
    if name == "scalars":
        return replace(rows, is_scalar=True)
    if name in _SAME:
        return rows
    if name in ("all", "fetchall", "fetchmany"):
        return Many(fetched(run, frame, state, rows, given.start))
    if name in _ONE:
        return fetched(run, frame, state, rows, given.start)
    if name in _SCALAR:
        return fetched(run, frame, state, replace(rows, is_scalar=True), given.start)
    return None


def fetched(run: Run, frame: Frame, state: State, rows: Rows, at: int) -> Value:
    """Return one row of a result."""
    return row(run, frame, state, rows.query, rows.at, is_scalar=rows.is_scalar)


def row(run: Run, frame: Frame, state: State, query: Query, at: int, *, is_scalar: bool) -> Value:
    """Return one row of a statement."""
    if len(query.targets) > 1 and query.loads:
        query = _by_one_another(run, query)
    parts = [
        _loaded(run, frame, state, query, target, at, number)
        for number, target in enumerate(query.targets)
    ]
    if is_scalar:
        return parts[0] if parts else None
    return Tup(tuple(parts))


def _by_one_another(run: Run, query: Query) -> Query:
    """Let what is loaded with one entity of a row be loaded where another one leads to it.

    `select(Project, Branch).options(selectinload(Branch.states))`: the session has one `Branch`.
    """
    classes = [target.of for target in query.targets if isinstance(target, ClassRef)]
    found = [
        f"{name}.{path}"
        for cls in classes
        for name, mapped in _relations(run, cls)
        if run.models.target(cls, mapped) in classes
        for path in query.loads
        if run.models.attribute(run.models.target(cls, mapped), path.partition(".")[0])
    ]
    return replace(query, loads=query.loads.union(found))


def _relations(run: Run, cls: Class | str) -> list[tuple[str, Attribute]]:
    attributes = run.models.attributes(cls).items() if isinstance(cls, Class) else ()
    return [(name, mapped) for name, mapped in attributes if mapped.kind == "relation"]


def _requeried(state: State, query: Query, cls: Class | str | None) -> None:
    """Let a statement bring back what had expired: its rows may be those entities.

    The eager relationships of those that were made here come with it as well.
    """
    is_wide = query.is_open or bool(query.loads)
    for oid, thing in state.heap.items():
        if not isinstance(thing, Entity) or thing.scope != query.scope:
            continue
        if thing.expired is None and not thing.is_made:
            continue
        if is_wide or thing.cls == cls:
            loads = thing.loads | {WHOLE} if thing.is_made else thing.loads
            state.heap[oid] = thing._replace(expired=None, loads=loads)


def _loaded(
    run: Run, frame: Frame, state: State, query: Query, target: Value, at: int, number: int
) -> Value:
    cls: Class | str | None = None
    if isinstance(target, ClassRef):
        cls = target.of
    elif isinstance(target, External) and last(target.name)[:1].isupper():
        cls = target.name
    elif target is not None or not query.is_open:
        return None
    _requeried(state, query, cls)
    entity = Entity(
        cls,
        query.scope,
        "load" if cls is not None else "guess",
        query.at or at,
        is_here=query.is_here,
        loads=query.loads,
        is_open=query.is_open,
    )
    scope = state.heap.get(query.scope) if query.scope is not None else None
    if isinstance(scope, Scope) and scope.is_closed:  # rows that were read, and left lying
        entity = entity._replace(is_detached=True, detached_at=scope.ended_at)
    return run.make(frame, state, at, entity, f"row {number}")
