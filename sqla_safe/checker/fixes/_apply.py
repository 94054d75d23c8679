"""One pass over a file: plan what the findings ask for, change the tree, check the result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import libcst as cst
from libcst.metadata import MetadataWrapper

from sqla_safe.checker.fixes import Fixed
from sqla_safe.checker.fixes._change import Changer
from sqla_safe.checker.fixes._imports import with_imports
from sqla_safe.checker.fixes._keep import keep_value
from sqla_safe.checker.fixes._loader import add_loader
from sqla_safe.checker.fixes._merge import use_merge_result
from sqla_safe.checker.fixes._plan import Plan
from sqla_safe.checker.fixes._refresh import refresh
from sqla_safe.checker.fixes._tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqla_safe.checker.findings import Finding, FixKind

_PLANNERS: Final[Mapping[FixKind, Callable[[Tree, Finding, Plan], bool]]] = {
    "keep-value": keep_value,
    "add-loader": add_loader,
    "use-merge-result": use_merge_result,
    "refresh": refresh,
}


def apply(source: bytes, findings: Iterable[Finding]) -> Fixed:
    """Return the source with what could be mended; unchanged when anything is in doubt."""
    unchanged = Fixed(source, 0)
    try:
        module = cst.parse_module(source)
    except (cst.ParserSyntaxError, SyntaxError, ValueError, RecursionError):
        return unchanged
    if module.bytes != source:  # a form feed, for example: nothing but the fix may change
        return unchanged
    tree, plan = Tree(MetadataWrapper(module, unsafe_skip_copy=True)), Plan()
    count = sum([_PLANNERS[each.fix.kind](tree, each, plan) for each in findings if each.fix])
    changed = tree.module.visit(Changer(plan, module))
    result = with_imports(changed, plan.imports).bytes
    return Fixed(result, count) if result != source and _compiles(result) else unchanged


def _compiles(source: bytes) -> bool:
    try:
        compile(source, "<fixed>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True
