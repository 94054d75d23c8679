"""What names and classes mean, as far as it can be told without following any code."""

from __future__ import annotations

import builtins
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sqla_safe.checker import _ir as ir
from sqla_safe.checker._index import (
    LIBRARIES,
    Class,
    Function,
    Module,
    Written,
    dotted,
    is_elsewhere,
    is_import,
)
from sqla_safe.checker._values import (
    ClassRef,
    Const,
    External,
    FunctionRef,
    Kept,
    Maker,
    ModuleRef,
    Value,
)

if TYPE_CHECKING:
    from sqla_safe.checker._index import Index
    from sqla_safe.checker._ir import Expr

SESSION_CLASSES: Final = frozenset(
    ("Session", "AsyncSession", "scoped_session", "async_scoped_session", "AsyncSessionTransaction")
)
_MAKERS: Final = {"sessionmaker": None, "async_sessionmaker": True}
_CONTAINERS: Final = frozenset(
    ("dict", "list", "set", "defaultdict", "OrderedDict", "WeakValueDictionary", "deque")
)
_SESSION_LIKE: Final = re.compile(
    r"(?i)(^|_)(async)?_?(session|sessions|db)_?(maker|factory|local|scope|context)?s?$"
    r"|sessionmaker|session_?local|session_?factory|^getdb$|session_?(scope|context)$"
)
_SESSION_NAMES: Final = re.compile(
    r"(?i)^_?(db|sess|(async_?|db_?|sa_?|sql_?)?session|database_session|dbsession)_?$"
)
_MOST_STEPS: Final = 5
_REMEMBERED: Final = 4096  # names whose patterns are not looked for again
_NO_SESSION: Final = re.compile(
    r"(?i)client|http|aiohttp|request|boto|ssh|login|browser|chat|redis|requests|tensorflow|curl"
)


def is_sqlalchemy(name: str) -> bool:
    """Return whether a dotted name belongs to SQLAlchemy or a library on top of it."""
    return (name.partition(".")[0],) in LIBRARIES


@lru_cache(_REMEMBERED)
def is_session_name(name: str) -> bool:
    """Return whether a name is one that people give to sessions."""
    return bool(_SESSION_NAMES.match(name))


def last(name: str) -> str:
    """Return the last part of a dotted name."""
    return name.rpartition(".")[2]


@lru_cache(_REMEMBERED)
def looks_like_session(name: str) -> bool:
    """Return whether something outside of the project is called like a session or its factory."""
    return bool(_SESSION_LIKE.search(last(name))) and not _NO_SESSION.search(name)


@lru_cache(_REMEMBERED)
def is_client(name: str) -> bool:
    """Return whether a name is one of what talks to something that is no database of SQLAlchemy."""
    return bool(_NO_SESSION.search(name))


