"""`loads`: snapshots from bytes that nobody vouches for.

Only classes that relationships lead to from the entity asked for can come out of the data, and no
code is called but the constructors of plain values.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import msgspec

from sqla_safe.errors import (
    SnapshotDecodeError,
    SnapshotLimitError,
    SnapshotSourceError,
    SnapshotVersionError,
)
from sqla_safe.snapshots import _wire
from sqla_safe.snapshots._document import (
    COLUMN,
    MANY,
    MAP,
    ONE,
    VERSION,
    Collections,
    Document,
    Group,
    enum_class,
)
from sqla_safe.snapshots._plan import Plan, plan_of
from sqla_safe.snapshots._values import FrozenDict
from sqla_safe.snapshots._walk import MAX_OBJECTS

if TYPE_CHECKING:
    from sqlalchemy.orm import Mapper

    from sqla_safe.snapshots._base import Snapshot

T = TypeVar("T")

_Columns = dict[str, tuple[str, Any]]

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
        SnapshotSourceError: ``entity`` is no mapped class.
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
    reader = _Reader(plan, bytes(data), max_objects)
    try:
        result: T = reader.read(many=many)
        return result
    except (SnapshotDecodeError, SnapshotLimitError):
        raise
    except _HOSTILE:  # not the cause: its text may show what is in the data
        raise reader.refuse("it is damaged, or was never one") from None


class _Reader:
    """One reading of untrusted data."""

    def __init__(self, plan: Plan, data: bytes, max_objects: int) -> None:
        self._plan = plan
        self._data = data
        self._max_objects = max_objects
        is_json = data.startswith(b"[")
        self._decode: Any = msgspec.json.decode if is_json else msgspec.msgpack.decode

    def refuse(self, problem: str) -> SnapshotDecodeError:
        return SnapshotDecodeError(entity=self._plan.entity.__name__, problem=problem)

    def read(self, *, many: bool) -> Any:
        document = self._decode(self._data, type=Document)
        if document.version != VERSION:
            raise self._other_version("the data has another format")
        plans = self._plans(document.groups)
        if sum(group.count for group in document.groups) > self._max_objects:
            raise SnapshotLimitError(limit="max_objects", value=self._max_objects)
        columns = [
            self._columns(plan, group) for plan, group in zip(plans, document.groups, strict=True)
        ]
        snaps = self._fill(plans, document.groups, columns)
        return self._roots(document, snaps, many=many)

    def _other_version(self, problem: str) -> SnapshotVersionError:
        return SnapshotVersionError(entity=self._plan.entity.__name__, problem=problem)

    def _plans(self, groups: list[Group]) -> list[Plan]:
        """Look up the classes of the data among those that the entity can lead to."""
        plans: list[Plan] = []
        for group in groups:
            entity = self._plan.reachable.get(group.entity)
            if entity is None:
                raise self.refuse("it holds objects of a class that is not related to it")
            plan = plan_of(entity)
            if group.fingerprint != plan.fingerprint:
                name = entity.__name__
                raise self._other_version(f"{name} was mapped differently when it was made")
            plans.append(plan)
        return plans

    def _columns(self, plan: Plan, group: Group) -> _Columns:
        """Decode the columns of a group; each must have a value for each object."""
        columns: _Columns = {}
        for name, kind, raw in zip(group.names, group.kinds, group.columns, strict=True):
            values = self._decode(raw, type=COLUMN.get(kind, list[Any]))
            if _height(values) != group.count or name not in plan.slots:
                raise self.refuse("its columns do not fit")
            if name not in plan.relations:
                values = _wire.read_column(kind, values, enum_class(plan.mapper, name))
            columns[name] = kind, values
        if not columns.keys() >= set(plan.key_names):
            raise self.refuse("a primary key is missing")
        return columns

    def _fill(
        self,
        plans: list[Plan],
        groups: list[Group],
        columns: list[_Columns],
    ) -> list[Any]:
        """Make the snapshots: first what they hold themselves, so that sets find their keys."""
        shells = [plan.open_shells(group.count) for plan, group in zip(plans, groups, strict=True)]
        everything = list(chain.from_iterable(shells))
        for plan, snaps, held in zip(plans, shells, columns, strict=True):
            for name in held.keys() - plan.relations.keys():
                plan.store[name](snaps, held[name][1])
        for plan, snaps, held in zip(plans, shells, columns, strict=True):
            for name in [name for name in plan.relations if name in held]:
                kind, numbers = held[name]
                related = self._related(kind, numbers, everything, plan, name)
                plan.store[name](snaps, related)
        for plan, snaps in zip(plans, shells, strict=True):
            plan.close(snaps)
        return everything

    def _related(
        self, kind: str, column: Any, everything: list[Any], plan: Plan, name: str
    ) -> list[Any]:
        """Turn numbers into snapshots of the class that the relationship leads to."""
        relation = plan.mapper.relationships[name]
        if (kind == ONE) is bool(relation.uselist) or kind not in COLUMN:
            raise self.refuse("a relationship does not fit")
        if kind == ONE:
            if None not in column:
                self._check(column, everything, relation.mapper)
                return list(map(everything.__getitem__, column))
            self._check([n for n in column if n is not None], everything, relation.mapper)
            return [None if number is None else everything[number] for number in column]
        self._check(column.members, everything, relation.mapper)
        if min(column.sizes, default=0) < 0 or sum(column.sizes) != len(column.members):
            raise self.refuse("its collections do not fit")
        members = map(everything.__getitem__, column.members)
        if kind == MAP:
            keyed = zip(map(_wire.read_tagged, column.keys), members, strict=True)
            return [_as_dict(list(islice(keyed, size))) for size in column.sizes]
        if kind == MANY:
            return [tuple(islice(members, size)) for size in column.sizes]
        return [_as_set(list(islice(members, size))) for size in column.sizes]

    def _check(self, numbers: list[int], snaps: list[Any], mapper: Mapper[Any]) -> None:
        """Refuse numbers that lead nowhere, or to snapshots of another class."""
        plans = [plan_of(m.class_) for m in mapper.self_and_descendants]
        classes = {kind for plan in plans for kind in (plan.open_class, plan.snapshot_class)}
        if numbers and not 0 <= min(numbers) <= max(numbers) < len(snaps):
            raise self.refuse("a reference leads nowhere")
        if not classes.issuperset(map(type, map(snaps.__getitem__, numbers))):
            raise self.refuse("a reference leads to an object of another class")

    def _roots(self, document: Document, snaps: list[Any], *, many: bool) -> Any:
        self._check(document.roots, snaps, self._plan.mapper)
        if document.many and not many:
            name = self._plan.entity.__name__
            raise self.refuse(f"it holds several, for loads(tuple[{name}, ...], data)")
        roots = tuple([snaps[number] for number in document.roots])
        if many:
            return roots
        (root,) = roots
        return root


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


def _height(column: Collections | list[Any]) -> int:
    return len(column.sizes if isinstance(column, Collections) else column)
