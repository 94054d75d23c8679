"""`with` blocks: what they open, and what their end does to the sessions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from sqla_safe.checker import _ambient, _eval, _exec, _follow, _outside
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._given import Given
from sqla_safe.checker._holding import scopes_of
from sqla_safe.checker._index import Class, last_name
from sqla_safe.checker._names import is_client, last, looks_like_session
from sqla_safe.checker._run import Frame, Operation
from sqla_safe.checker._values import (
    ClassRef,
    Const,
    External,
    FunctionRef,
    Instance,
    Maker,
    Manager,
    Many,
    Ref,
    Scope,
    State,
    Tup,
    Value,
    alternatives,
)

if TYPE_CHECKING:
    from sqla_safe.checker._index import Function
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._run import Run

Operations = tuple[tuple[Operation, int], ...]
STACKED: Final = frozenset(("enter_context", "enter_async_context"))
_OPENS_SERVICE: Final = re.compile(
    r"(?i)service|repo|uow|unit_?of_?work|dao|crud|storage_?db|transaction"
)


class Entered(Struct, frozen=True):
    """What a `with` block binds, and what its end does: normally, and after an exception."""

    value: Value = None
    normal: Operations = ()
    failing: Operations = ()
    swallows: bool = False


def is_manager(value: Value) -> bool:
    """Return whether a value is a generator or context manager of the project."""
    return isinstance(value, Manager) and value.kind == "function"


def enter(
    run: Run,
    frame: Frame,
    state: State,
    manager: Value,
    at: int,
    *,
    is_async: bool,
    written: Expr = None,
    bound: str = "",
) -> Entered:
    """Enter a `with` block, whose manager is written so and is bound to a name."""
    entered = _entered(run, frame, state, manager, at, is_async=is_async, written=written)
    if entered.normal or written is None:
        return entered
    name = last_name(written)
    if not run.linked.settings.opens(name):
        return entered
    value = entered.value or _promised(run, frame, state, manager, at)
    told = _as_told(run, frame, state, name, at, is_async=is_async)
    if isinstance(told.value, Ref) and _is_for_session(run, name, bound):
        return told
    service = _holding(run, frame, state, value, told.value, name, at)
    return Entered(service, told.normal, told.failing)


def _promised(run: Run, frame: Frame, state: State, manager: Value, at: int) -> Value:
    """Return what the annotation of a generator says that it yields."""
    if not isinstance(manager, Manager) or not isinstance(manager.subject, FunctionRef):
        return None
    function = manager.subject.of
    inner = Frame(function, function.module, frame.is_async, (*frame.key, at))
    found = _ambient.annotated(run, inner, state, function.returns, at, "yielded", None)
    return found.item if isinstance(found, Many) else None


def _as_told(
    run: Run, frame: Frame, state: State, name: str, at: int, *, is_async: bool
) -> Entered:
    """Open the session that the user says a call in a `with` opens."""
    expires = run.linked.makers.expiry(is_async=is_async)
    ref = _ambient.new_scope(run, frame, state, at, Maker(is_async, expires, f"{name}()"))
    close: Operations = (("close", ref.oid),)
    return Entered(ref, close, close)


def _is_for_session(run: Run, name: str, bound: str) -> bool:
    """Return whether it is the session itself that is bound, by one of the two names."""
    return looks_like_session(name) or any(map(run.linked.is_session_name, (name, bound)))


def _holding(
    run: Run, frame: Frame, state: State, value: Value, session: Value, name: str, at: int
) -> Ref:
    """Return the service that a `with` gives, with the session in it."""
    held = state.instance(value)
    if held is not None and isinstance(value, Ref):
        state.heap[value.oid] = held.with_("session", session)
        return value
    return run.make(frame, state, at, Instance(name, (("session", session),)), "service")


def _entered(
    run: Run,
    frame: Frame,
    state: State,
    manager: Value,
    at: int,
    *,
    is_async: bool,
    written: Expr,
) -> Entered:
    manager = next(iter(alternatives(_eval.unwrapped(manager))))
    if isinstance(manager, Ref):
        return _object(run, frame, state, manager, at, is_async=is_async)
    if isinstance(manager, Manager):
        return _known(run, frame, state, manager, at, is_async=is_async)
    if isinstance(manager, Maker):
        return Entered(manager)
    return _unknown(run, frame, state, written, at, is_async=is_async)


def _object(run: Run, frame: Frame, state: State, ref: Ref, at: int, *, is_async: bool) -> Entered:
    thing = state.heap.get(ref.oid)
    if isinstance(thing, Scope):
        kind = is_async if thing.is_async is None else thing.is_async
        keeps = thing.expires is None and run.linked.makers.expiry(is_async=kind) is False
        expires = False if keeps else thing.expires
        state.heap[ref.oid] = thing._replace(is_async=kind, expires=expires, at=at, is_closed=False)
        close: Operations = (("close", ref.oid),)
        return Entered(ref, close, close)
    if isinstance(thing, Instance) and isinstance(thing.cls, Class):
        return _by_methods(run, frame, state, ref, thing.cls, at)
    if isinstance(thing, Instance) and thing.cls == "ExitStack":
        unwind: Operations = (("unwind", ref.oid),)
        return Entered(ref, unwind, unwind)
    if isinstance(thing, Instance):
        close = tuple([("close", oid) for oid in sorted(scopes_of(state, ref))])
        return Entered(ref, close, close)
    return Entered(ref)


def stacked(run: Run, frame: Frame, state: State, ref: Ref, name: str, given: Given) -> Value:
    """Enter what is given to an `ExitStack`: it ends when the block of the stack does."""
    stack = state.heap[ref.oid]
    assert isinstance(stack, Instance)
    at, is_async = given.start, name == "enter_async_context"
    part = given.expr[2][0] if given.expr[2] else None
    entered = enter(run, frame, state, given.first(), at, is_async=is_async, written=part)
    ending = [Tup((Const(operation), Ref(oid))) for operation, oid in entered.normal]
    for number, one in enumerate(ending):
        stack = stack.with_(f"{at} {number}", one)
    state.heap[ref.oid] = stack
    return entered.value


def _by_methods(run: Run, frame: Frame, state: State, ref: Ref, cls: Class, at: int) -> Entered:
    """Enter an object whose class says how: `__enter__` and `__exit__`."""
    start = run.names.method(cls, "__aenter__") or run.names.method(cls, "__enter__")
    end = run.names.method(cls, "__aexit__") or run.names.method(cls, "__exit__")
    if start is None or end is None:
        return Entered(ref)
    given = Given([], {}, at, at, (0, None, (), (), at, at))
    value = _eval.unwrapped(_follow.invoke(run, frame, state, FunctionRef(start, ref), given))
    normal = _ending(run, frame, state, FunctionRef(end, ref), at, failed=False)
    failing = _ending(run, frame, state, FunctionRef(end, ref), at, failed=True)
    return Entered(value if value is not None else ref, normal, failing)


def _ending(
    run: Run, frame: Frame, state: State, ref: FunctionRef, at: int, *, failed: bool
) -> Operations:
    """Return what an `__exit__` does to sessions."""
    error: Value = None if failed else Const(None)
    given = Given([error] * 3, {}, at, at, (0, None, (), (), at, at))
    if failed:
        given.args = [Const("raised")] * 3
    outer, maybe, run.log, run.maybe = run.log, run.maybe, [], 0
    troubles = len(run.troubles)
    _follow.follow(run, frame, state.copy(), ref, given)
    del run.troubles[troubles:]
    operations, run.log, run.maybe = tuple(run.log), outer, maybe
    return operations


def _known(
    run: Run, frame: Frame, state: State, manager: Manager, at: int, *, is_async: bool
) -> Entered:
    if manager.kind == "session":
        ref = _ambient.new_scope(run, frame, state, at, manager.subject)
        oid = ref.oid
        return Entered(ref, (("commit", oid), ("close", oid)), (("rollback", oid), ("close", oid)))
    if manager.kind == "begin":
        oid = manager.subject.oid
        return Entered(None, (("commit", oid),), (("rollback", oid),))
    if manager.kind == "closing" and isinstance(manager.subject, Ref):
        close: Operations = (("close", manager.subject.oid),)
        return Entered(manager.subject, close, close)
    if manager.kind == "function" and isinstance(manager.subject, External):
        return _scoped_services(run, frame, state, manager, at)
    if manager.kind == "function":
        return _generator(run, frame, state, manager, at)
    return Entered(None)


def _scoped_services(run: Run, frame: Frame, state: State, manager: Manager, at: int) -> Entered:
    """Enter `scoped_services(Session, UserService, ...)`: one session for all of them."""
    given = manager.args
    source = given.args[0] if given.args else None
    maker = source if isinstance(source, Maker) else Maker(None, False, "the scope")
    ref = _ambient.new_scope(run, frame, state, at, replace(maker, key="the scope"))
    services: list[Value] = []
    for number, service in enumerate(given.args[1:]):
        inner = Given([ref], {}, at + number, at, (0, None, (), (), at, at))
        services.append(_eval.unwrapped(_built(run, frame, state, service, inner)))
    if not services:
        scope = run.make(frame, state, at, Instance("Scope", (("session", ref),)), "handle")
        value: Value = scope
    else:
        value = services[0] if len(services) == 1 else Tup(tuple(services))
    oid = ref.oid
    return Entered(value, (("commit", oid), ("close", oid)), (("rollback", oid), ("close", oid)))


def _built(run: Run, frame: Frame, state: State, service: Value, given: Given) -> Value:
    if isinstance(service, ClassRef):
        return _follow.construct(run, frame, state, service.of, given)
    if isinstance(service, FunctionRef):
        return _follow.invoke(run, frame, state, service, given)
    name = last(service.name) if isinstance(service, External) else "Service"
    return _outside.unresolved(run, frame, state, name, service, given)


def _generator(run: Run, frame: Frame, state: State, manager: Manager, at: int) -> Entered:
    """Enter a function that yields: what comes after its `yield` happens at the end."""
    ref: FunctionRef = manager.subject
    if len(frame.key) > 6 or run.is_running(ref.of) or not run.may_go_on():
        return Entered(None)
    value, normal = _until_yield(run, frame, state, ref, manager.args, at, "go")
    _, failing = _until_yield(run, frame, state.copy(), ref, manager.args, at, "raise")
    return Entered(value, normal, failing)


def _until_yield(
    run: Run, frame: Frame, state: State, ref: FunctionRef, given: Given, at: int, mode: str
) -> tuple[Value, Operations]:
    inner = _follow.enter_frame(frame, ref, at)
    inner.on_yield = "go" if mode == "go" else "raise"
    inner.guarded = mode == "raise"
    local = State(_follow.bind(run, inner, state, ref, given), state.heap)
    inner.fixed = _follow.fixed(run, ref.of, local.env)
    _dependencies(run, inner, local, ref.of)
    outer, maybe, run.log = run.log, run.maybe, None
    troubles = len(run.troubles)
    run.stack.append(ref.of)
    _exec.block(run, inner, local.copy(), ref.of.body)
    run.stack.pop()
    del run.troubles[troubles:]
    operations: Operations = _logged(run)
    run.log, run.maybe = outer, maybe
    if inner.yielded is None:
        return None, ()
    heap = inner.yielded[0].heap
    state.heap.update(heap)
    return inner.yielded[1], operations


def _logged(run: Run) -> Operations:
    return tuple(run.log) if run.log is not None else ()


def _dependencies(run: Run, frame: Frame, state: State, function: Function) -> None:
    """Bind those parameters of a dependency that nobody has given."""
    missing = State({}, state.heap)
    if any(state.env.get(name) is None for name, _, _ in function.params):
        _ambient.parameters(run, frame, missing, function)
        for name, value in missing.env.items():
            if state.env.get(name) is None:
                state.env[name] = value
        state.heap = missing.heap


def provided(run: Run, frame: Frame, state: State, ref: FunctionRef) -> Value:
    """Return what a dependency of FastAPI gives."""
    at = ref.of.start
    given = Given([], {}, at, at, (0, None, (), (), at, at))
    if ref.of.is_generator:
        value, _ = _until_yield(run, frame, state, ref, given, at, "go")
        return value
    if len(frame.key) > 4 or run.is_running(ref.of):
        return None
    inner = _follow.enter_frame(frame, ref, at)
    local = State(_follow.bind(run, inner, state, ref, given), state.heap)
    _dependencies(run, inner, local, ref.of)
    given.keywords.update(local.env)
    state.heap = local.heap
    return _eval.unwrapped(_follow.invoke(run, frame, state, ref, given))


def _unknown(
    run: Run, frame: Frame, state: State, written: Expr, at: int, *, is_async: bool
) -> Entered:
    """Enter something that is not part of what was read, but called like a session or service."""
    name = last_name(written)
    target = _call_target(run, frame, written)
    if not run.linked.is_own(frame.module, target) or not name or _is_of_client(written):
        return Entered(None)
    is_session = looks_like_session(name) or run.linked.is_session_name(name)
    if not is_session and not _OPENS_SERVICE.search(name):
        return Entered(None)
    if not is_session and "ervice" not in name and not run.linked.uses_sqlalchemy(frame.module):
        return Entered(None)
    expires = False if run.linked.makers.expiry(is_async=is_async) is False else None
    ref = _ambient.new_scope(run, frame, state, at, Maker(is_async, expires, f"{name}()"))
    close: Operations = (("close", ref.oid),)
    if is_session:
        return Entered(ref, close, close)
    service = run.make(frame, state, at, Instance(name, (("session", ref),)), "service")
    return Entered(service, close, close)


def _is_of_client(written: Expr) -> bool:
    """Return whether something of another kind of client is entered: `client.start_session()`."""
    target = written[1] if written is not None and written[0] == ir.CALL else written
    is_method = target is not None and target[0] == ir.ATTRIBUTE
    return is_method and target is not None and is_client(last_name(target[1]))


def _call_target(run: Run, frame: Frame, written: Expr) -> Value:
    if written is None:
        return None
    return run.names.value(frame.module, written[1] if written[0] == ir.CALL else written)
