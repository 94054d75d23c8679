"""The arguments of a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from sqla_safe.checker._ir import Node
    from sqla_safe.checker._values import Value


class Given(Struct, eq=False):
    """The arguments of a call."""

    args: list[Value]
    keywords: dict[str | None, Value]
    start: int
    end: int
    expr: Node
    owners: frozenset[int] = frozenset()
    """The objects whose method it may be, where that is one of several."""

    @property
    def span(self) -> tuple[int, int]:
        """Where the call begins and ends."""
        return self.start, self.end

    def all(self) -> list[Value]:
        """Return every argument."""
        return [*self.args, *self.keywords.values()]

    def first(self, name: str = "") -> Value:
        """Return the first argument, or the one of a name."""
        return self.args[0] if self.args else self.keywords.get(name)
