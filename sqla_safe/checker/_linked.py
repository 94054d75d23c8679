"""A code base as a whole: what is true of all its files together."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

from sqla_safe.checker import _ambient, _exec
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import (
    Class,
    Function,
    Index,
    Module,
    Written,
    bound_in,
    is_elsewhere,
    is_import,
    last_name,
)
from sqla_safe.checker._models import Models
from sqla_safe.checker._names import Names, is_session_name, is_sqlalchemy, looks_like_session
from sqla_safe.checker._reach import Reach
from sqla_safe.checker._run import Frame
from sqla_safe.checker._values import (
    ClassRef,
    Const,
    External,
    FunctionRef,
    Ref,
    State,
    Value,
    join,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqla_safe.checker._facts import ModuleFacts
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._memo import Summary
    from sqla_safe.checker._run import Run
    from sqla_safe.checker._settings import Settings

_SEEDS: Final = frozenset(
    (
        "execute",
        "scalars",
        "scalar",
        "exec",
        "commit",
        "rollback",
        "flush",
        "refresh",
        "merge",
        "expunge",
        "query",
        "select",
        "sessionmaker",
        "async_sessionmaker",
        "Session",
        "AsyncSession",
        "gather",
        "create_task",
        "add_task",
        "scoped_services",
        "expire_all",
        "begin",
        "update_data",
        "listens_for",
        "Depends",
        "ensure_future",
        "to_thread",
    )
)
_ALWAYS: Final = re.compile(r"^__a?(enter|exit)__$|session")
_OPENS: Final = re.compile(
    r"(?i)session|service|repo|uow|unit_?of_?work|dao|crud|(^|_)db(_|$)|getdb"
)
_COMMON: Final = frozenset(
    (
        "get",
        "update",
        "add",
        "pop",
        "items",
        "append",
        "remove",
        "set",
        "close",
        "copy",
        "values",
        "join",
        "format",
        "run",
        "start",
        "stop",
        "send",
        "read",
        "write",
        "__init__",
        "dict",
        "keys",
    )
)


class Linked:
    """The index with everything that is derived from it."""

    def __init__(self, modules: Iterable[ModuleFacts], settings: Settings) -> None:
        """Read and link the facts of all files."""
        self.settings = settings
        self.index = Index(modules)
        self.names = Names(self.index)
        self.models = Models(self.names)
        self._loaded: set[str] = set()
        self._makers: set[str] = set()
        self._spawned: set[str] = set()
        self.reach = Reach(self.index, settings)
        self._counted = [each for each in self.index.modules.values() if each in self.reach.counted]
        self._has_async = False
        self._holders: dict[Class, bool] = {}
        self._is_whole: bool | None = None
        self.summaries: dict[Any, Summary] = {}
        self.given_up: list[Function] = []
        self._bound: dict[Function, frozenset[str]] = {}
        self._assigned: dict[Class, dict[str, tuple[Function, Expr]]] = {}
        for module in self.index.modules.values():
            for cls in module.classes:
                self.models.note(cls)
        for module in self._counted:
            self._take(module)
        self._by_async, self._by_sync = self._callers()
        self._makers_named = {
            name
            for module in self._counted
            for name, value in module.names.items()
            if _is_maker(value)
        }
        self._openers = self._find_openers()
        self._sources = self._find_sources()
        self._relevant = self._find_relevant()

    def begin(self) -> None:
        """Forget what one file has taught: no file's findings depend on which came before it."""
        self.summaries.clear()
        self.given_up.clear()

    def _take(self, module: Module) -> None:
        for name in module.loaded:
            if name.startswith("!task:"):
                self._spawned.add(name.removeprefix("!task:"))
            else:
                (self._makers if name.startswith("!") else self._loaded).add(name)
        self._has_async = self._has_async or _imports_async(module)

    def _callers(self) -> tuple[set[str], set[str]]:
        by_async: set[str] = set()
        by_sync: set[str] = set()
        for module in self._counted:
            for function in module.all_functions():
                (by_async if function.is_async else by_sync).update(function.called)
        return by_async, by_sync

    def _find_relevant(self) -> set[str]:
        """Return the names of functions that may lead to a session, to a fixed point."""
        called_by: dict[str, set[str]] = {}
        todo: list[str] = []
        for module in self._counted:
            for function in module.all_functions():
                for name in function.called:
                    called_by.setdefault(name, set()).add(function.name)
                if self._is_seed(function):
                    todo.append(function.name)
        for module in self._counted:
            for cls in module.classes:
                if any(self._is_seed(method) for method in cls.methods.values()):
                    todo += [cls.name, *cls.methods]
        found = set(todo)
        while todo:
            name = todo.pop()
            if name in _COMMON:
                continue
            for caller in called_by.get(name, ()):
                if caller not in found:
                    found.add(caller)
                    todo.append(caller)
        return found

    def _find_sources(self) -> set[str]:
        """Return the names of functions that open sessions, and of those that lead to them."""
        called_by: dict[str, set[str]] = {}
        todo: list[str] = []
        for module in self._counted:
            for function in module.all_functions():
                for name in function.called:
                    called_by.setdefault(name, set()).add(function.name)
                has_with = bool(function.flags & ir.HAS_WITH)
                if (has_with and self._opens(function)) or _is_called(function, self._makers_named):
                    todo.append(function.name)
        found = set(todo)
        while todo:
            name = todo.pop()
            callers = () if name in _COMMON or name.startswith("__") else called_by.get(name, ())
            new = [caller for caller in callers if caller not in found]
            found.update(new)
            todo += new
        return found

    def is_start(self, function: Function) -> bool:
        """Return whether a function is worth looking at by itself."""
        if not self.is_relevant(function):
            return False
        if function.name in self._sources or not _SEEDS.isdisjoint(function.called):
            return True
        if function.cls is not None and (
            self.models.is_model(function.cls) or self._has_session(function.cls)
        ):
            return True
        module = function.module
        return any(
            _mentions(self, module, note) or self.is_session_name(name)
            for name, note, _ in function.params
        )

    def _has_session(self, cls: Class) -> bool:
        """Return whether the objects of a class are likely to hold a session or an entity."""
        if cls not in self._holders:
            init = self.names.method(cls, "__init__")
            params = init.params if init is not None else ()
            self._holders[cls] = any(
                self.is_session_name(name) or _mentions(self, cls.module, note) or note is None
                for name, note, _ in params[1:]
            ) or any(_OPENS.search(name) for name in (*cls.names, *cls.methods))
        return self._holders[cls]

    def _is_seed(self, function: Function) -> bool:
        if function.flags & ir.HAS_WITH and self._opens(function):
            return True
        if any(map(self.settings.opens, function.called)):
            return True
        if not _SEEDS.isdisjoint(function.called) or _ALWAYS.search(function.name):
            return True
        if function.cls is not None and self.models.is_model(function.cls):
            return True
        return any(
            _mentions(self, function.module, note) or self.is_session_name(name)
            for name, note, _ in function.params
        )

    @property
    def has_odd_makers(self) -> bool:
        """Whether the settings of a sessionmaker are decided when the program runs."""
        return any(maker.endswith(":?") for maker in self._makers)

    def _opens(self, function: Function) -> bool:
        """Return whether a function with a `with` calls something that may open a session."""
        called = function.called
        known = not self._openers.isdisjoint(called) or any(map(_OPENS.search, called))
        return known or any(map(self.settings.opens, called))

    def _find_openers(self) -> set[str]:
        """Return the names of sessionmakers, and of what can stand in a `with`."""
        found = set(self._makers_named)
        for module in self._counted:
            found.update([each.name for each in module.all_functions() if each.is_manager])
            for cls in module.classes:
                if "__enter__" in cls.methods or "__aenter__" in cls.methods:
                    found.add(cls.name)
        return found

    def is_session_name(self, name: str) -> bool:
        """Return whether a name is one that people, or this code base, give to sessions."""
        return is_session_name(name) or self.settings.is_session(name)

    # --- questions -----------------------------------------------------------------

    @property
    def everywhere(self) -> tuple[bytes, ...]:
        """What the findings of all files depend on."""
        flags = (self._has_async, self._knows_makers())
        parts = (self._loaded, self._makers, self.index.modules)
        return (
            repr((self.settings, flags)).encode(),
            *[repr(sorted(each)).encode() for each in parts],
        )

    def traits(self, module: Module) -> bytes:
        """Return what the whole code base makes of the functions of one file."""
        names = sorted({*[each.name for each in module.all_functions()], *module.nested})
        sets = (self._relevant, self._sources, self._spawned, self._by_async, self._by_sync)
        found = bytearray([name in each for name in names for each in sets])
        return bytes((*found, module in self.reach.counted))

    def related_to(self, module: Module) -> list[Class]:
        """Return the classes that the relationships of a file's models may lead to, by name."""
        return [
            cls
            for model in module.classes
            if self.models.is_model(model)
            for attribute in self.models.attributes(model).values()
            if attribute.target
            for cls in self.models.called(attribute.target)
        ]

    def is_relevant(self, function: Function) -> bool:
        """Return whether following a function can tell anything."""
        if function.module not in self.reach.counted:
            return False
        is_started = function.name in self._spawned
        return function.name in self._relevant or function.is_property or is_started

    def is_called_by_async(self, function: Function | None) -> bool:
        """Return whether a function is called by coroutines only, as far as names tell."""
        if function is None:
            return False
        name = function.name
        return function.is_async or (name in self._by_async and name not in self._by_sync)

    def loads_anywhere(self, cls: Class | str | None, name: str) -> bool:
        """Return whether any statement loads a relationship with its entity."""
        if f"*.{name}" in self._loaded or not isinstance(cls, Class):
            return True
        owners = [each for each in self.names.mro(cls) if isinstance(each, Class)]
        return any(f"{owner.name}.{name}" in self._loaded for owner in owners)

    def loads_group(self, name: str) -> bool:
        """Return whether any statement loads a group of deferred columns."""
        return bool(name) and f"*.{name}" in self._loaded

    def is_spawned(self, function: Function) -> bool:
        """Return whether a method is started as a task that nobody awaits."""
        return function.name in self._spawned and function.is_async

    def loads_by_name(self, cls: Class | str | None, name: str) -> bool:
        """Return whether a class outside of the files has a relationship that they load."""
        return isinstance(cls, str) and f"*.{name}" in self._loaded

    def kind_of_sessions(self) -> bool | None:
        """Return whether all sessionmakers are asynchronous, or all are not."""
        kinds = {maker.partition(":")[0] for maker in self._makers}
        if kinds == {"!sync"}:
            return None if self._has_async else False
        return True if kinds == {"!async"} else None

    def expiry_of_sessions(self, *, is_async: bool | None) -> bool | None:
        """Return `expire_on_commit` where all sessionmakers of a kind agree."""
        prefix = {True: "!async", False: "!sync", None: "!"}[is_async]
        found = {each.rpartition(":")[2] for each in self._makers if each.startswith(prefix)}
        only = found.pop() if len(found) == 1 else "?"
        if only == "True" and self._knows_makers():
            return True
        return False if only == "False" else self.settings.expire_on_commit

    def _knows_makers(self) -> bool:
        """Return whether no sessionmaker is imported from a file that is not here."""
        if self._is_whole is None:
            self._is_whole = not any(
                looks_like_session(str(binding[1] or ""))
                and isinstance(self.index.imported(module, binding), str)
                and self.is_own(module, External(".".join((binding[0], str(binding[1])))))
                for module in self._counted
                for binding in module.names.values()
                if is_import(binding)
            )
        return self._is_whole

    def uses_sqlalchemy(self, module: Module) -> bool:
        """Return whether a file is part of what uses SQLAlchemy."""
        return module in self.reach.counted

    def is_own(self, module: Module, owner: Value) -> bool:
        """Return whether something that is not among the files seems to belong to them."""
        if not isinstance(owner, External):
            return True
        root = owner.name.partition(".")[0]
        if not root or root in sys.stdlib_module_names or root == "builtins":
            return False
        is_near = root in module.parts or any(
            binding[2] > 0 and binding[0].partition(".")[0] == root
            for binding in module.names.values()
            if is_import(binding)
        )
        return is_near or self.index.module((root,), module) is not None

    # --- names -----------------------------------------------------------------------

    def global_(self, module: Module, name: str) -> Value:
        """Return what a global name means."""
        return self.names.of(module, name)

    def imported(self, module: Module, binding: tuple[str, str | None, int]) -> Value:
        """Return what an import inside a function brings."""
        return self.names.imported(module, binding)

    def singleton(self, module: Module, name: str) -> Class | None:
        """Return the class of an object that a module makes once: `users = UserService()`."""
        binding = module.names.get(name)
        if is_import(binding):
            found = self.index.imported(module, binding)
            return (
                self.singleton(*found) if is_elsewhere(found) and found[0] is not module else None
            )
        if not isinstance(binding, Written):
            return None
        for expr in binding.values:
            if expr is not None and expr[0] == ir.CALL:
                target = self.names.value(module, expr[1])
                if isinstance(target, ClassRef) and isinstance(target.of, Class):
                    return None if self.models.is_model(target.of) else target.of
        return None

    def alias(self, module: Module, name: str) -> tuple[Module, Expr] | None:
        """Return what an alias of a type stands for: `SessionDep = Annotated[...]`."""
        binding = module.names.get(name)
        for _ in range(5):
            if isinstance(binding, Written):
                value = binding.values[-1] if binding.values else None
                return (module, value) if value is not None and value[0] == ir.ITEM else None
            if not is_import(binding):
                return None
            found = self.index.imported(module, binding)
            if not is_elsewhere(found):
                return None
            module, binding = found[0], found[0].names.get(found[1])
        return None

    def class_named(self, module: Module, note: Expr) -> Class | str | None:
        """Return the class that an annotation names."""
        value = self.names.value(module, note)
        if isinstance(value, ClassRef):
            return value.of
        return value.name if isinstance(value, External) else None

    def class_value(self, cls: Class, name: str) -> Value:
        """Return what the body of a class assigns to a name."""
        found = self.names.class_attribute(cls, name)
        if found is None:
            return None
        owner, written = found
        value = written.values[-1] if written.values else None
        if value is not None and value[0] == ir.CONST:
            return Const(value[1])
        return self.names.value(owner.module, value)

    def return_note(self, function: Function, ref: FunctionRef, state: State) -> Expr:
        """Return the annotation of what a function returns, with type variables filled in."""
        note = function.returns
        bound = state.heap.get(ref.bound.oid) if isinstance(ref.bound, Ref) else None
        cls = ref.bound.of if isinstance(ref.bound, ClassRef) else getattr(bound, "cls", None)
        if not isinstance(cls, Class) or function.cls is None:
            return note
        given = self._argument(cls, function.cls)
        return note if given is None else self._filled(function.module, note, given)

    def _argument(self, cls: Class, base: Class) -> Class | None:
        """Return the model in `class UserRepository(BaseRepository[User])`."""
        for each in self.names.mro(cls):
            if not isinstance(each, Class):
                continue
            for expr in each.bases:
                if expr is not None and expr[0] == ir.ITEM:
                    inner = expr[2]
                    first = inner[1][0] if inner is not None and inner[0] == ir.TUPLE else inner
                    target = self.class_named(each.module, first)
                    if isinstance(target, Class) and self.models.is_model(target):
                        return target
        del base
        return None

    def _filled(self, module: Module, note: Expr, given: Class) -> Expr:
        if note is None:
            return None
        if note[0] == ir.NAME:
            written = module.names.get(note[1])
            is_variable = isinstance(written, Written) and any(
                value is not None and value[0] == ir.CALL and last_name(value[1]) == "TypeVar"
                for value in written.values
            )
            is_unknown = (
                (written is None and len(note[1]) <= 2)
                or is_variable
                or (isinstance(written, tuple) and note[1].endswith(("Type", "T", "T_co")))
            )
            return (ir.CONST, given) if is_unknown else note
        if note[0] == ir.ITEM:
            return (*note[:2], self._filled(module, note[2], given), *note[3:])
        if note[0] in (ir.PARTS, ir.TUPLE):
            return (note[0], tuple([self._filled(module, part, given) for part in note[1]]))
        return note

    def assigned_names(self, function: Function) -> frozenset[str]:
        """Return the names that a function binds, besides its parameters."""
        if function not in self._bound:
            self._bound[function] = frozenset(bound_in(function.body))
        return self._bound[function]

    # --- objects ----------------------------------------------------------------------

    def construct(self, run: Run, frame: Frame, state: State, ref: Ref, init: Function) -> None:
        """Run the constructor of a `self` that nobody in sight has made."""
        inner = Frame(init, init.module, frame.is_async, (*frame.key, init.start))
        local = State({}, state.heap)
        if init in run.stack:
            return
        run.stack.append(init)
        instance = state.heap[ref.oid]
        _ambient.parameters(run, inner, local, init)
        local.heap[ref.oid] = instance
        local.env[init.params[0][0] if init.params else "self"] = ref
        after = _exec.block(run, inner, local, init.body)
        run.stack.pop()
        for way, _, _ in inner.returned:
            after = join(after, way)
        if after is not None:
            state.heap = after.heap

    def attribute_value(
        self, run: Run, frame: Frame, state: State, owner: Ref, cls: Class, name: str
    ) -> Value:
        """Return an attribute of an object that no code in sight has set."""
        value = self.class_value(cls, name)
        if value is not None:
            return value
        found = self.names.class_attribute(cls, name)
        if found is not None and found[1].annotation is not None:
            inner = Frame(None, found[0].module, frame.is_async, (-1, owner.oid))
            return _ambient.annotated(run, inner, state, found[1].annotation, 0, name, None)
        return self._assigned_value(cls, name)

    def _assigned_value(self, cls: Class, name: str) -> Value:
        for each in self.names.mro(cls):
            if isinstance(each, Class):
                found = self._assignments(each).get(name)
                if found is not None and found[1] is not None and found[1][0] == ir.CALL:
                    return self.names.maker(each.module, found[1], name)
        return None

    def _assignments(self, cls: Class) -> dict[str, tuple[Function, Expr]]:
        if cls not in self._assigned:
            found: dict[str, tuple[Function, Expr]] = {}
            for method in cls.methods.values():
                if _SEEDS.isdisjoint(method.called):
                    continue
                for node in _flat(method.body):
                    for target in node[1]:
                        if target is not None and target[0] == ir.ATTRIBUTE:
                            found[target[2]] = (method, node[2])
            self._assigned[cls] = found
        return self._assigned[cls]


