"""`loads`: snapshots from bytes that nobody vouches for.

Only classes that relationships lead to from the entity asked for can come out of the data, and no
code is called but the constructors of plain values.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import chain, islice, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, get_args, get_origin

import msgspec

from sqla_safe.errors import (
    SnapshotDecodeError,
    SnapshotLimitError,
    SnapshotSourceError,
    SnapshotVersionError,
)
from sqla_safe.snapshots import _wire
from sqla_safe.snapshots._attributes import real_dict
from sqla_safe.snapshots._document import (
    EXPANSION,
    MAP,
    ONE,
    SET,
    VERSION,
    Document,
    Group,
    Links,
    footprint,
)
from sqla_safe.snapshots._plan import Plan, plan_of
from sqla_safe.snapshots._values import FrozenDict, types_in
from sqla_safe.snapshots._walk import MAX_OBJECTS, checked_limit

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper

    from sqla_safe.snapshots._base import Snapshot

_ELSEWHERE = "a reference leads to an object of another class"
T = TypeVar("T")

_DECODERS: dict[bool, Any] = {
    True: msgspec.json.Decoder(Document),
    False: msgspec.msgpack.Decoder(Document),
}
"""By whether the data begins as JSON does."""

_HOSTILE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    msgspec.MsgspecError,
)
"""What constructors and decoders raise over data that `dumps` did not write."""


def loads(entity: type[T], data: bytes, /, *, max_objects: int = MAX_OBJECTS) -> T:
    """Return the snapshots that `dumps` wrote, equal to the ones that it was given.

    The data is not trusted: no code in it is run, and memory is taken only for what is there.

    Args:
        entity: the mapped class that was dumped; ``tuple[User, ...]`` for data of several.
        data: what `dumps` returned.
        max_objects: how many objects the data may have, 100,000 unless told.

    Returns:
        A snapshot; for ``tuple[User, ...]``, a tuple of them.

    Raises:
        SnapshotSourceError: ``entity`` is no mapped class, or ``max_objects`` no whole number.
        SnapshotVersionError: a class was mapped differently when the data was made.
        SnapshotDecodeError: the data is damaged, or of another entity.
        SnapshotLimitError: the data holds too many objects.

    Example:
        >>> users = loads(tuple[User, ...], dumps(snapshot(users)))
    """
    many = get_origin(entity) is tuple
    wanted: Any = get_args(entity)[0] if many else entity
    if not isinstance(wanted, type):
        raise SnapshotSourceError(
            problem=f"loads() was given {type(wanted).__name__} in place of a mapped class",
            instead="loads(User, data), or loads(tuple[User, ...], data)",
        )
    plan = plan_of(wanted)
    if not _is_bytes_like(data):
        raise SnapshotDecodeError(
            entity=wanted.__name__, problem=f"{type(data).__name__} was given, not bytes"
        )
    reader = _Reader(plan, bytes(data), checked_limit("max_objects", max_objects))
    try:
        result: T = reader.read(many=many)
        return result
    except (SnapshotDecodeError, SnapshotLimitError):
        raise
    except _HOSTILE:  # not the cause: its text may show what is in the data
        raise reader.refuse("it is damaged, or was never one") from None


class _Part(NamedTuple):
    """A group of the data, with its class and the snapshots made for it."""

    plan: Plan
    group: Group
    snaps: list[Any]


class _Reader:
    """One reading of untrusted data."""

    def __init__(self, plan: Plan, data: bytes, max_objects: int) -> None:
        self._plan = plan
        self._data = data
        self._max_objects = max_objects
        self._parts: list[_Part] = []
        self._starts: list[int] = []
        self._everything: list[Any] = []

    def refuse(self, problem: str) -> SnapshotDecodeError:
        return SnapshotDecodeError(entity=self._plan.entity.__name__, problem=problem)

    def read(self, *, many: bool) -> Any:
        document: Document = _DECODERS[self._data.startswith(b"[")].decode(self._data)
        if document.version != VERSION:
            raise self._other_version("the data has another format")
        plans = list(map(self._plan_of, document.groups))
        self._require_distinct(document.groups)
        self._measure(list(zip(plans, document.groups, strict=True)))
        for plan, group in zip(plans, document.groups, strict=True):
            snaps = plan.open_shells(group.count)
            self._parts.append(_Part(plan, group, snaps))
            self._starts.append(len(self._everything))
            self._everything += snaps
        for part in self._parts:  # what they hold themselves first, so that sets find their keys
            self._fill(part)
        for part in self._parts:
            for links in part.group.links:
                part.plan.store[links.name](part.snaps, self._related(part, links))
        for part in self._parts:
            part.plan.close(part.snaps)
        return self._roots(document, many=many)

    def _other_version(self, problem: str) -> SnapshotVersionError:
        return SnapshotVersionError(entity=self._plan.entity.__name__, problem=problem)

    def _plan_of(self, group: Group) -> Plan:
        """Look up the class of a group among those that the entity can lead to."""
        entity = self._plan.reachable.get(group.entity)
        if entity is None:
            raise self.refuse("it holds objects of a class that is not related to it")
        plan = plan_of(entity)
        if group.fingerprint != plan.fingerprint:
            name = entity.__name__
            raise self._other_version(f"{name} was mapped differently when it was made")
        return plan

    def _require_distinct(self, groups: list[Group]) -> None:
        for group in groups:
            names = [values.name for values in group.values]
            names += [links.name for links in group.links]
            if len(set(names)) < len(names):
                raise self.refuse("it holds a column twice")

    def _measure(self, groups: list[tuple[Plan, Group]]) -> None:
        """Refuse data that would become much more than it is, before anything is made of it."""
        if sum(group.count for _, group in groups) > self._max_objects:
            raise SnapshotLimitError(limit="max_objects", value=self._max_objects)
        if footprint(groups) > EXPANSION * len(self._data):
            raise self.refuse("it would take far more memory than it has bytes")

    # --- columns ---------------------------------------------------------------

    def _fill(self, part: _Part) -> None:
        """Store the columns of a group; each must have a value for each object."""
        plan, group, snaps = part
        columns: dict[str, list[Any]] = {}
        for name, kind, plain, text in map(_fields, group.values):
            if name not in plan.values or len(plain) not in (0, group.count):
                raise self.refuse("its columns do not fit")
            columns[name] = _wire.read_column(kind, plain, text, plan.enum_class(name))
            if len(columns[name]) != group.count:
                raise self.refuse("its columns do not fit")
        if not columns.keys() >= set(plan.key_names):
            raise self.refuse("a primary key is missing")
        plan.store_columns(snaps, columns)
        for name in columns.keys() & plan.declared:
            for snap, value in zip(snaps, columns[name], strict=True):
                real_dict(snap)[name] = value

    # --- relationships -----------------------------------------------------------

    def _related(self, part: _Part, links: Links) -> list[Any]:
        """Turn numbers into snapshots of the class that the relationship leads to."""
        relation = part.plan.mapper.relationships.get(links.name)
        if links.name not in part.plan.relations or relation is None:
            raise self.refuse("its columns do not fit")
        if (links.kind == ONE) is bool(relation.uselist):
            raise self.refuse("a relationship does not fit")
        if _height(links) != part.group.count:
            raise self.refuse("its columns do not fit")
        members = self._members(links, relation.mapper)
        if links.kind != ONE:
            return self._collections(links, members)
        if links.is_run:
            return list(chain.from_iterable(map(repeat, members, links.sizes)))
        return members

    def _members(self, links: Links, mapper: Mapper[Any]) -> list[Any]:
        """Return the snapshots that a column leads to, which must be of a class."""
        if links.is_run:
            (start,) = links.numbers
            size = len(links.sizes) if links.kind == ONE else sum(links.sizes)
            return self._run(start, size, mapper)
        numbers: Any = links.numbers
        if None not in numbers:
            self._check(numbers, mapper)
            return list(map(self._everything.__getitem__, numbers))
        self._check([number for number in numbers if number is not None], mapper)
        return [None if number is None else self._everything[number] for number in numbers]

    def _collections(self, links: Links, members: list[Any]) -> list[Any]:
        if sum(links.sizes) != len(members):
            raise self.refuse("its collections do not fit")
        if links.kind == MAP:
            keyed = zip(_wire.read_text(links.keys), members, strict=True)
            return [_as_dict(list(islice(keyed, size))) for size in links.sizes]
        rest = iter(members)
        if links.kind == SET:
            return [_as_set(list(islice(rest, size))) for size in links.sizes]
        return [tuple(islice(rest, size)) for size in links.sizes]

    def _run(self, start: Any, size: int, mapper: Mapper[Any]) -> list[Any]:
        """Return snapshots that stand in a row, of which whole groups are checked at once."""
        end = start + size
        if end > len(self._everything):
            raise self.refuse("a reference leads nowhere")
        place = bisect_right(self._starts, start) - 1
        for part in islice(self._parts, place, bisect_left(self._starts, end)):
            self._require(part.plan, mapper)
        return self._everything[start:end]

    def _check(self, numbers: list[int], mapper: Mapper[Any], problem: str = _ELSEWHERE) -> None:
        """Refuse numbers that lead nowhere, or to snapshots of another class."""
        if numbers and max(numbers) >= len(self._everything):
            raise self.refuse("a reference leads nowhere")
        for kind in types_in(list(map(self._everything.__getitem__, numbers))):
            self._require(kind._sqs_plan, mapper, problem)

    def _require(self, plan: Plan, mapper: Mapper[Any], problem: str = _ELSEWHERE) -> None:
        if not plan.mapper.isa(mapper):
            raise self.refuse(problem)

    def _roots(self, document: Document, *, many: bool) -> Any:
        self._check(document.roots, self._plan.mapper, "it was made of another class")
        if document.many and not many:
            name = self._plan.entity.__name__
            raise SnapshotDecodeError(
                entity=name,
                problem="it holds several",
                instead=f"loads(tuple[{name}, ...], data)",
            )
        roots = tuple(map(self._everything.__getitem__, document.roots))
        if many:
            return roots
        (root,) = roots
        return root


def _height(links: Links) -> int:
    """Return for how many objects a column of relationships is."""
    if links.kind != ONE:
        return len(links.sizes)
    return sum(links.sizes) if links.is_run else len(links.numbers)


_fields = attrgetter("name", "kind", "plain", "text")


def _as_dict(pairs: list[tuple[Any, Any]]) -> FrozenDict[Any, Any]:
    _wire.require_distinct([key for key, _ in pairs])
    return FrozenDict(pairs)


def _as_set(members: list[Snapshot]) -> frozenset[Any]:
    """Make a set; two members with one key would have to be compared, with all that they hold."""
    keys = [(type(one), *type(one)._sqs_plan.key_of(one)) for one in members]
    _wire.require_distinct(keys)
    if len(set(keys)) < len(keys):
        raise ValueError("a set that holds an object twice")
    return frozenset(members)


def _is_bytes_like(data: object) -> bool:
    return isinstance(data, (bytes, bytearray, memoryview))
