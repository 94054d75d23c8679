"""``.options(selectinload(User.balance))`` where the entity is selected."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import libcst as cst

from sqla_safe.checker.fixes._plan import add

if TYPE_CHECKING:
    from sqla_safe.checker.findings import Finding
    from sqla_safe.checker.fixes._plan import Plan
    from sqla_safe.checker.fixes._tree import Tree

_MODULE: Final = "sqlalchemy.orm"
_LOADER: Final = re.compile(r"(?<![.\w])(\w*load|undefer)\(")


def add_loader(tree: Tree, finding: Finding, plan: Plan) -> bool:
    """Plan it; return whether it is safe."""
    fix = finding.fix
    assert fix is not None
    call = next(tree.at(cst.Call, fix.number("line"), fix.number("column")), None)
    option = fix.text("option")
    if call is None or _has(tree, call, option):
        return False
    loaders = {name for name in _LOADER.findall(option) if not _is_bound(tree, name)}
    plan.imports |= {(_MODULE, name) for name in loaders}
    outer = _options_call(tree, call)
    if outer is None:
        add(plan.options, call, option)
    else:
        add(plan.arguments, outer, option)
    return True


def _has(tree: Tree, call: cst.Call, option: str) -> bool:
    """Return whether the statement has the option already, in whatever form it is written."""
    whole: cst.CSTNode = call
    while isinstance(around := tree.parent(whole), cst.Attribute | cst.Call):
        whole = around
    return "".join(option.split()) in "".join(tree.code(whole).split())


def _options_call(tree: Tree, call: cst.Call) -> cst.Call | None:
    """Return the call of ``.options`` that follows, if it does."""
    attribute = tree.parent(call)
    if isinstance(attribute, cst.Attribute) and attribute.attr.value == "options":
        outer = tree.parent(attribute)
        return outer if isinstance(outer, cst.Call) and outer.func is attribute else None
    return None


def _is_bound(tree: Tree, name: str) -> bool:
    """Return whether the module imports the name at its top level, where every function sees it."""
    return any(
        _imports(statement, name)
        for line in tree.module.body
        if isinstance(line, cst.SimpleStatementLine)
        for statement in line.body
    )


def _imports(statement: cst.CSTNode, name: str) -> bool:
    """Return whether a statement imports a name from somewhere, as what it is called there."""
    if not isinstance(statement, cst.ImportFrom) or isinstance(statement.names, cst.ImportStar):
        return False
    return any(each.asname is None and each.name.value == name for each in statement.names)
