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

_STORE_ALL = """\
def store_all(snaps, {columns}):
    for snap, {values} in zip(snaps, {columns}):
{assignments}
"""


class Accessors(NamedTuple):
    """The generated functions, by attribute."""

    read: dict[str, Callable[[list[Any]], list[Any]]]
    store: dict[str, Callable[[list[Any], Iterable[Any]], None]]
    store_all: Callable[..., None]
    """Store several columns at once, in the order in which they were named."""


def make_accessors(entity: type, slots: Mapping[str, str], columns: Iterable[str]) -> Accessors:
    """Return the functions for each attribute; ``slots`` gives the name of the slot behind it.

    ``columns`` are the attributes that are stored at once. Reading raises `NotLoadedError` when one
    of the snapshots does not hold the attribute; storing needs snapshots that are still open.
    """
    source = "\n\n".join(
        _SOURCE.format(number=number, name=name, slot=slot)
        for number, (name, slot) in enumerate(slots.items())
    )
    source += "\n\n" + _store_all([slots[name] for name in columns])
    file = f"<sqla_safe snapshots of {entity.__module__}.{entity.__qualname__}>"
    scope: dict[str, Any] = {}
    exec(compile(source, file, "exec"), scope)  # noqa: S102  (only names of slots go in)
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return Accessors(
        read={name: scope[f"read_{number}"] for number, name in enumerate(slots)},
        store={name: scope[f"store_{number}"] for number, name in enumerate(slots)},
        store_all=scope["store_all"],
    )


def _store_all(slots: list[str]) -> str:
    numbers = range(len(slots))
    return _STORE_ALL.format(
        columns=", ".join(f"column_{number}" for number in numbers),
        values=", ".join(f"value_{number}" for number in numbers),
        assignments="\n".join(
            f"        snap.{slot} = value_{number}" for number, slot in enumerate(slots)
        ),
    )
