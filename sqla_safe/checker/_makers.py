"""How the sessions of a code base are made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.checker._index import Index, Module, is_import
from sqla_safe.checker._names import is_sqlalchemy, looks_like_session

if TYPE_CHECKING:
    from sqla_safe.checker._reach import Reach
    from sqla_safe.checker._settings import Settings


class Makers:
    """The sessionmakers of the files that count, and their settings."""

    def __init__(self, index: Index, reach: Reach, settings: Settings) -> None:
        """Take what each file notes of its sessionmakers."""
        self._index, self._settings = index, settings
        self._counted = reach.counted
        self._makers = {
            name
            for module in reach.counted
            for name in module.loaded
            if name.startswith(("!async:", "!sync:"))
        }
        self._plain = self._noted("!commit:") - self._noted("!awaited:")
        shared = {target for targets in reach.imports.values() for target in targets}
        self._shared = {
            name
            for module in reach.counted & shared
            for name in module.loaded
            if name.startswith(("!async:", "!sync:"))
        }
        self._has_async = any(map(_imports_async, reach.counted))
        self._is_whole: bool | None = None

    def _noted(self, prefix: str) -> set[str]:
        loaded = [name for module in self._counted for name in module.loaded]
        return {name.removeprefix(prefix) for name in loaded if name.startswith(prefix)}

    @property
    def facts(self) -> tuple[object, ...]:
        """All that the answers depend on."""
        return (
            sorted(self._makers),
            sorted(self._shared),
            self._has_async,
            self.are_known(),
            sorted(self._plain),
        )

    @property
    def are_odd(self) -> bool:
        """Whether sessionmakers disagree, or their settings are decided when the program runs."""
        found = {maker.rpartition(":")[2] for maker in self._makers}
        return "?" in found or len(found) > 1

    def kind(self) -> bool | None:
        """Return whether all sessionmakers are asynchronous, or all are not."""
        kinds = {maker.partition(":")[0] for maker in self._makers}
        if kinds == {"!sync"}:
            return None if self._has_async else False
        return True if kinds == {"!async"} else None

    def kind_of(self, name: str) -> bool | None:
        """Return whether the session of a dotted name is asynchronous: nobody awaits its commit."""
        found = self.kind()
        return False if found is None and name in self._plain else found

    def expiry_near(self, module: Module, *, is_async: bool | None) -> bool | None:
        """Return `expire_on_commit`, or that of the file's own sessionmakers if all keep."""
        found = self.expiry(is_async=is_async)
        if found is not None:
            return found
        own = {each for each in module.loaded if each.startswith(("!async:", "!sync:"))}
        keeps = bool(own) and all(each.endswith(":False") for each in own)
        return False if keeps else None

    def expiry(self, *, is_async: bool | None) -> bool | None:
        """Return `expire_on_commit` where all sessionmakers of a kind agree.

        Those of scripts and tests, which no other file imports, have no say where all others keep.
        """
        found = _settings_of(self._makers, is_async=is_async)
        if found == {"True"} and self.are_known():
            return True
        keeps = {"False"} in (found, _settings_of(self._shared, is_async=is_async))
        return False if keeps else self._settings.expire_on_commit

    def are_known(self) -> bool:
        """Return whether no sessionmaker is imported from a file that is not here."""
        if self._is_whole is None:
            self._is_whole = not any(
                looks_like_session(str(binding[1] or ""))
                and isinstance(self._index.imported(module, binding), str)
                and self._index.belongs(module, ".".join((binding[0], str(binding[1]))))
                for module in self._counted
                for binding in module.names.values()
                if is_import(binding)
            )
        return self._is_whole


def _settings_of(makers: set[str], *, is_async: bool | None) -> set[str]:
    prefix = {True: "!async", False: "!sync", None: "!"}[is_async]
    return {each.rpartition(":")[2] for each in makers if each.startswith(prefix)}


def _imports_async(module: Module) -> bool:
    """Return whether a file imports SQLAlchemy's asynchronous sessions."""
    return any(
        is_import(binding)
        and is_sqlalchemy(binding[0])
        and ("asyncio" in binding[0] or "async" in str(binding[1]).lower())
        for binding in module.names.values()
    )
