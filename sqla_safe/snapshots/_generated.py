"""Code made for one class: reading and storing one attribute of many snapshots.

A loop that names the attribute is three times as fast as one that is handed a getter or setter, and
freezing, `dumps` and `loads` are such loops for the most part. The source is in `linecache`, so
that tracebacks and debuggers show it.
"""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_SOURCE = """\
def read_{number}(snaps):  # {name!r}
    return [snap.{slot} for snap in snaps]


def store_{number}(snaps, column):  # {name!r}
    for snap, value in zip(snaps, column):
        snap.{slot} = value
"""


class Accessors(NamedTuple):
    """The generated functions, by attribute."""

    read: dict[str, Callable[[list[Any]], list[Any]]]
    store: dict[str, Callable[[list[Any], Iterable[Any]], None]]


def make_accessors(entity: type, slots: Mapping[str, str]) -> Accessors:
    """Return the functions for each attribute; ``slots`` gives the name of the slot behind it.

    Reading raises `NotLoadedError` when one of the snapshots does not hold the attribute; storing
    needs snapshots that are still open.
    """
    source = "\n\n".join(
        _SOURCE.format(number=number, name=name, slot=slot)
        for number, (name, slot) in enumerate(slots.items())
    )
    file = f"<sqla_safe snapshots of {entity.__module__}.{entity.__qualname__}>"
    scope: dict[str, Any] = {}
    exec(compile(source, file, "exec"), scope)  # noqa: S102  (only names of slots go in)
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return Accessors(
        read={name: scope[f"read_{number}"] for number, name in enumerate(slots)},
        store={name: scope[f"store_{number}"] for number, name in enumerate(slots)},
    )
