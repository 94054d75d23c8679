"""The modules, classes and functions of a code base, and what a name in one of them means."""

from __future__ import annotations

import marshal
import sys
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from sqla_safe.checker import _ir as ir

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqla_safe.checker._facts import ModuleFacts
    from sqla_safe.checker._ir import Block, Expr, Node

LIBRARIES: Final = frozenset(
    (("sqlalchemy",), ("sqlmodel",), ("flask_sqlalchemy",), ("sqla_safe",))
)
"""What is known by its names: SQLAlchemy, and what people use it through."""

Binding = Any  # a Function, a Class, an import (module, name, level), or a Written


Import = tuple[str, str | None, int]
"""What an import says: the module, the name in it or None, and the level."""


def is_import(binding: Any) -> TypeGuard[Import]:
    """Return whether a name of a module is imported."""
    return isinstance(binding, tuple)


def is_elsewhere(found: Any) -> TypeGuard[tuple[Module, str]]:
    """Return whether an import leads to a name of another module."""
    return isinstance(found, tuple)


class Written:
    """A name of a module that is assigned: the expressions, and the annotation."""

    __slots__ = ("annotation", "values")

    def __init__(self) -> None:
        """Start without any."""
        self.values: list[Expr] = []
        self.annotation: Expr = None


class Function:
    """A function or method."""

    __slots__ = (
        "_body",
        "_marks",
        "called",
        "cls",
        "decorators",
        "flags",
        "is_async",
        "module",
        "name",
        "params",
        "returns",
        "start",
    )

    def __init__(self, node: Node, module: Module, cls: Class | None = None) -> None:
        """Take the compact form."""
        self.name: str = node[0]
        self.is_async: bool = node[1]
        self.params: tuple[Node, ...] = node[2]
        self.returns: Expr = node[3]
        self.decorators: tuple[Expr, ...] = node[4]
        self._body: bytes | Block = node[5]
        self.start: int = node[6]
        self.flags: int = node[7]
        self.called: tuple[str, ...] = node[8]
        self.module = module
        self.cls = cls
        self._marks = frozenset([last_name(each) for each in self.decorators])

    @property
    def body(self) -> Block:
        """The statements, read anew each time: most functions are looked at once or never."""
        return _unpacked(self._body) if isinstance(self._body, bytes) else self._body

    def decorator_names(self) -> frozenset[str]:
        """Return the last part of the name of each decorator."""
        return self._marks

    @property
    def is_generator(self) -> bool:
        """Whether it yields."""
        return bool(self.flags & ir.HAS_YIELD)

    @property
    def is_manager(self) -> bool:
        """Whether it is decorated to be used by `with`."""
        return any(name.endswith("contextmanager") for name in self.decorator_names())

    @property
    def is_test(self) -> bool:
        """Whether a test runner calls it, with what was arranged for it."""
        return self.name.startswith("test_") or "fixture" in self.decorator_names()

    @property
    def is_property(self) -> bool:
        """Whether reading it calls it."""
        kinds = ("property", "hybrid_property", "cached_property", "hybrid")
        return any(name in kinds for name in self.decorator_names())


@lru_cache(maxsize=512)
def _unpacked(body: bytes) -> Block:
    block: Block = marshal.loads(body)
    return block


class Class:
    """A class: its bases as written, its methods, and what its body assigns."""

    __slots__ = ("bases", "decorators", "keywords", "methods", "module", "name", "names", "start")

    def __init__(self, node: Node, module: Module) -> None:
        """Take the compact form."""
        self.name: str = node[0]
        self.bases: tuple[Expr, ...] = node[1]
        self.keywords: dict[str, Expr] = dict(node[2])
        self.decorators: tuple[Expr, ...] = node[3]
        self.start: int = node[5]
        self.module = module
        self.methods: dict[str, Function] = {}
        self.names: dict[str, Written] = {}
        self._take(node[4])

    def _take(self, block: Block) -> None:
        for node in flat(block):
            if node[0] == ir.DEF:
                function = Function(node[1], self.module, self)
                is_setter = any(
                    name in ("setter", "deleter") for name in function.decorator_names()
                )
                if not is_setter:
                    self.methods[function.name] = function
            else:
                note_assignments(node, self.names)


