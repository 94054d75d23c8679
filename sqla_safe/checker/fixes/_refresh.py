"""``await session.refresh(user, ["updated_at"])`` before a read, or after what expired it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqla_safe.checker.fixes._plan import add

if TYPE_CHECKING:
    from sqla_safe.checker.findings import Finding
    from sqla_safe.checker.fixes._plan import Plan
    from sqla_safe.checker.fixes._tree import Tree


def refresh(tree: Tree, finding: Finding, plan: Plan) -> bool:
    """Plan it; return whether it is safe."""
    fix = finding.fix
    assert fix is not None
    attribute = fix.text("attribute")
    names = f', ["{attribute}"]' if attribute else ""
    awaited = "await " if fix.number("is_async") else ""
    code = f"{awaited}{fix.text('session')}.refresh({fix.text('name')}{names})"
    after = fix.number("after_line")
    statement = tree.statement(after or fix.number("line"))
    if statement is None or tree.code_beside(statement, 1 if after else -1) == code:
        return False
    add(plan.after if after else plan.before, statement, code)
    return True
