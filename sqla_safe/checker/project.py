"""The facts of all files put together, and what follows from them for each file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqla_safe.checker.facts import ModuleFacts
    from sqla_safe.checker.findings import Finding


@dataclass(frozen=True, slots=True)
class Project:
    """The models, sessionmakers, services and functions of a code base, linked."""

    fingerprint: str
    """What the findings of a file depend on beyond its own content."""


def link(modules: Iterable[ModuleFacts]) -> Project:
    """Link the facts of all files."""
    del modules
    return Project("")


def findings(project: Project, module: ModuleFacts) -> list[Finding]:
    """Return what is wrong in one file, in the order of its lines."""
    del project, module
    return []