class Names:
    """Resolves names, and remembers what it has resolved."""

    def __init__(self, index: Index) -> None:
        """Take the index."""
        self.index = index
        self._globals: dict[tuple[Module, str], Value] = {}
        self._mro: dict[Class, tuple[Class | str, ...]] = {}

    def of(self, module: Module, name: str) -> Value:
        """Return what a global name of a module means."""
        key = (module, name)
        if key not in self._globals:
            self._globals[key] = None  # a cycle of imports ends here
            self._globals[key] = self._find(module, name)
        return self._globals[key]

    def _find(self, module: Module, name: str) -> Value:
        binding = module.names.get(name)
        if isinstance(binding, Function):
            return FunctionRef(binding)
        if isinstance(binding, Class):
            return ClassRef(binding)
        if isinstance(binding, Written):
            return self.written(module, name, binding)
        if binding is None:
            found = self._starred(module, name)
            is_builtin = found is None and hasattr(builtins, name)
            return External(f"builtins.{name}") if is_builtin else found
        return self.imported(module, binding)

    def imported(self, module: Module, binding: tuple[str, str | None, int]) -> Value:
        """Return what an import brings."""
        found = self.index.imported(module, binding)
        if isinstance(found, Module):
            return ModuleRef(found)
        if is_elsewhere(found):
            value = self.of(*found)
            if value is None and not isinstance(found[0].names.get(found[1]), Written):
                return External(".".join((*found[0].parts[-1:], found[1])))
            return value
        return External(found)

    def _starred(self, module: Module, name: str) -> Value:
        found = self.index.starred(module, name)
        return None if found is None else self.of(*found)

    def written(self, module: Module, name: str, written: Written) -> Value:
        """Return what an assigned name means: a sessionmaker, a cache, an alias."""
        for expr in reversed(written.values):
            if expr is None or expr[0] == ir.CONST:
                continue
            return self._assigned(module, name, expr)
        values = written.values
        if values and values[-1] is not None:
            return Const(values[-1][1])
        return None

    def _assigned(self, module: Module, name: str, expr: Expr) -> Value:
        assert expr is not None
        kind = expr[0]
        if kind in (ir.DICT, ir.TUPLE, ir.COMPREHENSION):
            return None if name.isupper() and kind == ir.TUPLE else Kept(name)
        if kind in (ir.NAME, ir.ATTRIBUTE):
            return self.value(module, expr)
        if kind == ir.CALL:
            return self.called(module, name, expr)
        return None

    def called(self, module: Module, name: str, expr: Expr) -> Value:
        """Return what a call at module level makes, as far as it is a factory or a cache."""
        assert expr is not None
        target = self.value(module, expr[1])
        if not isinstance(target, External):
            return None
        maker = self.maker(module, expr, name)
        if maker is not None:
            return maker
        called = last(target.name)
        if called in _CONTAINERS or "Cache" in called:
            return Kept(name)
        known = called in ("declarative_base", "automap_base", "SQLAlchemy", "registry")
        return External(f"{target.name}()") if known or is_sqlalchemy(target.name) else None

    def maker(self, module: Module, expr: Expr, name: str) -> Maker | None:
        """Return the sessionmaker that a call makes."""
        assert expr is not None
        target = self.value(module, expr[1])
        if not isinstance(target, External):
            return None
        called = last(target.name)
        if called in ("scoped_session", "async_scoped_session"):
            inner = self._inner_maker(module, expr)
            is_async = True if called.startswith("async") else inner.is_async
            return Maker(is_async, inner.expires, name, is_scoped=True)
        if called not in _MAKERS:
            return None
        keywords = dict(expr[3])
        is_async = _MAKERS[called] or self._is_async_class(module, expr, keywords)
        return Maker(is_async, self.expires(module, keywords), name)

    def _inner_maker(self, module: Module, expr: Expr) -> Maker:
        assert expr is not None
        first = expr[2][0] if expr[2] else dict(expr[3]).get("session_factory")
        if first is not None and first[0] == ir.CALL:
            found: Value = self.maker(module, first, "")
        else:
            found = self.value(module, first)
        return found if isinstance(found, Maker) else Maker(None, None)

    def _is_async_class(self, module: Module, expr: Expr, keywords: dict[str, Expr]) -> bool:
        given = self.value(module, keywords.get("class_"))
        if self.is_session_class(given) == "async":
            return True
        assert expr is not None
        engine = (*expr[2], keywords.get("bind"))[0]
        return "async" in dotted(engine).lower()

    def expires(
        self, module: Module, keywords: dict[str | None, Expr] | dict[str, Expr]
    ) -> bool | None:
        """Return `expire_on_commit` as the keywords of a call say, None when that is unknown."""
        if None in keywords:
            return None
        given = keywords.get("expire_on_commit")
        if given is None:
            return "expire_on_commit" not in keywords or None
        value = Const(given[1]) if given[0] == ir.CONST else self.value(module, given)
        return bool(value.value) if isinstance(value, Const) else None

    def value(self, module: Module, expr: Expr) -> Value:
        """Return what a dotted name means in a module."""
        if expr is None:
            return None
        if expr[0] == ir.NAME:
            return self.of(module, expr[1])
        if expr[0] == ir.ATTRIBUTE:
            return self.member(self.value(module, expr[1]), expr[2])
        if expr[0] == ir.ITEM:
            return self.value(module, expr[1])
        if expr[0] == ir.CALL:
            made = self.called(module, "", expr)
            return made if isinstance(made, External | Maker) else None
        return None

    def member(self, owner: Value, name: str) -> Value:
        """Return a member of a module, or of something outside of the project."""
        if isinstance(owner, ModuleRef):
            found = self.of(owner.of, name)
            if found is None and name not in owner.of.names:
                inner = self.index.at((*owner.of.parts, name))
                return ModuleRef(inner) if inner is not None else None
            return found
        if isinstance(owner, External):
            return External(f"{owner.name}.{name}")
        return None

    # --- classes ---------------------------------------------------------------

    def mro(self, cls: Class) -> tuple[Class | str, ...]:
        """Return a class and its bases, nearest first; those outside of the project by name."""
        if cls not in self._mro:
            self._mro[cls] = (cls,)
            found: list[Class | str] = [cls]
            for base in cls.bases:
                for each in self._base(cls, base):
                    if each not in found:
                        found.append(each)
            self._mro[cls] = tuple(found)
        return self._mro[cls]

    def _base(self, cls: Class, expr: Expr) -> tuple[Class | str, ...]:
        value = self.value(cls.module, expr)
        if isinstance(value, ClassRef):
            return self.mro(value.of) if isinstance(value.of, Class) else (value.of,)
        if isinstance(value, External):
            return (value.name, *self._given_base(cls.module, expr))
        return (dotted(expr) or "?",)

    def _given_base(self, module: Module, expr: Expr) -> tuple[Class | str, ...]:
        """Return what `Base = declarative_base(cls=PreBase)` takes its columns from."""
        binding = module.names.get(expr[1]) if expr is not None and expr[0] == ir.NAME else None
        for _ in range(_MOST_STEPS):  # imports can go round in a circle
            if not is_import(binding):
                break
            found = self.index.imported(module, binding)
            if not is_elsewhere(found):
                return ()
            module, binding = found[0], found[0].names.get(found[1])
        for call in binding.values if isinstance(binding, Written) else ():
            if call is not None and call[0] == ir.CALL and "cls" in dict(call[3]):
                value = self.value(module, dict(call[3])["cls"])
                if isinstance(value, ClassRef) and isinstance(value.of, Class):
                    return self.mro(value.of)
        return ()

    def method(self, cls: Class, name: str, after: Class | None = None) -> Function | None:
        """Return a method, looked up as Python does; `after` a class for `super()`."""
        order = self.mro(cls)
        start = order.index(after) + 1 if after in order else 0
        for each in order[start:]:
            if isinstance(each, Class) and name in each.methods:
                return each.methods[name]
        return None

    def class_attribute(self, cls: Class, name: str) -> tuple[Class, Written] | None:
        """Return what the body of a class or of a base assigns to a name."""
        for each in self.mro(cls):
            if isinstance(each, Class) and name in each.names:
                return each, each.names[name]
        return None

    def is_session_class(self, value: Value) -> str:
        """Return "async" or "sync" when a value is a class of sessions, else nothing."""
        if isinstance(value, External):
            return _kind_of_session(value.name)
        if isinstance(value, ClassRef) and isinstance(value.of, Class):
            for base in self.mro(value.of)[1:]:
                if isinstance(base, str) and (kind := _kind_of_session(base)):
                    return kind
        return ""


def _kind_of_session(name: str) -> str:
    if last(name) not in SESSION_CLASSES:
        return ""
    if "sync" in name or "asyncio" in name:
        return "async"
    return "sync" if is_sqlalchemy(name) else ""
