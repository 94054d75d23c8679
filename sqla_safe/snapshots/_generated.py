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

_LOOPS = """\
def store_all(snaps, {columns}):
    for snap, {values} in zip(snaps, {columns}):
{assignments}


def freeze_all(snaps, dicts, plain, freeze):
    for snap, held in zip(snaps, dicts):
{frozen}
"""

_FROZEN = """\
        value = held[{name!r}]
        snap.{slot} = value if type(value) in plain else freeze(value)"""


class Accessors(NamedTuple):
    """The generated functions, by attribute."""

    read: dict[str, Callable[[list[Any]], list[Any]]]
    store: dict[str, Callable[[list[Any], Iterable[Any]], None]]
    store_all: Callable[..., None]
    """Store several columns at once, in the order in which they were named."""
    freeze_all: Callable[[list[Any], list[dict[str, Any]], set[type], Callable[[Any], Any]], None]
    """Store the same columns from the ``__dict__`` of entities; values that are not plain frozen.

    When one of them is missing, what was stored may be anything.
    """


def make_accessors(entity: type, slots: Mapping[str, str], columns: Iterable[str]) -> Accessors:
    """Return the functions for each attribute; ``slots`` gives the name of the slot behind it.

    ``columns`` are the attributes that are stored at once. Reading raises `NotLoadedError` when one
    of the snapshots does not hold the attribute; storing needs snapshots that are still open.
    """
    source = "\n\n".join(
        _SOURCE.format(number=number, name=name, slot=slot)
        for number, (name, slot) in enumerate(slots.items())
    )
    source += "\n\n" + _loops({name: slots[name] for name in columns})
    file = f"<sqla_safe snapshots of {entity.__module__}.{entity.__qualname__}>"
    scope: dict[str, Any] = {}
    exec(compile(source, file, "exec"), scope)  # noqa: S102  (only names go in)
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    return Accessors(
        read={name: scope[f"read_{number}"] for number, name in enumerate(slots)},
        store={name: scope[f"store_{number}"] for number, name in enumerate(slots)},
        store_all=scope["store_all"],
        freeze_all=scope["freeze_all"],
    )


def _loops(slots: Mapping[str, str]) -> str:
    """Return the functions that go once over the snapshots, for all columns together."""
    numbers = range(len(slots))
    return _LOOPS.format(
        columns=", ".join(f"column_{number}" for number in numbers),
        values=", ".join(f"value_{number}" for number in numbers),
        assignments="\n".join(
            f"        snap.{slot} = value_{number}" for number, slot in enumerate(slots.values())
        ),
        frozen="\n".join(_FROZEN.format(name=name, slot=slot) for name, slot in slots.items()),
    )
