"""The facts of all files put together, and what follows from them for each file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sqla_safe.checker import _ambient, _escape, _exec
from sqla_safe.checker import _ir as ir
from sqla_safe.checker._dependencies import Dependencies
from sqla_safe.checker._linked import Linked
from sqla_safe.checker._roomy import roomy
from sqla_safe.checker._run import MOST_IN_A_FILE, Frame, Report, Run, TooLongError
from sqla_safe.checker._settings import Settings
from sqla_safe.checker._values import Const, State
from sqla_safe.checker.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqla_safe.checker._facts import ModuleFacts
    from sqla_safe.checker._index import Function, Module


@dataclass(frozen=True)
class Project:
    """The models, sessionmakers, services and functions of a code base, linked."""

    linked: Linked
    facts: tuple[ModuleFacts, ...]

    def fingerprint(self, path: str) -> bytes:
        """Return what the findings of a file depend on: its own facts, and those of others."""
        return self._dependencies.of(path)

    @cached_property
    def _dependencies(self) -> Dependencies:
        return Dependencies(self.linked, {each.path: each.payload for each in self.facts})


def link(
    modules: Iterable[ModuleFacts],
    settings: Settings = Settings(),  # noqa: B008
    loaded: Iterable[str] = (),
) -> Project:
    """Link the facts of all files, with what the user says, and what other files seem to load."""
    facts = tuple(sorted(modules, key=lambda each: each.path))
    return Project(Linked(facts, settings, loaded), facts)


@roomy
def findings(project: Project, module: ModuleFacts) -> list[Finding]:
    """Return what is wrong in one file, in the order of its lines."""
    linked = project.linked
    found = linked.index.modules[module.path]
    linked.begin(found)
    reports: dict[tuple[int, str], Report] = {}
    if not linked.uses_sqlalchemy(found):
        return []
    steps = 0
    for function in found.all_functions():
        if not linked.relevance.is_start(function):
            continue
        if steps > MOST_IN_A_FILE:
            linked.given_up.append(function)
        else:
            run = Run(linked)
            _follow(run, found, function)
            reports.update(run.reports)
            linked.cut_short += run.is_cut_short
            steps += run.steps
    ordered = sorted(reports.values(), key=lambda report: (report.start, report.code))
    return [_finding(module.path, report) for report in ordered]


def given_up(project: Project) -> list[Function]:
    """Return the functions of the last file that were too long to be followed to their end."""
    return project.linked.given_up


def cut_short(project: Project) -> int:
    """Return how many functions of the last file made more calls than were followed."""
    return project.linked.cut_short


def _follow(run: Run, module: Module, function: Function) -> None:
    try:
        _follow_to_its_end(run, module, function)
    except TooLongError:
        run.linked.given_up.append(function)


def _follow_to_its_end(run: Run, module: Module, function: Function) -> None:
    frame = Frame(function, module, function.is_async, is_top=True)
    state = State({}, {})
    run.stack.append(function)
    _ambient.parameters(run, frame, state, function)
    after = _exec.block(run, frame, state, function.body)
    if after is not None:
        frame.returned.append((after, Const(None), function.start))
    if not function.is_generator:
        _escape.returned(run, frame)


def _finding(path: str, report: Report) -> Finding:
    return Finding(
        path,
        ir.line_of(report.start),
        ir.column_of(report.start),
        ir.line_of(report.end),
        ir.column_of(report.end),
        report.code,
        report.severity,
        report.message,
        report.hint,
        report.fix,
    )
