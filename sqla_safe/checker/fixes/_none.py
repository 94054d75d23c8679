"""Whether the code reckons with a name that is None."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libcst as cst
import libcst.matchers as m

if TYPE_CHECKING:
    from sqla_safe.checker.fixes._tree import Tree


def is_tested_after(tree: Tree, node: cst.CSTNode, name: str) -> bool:
    """Return whether the function tests the name after a node."""
    end = tree.end_line(node)
    function = next(
        (outer for outer in tree.around(node) if isinstance(outer, cst.FunctionDef)), tree.module
    )
    return any(tree.line(test) > end for test in m.findall(function, _test(m.Name(name))))


def _test(name: m.Name) -> m.OneOf[Any]:
    """Return a matcher for what tests a name: `if user`, `user is None`, `not user`, ..."""
    return m.OneOf(
        m.If(test=name),
        m.While(test=name),
        m.Assert(test=name),
        m.IfExp(test=name),
        m.UnaryOperation(operator=m.Not(), expression=name),
        m.BooleanOperation(left=name),
        m.BooleanOperation(right=name),
        m.Comparison(left=name),
    )