def _flat(block: ir.Block) -> list[ir.Node]:
    from sqla_safe.checker._index import flat

    return [node for node in flat(block) if node[0] == ir.ASSIGN]


def _is_called(function: Function, names: set[str]) -> bool:
    return not names.isdisjoint(function.called) or any(map(looks_like_session, function.called))


def _is_maker(value: object) -> bool:
    """Return whether a name is assigned the call of a sessionmaker's class, or imported."""
    if not isinstance(value, Written):
        return False
    calls = [expr for expr in value.values if expr is not None and expr[0] == ir.CALL]
    return any(last_name(call[1]).endswith(("sessionmaker", "scoped_session")) for call in calls)


def _imports_async(module: Module) -> bool:
    """Return whether a file imports SQLAlchemy's asynchronous sessions."""
    return any(
        is_import(binding)
        and is_sqlalchemy(binding[0])
        and ("asyncio" in binding[0] or "async" in str(binding[1]).lower())
        for binding in module.names.values()
    )


def _mentions(linked: Linked, module: Module, note: Expr) -> bool:
    """Return whether an annotation names a session or an entity."""
    if note is None:
        return False
    if note[0] in (ir.PARTS, ir.TUPLE):
        return any(_mentions(linked, module, part) for part in note[1])
    if note[0] == ir.ITEM:
        return _mentions(linked, module, note[2]) or _mentions(linked, module, note[1])
    name = last_name(note)
    if "ession" in name:
        return True
    value = linked.names.value(module, note)
    if isinstance(value, ClassRef):
        return linked.models.is_model(value.of)
    return isinstance(value, External) and _ambient.is_model_outside(value.name)
