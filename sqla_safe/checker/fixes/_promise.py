"""Which repairs will be made: planned on the functions alone, since a syntax tree is expensive."""

from __future__ import annotations

import ast
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from sqla_safe.checker.findings import Fix
from sqla_safe.checker.fixes._apply import is_planned, module_of, tree_of
from sqla_safe.checker.fixes._plan import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqla_safe.checker.findings import Finding
    from sqla_safe.checker.fixes._tree import Tree

_LINES: Final = ("line", "after_line", "block_line")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def promises(source: bytes, findings: Sequence[Finding]) -> list[bool]:
    """Return of each finding whether its repair can be planned."""
    file = _File(source)
    return [file.promises(each) for each in findings]


class _File:
    """A source, of which the syntax trees of some functions are made when they are asked for."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._lines = source.split(b"\n")
        self._functions = list(_functions(source))
        self._trees: dict[tuple[int, int], Tree | None] = {}

    def promises(self, finding: Finding) -> bool:
        """Return whether the repair of a finding can be planned."""
        assert finding.fix is not None
        lines = [finding.line, *_lines_of(finding.fix)]
        inside = (each for each in self._functions if _is_in(lines, each))
        first, last, is_method = next(inside, (1, 0, False))
        tree = self._tree(first, last, is_method=is_method)
        shift = 0 if not last else first - 1 - is_method
        is_safe = tree is not None and is_planned(tree, _moved(finding, shift), Plan())
        return is_safe and self._is_kept

    @cached_property
    def _is_kept(self) -> bool:
        """Whether the rest of the file can be left as it is."""
        return module_of(self._source) is not None

    def _tree(self, first: int, last: int, *, is_method: bool) -> Tree | None:
        key = (first, last)
        if key not in self._trees:
            self._trees[key] = tree_of(self._cut(first, last, is_method=is_method))
        return self._trees[key]

    def _cut(self, first: int, last: int, *, is_method: bool) -> bytes:
        """Return the lines of a function; those of a method in a class, all when there is none."""
        if not last:
            return self._source
        head = [b"class _:"] if is_method else []
        return b"\n".join([*head, *self._lines[first - 1 : last], b""])


def _functions(source: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield first and last line of the functions that can be cut out, and whether in a class."""
    if b"\f" in source or b"\r" in source or source.startswith(b"\xef\xbb\xbf"):
        return
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        for each in inner:
            if isinstance(each, _Function) and each.end_lineno is not None:
                first = min([each.lineno, *[mark.lineno for mark in each.decorator_list]])
                yield first, each.end_lineno, isinstance(node, ast.ClassDef)


def _lines_of(fix: Fix) -> list[int]:
    return [number for name in _LINES if (number := fix.number(name))]


def _is_in(lines: list[int], function: tuple[int, int, bool]) -> bool:
    return all(function[0] <= line <= function[1] for line in lines)


def _moved(finding: Finding, shift: int) -> Finding:
    """Return a finding as it is when that many lines before it are cut away."""
    assert finding.fix is not None
    data = tuple(
        (name, value - shift if name in _LINES and isinstance(value, int) else value)
        for name, value in finding.fix.data
    )
    return replace(finding, line=finding.line - shift, fix=Fix(finding.fix.kind, data))
