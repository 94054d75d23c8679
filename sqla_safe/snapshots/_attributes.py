"""The ``__dict__`` of a snapshot: what it holds, for code that reads an object that way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.errors import FrozenSnapshotError

if TYPE_CHECKING:
    from typing import Never

    from sqla_safe.snapshots._base import Snapshot


class Attributes(dict[str, Any]):
    """The attributes of a snapshot by name, as a dict of its own.

    They are in slots, so the real ``__dict__`` has none of them, and a method that goes through
    ``self.__dict__`` would find nothing and say nothing. What such code adds, as `cached_property`
    does, is kept in the real one.
    """

    __slots__ = ("_real",)

    def __init__(self, snap: Snapshot) -> None:
        self._real = real_dict(snap)
        super().__init__({**type(snap)._sqs_plan.captured(snap), **self._real})

    def __setitem__(self, name: str, value: Any) -> None:
        if name in self and name not in self._real:
            self._refuse()
        self._real[name] = value
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        if name not in self._real:
            self._refuse()
        del self._real[name]
        super().__delitem__(name)

    def _refuse(self, *_: Any, **__: Any) -> Never:
        raise FrozenSnapshotError(
            what="what a snapshot holds",
            instead="change a copy, dict(vars(snapshot)), or replace()",
        )

    if not TYPE_CHECKING:  # the signatures are those of dict
        __ior__ = clear = pop = popitem = setdefault = update = _refuse


def real_dict(snap: Any) -> dict[str, Any]:
    """Return the ``__dict__`` that the instance itself has, past the one that shows its slots."""
    for base in type(snap).__mro__:
        descriptor = vars(base).get("__dict__")
        if descriptor is not None and not isinstance(descriptor, property):
            held: dict[str, Any] = descriptor.__get__(snap)
            return held
    return {}
