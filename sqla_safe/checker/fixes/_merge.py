"""``user = await session.merge(user)``: go on with what `merge` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

if TYPE_CHECKING:
    from sqla_safe.checker.findings import Finding
    from sqla_safe.checker.fixes._plan import Plan
    from sqla_safe.checker.fixes._tree import Tree


def use_merge_result(tree: Tree, finding: Finding, plan: Plan) -> bool:
    """Plan it; return whether it is safe."""
    fix = finding.fix
    assert fix is not None
    name = fix.text("name")
    for call in tree.at(cst.Call, fix.number("line"), fix.number("column")):
        statement = _statement(tree, call)
        scope = tree.scope(call)
        if statement is None or scope is None or not tree.is_own(scope, name):
            continue  # bound outside of this function: an assignment would make another name of it
        plan.replaced[statement] = cst.Assign(
            [cst.AssignTarget(cst.Name(name))], statement.value, semicolon=statement.semicolon
        )
        return True
    return False


def _statement(tree: Tree, call: cst.Call) -> cst.Expr | None:
    """Return the statement that is nothing but this call, awaited or not."""
    around = tree.parent(call)
    if isinstance(around, cst.Await):
        around = tree.parent(around)
    return around if isinstance(around, cst.Expr) else None
