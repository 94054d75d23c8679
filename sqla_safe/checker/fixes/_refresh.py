"""``await session.refresh(user)`` after the commit or rollback that has expired it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import libcst as cst

from sqla_safe.checker.fixes._none import is_tested_after
from sqla_safe.checker.fixes._plan import add

if TYPE_CHECKING:
    from sqla_safe.checker.findings import Finding
    from sqla_safe.checker.fixes._plan import Plan
    from sqla_safe.checker.fixes._tree import Tree

_EXPIRE: Final = (".commit()", ".rollback()")


def refresh(tree: Tree, finding: Finding, plan: Plan) -> bool:
    """Plan it; return whether it is safe."""
    fix = finding.fix
    assert fix is not None
    statement = tree.statement(fix.number("after_line"))
    called = _called(tree, statement)
    name = fix.text("name")
    scope = tree.scope(statement) if statement is not None else None
    if statement is None or called is None or scope is None:
        return False
    if not tree.stays(scope, name, tree.end_line(statement), finding.line):
        return False
    code = f"{called.rpartition('.')[0]}.refresh({name})"
    if is_tested_after(tree, statement, name):
        code = f"if {name} is not None:\n    {code}"
    if tree.code_after(statement).split() == code.split():
        return False
    add(plan.after, statement, code)
    return True


def _called(tree: Tree, statement: cst.CSTNode | None) -> str | None:
    """Return ``await session.commit()``, if a statement is that and nothing else."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return None
    code = tree.code(statement.body[0])
    is_call = isinstance(statement.body[0], cst.Expr) and code.endswith(_EXPIRE)
    return code if is_call else None
