"""From linked facts to findings, file by file, in several processes where that pays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sqla_safe.checker import _project as project
from sqla_safe.checker import _workers
from sqla_safe.checker._reading import internal
from sqla_safe.checker.findings import Finding, Skip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqla_safe.checker._facts import ModuleFacts
    from sqla_safe.checker._project import Project

Result = tuple[str, list[Finding], Skip | None]


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
            return path, project.findings(self.project, self.modules[path]), None
        except Exception as error:  # noqa: BLE001 - one file must not take the others along
            return path, [], Skip(path, 1, internal(error))


def look(linked: Linked, groups: list[list[str]], jobs: int) -> Iterator[list[Result]]:
    """Give the results of each group of files."""
    Linked.here = linked
    yield from _workers.mapped(_look_at, groups, jobs if _workers.CAN_FORK else 1)


def _look_at(paths: list[str]) -> list[Result]:
    return [Linked.here.look(path) for path in paths]
