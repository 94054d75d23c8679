"""A code base as a whole: what is true of all its files together."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Final

from sqla_safe.checker._index import Class, Function, Index, Module, bound_in
from sqla_safe.checker._makers import Makers
from sqla_safe.checker._models import Models
from sqla_safe.checker._names import Names, is_session_name, is_sqlalchemy
from sqla_safe.checker._notes import Notes
from sqla_safe.checker._reach import Reach
from sqla_safe.checker._recording import Memory
from sqla_safe.checker._relevance import Relevance
from sqla_safe.checker._values import External, Value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqla_safe.checker._facts import ModuleFacts
    from sqla_safe.checker._ir import Expr
    from sqla_safe.checker._settings import Settings


_QUEUEING: Final = frozenset(("enqueue", "enqueue_job", "submit", "add_job"))


class Linked:
    """The index with everything that is derived from it."""

    def __init__(
        self, modules: Iterable[ModuleFacts], settings: Settings, loaded: Iterable[str] = ()
    ) -> None:
        """Read and link the facts of all files; what is loaded elsewhere is known by name."""
        self.settings = settings
        self.index = Index(modules)
        self.names = Names(self.index)
        self.models = Models(self.names)
        self.notes = Notes(self.index, self.names, self.models)
        self.reach = Reach(self.index, settings)
        self.memory = Memory()
        self.given_up: list[Function] = []
        self.mocked: frozenset[str] = frozenset()
        self.cut_short = 0
        self.assigned: dict[Class, dict[str, tuple[Function, Expr]]] = {}
        self._bound: dict[Function, frozenset[str]] = {}
        self._session_names: dict[str, bool] = {}
        for module in self.index.modules.values():
            for cls in module.classes:
                self.models.note(cls)
        self.makers = Makers(self.index, self.reach, settings)
        self.relevance = Relevance(self.models, self.names, self.reach, settings)
        self._loaded = {
            name
            for module in self.reach.counted
            for name in module.loaded
            if not name.startswith("!")
        }
        self._loaded.update(loaded)

    def begin(self, file: Module) -> None:
        """Forget what one file has taught: no file's findings depend on which came before it."""
        self.memory.begin(file)
        self.mocked = frozenset(
            [name.partition(":")[2] for name in file.loaded if name.startswith("!mock:")]
        )
        self.given_up.clear()
        self.cut_short = 0

    def is_session_name(self, name: str) -> bool:
        """Return whether a name is one that people, or this code base, give to sessions."""
        found = self._session_names.get(name)
        if found is None:
            found = is_session_name(name) or self.settings.is_session(name)
            self._session_names[name] = found
        return found

    @cached_property
    def queueing(self) -> frozenset[str]:
        """The names, also called like what puts a job into a queue, of methods of the files."""
        return frozenset(
            [
                function.name
                for module in self.reach.counted
                for function in module.all_functions()
                if function.name in _QUEUEING and function.cls is not None
            ]
        )

    @property
    def everywhere(self) -> tuple[bytes, ...]:
        """What the findings of all files depend on."""
        loaded, modules = sorted(self._loaded), sorted(self.index.modules)
        makers, own = self.makers.facts, sorted(self.queueing)
        parts = (self.settings, makers, loaded, modules, self.models.referring, own)
        return tuple([repr(each).encode() for each in parts])

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

    def loads_anywhere(self, cls: Class | str | None, name: str) -> bool:
        """Return whether any statement loads a relationship with its entity."""
        if f"*.{name}" in self._loaded or not isinstance(cls, Class):
            return True
        owners = [each for each in self.names.mro(cls) if isinstance(each, Class)]
        return any(f"{owner.name}.{name}" in self._loaded for owner in owners)

    def loads_group(self, name: str) -> bool:
        """Return whether any statement loads a group of deferred columns."""
        return bool(name) and f"*.{name}" in self._loaded

    def loads_by_name(self, cls: Class | str | None, name: str) -> bool:
        """Return whether a class outside of the files has a relationship that they load."""
        return isinstance(cls, str) and f"*.{name}" in self._loaded

    def uses_sqlalchemy(self, module: Module) -> bool:
        """Return whether a file is part of what uses SQLAlchemy."""
        return module in self.reach.counted

    def is_own(self, module: Module, owner: Value) -> bool:
        """Return whether something that is not among the files seems to belong to them."""
        return not isinstance(owner, External) or self.index.belongs(module, owner.name)

    def may_be_own(self, module: Module, owner: External) -> bool:
        """Return whether a session may be made by a file of the project that is not here."""
        if not self.uses_sqlalchemy(module):
            return False
        root = owner.name.partition(".")[0]
        is_foreign = root in sys.stdlib_module_names or is_sqlalchemy(owner.name)
        return self.is_own(module, owner) or not is_foreign

    def global_(self, module: Module, name: str) -> Value:
        """Return what a global name means."""
        return self.names.of(module, name)

    def imported(self, module: Module, binding: tuple[str, str | None, int]) -> Value:
        """Return what an import inside a function brings."""
        return self.names.imported(module, binding)

    def assigned_names(self, function: Function) -> frozenset[str]:
        """Return the names that a function binds, besides its parameters."""
        if function not in self._bound:
            self._bound[function] = frozenset(bound_in(function.body))
        return self._bound[function]