class Module:
    """A file: what its names are bound to."""

    __slots__ = (
        "block",
        "classes",
        "functions",
        "imports",
        "loaded",
        "names",
        "nested",
        "parts",
        "path",
        "stars",
    )

    def __init__(self, facts: ModuleFacts) -> None:
        """Read the compact form."""
        self.path = facts.path
        self.parts = _parts(facts.path)
        block: Block
        self.loaded: tuple[str, ...]
        self.imports: tuple[Import, ...]
        self.nested: tuple[str, ...]
        block, self.loaded, self.imports, self.nested = marshal.loads(facts.payload)
        self.functions: list[Function] = []
        self.classes: list[Class] = []
        self.names: dict[str, Binding] = {}
        self.stars: list[Import] = []
        self.block: Block = tuple(node for node in block if node[0] not in (ir.DEF, ir.CLASS))
        for node in flat(block):
            self._take(node)

    def _take(self, node: Node) -> None:
        kind = node[0]
        if kind == ir.DEF:
            function = Function(node[1], self)
            self.functions.append(function)
            self.names[function.name] = function
        elif kind == ir.CLASS:
            cls = Class(node[1], self)
            self.classes.append(cls)
            self.names[cls.name] = cls
        elif kind == ir.IMPORT:
            for alias, module, name, level in node[1]:
                self.names[alias] = (module, name, level)
                if alias == "*":
                    self.stars.append((module, None, level))
        else:
            note_assignments(node, self.names)

    def all_functions(self) -> Iterator[Function]:
        """Yield the functions and the methods."""
        yield from self.functions
        for cls in self.classes:
            yield from cls.methods.values()

    @property
    def is_package(self) -> bool:
        """Whether it is the `__init__.py` of a package."""
        return self.path.endswith(("/__init__.py", "\\__init__.py")) or self.path == "__init__.py"

    @property
    def package(self) -> tuple[str, ...]:
        """The dotted parts of the package that relative imports start from."""
        return self.parts if self.is_package else self.parts[:-1]


def bound_in(node: Any) -> Iterator[str]:
    """Yield the names that code binds, those of the functions inside it included."""
    if not ir.is_node(node):
        return
    parts = node
    kind = parts[0] if parts else None
    if kind == ir.ASSIGN:
        yield from (name for target in parts[1] for name in _names_in(target))
    elif kind in (ir.ANNOTATED, ir.AUGMENTED, ir.FOR):
        yield from _names_in(parts[1])
    elif kind == ir.WALRUS:
        yield parts[1]
    elif kind == ir.WITH:
        yield from (name for _, target in parts[1] for name in _names_in(target))
    elif kind == ir.GLOBAL:
        yield from parts[1]
    for part in parts:
        yield from bound_in(part)


def _names_in(target: Any) -> Iterator[str]:
    """Yield the plain names of a target."""
    if ir.is_node(target):
        parts = target
        if parts and parts[0] == ir.NAME:
            yield parts[1]
        elif parts and parts[0] in (ir.TUPLE, ir.STAR):
            inner = parts[1] if parts[0] == ir.TUPLE else (parts[1],)
            yield from (name for part in inner for name in _names_in(part))


def flat(block: Block) -> Iterator[Node]:
    """Yield the statements of a block and of those that do not open a namespace."""
    for node in block:
        kind = node[0]
        if kind in (ir.IF, ir.WHILE):
            yield from flat(node[2])
            yield from flat(node[3])
        elif kind == ir.TRY:
            yield from flat(node[1])
            for handler in node[2]:
                yield from flat(handler[2])
            yield from flat(node[3])
            yield from flat(node[4])
        elif kind == ir.WITH:
            yield from flat(node[2])
        else:
            yield node


def note_assignments(node: Node, names: dict[str, Any]) -> None:
    """Note what one statement assigns to plain names."""
    if node[0] == ir.ASSIGN:
        for target in node[1]:
            if target is not None and target[0] == ir.NAME:
                _written(names, target[1]).values.append(node[2])
    elif node[0] == ir.ANNOTATED and node[1] is not None and node[1][0] == ir.NAME:
        written = _written(names, node[1][1])
        written.annotation = node[2]
        if node[3] is not None:
            written.values.append(node[3])


def _written(names: dict[str, Any], name: str) -> Written:
    found = names.get(name)
    if not isinstance(found, Written):
        found = names[name] = Written()
    return found


def last_name(node: Expr) -> str:
    """Return the last part of a dotted name, also of one that is called or indexed."""
    while node is not None and node[0] in (ir.CALL, ir.ITEM):
        node = node[1]
    if node is None:
        return ""
    if node[0] == ir.NAME:
        return str(node[1])
    return str(node[2]) if node[0] == ir.ATTRIBUTE else ""


def dotted(node: Expr) -> str:
    """Return a dotted name as it is written, or nothing."""
    if node is None:
        return ""
    if node[0] == ir.NAME:
        return str(node[1])
    if node[0] == ir.ATTRIBUTE:
        stem = dotted(node[1])
        return f"{stem}.{node[2]}" if stem else ""
    return ""


def _parts(path: str) -> tuple[str, ...]:
    pure = PurePath(path)
    parts = [part for part in pure.parts if part not in ("/", ".", "..")]
    if not parts:
        return ()
    parts[-1] = pure.stem
    return tuple(parts[:-1] if parts[-1] == "__init__" else parts)


