"""Which files count: those of packages that have to do with SQLAlchemy.

What a code base has installed beside it, and much of what it consists of, has never heard of
sessions. A file counts when its imports lead to SQLAlchemy, when another file of its package does,
or when it calls a parameter as people call sessions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqla_safe.checker._index import Module, is_elsewhere
from sqla_safe.checker._names import is_session_name, is_sqlalchemy, looks_like_session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqla_safe.checker._index import Import, Index
    from sqla_safe.checker._settings import Settings

Parts = tuple[str, ...]

_PART_OF_SQLALCHEMY: Final = ("orm", "session")


class Reach:
    """The imports of a code base, and the files that count."""

    def __init__(self, index: Index, settings: Settings) -> None:
        """Follow every import."""
        self._index, self._settings = index, settings
        self._modules = list(index.modules.values())
        self._packages = {each.parts for each in self._modules if each.is_package}
        self.imports = {module: self._targets(module) for module in self._modules}
        self.counted = self._counted()

    def _targets(self, module: Module) -> tuple[Module, ...]:
        """Return the files that a file imports."""
        found = [self._target(module, each) for each in module.imports]
        return tuple(dict.fromkeys([each for each in found if each is not None]))

    def _target(self, module: Module, written: Import) -> Module | None:
        found = self._index.imported(module, written)
        if is_elsewhere(found):
            return found[0]
        return found if isinstance(found, Module) else None

    def _counted(self) -> frozenset[Module]:
        used = [each for each in self._modules if not self._is_library(each)]
        if self._settings.scopes or self._settings.session_names:
            return frozenset(used)  # what leads there may be no part of the files
        seeds = [each for each in used if self._knows_sessions(each)]
        if not seeds:
            return frozenset()
        reached = self._importers(seeds)
        packages = {self._package(each) for each in reached} | {()}
        return frozenset(
            [
                module
                for module in used
                if module in reached or self._package(module) in packages or _has_session(module)
            ]
        )

    def _knows_sessions(self, module: Module) -> bool:
        """Return whether a file imports SQLAlchemy, or what is called like a session elsewhere."""
        return any(
            is_sqlalchemy(path)
            or (
                looks_like_session(f"{path.partition('.')[0]}.{name}")
                and self._target(module, (path, name, level)) is None
            )
            for path, name, level in module.imports
        )

    def _importers(self, modules: Iterable[Module]) -> set[Module]:
        """Return files and all that import them, directly or not."""
        importers: dict[Module, list[Module]] = {}
        for module, targets in self.imports.items():
            for target in targets:
                importers.setdefault(target, []).append(module)
        found, todo = set(modules), list(modules)
        while todo:
            new = [each for each in importers.get(todo.pop(), ()) if each not in found]
            found.update(new)
            todo += new
        return found

    def _package(self, module: Module) -> Parts:
        """Return the outermost package that a file is part of, nothing for a file in none."""
        package: Parts = ()
        parts = module.package
        while parts and parts in self._packages:  # the folder itself may be a package too
            package, parts = parts, parts[:-1]
        return package

    def _is_library(self, module: Module) -> bool:
        """Return whether a file is part of SQLAlchemy, which is no user of sessions."""
        parts = module.parts
        if "sqlalchemy" not in parts:
            return False
        root = parts[: parts.index("sqlalchemy") + 1]
        return self._index.at((*root, *_PART_OF_SQLALCHEMY)) is not None


def _has_session(module: Module) -> bool:
    return any(
        note is None and is_session_name(name)
        for function in module.all_functions()
        for name, note, _ in function.params
    )
