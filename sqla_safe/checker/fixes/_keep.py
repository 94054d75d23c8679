"""``user_id = user.id`` as the last statement of the block, for reads after it."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Final

import libcst as cst
from libcst.metadata import ClassScope

from sqla_safe.checker.fixes._none import is_tested_after
from sqla_safe.checker.fixes._plan import add
from sqla_safe.checker.fixes._tree import inside

if TYPE_CHECKING:
    from libcst.metadata import Scope

    from sqla_safe.checker.findings import Finding
    from sqla_safe.checker.fixes._plan import Plan
    from sqla_safe.checker.fixes._tree import Tree

_EXPIRING: Final = ("commit", "rollback", "expire", "expire_all", "expunge", "expunge_all")
"""After these the last statement of the block would not find the value any more."""


def keep_value(tree: Tree, finding: Finding, plan: Plan) -> bool:
    """Plan it; return whether it is safe."""
    assert finding.fix is not None
    keeping = _Keeping(tree, finding.fix.text("name"), finding.fix.text("attribute"))
    block = tree.block(finding.fix.number("block_line"))
    read = keeping.read(finding.line, finding.column)
    if block is None or read is None or not keeping.can_save(block, read):
        return False
    if not keeping.saves(block):
        add(plan.appended, block, f"{keeping.saved} = {keeping.value(block)}")
    plan.replaced[read] = cst.Name(keeping.saved)
    return True


def _expires(node: cst.CSTNode) -> bool:
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute):
        return False
    return node.func.attr.value in _EXPIRING


class _Keeping:
    """One attribute of one name, to be kept."""

    def __init__(self, tree: Tree, name: str, attribute: str) -> None:
        self._tree, self._name = tree, name
        self._wanted = f"{name}.{attribute}"
        self._or_none = f"{self._wanted} if {name} is not None else None"
        self.saved = f"{name}_{attribute}"

    def read(self, line: int, column: int) -> cst.Attribute | None:
        """Return the read at a place, unless it is a write."""
        for node in self._tree.at(cst.Attribute, line, column):
            written = isinstance(
                self._tree.parent(node), cst.AssignTarget | cst.AugAssign | cst.AnnAssign | cst.Del
            )
            if self._tree.code(node) == self._wanted and not written:
                return node
        return None

    def can_save(self, block: cst.With, read: cst.Attribute) -> bool:
        """Return whether the name can be bound at the end of the block and read there."""
        if not self._ends(block) or any(map(_expires, inside(block))):
            return False
        here, there = self._tree.scope(block), self._tree.scope(read)
        if here is None or there is None or isinstance(here, ClassScope):
            return False
        taken = any(self._is_taken(scope, block) for scope in (here, there))
        is_own = self._tree.is_own(here, self._name)
        return is_own and not taken and self._is_same(block, read, here, there)

    def _is_same(self, block: cst.With, read: cst.Attribute, here: Scope, there: Scope) -> bool:
        """Return whether the name means at the end of the block what it means where it is read."""
        bound = self._tree.assignments(here, self._name)
        if bound != self._tree.assignments(there, self._name):
            return False  # a comprehension has a name of its own
        return self._tree.stays(here, self._name, self._tree.end_line(block), self._tree.line(read))

    def _ends(self, block: cst.With) -> bool:
        """Return whether what is put at the end of the block is reached."""
        body = block.body
        if not isinstance(body, cst.IndentedBlock):
            return False
        last = body.body[-1]
        final = last.body[-1] if isinstance(last, cst.SimpleStatementLine) else None
        return not isinstance(final, cst.Return | cst.Raise | cst.Break | cst.Continue)

    def _is_taken(self, scope: Scope, block: cst.With) -> bool:
        """Return whether the name has another meaning than what an earlier fix has saved."""
        ours = [line for line in block.body.body if self._is_save(line)]
        others = [
            node
            for node in self._tree.assignments(scope, self.saved)
            if not any(line in ours for line in self._tree.around(node))
        ]
        return bool(others) or hasattr(builtins, self.saved)

    def saves(self, block: cst.With) -> bool:
        """Return whether the block does it already."""
        return any(self._is_save(line) for line in block.body.body)

    def _is_save(self, line: cst.CSTNode) -> bool:
        code = self._tree.code(line).strip()
        return code in (f"{self.saved} = {self._wanted}", f"{self.saved} = {self._or_none}")

    def value(self, block: cst.With) -> str:
        """Return the expression to save; None is left alone where the code looks for it later."""
        return self._or_none if is_tested_after(self._tree, block, self._name) else self._wanted