class Index:
    """All modules, found by the dotted names under which others import them."""

    def __init__(self, modules: Iterable[ModuleFacts]) -> None:
        """Read every module."""
        self.modules = {facts.path: Module(facts) for facts in modules}
        self._by_end: dict[tuple[str, ...], list[Module]] = {}
        self._at = {module.parts: module for module in self.modules.values()}
        self._imports: dict[tuple[str, Any], Binding] = {}
        self._near: dict[tuple[str, str], bool] = {}
        self._by_class: dict[str, list[Module]] = {}
        for module in self.modules.values():
            for end in {module.parts[-1:], module.parts[-2:]}:
                self._by_end.setdefault(end, []).append(module)
            for cls in module.classes:
                self._by_class.setdefault(cls.name, []).append(module)

    def at(self, parts: tuple[str, ...]) -> Module | None:
        """Return the module of exactly these parts."""
        return self._at.get(parts)

    def module(self, parts: tuple[str, ...], near: Module) -> Module | None:
        """Return the module of that dotted name which is nearest to another one."""
        if not parts:  # a relative import that leads above the root
            return None
        size = len(parts)
        found = [
            module
            for module in self._by_end.get(parts[-2:], ())
            if module.parts[-size:] == parts and module is not near
        ]
        rooted = [module for module in found if _is_root(module.parts[:-size], near)]
        if not rooted and (size == 1 or parts[0] in sys.stdlib_module_names):
            return None
        return max(rooted or found, key=lambda each: _common(each.parts, near.parts), default=None)

    def belongs(self, module: Module, name: str) -> bool:
        """Return whether a dotted name of something that is not here may be of the same project."""
        key = (module.path, name.partition(".")[0])
        if key not in self._near:
            self._near[key] = self._belongs(module, key[1])
        return self._near[key]

    def _belongs(self, module: Module, root: str) -> bool:
        if not root or root in sys.stdlib_module_names or root == "builtins":
            return False
        is_near = root in module.parts or any(
            binding[2] > 0 and binding[0].partition(".")[0] == root
            for binding in module.names.values()
            if is_import(binding)
        )
        return is_near or self.module((root,), module) is not None

    def imported(self, module: Module, binding: tuple[str, str | None, int]) -> Binding | str:
        """Return what an import brings: a module, class, function, assignment, or a dotted name."""
        key = (module.path, binding)
        if key not in self._imports:
            self._imports[key] = self._import(module, binding)
        return self._imports[key]

    def _import(self, module: Module, binding: tuple[str, str | None, int]) -> Binding | str:
        path, name, level = binding
        parts = tuple(path.split(".")) if path else ()
        if level <= 0 and parts[:1] in LIBRARIES:  # even where their sources are here
            return ".".join((*parts, name) if name else parts[:1] if level < 0 else parts)
        if level > 0:
            parts = self._relative(module, level) + parts
        if name is None or name == "*":
            parts = parts[:1] if level < 0 else parts
            return self.module(parts, module) or ".".join(parts)
        inner = self.module((*parts, name), module)
        owner = self.module(parts, module)
        if owner is not None and name in owner.names:
            return (owner, name)
        if inner is not None:
            return inner
        found = self._below(parts, name, module) if owner is None else self.starred(owner, name)
        return found or ".".join((*parts, name))

    def starred(self, module: Module, name: str) -> tuple[Module, str] | None:
        """Find the module that defines what comes by `import *`, through others if need be."""
        if not module.stars or name.startswith("_"):
            return None
        open_, seen = [module], {module.path}
        while open_:
            near = open_.pop()
            for star in reversed(near.stars):
                owner = self.imported(near, star)
                if isinstance(owner, Module) and owner.path not in seen:
                    if name in owner.names:
                        return owner, name
                    seen.add(owner.path)
                    open_.append(owner)
        return None

    def _below(self, parts: tuple[str, ...], name: str, near: Module) -> tuple[Module, str] | None:
        """Find a class in a package whose `__init__.py`, which re-exports it, is not here."""
        size = len(parts)
        found = [
            each
            for each in self._by_class.get(name, ())
            if any(each.parts[at : at + size] == parts for at in range(len(each.parts) - size))
        ]
        best = max(found, key=lambda each: _common(each.parts, near.parts), default=None)
        return (best, name) if best is not None and parts else None

    @staticmethod
    def _relative(module: Module, level: int) -> tuple[str, ...]:
        package = module.package
        return package[: len(package) - (level - 1)] if level > 1 else package


def _is_root(root: tuple[str, ...], near: Module) -> bool:
    return near.parts[: len(root)] == root


def _common(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    count = 0
    for one, other in zip(left, right, strict=False):
        if one != other:
            break
        count += 1
    return count
