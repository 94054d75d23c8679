"""Imports that fixes need, where the module already imports, else after its imports."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Iterable


def with_imports(module: cst.Module, wanted: Iterable[tuple[str, str]]) -> cst.Module:
    """Return a module that imports some names at its top level."""
    for source, name in sorted(wanted):
        module = _with_import(module, source, name)
    return module


def _with_import(module: cst.Module, source: str, name: str) -> cst.Module:
    body = list(module.body)
    for index, line in enumerate(body):
        found = _import_of(line, source)
        if found is not None:
            body[index] = line.with_deep_changes(found, names=_joined(found, name))
            return module.with_changes(body=body)
    line = cst.parse_statement(f"from {source} import {name}", module.config_for_parsing)
    body.insert(_place(module, source), line.with_changes(trailing_whitespace=_newline()))
    return module.with_changes(body=body)


def _newline() -> cst.TrailingWhitespace:
    return cst.TrailingWhitespace(newline=cst.Newline())


def _import_of(line: cst.CSTNode, source: str) -> cst.ImportFrom | None:
    """Return the import from a module that a line is, unless it imports everything."""
    if not isinstance(line, cst.SimpleStatementLine):
        return None
    for statement in line.body:
        if (
            isinstance(statement, cst.ImportFrom)
            and not statement.relative
            and statement.module is not None
            and cst.Module([]).code_for_node(statement.module) == source
            and not isinstance(statement.names, cst.ImportStar)
        ):
            return statement
    return None


def _joined(statement: cst.ImportFrom, name: str) -> list[cst.ImportAlias]:
    """Return the imported names with one more, in its place if they are sorted."""
    assert not isinstance(statement.names, cst.ImportStar)
    names = list(statement.names)
    keys = [_key(each) for each in names]
    at = len(names)
    if keys == sorted(keys):
        at = sum(key < _sort_key(name) for key in keys)
    return _with_commas(names, at, cst.ImportAlias(cst.Name(name)), _comma(statement, names))


def _comma(statement: cst.ImportFrom, names: list[cst.ImportAlias]) -> Any:
    """Return what stands between two names: each on its line, if the first one is."""
    if len(names) > 1:
        return names[0].comma
    if statement.lpar is not None:
        return cst.Comma(whitespace_after=statement.lpar.whitespace_after)
    return cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))


def _with_commas(
    names: list[cst.ImportAlias], at: int, new: cst.ImportAlias, comma: Any
) -> list[cst.ImportAlias]:
    """Insert a name so that what stands between the others stays as it is."""
    if at == len(names):
        last = names[-1].comma
        return [*names[:-1], names[-1].with_changes(comma=comma), new.with_changes(comma=last)]
    return [*names[:at], new.with_changes(comma=comma), *names[at:]]


def _key(alias: cst.ImportAlias) -> tuple[bool, str]:
    return _sort_key(alias.evaluated_name)


def _sort_key(name: str) -> tuple[bool, str]:
    """Order names as isort and ruff do: classes before functions."""
    return not name[:1].isupper(), name


def _place(module: cst.Module, source: str) -> int:
    """Return the index after the last import of the same package, or after the last at the top."""
    top = list(takewhile(_is_at_top, enumerate(module.body)))
    package = source.partition(".")[0]
    beside = [index + 1 for index, line in top if _is_of(line, package)]
    return beside[-1] if beside else len(top)


def _is_at_top(numbered: tuple[int, cst.CSTNode]) -> bool:
    index, line = numbered
    return _is_import(line) or (index == 0 and _is_docstring(line))


def _is_import(line: cst.CSTNode) -> bool:
    return isinstance(_alone(line), cst.Import | cst.ImportFrom)


def _is_docstring(line: cst.CSTNode) -> bool:
    statement = _alone(line)
    return isinstance(statement, cst.Expr) and isinstance(statement.value, cst.SimpleString)


def _alone(line: cst.CSTNode) -> cst.CSTNode | None:
    """Return the statement of a line, if it is the only one."""
    is_one = isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1
    return line.body[0] if is_one and isinstance(line, cst.SimpleStatementLine) else None


def _is_of(line: cst.CSTNode, package: str) -> bool:
    return _is_import(line) and _package(line) == package


def _package(line: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(line).split()[1].partition(".")[0]
