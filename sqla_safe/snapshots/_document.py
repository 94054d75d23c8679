"""What `dumps` writes and `loads` reads.

The graph is written flat: groups of objects with the same class and attributes, each attribute as
one column, and objects named by their numbers. So there is no recursion, a shared object is written
once, and cycles need nothing special. The data names classes and attributes of the mapping, never
code.

A column is a list of plain values, which nothing can nest in: the decoder itself refuses everything
else. Values that do nest, such as JSON, are text inside of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqla_safe.snapshots._plan import Plan

VERSION = 2
ONE, MANY, SET, MAP = "one", "many", "set", "map"

Natural = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Values(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A column of values: their kind, and each of them; or all of them as one text."""

    name: str
    kind: str
    plain: list[int | float | str | bool | None]
    text: str = ""


class Links(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """A column of relationships: the numbers of what they lead to.

    For collections, all members in a row, and the size of each collection. When ``is_run``, the
    numbers go up one by one from the only one that is there: those of all members, or for `ONE`
    those of the targets, of which each has as many objects in a row as its size says.
    """

    name: str
    kind: str
    numbers: list[Natural | None]
    sizes: list[Natural] = []
    is_run: bool = False
    keys: str = ""


class Group(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """Objects of one class that hold the same attributes."""

    entity: str
    fingerprint: str
    count: Positive
    values: list[Values]
    links: list[Links]


class Document(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """All that `dumps` writes."""

    version: int
    many: bool
    roots: list[Natural]
    groups: list[Group]
    padding: str = ""


# --- how much memory data may take ---------------------------------------------

EXPANSION = 32
"""How many bytes of objects one byte of data may become."""

_OBJECT, _SLOT = 96, 8
_VALUE = {
    "Decimal": 128,
    **dict.fromkeys(("IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface"), 900),
}
_COLLECTION = {ONE: 0, MANY: 64, SET: 232, MAP: 248}
_MEMBER = {ONE: 0, MANY: 8, SET: 64, MAP: 104}


def footprint(groups: Iterable[tuple[Plan, Group]]) -> int:
    """Return how many bytes the objects and collections of a document take, and its large values.

    Data in which it is more than `EXPANSION` allows is refused before anything is made of it;
    `dumps` adds padding to such data, which few columns in many objects make.
    """
    return sum(
        group.count * (_OBJECT + _SLOT * len(plan.slots))
        + sum([len(values.plain) * _VALUE.get(values.kind, 0) for values in group.values])
        + sum(map(_weight, group.links))
        for plan, group in groups
    )


def _weight(links: Links) -> int:
    collections = len(links.sizes) - links.sizes.count(0)
    return collections * _COLLECTION[links.kind] + sum(links.sizes) * _MEMBER[links.kind]
