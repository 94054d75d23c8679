"""The strongly connected components of a graph: what depends on itself through others."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

T = TypeVar("T")


def components(edges: Mapping[T, Collection[T]]) -> Iterator[list[T]]:
    """Yield the components, each after those that it leads to.

    Tarjan's algorithm (SIAM Journal on Computing 1, 1972), without recursion.
    """
    numbers: dict[T, int] = {}
    lows: dict[T, int] = {}
    open_: list[T] = []
    is_open: set[T] = set()
    for root in edges:
        if root in numbers:
            continue
        todo = [(root, iter(edges[root]))]
        while todo:
            node, rest = todo[-1]
            if node not in numbers:
                numbers[node] = lows[node] = len(numbers)
                open_.append(node)
                is_open.add(node)
            for to in rest:
                if to not in numbers:
                    todo.append((to, iter(edges[to])))
                    break
                if to in is_open:
                    lows[node] = min(lows[node], numbers[to])
            else:
                todo.pop()
                if todo:
                    above = todo[-1][0]
                    lows[above] = min(lows[above], lows[node])
                if lows[node] == numbers[node]:
                    yield _closed(node, open_, is_open)


def _closed(root: T, open_: list[T], is_open: set[T]) -> list[T]:
    """Take a component off the stack: everything since its first node."""
    at = len(open_) - 1
    while open_[at] is not root:
        at -= 1
    found = open_[at:]
    del open_[at:]
    is_open.difference_update(found)
    return found
