"""What the findings of each file depend on, so that an edit is followed only where it can matter.

A file depends on those that its imports lead to, on everything in a package that it imports as a
whole, on the classes that its relationships name, and on all that these depend on. Of the rest of
the code base it depends on a few facts: which files there are, what any statement loads, how
sessions are made, and whether functions of such names lead to sessions.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from sqla_safe.checker._components import components
from sqla_safe.checker._index import Module

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqla_safe.checker._linked import Linked

Parts = tuple[str, ...]
Node = Module | Parts
"""A file, or everything below a package."""

_SIZE: Final = 16


class Dependencies:
    """The fingerprints of all files.

    Args:
        linked: the code base.
        payloads: the facts of each file, by path.
    """

    def __init__(self, linked: Linked, payloads: Mapping[str, bytes]) -> None:
        """Hash every file, and from the ends of the graph inwards what it leads to."""
        self._linked, self._payloads = linked, payloads
        self._modules = linked.index.modules
        edges = self._below()
        edges.update((each, self._of(each)) for each in self._modules.values())
        everywhere = _digest(linked.everywhere)
        self._prints: dict[Node, bytes] = {}
        for component in components(edges):
            inside = set(component)
            own = sorted([self._own(node) for node in component])
            outside = {self._prints[to] for node in component for to in edges[node] - inside}
            found = _digest((everywhere, *own, *sorted(outside)))
            self._prints.update(dict.fromkeys(component, found))

    def of(self, path: str) -> bytes:
        """Return what changes when the findings of a file may change."""
        return self._prints[self._modules[path]]

    def _of(self, module: Module) -> set[Node]:
        found: set[Node] = set(self._linked.reach.imports[module])
        for each in module.imports:
            target = self._linked.index.imported(module, each)
            if isinstance(target, Module) and target.is_package:
                found.add(target.parts)
        found.update([each.module for each in self._linked.related_to(module)])
        return found

    def _below(self) -> dict[Node, set[Node]]:
        """Return what is below each package."""
        packages = {each.parts for each in self._modules.values() if each.is_package}
        found: dict[Node, set[Node]] = {parts: set() for parts in packages}
        for module in self._modules.values():
            for size in range(len(module.parts) + 1):
                if module.parts[:size] in packages:
                    found[module.parts[:size]].add(module)
        return found

    def _own(self, node: Node) -> bytes:
        if not isinstance(node, Module):
            return _digest(map(_bytes, node))
        targets = [self._linked.index.imported(node, each) for each in node.imports]
        names = [_bytes(each) for each in targets if isinstance(each, str)]
        traits = self._linked.relevance.traits(node)
        return _digest((_bytes(node.path), self._payloads[node.path], traits, *names))


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")


def _digest(parts: Iterable[bytes]) -> bytes:
    found = blake2b(digest_size=_SIZE)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()
