"""Calls that lead out of what was read, judged by their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqla_safe.checker import _ir as ir
from sqla_safe.checker import _session
from sqla_safe.checker._holding import held_by, scopes_of
from sqla_safe.checker._names import last
from sqla_safe.checker._values import (
    WHOLE,
    Const,
    Entity,
    External,
    Instance,
    Pending,
    Ref,
    State,
    Value,
)

if TYPE_CHECKING:
    from sqla_safe.checker._given import Given
    from sqla_safe.checker._run import Frame, Run


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


def unresolved(
    run: Run, frame: Frame, state: State, name: str, owner: Value, given: Given
) -> Value:
    """Return what may come out of a call of something unknown that is given a session."""
    scopes: set[int] = set()
    for value in (*given.args, *given.keywords.values(), owner):
        if value is not None:
            scopes |= scopes_of(state, value)
        if type(value) is Ref and value is not owner:
            _loaded_again(state, value)
    if not scopes:
        return None
    for oid in scopes:
        run.touch(state, oid)
        run.unsure.add(oid)
    _deleted(run, frame, state, name, scopes, given)
    if len(scopes) != 1 or not run.linked.is_own(frame.module, owner):
        return Pending(None, frozenset(scopes)) if frame.is_async else None
    oid = scopes.pop()
    found = _made_of(run, frame, state, name, owner, oid, given)
    if _makes_service(name) or not frame.is_async:
        return found
    _, entities = held_by(run, state, given.all(), None)
    return Pending(found, frozenset((oid,)), entities, name)


def _loaded_again(state: State, ref: Ref) -> None:
    """Let something unknown refresh an entity that was made here."""
    entity = state.entity(ref)
    if entity is not None and entity.is_made:
        state.heap[ref.oid] = entity._replace(loads=entity.loads | {WHOLE})


def _made_of(
    run: Run, frame: Frame, state: State, name: str, owner: Value, scope: int, given: Given
) -> Value:
    if _makes_service(name):
        instance = Instance(name, (("session", Ref(scope)),))
        return run.make(frame, state, given.start, instance, "service")
    words = name.lower().lstrip("_").partition("_by_")[0].split("_")
    says_entity = any(word in _GIVES_ENTITIES for word in words)
    if words[-1] in _GIVES_OTHERS or words[0] in _GIVES_OTHERS or _is_looked_up(name, given):
        return None
    cls = owner.name if isinstance(owner, External) and last(owner.name)[:1].isupper() else None
    entity = Entity(cls, scope, "guess", given.start, is_open=True, is_weak=not says_entity)
    return run.make(frame, state, given.start, entity, "guess")


def _is_looked_up(name: str, given: Given) -> bool:
    """Return whether a key that is written down is asked for: `values.get("nonce")`."""
    key = given.args[0] if given.args else None
    return name == "get" and isinstance(key, Const) and isinstance(key.value, str)


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
    if name not in ("delete", "remove", "destroy"):
        return
    for part, value in zip(given.expr[2], given.args, strict=False):
        entity = state.entity(value)
        if entity is not None and isinstance(value, Ref):
            state.heap[value.oid] = _session.after_delete(entity, given.start)
        elif value is None and part is not None and part[0] == ir.NAME and part[1] in state.env:
            entity = Entity(None, min(scopes), "load", given.start, is_open=True)
            entity = _session.after_delete(entity, given.start)
            state.env[part[1]] = run.make(frame, state, given.start, entity, "deleted")
