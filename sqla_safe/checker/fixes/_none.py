"""Whether the code reckons with a name that is None."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst

from sqla_safe.checker.fixes._tree import inside

if TYPE_CHECKING:
    from sqla_safe.checker.fixes._tree import Tree


def is_tested_after(tree: Tree, node: cst.CSTNode, name: str) -> bool:
    """Return whether the function tests the name after a node."""
    end = tree.end_line(node)
    function = next(
        (outer for outer in tree.around(node) if isinstance(outer, cst.FunctionDef)), tree.module
    )
    tested = [node for node in inside(function) if _tests(node, name)]
    return any(tree.line(test) > end for test in tested)


def _tests(node: cst.CSTNode, name: str) -> bool:
    """Return whether a node tests a name: `if user`, `user is None`, `not user`, ..."""
    return any(isinstance(each, cst.Name) and each.value == name for each in _tested(node))


def _tested(node: cst.CSTNode) -> tuple[cst.CSTNode, ...]:
    """Return what a node tests."""
    if isinstance(node, cst.If | cst.While | cst.Assert | cst.IfExp):
        return (node.test,)
    if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Not):
        return (node.expression,)
    if isinstance(node, cst.BooleanOperation):
        return (node.left, node.right)
    return (node.left,) if isinstance(node, cst.Comparison) else ()
