"""Which functions may lead to a session, as far as names tell: the others are not followed."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import Class, Function, Module, Written, last_name
from sqla_safe.checker._models import RELATIONS, is_model_outside
from sqla_safe.checker._names import Names, is_session_name, looks_like_session
from sqla_safe.checker._values import ClassRef, External

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._models import Models
    from sqla_safe.checker._reach import Reach
    from sqla_safe.checker._settings import Settings

SEEDS: Final = frozenset(
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
        ir.OF_A_SESSION,
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

_VARIABLE: Final = re.compile(r"^(T|T[A-Z_]\w*|_?[A-Z]\w*(T|Type|Model|Entity))$")
"""How people call the type variable of a generic repository."""
_WRAPPERS: Final = frozenset(
    ("Optional", "Annotated", "FromDishka", "FromComponent", "Injected", "Inject")
)


class Relevance:
    """What the names of functions, and of what they call, say together."""

    def __init__(self, models: Models, names: Names, reach: Reach, settings: Settings) -> None:
        """Take the files that count, and look at the names in them to a fixed point."""
        self._models, self._names, self._reach = models, names, reach
        self._settings = settings
        self._counted = sorted(reach.counted, key=lambda each: each.path)
        self._holders: dict[Class, bool] = {}
        self._spawned = self._noted("!task:")
        self._run_sync = self._noted("!run:")
        self._keepers: dict[Class, bool] = {}
        self._by_async: set[str] = set()
        self._by_sync: set[str] = set()
        self._called_by = self._callers()
        self._relations = {
            name
            for module in self._counted
            for cls in module.classes
            for name, written in cls.names.items()
            if any(map(_is_relation, written.values))
        }
        self._makers_named = {
            name
            for module in self._counted
            for name, value in module.names.items()
            if _is_maker(value)
        }
        self._openers = self._find_openers()
        self._sources = self._find_sources()
        self._relevant = self._find_relevant()

    def _noted(self, prefix: str) -> set[str]:
        """Return the names that any file has noted with a prefix."""
        loaded = [name for module in self._counted for name in module.loaded]
        return {name.removeprefix(prefix) for name in loaded if name.startswith(prefix)}

    def _is_session_name(self, name: str) -> bool:
        return is_session_name(name) or self._settings.is_session(name)

    def _callers(self) -> dict[str, set[str]]:
        """Note what coroutines call and what others do; return who calls each name."""
        called_by: dict[str, set[str]] = {}
        for module in self._counted:
            for function in module.all_functions():
                (self._by_async if function.is_async else self._by_sync).update(function.called)
                for name in function.called:
                    called_by.setdefault(name, set()).add(function.name)
        return called_by

    def _find_relevant(self) -> set[str]:
        """Return the names of functions that may lead to a session, to a fixed point."""
        functions = [each for module in self._counted for each in module.all_functions()]
        seeds = set(filter(self.is_seed, functions))
        todo = [function.name for function in seeds]
        for module in self._counted:
            for cls in module.classes:
                if not seeds.isdisjoint(cls.methods.values()):
                    todo += [cls.name, *cls.methods]
        found = set(todo)
        while todo:
            name = todo.pop()
            if name in _COMMON:
                continue
            for caller in self._called_by.get(name, ()):
                if caller not in found:
                    found.add(caller)
                    todo.append(caller)
        return found

    def _find_sources(self) -> set[str]:
        """Return the names of functions that open sessions, and of those that lead to them."""
        todo: list[str] = []
        for module in self._counted:
            for function in module.all_functions():
                has_with = bool(function.flags & ir.HAS_WITH)
                if (has_with and self._opens(function)) or _is_called(function, self._makers_named):
                    todo.append(function.name)
        found = set(todo)
        while todo:
            name = todo.pop()
            is_told = name not in _COMMON and not name.startswith("__")
            callers = self._called_by.get(name, ()) if is_told else ()
            new = [caller for caller in callers if caller not in found]
            found.update(new)
            todo += new
        return found

    def is_start(self, function: Function) -> bool:
        """Return whether a function is worth looking at by itself."""
        if not self.is_relevant(function):
            return self.is_served(function)
        if function.name in self._sources or not SEEDS.isdisjoint(function.called):
            return True
        if function.cls is not None and (
            self._models.is_model(function.cls) or self._has_session(function.cls)
        ):
            return True
        module = function.module
        return self.is_served(function) or any(
            self._mentions(module, note) or self._is_session_name(name)
            for name, note, _ in function.params
        )

    def is_served(self, function: Function) -> bool:
        """Return whether a function is handed a service or repository that holds a session."""
        module, cls = function.module, function.cls
        if module not in self._reach.counted:
            return False
        is_served = (cls is not None and self._keeps(cls)) or any(
            self._serves(module, note) for _, note, _ in function.params if note is not None
        )
        is_given = is_served and not self._givers.isdisjoint(function.called)
        return is_given and self._asks(function)

    @cached_property
    def _givers(self) -> set[str]:
        """The names of the methods of services and repositories that may return entities."""
        return {
            method.name
            for module in self._counted
            for cls in module.classes
            if self._keeps(cls)
            for method in cls.methods.values()
            if self._may_give(method)
        }

    def _may_give(self, method: Function) -> bool:
        note = method.returns
        if note is None or self._mentions(method.module, note):
            return True
        return any(isinstance(name, str) and _VARIABLE.match(name) for name in _names_in(note))

    def _asks(self, function: Function) -> bool:
        """Return whether a function reads what is called like a relationship, or opens a block."""
        if function.flags & ir.HAS_WITH:
            return True
        return not self._relations.isdisjoint(_attributes_of(function.body))

    def _serves(self, module: Module, note: Expr) -> bool:
        while note is not None and note[0] == ir.ITEM:
            note = note[1] if last_name(note[1]) not in _WRAPPERS else _first(note[2])
        value = self._names.value(module, note)
        return isinstance(value, ClassRef) and isinstance(value.of, Class) and self._keeps(value.of)

    def _keeps(self, cls: Class) -> bool:
        """Return whether a class is made of a session, or of others that are."""
        if cls not in self._keepers:
            self._keepers[cls] = False
            init = self._names.method(cls, "__init__")
            params = init.params[1:] if init is not None and init.cls is not None else ()
            self._keepers[cls] = any(
                self._is_session_name(name)
                or "ession" in name
                or "ession" in last_name(note)
                or (note is not None and init is not None and self._serves(init.module, note))
                for name, note, _ in params
            )
        return self._keepers[cls]

    def _has_session(self, cls: Class) -> bool:
        """Return whether the objects of a class are likely to hold a session or an entity."""
        if cls not in self._holders:
            init = self._names.method(cls, "__init__")
            params = init.params if init is not None else ()
            self._holders[cls] = any(
                self._is_session_name(name) or self._mentions(cls.module, note) or note is None
                for name, note, _ in params[1:]
            ) or any(_OPENS.search(name) for name in (*cls.names, *cls.methods))
        return self._holders[cls]

    def is_seed(self, function: Function) -> bool:
        """Return whether a function leads to a session by itself, without what it calls."""
        if function.flags & ir.HAS_WITH and self._opens(function):
            return True
        if self._settings.scopes and any(map(self._settings.opens, function.called)):
            return True
        if not SEEDS.isdisjoint(function.called) or _ALWAYS.search(function.name):
            return True
        if function.cls is not None and self._models.is_model(function.cls):
            return True
        return any(
            self._mentions(function.module, note) or self._is_session_name(name)
            for name, note, _ in function.params
        )

    def _opens(self, function: Function) -> bool:
        """Return whether a function with a `with` calls something that may open a session."""
        called = function.called
        known = not self._openers.isdisjoint(called) or any(map(_OPENS.search, called))
        return known or any(map(self._settings.opens, called))

    def _find_openers(self) -> set[str]:
        """Return the names of sessionmakers, and of what can stand in a `with`."""
        found = set(self._makers_named)
        for module in self._counted:
            found.update([each.name for each in module.all_functions() if each.is_manager])
            for cls in module.classes:
                if "__enter__" in cls.methods or "__aenter__" in cls.methods:
                    found.add(cls.name)
        return found

    def traits(self, module: Module) -> bytes:
        """Return what the whole code base makes of the functions of one file."""
        names = sorted({*[each.name for each in module.all_functions()], *module.nested})
        told = (self._relevant, self._sources, self._spawned, self._run_sync)
        sets = (*told, self._by_async, self._by_sync)
        found = bytearray([name in each for name in names for each in sets])
        return bytes((*found, module in self._reach.counted))

    def is_relevant(self, function: Function) -> bool:
        """Return whether following a function can tell anything."""
        if function.module not in self._reach.counted:
            return False
        is_started = function.name in self._spawned
        return function.name in self._relevant or function.is_property or is_started

    def is_called_by_async(self, function: Function | None) -> bool:
        """Return whether a function is called by coroutines only, as far as names tell."""
        if function is None:
            return False
        name = function.name
        return function.is_async or (name in self._by_async and name not in self._by_sync)

    def is_run_sync(self, function: Function | None) -> bool:
        """Return whether a function is given to `run_sync`: its session is an ordinary one."""
        return function is not None and not function.is_async and function.name in self._run_sync

    def is_spawned(self, function: Function) -> bool:
        """Return whether a method is started as a task that nobody awaits."""
        return function.name in self._spawned and function.is_async

    def _mentions(self, module: Module, note: Expr) -> bool:
        """Return whether an annotation names a session or an entity."""
        if note is None:
            return False
        if note[0] in (ir.PARTS, ir.TUPLE):
            return any(self._mentions(module, part) for part in note[1])
        if note[0] == ir.ITEM:
            return self._mentions(module, note[2]) or self._mentions(module, note[1])
        name = last_name(note)
        if "ession" in name:
            return True
        value = self._names.value(module, note)
        if isinstance(value, ClassRef):
            return self._models.is_model(value.of)
        return isinstance(value, External) and is_model_outside(value.name)


def _is_relation(value: Expr) -> bool:
    return value is not None and value[0] == ir.CALL and last_name(value[1]) in RELATIONS


def _attributes_of(body: ir.Block) -> set[Any]:
    """Return the attributes of names that some code reads, and the texts in it."""
    found: set[Any] = set()
    todo: list[Any] = [body]
    while todo:
        node = todo.pop()
        if len(node) == 5 and node[0] == ir.ATTRIBUTE:
            found.add(node[2])
        elif len(node) == 2 and node[0] == ir.CONST:
            found.add(node[1])
        todo += [part for part in node if ir.is_node(part) and part]
    return found


def _names_in(node: Any) -> list[Any]:
    own = [node[1]] if len(node) == 3 and node[0] == ir.NAME else []
    return own + [name for part in node if ir.is_node(part) and part for name in _names_in(part)]


def _first(note: Expr) -> Expr:
    return note[1][0] if note is not None and note[0] == ir.TUPLE and note[1] else note


def _is_called(function: Function, names: set[str]) -> bool:
    return not names.isdisjoint(function.called) or any(map(looks_like_session, function.called))


def _is_maker(value: object) -> bool:
    """Return whether a name is assigned the call of a sessionmaker's class, or imported."""
    if not isinstance(value, Written):
        return False
    calls = [expr for expr in value.values if expr is not None and expr[0] == ir.CALL]
    return any(last_name(call[1]).endswith(("sessionmaker", "scoped_session")) for call in calls)
