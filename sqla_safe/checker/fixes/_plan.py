"""What is to be changed, node by node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from libcst import CSTNode


@dataclass(slots=True)
class Plan:
    """The changes to a module; nodes are known by their identity.

    Attributes:
        replaced: what stands in the place of expressions and small statements.
        appended: statements for the end of `with` blocks.
        after: statements to insert after others.
        options: loaders for calls that are to be followed by ``.options(...)``.
        arguments: loaders for calls of ``.options`` that are there already.
        imports: pairs of a module and a name.
    """

    replaced: dict[CSTNode, CSTNode] = field(default_factory=dict[Any, Any])
    appended: dict[CSTNode, list[str]] = field(default_factory=dict[Any, list[str]])
    after: dict[CSTNode, list[str]] = field(default_factory=dict[Any, list[str]])
    options: dict[CSTNode, list[str]] = field(default_factory=dict[Any, list[str]])
    arguments: dict[CSTNode, list[str]] = field(default_factory=dict[Any, list[str]])
    imports: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])


def add(changes: dict[CSTNode, list[str]], node: CSTNode, code: str) -> None:
    """Note a change to a node, once."""
    codes = changes.setdefault(node, [])
    if code not in codes:
        codes.append(code)
