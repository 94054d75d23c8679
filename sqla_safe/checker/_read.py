"""Reading attributes: of entities, where the rules are, and of everything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqla_safe.checker import _ambient, _escape, _eval, _follow, _mixed, _objects, _verdict
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._given import Given
from sqla_safe.checker._holding import scopes_of
from sqla_safe.checker._index import Class, dotted
from sqla_safe.checker._models import Attribute, is_model_outside
from sqla_safe.checker._names import last
from sqla_safe.checker._run import Report
from sqla_safe.checker._session import METHODS
from sqla_safe.checker._values import (
    WHOLE,
    ClassAttribute,
    ClassRef,
    Const,
    Entity,
    External,
    FunctionRef,
    Instance,
    Kept,
    Manager,
    Many,
    Method,
    ModuleRef,
    Query,
    Ref,
    Scope,
    State,
    Tup,
    Value,
    alternatives,
    join_values,
    meanings,
    refs_in,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqla_safe.checker._ir import Expr, Node
    from sqla_safe.checker._run import Frame, Run

BY_NAME: Final = frozenset(("getattr", "hasattr", "setattr"))
_WITHOUT_METHODS: Final = frozenset((Const, FunctionRef))
_NO_READ: Final = frozenset(("metadata", "registry", "query"))


def attribute(run: Run, frame: Frame, state: State, expr: Node, owner: Value) -> Value:
    """Read an attribute."""
    found: Value = None
    inner = expr[1]
    if inner is not None and inner[0] == ir.ATTRIBUTE and inner[2] == "awaitable_attrs":
        owner = _awaitable(run, frame, state, expr, inner) or owner
    frame.forgiven += expr[2] == "unloaded"  # the code asks SQLAlchemy before it reads
    ones = meanings(owner)
    if len(ones) == 1:
        found = _one(run, frame, state, expr, ones[0], "read")
    else:
        there = [one for one in ones if _verdict.is_there(run, frame, state, one, expr[2])]
        doubt = bool(there)
        frame.unsure += doubt
        for one in ones:
            if doubt and _is_replaced(state, one, there):
                continue
            found = join_values(found, _one(run, frame, state, expr, one, "read"))
        frame.unsure -= doubt
    if found is None:
        return _ambient.session_named(run, frame, state, expr[2], owner, expr)
    return found


def _is_replaced(state: State, value: Value, others: Sequence[Value]) -> bool:
    """Return whether a rollback has expired an entity where a newer one has taken its place.

    `except IntegrityError: await session.rollback(); user = await reload(session)`
    """
    entity = state.entity(value)
    expired = entity.expired if entity is not None else None
    if expired is None or expired.by != "rollback" or expired.is_certain:
        return False
    newer = [state.entity(other) for other in others]
    return any(other is not None and other.at > expired.at for other in newer)


def _awaitable(run: Run, frame: Frame, state: State, expr: Node, inner: Node) -> Value:
    """Return the entity of `entity.awaitable_attrs.name`, with what is awaited loaded."""
    owner = _eval.value(run, frame, state, inner[1])
    for one in meanings(owner):
        entity = state.entity(one)
        if entity is None or not isinstance(one, Ref) or entity.is_detached or entity.is_free:
            continue
        mapped = run.models.attribute(entity.cls, expr[2])
        is_column = mapped is None or mapped.kind == "column"
        loads, back = entity.loads | {expr[2]}, entity.back | {expr[2]}
        expired, stale = (None, None) if is_column else (entity.expired, entity.stale)
        state.heap[one.oid] = entity._replace(loads=loads, back=back, expired=expired, stale=stale)
    return owner


def method(run: Run, frame: Frame, state: State, expr: Node, owner: Value) -> Value:
    """Return what is called by `owner.name(...)`."""
    if expr[2] in METHODS and (owner is None or isinstance(owner, External)):
        ref = _duck(run, frame, state, expr[1], owner)
        if ref is not None:
            return Method(ref, expr[2])
    ones = meanings(owner)
    if len(ones) == 1:
        return _one(run, frame, state, expr, ones[0], "call")
    found: Value = None
    for one in ones:
        found = join_values(found, _one(run, frame, state, expr, one, "call"))
    return found


def _duck(run: Run, frame: Frame, state: State, expr: Expr, owner: Value) -> Ref | None:
    """Return the session behind something unknown that is called and used like one."""
    if owner is not None and not isinstance(owner, External):
        return None
    name = dotted(expr)
    is_own = run.linked.is_own(frame.module, owner) and run.linked.uses_sqlalchemy(frame.module)
    if not name or not is_own or not run.linked.is_session_name(last(name)):
        return None
    if expr is not None and expr[0] == ir.NAME and expr[1] in state.env and owner is None:
        return None
    return _ambient.ambient_scope(run, state, name, name)


def _one(run: Run, frame: Frame, state: State, expr: Node, owner: Value, how: str) -> Value:
    if owner is None:
        return None
    name = expr[2]
    if isinstance(owner, Ref):
        return _of_object(run, frame, state, expr, owner, how)
    if isinstance(owner, ClassRef):
        return _of_class(run, frame, state, owner, name)
    if isinstance(owner, ModuleRef):
        found = run.names.member(owner, name)
        return _ambient.singleton(run, state, owner.of, name) if found is None else found
    if isinstance(owner, External):
        return _of_external(run, frame, state, owner, name)
    if isinstance(owner, Tup):
        return _of_row(state, owner, name)
    return None if type(owner) in _WITHOUT_METHODS else Method(owner, name)


def _of_external(run: Run, frame: Frame, state: State, owner: External, name: str) -> Value:
    is_made = owner.name.endswith("SQLAlchemy()")
    if name == "session" and is_made:
        ref = _ambient.ambient_scope(run, state, owner.name, "db.session")
        scope = state.heap[ref.oid]
        assert isinstance(scope, Scope)
        state.heap[ref.oid] = scope._replace(is_async=False, expires=True)
        return ref
    if is_made:
        return External(f"{owner.name}.{name}")
    if run.linked.is_session_name(name) and run.linked.is_own(frame.module, owner):
        text = f"{last(owner.name)}.{name}"
        return _ambient.ambient_scope(run, state, owner.name, text)
    if last(owner.name)[:1].isupper() and not name[:1].isupper() and name not in METHODS:
        is_attribute = not owner.name.endswith("()")
        return ClassAttribute(owner.name, name) if is_attribute and _looks_class(owner) else None
    return External(f"{owner.name}.{name}")


def _looks_class(owner: External) -> bool:
    return is_model_outside(owner.name)


def _of_row(state: State, owner: Tup, name: str) -> Value:
    for item in owner.items:
        entity = state.entity(item)
        cls = entity.cls if entity is not None else None
        if cls is not None and name == (cls if isinstance(cls, str) else cls.name):
            return item
    return Method(owner, name)


def _of_class(run: Run, frame: Frame, state: State, owner: ClassRef, name: str) -> Value:
    cls = owner.of
    if not isinstance(cls, Class):
        return ClassAttribute(cls, name)
    found = run.names.method(cls, name)
    if found is not None and run.models.attribute(cls, name) is not None:  # a `declared_attr`
        return ClassAttribute(cls, name)
    if found is not None and not found.is_property:
        bound = owner if "classmethod" in found.decorator_names() else None
        return FunctionRef(found, bound)
    if run.models.is_model(cls):
        return _legacy_query(run, frame, state, owner, name) or ClassAttribute(cls, name)
    return run.linked.notes.class_value(cls, name)


def _legacy_query(run: Run, frame: Frame, state: State, owner: ClassRef, name: str) -> Value:
    """Return `User.query`, where Flask-SQLAlchemy gives it to each model."""
    if name != "query" or not isinstance(owner.of, Class) or "query" in owner.of.names:
        return None
    bases = [base for base in run.names.mro(owner.of) if isinstance(base, str)]
    for base in bases:
        if base.endswith("SQLAlchemy().Model"):
            made = External(base.removesuffix(".Model"))
            session = _of_external(run, frame, state, made, "session")
            assert isinstance(session, Ref)
            run.touch(state, session.oid)
            return Query((owner,), frozenset(), False, session.oid, 0)
    return None


def _of_object(run: Run, frame: Frame, state: State, expr: Node, owner: Ref, how: str) -> Value:
    thing = state.heap.get(owner.oid)
    if isinstance(thing, Entity):
        return of_entity(run, frame, state, owner, expr[2], (expr[3], expr[4]), how, expr[1])
    if isinstance(thing, Scope):
        if expr[2] in ("sync_session", "session", "registry"):
            return owner
        return Manager("savepoint", owner) if expr[2] == "no_autoflush" else Method(owner, expr[2])
    if isinstance(thing, Instance):
        return _of_instance(run, frame, state, owner, thing, expr, how)
    return None


def _of_instance(
    run: Run, frame: Frame, state: State, owner: Ref, thing: Instance, expr: Node, how: str
) -> Value:
    name = expr[2]
    for key, value in thing.attributes:
        if key == name:
            return value
    cls = thing.cls
    if not isinstance(cls, Class):
        return Method(owner, name) if how == "call" else None
    found = run.names.method(cls, name)
    if found is not None:
        ref = FunctionRef(found, owner)
        if found.is_property:
            given = Given([], {}, expr[3], expr[4], expr)
            return _eval.unwrapped(_follow.invoke(run, frame, state, ref, given))
        return FunctionRef(found, None if "staticmethod" in found.decorator_names() else owner)
    outside = _objects.attribute_value(run, frame, state, owner, cls, name)
    if outside is None and how == "call":
        return Method(owner, name) if scopes_of(state, owner) else None
    return outside


# --- entities --------------------------------------------------------------------------


def of_entity(
    run: Run,
    frame: Frame,
    state: State,
    owner: Ref,
    name: str,
    span: tuple[int, int],
    how: str,
    written: Expr = None,
) -> Value:
    """Read an attribute of an entity."""
    entity = state.heap[owner.oid]
    assert isinstance(entity, Entity)
    if name == "awaitable_attrs":
        return run.make(
            frame, state, ("await", owner.oid), entity._replace(is_open=True, is_free=True), ""
        )
    if name.startswith("__") or name in _NO_READ:
        return None
    mapped = run.models.attribute(entity.cls, name)
    if mapped is None and isinstance(entity.cls, Class):
        found = run.names.method(entity.cls, name)
        if found is not None:
            return _own_method(run, frame, state, FunctionRef(found, owner), span)
        if run.models.is_complete(entity.cls):
            return None
    if mapped is None and how == "getattr" and run.linked.loads_by_name(entity.cls, name):
        mapped = Attribute(name, "relation", is_eager=False)
    if how == "call" and (mapped is None or mapped.kind != "relation"):
        return None
    if not _verdict.judge(run, frame, state, owner, entity, name, mapped, span, how, written):
        return None
    if mapped is not None and (
        (entity.source == "new" and mapped.is_many)  # it is empty, and may be filled
        or _verdict.loads_itself(run, frame, state, entity, mapped)
    ):
        state.heap[owner.oid] = entity = entity._replace(loads=entity.loads | {name})
    return _child(run, frame, state, owner, entity, name, mapped)


def _own_method(
    run: Run, frame: Frame, state: State, ref: FunctionRef, span: tuple[int, int]
) -> Value:
    if not ref.of.is_property:
        return ref
    given = Given([], {}, span[0], span[1], (0, None, (), (), *span))
    seen, before = len(run.troubles), run.mark
    own = set(_bound_to(ref))
    found = _follow.invoke(run, frame, state, ref, given)
    _blame(run, frame, state, span, seen, before, ref.of.name, own)
    return _eval.unwrapped(found)


def _child(
    run: Run,
    frame: Frame,
    state: State,
    owner: Ref,
    entity: Entity,
    name: str,
    mapped: Attribute | None,
) -> Value:
    for key, value in entity.related:
        if key == name:
            return value
    if mapped is None or mapped.kind != "relation":
        return None
    prefix = f"{name}."
    loads = frozenset([path[len(prefix) :] for path in entity.loads if path.startswith(prefix)])
    if mapped.back:
        loads |= {mapped.back}
    if entity.is_made:
        loads |= {WHOLE}
    cls = run.models.target(entity.cls, mapped)
    back = run.models.attribute(cls, mapped.back) if mapped.back else None
    is_ours = back is not None and back.points_up  # the session has it: it is the owner itself
    child = entity._replace(
        cls=cls,
        source="child" if entity.source in ("load", "child", "new") else entity.source,
        loads=loads,
        is_here=False,
        related=((mapped.back, owner),) if is_ours else (),
    )
    ref = run.known(("child", owner.oid, name))
    before = state.heap.get(ref.oid)
    is_older = isinstance(before, Entity) and before.is_detached and not entity.is_detached
    if before is None or is_older:
        state.heap[ref.oid] = child
    return Many(ref) if mapped.is_many else ref


def by_name(run: Run, frame: Frame, state: State, expr: Node, how: str) -> Value:
    """Follow `getattr`, `hasattr` and `setattr`."""
    owner = _eval.value(run, frame, state, expr[2][0])
    name = _eval.value(run, frame, state, expr[2][1])
    rest = [_eval.value(run, frame, state, part) for part in expr[2][2:]]
    if not isinstance(name, Const) or not isinstance(name.value, str):
        if how == "setattr":
            _set_some(state, owner)
        return None
    found: Value = None
    ones = meanings(owner)
    doubt = len(ones) > 1 and any(
        _verdict.is_there(run, frame, state, one, name.value) for one in ones
    )
    frame.unsure += doubt
    for one in ones:
        if how == "setattr":
            _set_on(run, frame, state, one, name.value, rest[0] if rest else None, expr[4], expr[5])
        elif state.entity(one) is not None and isinstance(one, Ref):
            kind = "getattr" if how == "hasattr" or rest else "read"
            span = (expr[4], expr[5])
            found = of_entity(run, frame, state, one, name.value, span, kind, expr[2][0])
        else:
            pretended = (ir.ATTRIBUTE, expr[2][0], name.value, expr[4], expr[5])
            found = _one(run, frame, state, pretended, one, "read")
    frame.unsure -= doubt
    return found if how == "getattr" else None


def _set_some(state: State, owner: Value) -> None:
    """Let `setattr(user, key, value)` change an entity in a way that is not known."""
    for one in meanings(owner):
        entity = state.entity(one)
        if entity is not None and isinstance(one, Ref) and entity.source != "new":
            state.heap[one.oid] = entity._replace(is_dirty=True)


def set_attribute(run: Run, frame: Frame, state: State, target: Node, value: Value) -> None:
    """Assign to an attribute."""
    owner = _eval.value(run, frame, state, target[1])
    if owner is None and _is_application(frame, state, target[1]):
        name = f"{dotted(target[1])}.{target[2]}"
        _escape.stored(run, frame, state, name, value, target[3], target[4], lives_on=True)
    for one in meanings(owner):
        _set_on(run, frame, state, one, target[2], value, target[3], target[4])


def _is_application(frame: Frame, state: State, written: Expr) -> bool:
    """Return whether it is the `state` of a global application, such as FastAPI's."""
    if written is None or written[0] != ir.ATTRIBUTE or written[2] != "state":
        return False
    name = dotted(written[1])
    return name not in state.env and name in frame.module.names


