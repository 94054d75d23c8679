"""A syntax tree that can be asked for what is at a place, and which names mean what there."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import libcst as cst
from libcst.metadata import (
    Assignment,
    CodeRange,
    ParentNodeProvider,
    PositionProvider,
    Scope,
    ScopeProvider,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from libcst.metadata import MetadataWrapper

NodeT = TypeVar("NodeT", bound=cst.CSTNode)


def inside(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Give a node and all that are part of it, in order."""
    yield node
    for part in node.children:
        yield from inside(part)


class Tree:
    """A module with its positions, parents and scopes."""

    def __init__(self, wrapper: MetadataWrapper) -> None:
        """Take the module; what is asked of it is found out then."""
        self.module = wrapper.module
        self._wrapper = wrapper

    @cached_property
    def _positions(self) -> Mapping[cst.CSTNode, CodeRange]:
        return self._wrapper.resolve(PositionProvider)

    @cached_property
    def _parents(self) -> Mapping[cst.CSTNode, cst.CSTNode]:
        return self._wrapper.resolve(ParentNodeProvider)

    @cached_property
    def _scopes(self) -> Mapping[cst.CSTNode, object]:
        return self._wrapper.resolve(ScopeProvider)

    @cached_property
    def _by_start(self) -> dict[tuple[int, int], list[cst.CSTNode]]:
        found: dict[tuple[int, int], list[cst.CSTNode]] = defaultdict(list)
        for node, place in self._positions.items():
            found[place.start.line, place.start.column + 1].append(node)
        return found

    def at(self, kind: type[NodeT], line: int, column: int) -> Iterator[NodeT]:
        """Give the nodes of a kind that start at a place, the shortest first."""
        nodes = [node for node in self._by_start[line, column] if isinstance(node, kind)]
        yield from sorted(nodes, key=self._end)

    def block(self, line: int) -> cst.With | None:
        """Return the `with` block that starts on a line."""
        return next((node for node in self._on(line) if isinstance(node, cst.With)), None)

    def statement(self, line: int) -> cst.CSTNode | None:
        """Return the statement that starts on a line and can have one before it."""
        for node in self._on(line):
            around = self.parent(node)
            if isinstance(around, cst.IndentedBlock | cst.Module) and node in around.body:
                return node
        return None

    def code_after(self, statement: cst.CSTNode) -> str:
        """Return the source of the statement after another, if there is one."""
        around = self.parent(statement)
        assert isinstance(around, cst.IndentedBlock | cst.Module)
        place = around.body.index(statement) + 1
        return self.code(around.body[place]).strip() if place < len(around.body) else ""

    def _on(self, line: int) -> Iterator[cst.CSTNode]:
        for (start, _), nodes in self._by_start.items():
            if start == line:
                yield from nodes

    def line(self, node: cst.CSTNode) -> int:
        """Return the line on which a node starts."""
        return self._range(node).start.line

    def end_line(self, node: cst.CSTNode) -> int:
        """Return the line on which a node ends."""
        return self._range(node).end.line

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        """Return the node around."""
        return self._parents.get(node)

    def around(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """Give the nodes around, the nearest first."""
        outer = self.parent(node)
        while outer is not None:
            yield outer
            outer = self.parent(outer)

    def scope(self, node: cst.CSTNode) -> Scope | None:
        """Return the scope in which a node is evaluated."""
        found = (self._scopes.get(each) for each in (node, *self.around(node)))
        return next((scope for scope in found if isinstance(scope, Scope)), None)

    def assignments(self, scope: Scope, name: str) -> list[cst.CSTNode]:
        """Return the nodes that bind a name, as it is seen from a scope."""
        return [each.node for each in scope[name] if isinstance(each, Assignment)]

    def stays(self, scope: Scope, name: str, end: int, last: int) -> bool:
        """Return whether a name is bound by the end of a line, and not again up to a later one."""
        lines = [self.line(node) for node in self.assignments(scope, name)]
        is_bound = not lines or any(line <= end for line in lines)
        return is_bound and not any(end < line <= last for line in lines)

    def is_own(self, scope: Scope, name: str) -> bool:
        """Return whether a name is bound in this very scope."""
        return any(each.scope is scope for each in scope[name])

    def code(self, node: cst.CSTNode) -> str:
        """Return the source of a node."""
        return self.module.code_for_node(node)

    def _range(self, node: cst.CSTNode) -> CodeRange:
        place: CodeRange = self._positions[node]
        return place

    def _end(self, node: cst.CSTNode) -> tuple[int, int]:
        end = self._range(node).end
        return end.line, end.column
