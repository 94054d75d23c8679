"""From linked facts to findings, file by file, in several processes where that pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from sqla_safe.checker import _project as project
from sqla_safe.checker import _workers
from sqla_safe.checker._ir import line_of
from sqla_safe.checker._reading import internal
from sqla_safe.checker._record import Looked
from sqla_safe.checker.findings import Skip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqla_safe.checker._facts import ModuleFacts
    from sqla_safe.checker._index import Function
    from sqla_safe.checker._project import Project

_NAMED: Final = 3
Result = tuple[str, Looked, Skip | None]


@dataclass(frozen=True, slots=True)
class Linked:
    """A project and the facts of its files, by path."""

    project: Project
    modules: Mapping[str, ModuleFacts]

    here: ClassVar[Linked]
    """What forked workers look at: it is never sent to them."""

    def look(self, path: str) -> Result:
        """Return what is wrong in one file."""
        try:
            found = project.findings(self.project, self.modules[path])
            looked = Looked(found, project.cut_short(self.project))
            return path, looked, _shortened(path, project.given_up(self.project))
        except Exception as error:  # noqa: BLE001 - one file must not take the others along
            return path, Looked([]), Skip(path, 1, internal(error))


def _shortened(path: str, functions: list[Function]) -> Skip | None:
    """Say which functions of a file were given up."""
    if not functions:
        return None
    names = ", ".join([f"`{each.name}`" for each in functions[:_NAMED]])
    more = f" and {len(functions) - _NAMED} more" if len(functions) > _NAMED else ""
    reason = f"too long to be followed to the end: {names}{more}"
    return Skip(path, line_of(functions[0].start), reason)


def look(linked: Linked, groups: list[list[str]], jobs: int) -> Iterator[list[Result]]:
    """Give the results of each group of files."""
    Linked.here = linked
    yield from _workers.mapped(_look_at, groups, jobs if _workers.CAN_FORK else 1)


def _look_at(paths: list[str]) -> list[Result]:
    return [Linked.here.look(path) for path in paths]
