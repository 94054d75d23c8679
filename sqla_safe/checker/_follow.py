"""Calls of functions and classes of the project, which are followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqla_safe.checker import _ambient, _eval, _exec, _memo, _outside, _read, _sqla
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._holding import held_by, scopes_of, taken
from sqla_safe.checker._index import Class
from sqla_safe.checker._names import last
from sqla_safe.checker._renaming import pruned
from sqla_safe.checker._run import DEEPEST, Frame
from sqla_safe.checker._values import (
    WHOLE,
    ClassRef,
    Const,
    Entity,
    External,
    FunctionRef,
    Instance,
    Manager,
    Pending,
    Ref,
    State,
    Tup,
    Value,
    join,
    join_values,
    refs_in,
)

if TYPE_CHECKING:
    from sqla_safe.checker._given import Given
    from sqla_safe.checker._index import Function
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._run import Run

ARGUMENTS: Final = "*"
"""No name of Python: the caller still has what a function binds its parameters anew over."""


def invoke(run: Run, frame: Frame, state: State, ref: FunctionRef, given: Given) -> Value:
    """Follow a call of a function of the project."""
    function = ref.of
    if function.is_generator:
        return Manager("function", ref, given)
    around = taken(run, state, ref) if ref.closure is not None else []
    scopes, entities = held_by(run, state, [*given.all(), *around], ref.bound)
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


def _can_follow(run: Run, frame: Frame, function: Function, *, is_given: bool) -> bool:
    """Return whether a call is worth following: it may use sessions, or is given entities."""
    return (
        len(frame.key) < DEEPEST
        and (is_given or run.linked.relevance.is_relevant(function))
        and not run.is_mocked(function)
        and not run.is_running(function)
        and run.may_go_on()
    )


def follow(run: Run, frame: Frame, state: State, ref: FunctionRef, given: Given) -> Value:
    """Follow the body of a function with the arguments of a call."""
    inner = enter_frame(frame, ref, given.start)
    before = dict(state.heap)
    local = State(bind(run, inner, state, ref, given), state.heap)
    inner.fixed = fixed(run, ref.of, local.env)
    bound = local.env.copy()
    local.env[ARGUMENTS] = Tup((ref.bound, *given.all()))
    seen = len(run.troubles)
    found, joined = run_body(run, inner, local, ref.of)
    run.troubles[seen:] = _memo.of_callers(run.troubles[seen:], before, ref.of, bound)
    if joined is not None:
        state.heap = _memo.settled(pruned(run, joined.heap, before, found), before)
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
    doubts, run.doubts = run.doubts, []
    inner.fell = joined = _exec.block(run, inner, local, function.body)
    run.doubts = doubts
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
    params: tuple[Any, ...] = function.params
    args = given.args
    is_static = "staticmethod" in function.decorator_names()
    if function.cls is not None and not is_static and ref.bound is not None:
        args = [ref.bound, *args]
    env: dict[str, Value] = {}
    for at, param in enumerate(params):
        name: str = param[0]
        note, default = param[1:]
        if at < len(args):
            env[name] = args[at]
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
        return _outside.unresolved(run, frame, state, last(cls), External(cls), given)
    kind = run.names.is_session_class(ClassRef(cls))
    if kind:
        return _sqla.opened(run, frame, state, cls.name, given, is_async=kind == "async")
    if run.models.is_model(cls):
        return _new_entity(run, frame, state, cls, given)
    ref = run.make(frame, state, given.start, Instance(cls), "instance")
    init = run.names.method(cls, "__init__")
    if init is not None:
        if len(frame.key) < DEEPEST + 2 and not run.is_running(init):
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
    is_open = None in given.keywords
    if is_open or run.models.fills(cls):
        entity = entity._replace(is_open=is_open, loads=known | {WHOLE})
    ref = run.make(frame, state, given.start, entity, "new")
    for key, value in related:
        mapped = run.models.attribute(cls, key)
        if mapped is not None and mapped.back and value is not None:
            _read.set_back(run, state, ref, mapped, value)
    return ref