def _set_on(
    run: Run,
    frame: Frame,
    state: State,
    owner: Value,
    name: str,
    value: Value,
    start: int,
    end: int,
) -> None:
    thing = state.heap.get(owner.oid) if isinstance(owner, Ref) else None
    if isinstance(thing, Entity) and isinstance(owner, Ref):
        mapped = run.models.attribute(thing.cls, name)
        if mapped is not None and mapped.kind == "relation" and mapped.is_many:
            _verdict.judge(run, frame, state, owner, thing, name, mapped, (start, end), "set", None)
        if mapped is not None and mapped.kind == "relation":
            _mixed.linked(run, frame, state, owner, value, (start, end))
        related = tuple([pair for pair in thing.related if pair[0] != name])
        state.heap[owner.oid] = thing._replace(
            related=(*related, (name, value)),
            back=thing.back | {name},
            is_dirty=thing.is_dirty or (thing.source != "new" and _is_in_row(mapped)),
        )
        if mapped is not None and mapped.back:
            set_back(run, state, owner, mapped, value)
    elif isinstance(thing, Instance) and isinstance(owner, Ref):
        _escape.on_instance(run, frame, state, owner, name, value, start, end)
        is_plain = value is None or isinstance(value, Const)
        if not is_plain or thing.has(name):
            state.heap[owner.oid] = thing.with_(name, value)
    elif isinstance(owner, Kept | ModuleRef | ClassRef):
        _escape.into_container(run, frame, state, owner, value, start, end)


