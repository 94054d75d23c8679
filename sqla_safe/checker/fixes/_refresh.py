"""``await session.refresh(user, ["updated_at"])`` before a read, or after what expired it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.checker.fixes._none import is_tested_after
from sqla_safe.checker.fixes._plan import add

if TYPE_CHECKING:
    from sqla_safe.checker.findings import Finding, Fix
    from sqla_safe.checker.fixes._plan import Plan
    from sqla_safe.checker.fixes._tree import Tree


def refresh(tree: Tree, finding: Finding, plan: Plan) -> bool:
    """Plan it; return whether it is safe."""
    fix = finding.fix
    assert fix is not None
    after = fix.number("after_line")
    statement = tree.statement(after or fix.number("line"))
    if statement is None:
        return False
    code = _code(fix)
    if is_tested_after(tree, statement, fix.text("name")):
        code = f"if {fix.text('name')} is not None:\n    {code}"
    if tree.code_beside(statement, 1 if after else -1).split() == code.split():
        return False
    add(plan.after if after else plan.before, statement, code)
    return True


def _code(fix: Fix) -> str:
    attribute = fix.text("attribute")
    names = f', ["{attribute}"]' if attribute else ""
    awaited = "await " if fix.number("is_async") else ""
    return f"{awaited}{fix.text('session')}.refresh({fix.text('name')}{names})"
