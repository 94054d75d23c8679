"""Carrying out a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libcst as cst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqla_safe.checker.fixes._plan import Plan


class Changer(cst.CSTTransformer):
    """Changes a tree as it was planned."""

    def __init__(self, plan: Plan, module: cst.Module) -> None:
        """Take the plan, and how the module is written."""
        super().__init__()
        self._plan = plan
        self._config = module.config_for_parsing

    def on_leave(self, original_node: cst.CSTNodeT, updated_node: cst.CSTNodeT) -> Any:
        """Change a node after those in it."""
        plan = self._plan
        node: Any = plan.replaced.get(original_node, super().on_leave(original_node, updated_node))
        if options := plan.options.get(original_node):
            node = cst.Call(cst.Attribute(node, cst.Name("options")), self._arguments(options))
        if arguments := plan.arguments.get(original_node):
            node = node.with_changes(args=[*_spaced(node.args), *self._arguments(arguments)])
        if appended := plan.appended.get(original_node):
            body = node.body.with_changes(body=[*node.body.body, *self._statements(appended)])
            node = node.with_changes(body=body)
        if after := plan.after.get(original_node):
            return cst.FlattenSentinel([node, *self._statements(after)])
        return node

    def _arguments(self, codes: Sequence[str]) -> list[cst.Arg]:
        found = [cst.Arg(cst.parse_expression(code, self._config)) for code in codes]
        return [*_spaced(found[:-1]), found[-1]]

    def _statements(self, codes: Sequence[str]) -> list[cst.BaseStatement]:
        statements = [cst.parse_statement(code, self._config) for code in codes]
        newline = cst.TrailingWhitespace(newline=cst.Newline())
        return [
            each.with_changes(trailing_whitespace=newline)
            if isinstance(each, cst.SimpleStatementLine)
            else each
            for each in statements
        ]


def _spaced(arguments: Sequence[cst.Arg]) -> list[cst.Arg]:
    """Return arguments that more can follow."""
    return [each.with_changes(comma=_comma(each.comma)) for each in arguments]


def _comma(comma: cst.Comma | cst.MaybeSentinel) -> cst.Comma:
    space = cst.SimpleWhitespace(" ")
    if isinstance(comma, cst.MaybeSentinel):
        return cst.Comma(whitespace_after=space)
    return comma if not comma.whitespace_after.empty else comma.with_changes(whitespace_after=space)