def _is_in_row(mapped: Attribute | None) -> bool:
    """Return whether setting an attribute changes a column of its own row: no collection does."""
    return mapped is None or mapped.kind != "relation" or mapped.points_up


def set_back(run: Run, state: State, owner: Ref, mapped: Attribute, value: Value) -> None:
    """Let an assignment set the other side of its relationship.

    A collection grows if it is there: that of a new entity is.
    """
    for one in refs_in(value):
        other = state.heap.get(one.oid)
        if not isinstance(other, Entity):
            continue
        back = run.models.attribute(other.cls, mapped.back)
        if back is None or (back.is_many and other.source != "new"):
            continue
        ours: Value = Many(owner) if back.is_many else owner
        related = tuple([pair for pair in other.related if pair[0] != mapped.back])
        state.heap[one.oid] = other._replace(
            related=(*related, (mapped.back, ours)), back=other.back | {mapped.back}
        )


# --- what called functions do to the caller's entities ------------------------------------


def blame(
    run: Run,
    frame: Frame,
    state: State,
    callee: Value,
    given: Given,
    seen: int,
    before: int,
    name: str,
) -> None:
    """Report what a function that was just called has done to entities of this one."""
    if not frame.is_top or len(run.troubles) == seen:
        return
    own = {oid for one in alternatives(callee) for oid in _bound_to(one)}
    _blame(run, frame, state, (given.start, given.end), seen, before, name, own)


def _bound_to(callee: Value) -> list[int]:
    if isinstance(callee, FunctionRef) and isinstance(callee.bound, Ref):
        return [callee.bound.oid]
    return []


def _blame(
    run: Run,
    frame: Frame,
    state: State,
    span: tuple[int, int],
    seen: int,
    before: int,
    name: str,
    own: set[int],
) -> None:
    """Report the new troubles; mere suspicions only when they are about the entity's own method."""
    if not frame.is_top or len(run.troubles) == seen:
        return
    if frame.forgiven:
        del run.troubles[seen:]
        return
    for trouble in run.troubles[seen:]:
        entity = state.heap.get(trouble.oid)
        is_known = isinstance(entity, Entity) and trouble.target is not None
        if (
            is_known
            and isinstance(entity, Entity)
            and _verdict.knows(state, entity, trouble.target)
        ):
            continue
        if trouble.oid <= before and (trouble.severity == "error" or trouble.oid in own):
            message = f"`{name}()` reads it: {trouble.message}"
            severity = _verdict.suspected(state, entity, trouble)
            run.report(frame, Report(*span, trouble.code, severity, message, trouble.hint))
    del run.troubles[seen:]
