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
    tree, plan = tree_of(source), Plan()
    if tree is None:
        return unchanged
    count = sum([is_planned(tree, each, plan) for each in findings])
    changed = tree.module.visit(Changer(plan, tree.module))
    result = with_imports(changed, plan.imports).bytes
    return Fixed(result, count) if result != source and _compiles(result) else unchanged


def is_planned(tree: Tree, finding: Finding, plan: Plan) -> bool:
    """Plan what mends a finding; return whether it is safe."""
    return finding.fix is not None and _PLANNERS[finding.fix.kind](tree, finding, plan)


def tree_of(source: bytes) -> Tree | None:
    """Return the syntax tree of a source, with all that is known of its names."""
    module = module_of(source)
    return None if module is None else Tree(MetadataWrapper(module, unsafe_skip_copy=True))


def module_of(source: bytes) -> cst.Module | None:
    """Return the syntax tree of a source, if that gives the same bytes again."""
    try:
        module = cst.parse_module(source)
    except (cst.ParserSyntaxError, SyntaxError, ValueError, RecursionError):
        return None
    # with a form feed, for example, more than the fix would change
    return module if module.bytes == source else None


def _compiles(source: bytes) -> bool:
    try:
        compile(source, "<fixed>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True
