"""The library's own source: nothing in it runs what somebody else has written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import sqla_safe

PACKAGE = Path(sqla_safe.__file__).parent
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
UNPICKLERS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "sqlalchemy.ext.serializer"}
OWN_CACHE = {"checker/_index.py", "checker/_lower.py"}
"""The checker runs on a developer's machine and keeps what it has read of the source there."""
SENDERS = {"text", "literal_column", "exec_driver_sql"}
NUMBERS = {"milliseconds", "busy_milliseconds"}
"""What stands in a statement that takes no bound parameter; an int, made one line above."""


def tree(module: str) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse((PACKAGE / module).read_text(encoding="utf-8"))


def imported(module: str) -> Iterator[str]:
    """Yield the names of the modules that one imports."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def sent(module: str) -> Iterator[ast.expr]:
    """Yield what is made into a statement."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and node.args:
            called = node.func
            name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
            is_cursor = name == "execute" and ast.unparse(called) == "cursor.execute"
            if name in SENDERS or is_cursor:
                yield node.args[0]


def is_ours(statement: ast.expr) -> bool:
    """Say whether a statement is written here, but for numbers."""
    if isinstance(statement, ast.IfExp):
        return is_ours(statement.body) and is_ours(statement.orelse)
    parts = statement.values if isinstance(statement, ast.JoinedStr) else [statement]
    for part in parts:
        value = part.value if isinstance(part, ast.FormattedValue) else part
        is_number = isinstance(value, ast.Name) and value.id in NUMBERS
        if not (isinstance(value, ast.Constant) or is_number):
            return False
    return True


@pytest.mark.parametrize("module", [name for name in MODULES if name not in OWN_CACHE])
def test_nothing_is_unpickled(module: str) -> None:
    """No module imports anything that makes code of data."""
    assert UNPICKLERS.isdisjoint(imported(module))


def test_sql_is_written_by_us() -> None:
    """Every text that is sent as SQL is a literal in this package."""
    talking = [module for module in MODULES if not module.startswith("checker/")]
    found = [(module, statement) for module in talking for statement in sent(module)]
    assert len(found) > 10
    assert [(m, ast.unparse(s)) for m, s in found if not is_ours(s)] == []
