"""`dumps` and `loads`: snapshots as bytes, for caches and queues.

The graph is written flat: groups of objects with the same class and attributes, each attribute as
one column, and objects named by their numbers. So there is no recursion, a shared object is written
once, and cycles need nothing special. The data names classes and attributes of the mapping, never
code, and only classes that relationships lead to from the entity asked for can come out of it.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain, count, islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, get_args, get_origin

import msgspec
from sqlalchemy import Enum

from sqla_safe.errors import (
    NotLoadedError,
    SnapshotDecodeError,
    SnapshotEncodeError,
    SnapshotLimitError,
    SnapshotSourceError,
    SnapshotVersionError,
)
from sqla_safe.snapshots import _wire
from sqla_safe.snapshots._base import Snapshot
from sqla_safe.snapshots._fingerprint import column_type
from sqla_safe.snapshots._plan import Plan, plan_of
from sqla_safe.snapshots._values import FrozenDict
from sqla_safe.snapshots._walk import MAX_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Mapper

T = TypeVar("T")

_Columns = dict[str, tuple[str, Any]]

_VERSION = 1
_ONE, _MANY, _SET, _MAP = "one", "many", "set", "map"


class _Group(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Objects of one class that hold the same attributes."""

    entity: str
    fingerprint: str
    count: int
    names: list[str]
    kinds: list[str]
    columns: list[msgspec.Raw]


class _Document(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """All that `dumps` writes."""

    version: int
    many: bool
    roots: list[int]
    groups: list[_Group]


_encoders: dict[str, Any] = {
    "msgpack": msgspec.msgpack.Encoder(),
    "json": msgspec.json.Encoder(),
}


class _Collections(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A column of collections: their sizes, and the numbers and keys of all members in a row."""

    sizes: list[int]
    members: list[int]
    keys: list[Any] = []


_COLUMN: dict[str, Any] = {
    _ONE: list[int | None],
    _MANY: _Collections,
    _SET: _Collections,
    _MAP: _Collections,
}
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


def dumps(snap: Any, /, *, format: Literal["msgpack", "json"] = "msgpack") -> bytes:  # noqa: A002
    """Return a snapshot, or a tuple of them, as bytes that hold data only.

    Args:
        snap: a snapshot, or an iterable of snapshots; what they share is written once.
        format: ``"msgpack"``, or ``"json"`` for stores that want text (UTF-8).

    Returns:
        Bytes for `loads`. They are not meant to be read by other programs: see `to_dict`.

    Raises:
        SnapshotSourceError: ``snap`` is no snapshot.
        SnapshotEncodeError: a column holds a value of a type that has no form in the data.

    Example:
        >>> data = dumps(snapshot(user, User.avatars))
        >>> loads(User, data).avatars[0].name
        'Mona'
    """
    many = not isinstance(snap, Snapshot)
    roots = _snapshots_of(snap) if many else [snap]
    parts = [part for plan, members in _discover(roots).items() for part in _split(plan, members)]
    numbers = _number(parts)
    document = _Document(
        version=_VERSION,
        many=many,
        roots=[numbers[id(root)] for root in roots],
        groups=[_write_group(part, numbers, format) for part in parts],
    )
    encoded: bytes = _encoders[format].encode(document)
    return encoded


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
        SnapshotVersionError: a class was mapped differently when the data was made.
        SnapshotDecodeError: the data is damaged, or of another entity.
        SnapshotLimitError: the data holds too many objects.

    Example:
        >>> users = loads(tuple[User, ...], dumps(snapshot(users)))
    """
    many = get_origin(entity) is tuple
    wanted: type[Any] = get_args(entity)[0] if many else entity
    plan = plan_of(wanted)
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise SnapshotDecodeError(
            entity=wanted.__name__, problem=f"{type(data).__name__} was given, not bytes"
        )
    reader = _Reader(plan, data, max_objects)
    try:
        result: T = reader.read(many=many)
        return result
    except _HOSTILE as error:
        if isinstance(error, (SnapshotDecodeError, SnapshotLimitError)):
            raise
        raise reader.refuse("it is damaged, or was never one") from error


# --- writing -----------------------------------------------------------------


class _Part(NamedTuple):
    """What becomes a group: snapshots of one class, and the columns they all hold."""

    plan: Plan
    snaps: list[Any]
    columns: dict[str, list[Any]]


def _snapshots_of(given: Any) -> list[Any]:
    try:
        roots = list(given)
    except TypeError:
        roots = [given]
    for root in roots:
        if not isinstance(root, Snapshot):
            raise SnapshotSourceError(
                problem=f"dumps() was given an object of type {type(root).__name__}",
                instead="dumps(snapshot(entity, ...))",
            )
    return roots


def _discover(roots: list[Any]) -> dict[Plan, list[Any]]:
    """Find every snapshot that can be reached, by class."""
    found: defaultdict[Plan, list[Any]] = defaultdict(list)
    seen: set[int] = set()
    todo = [roots]
    while todo:
        fresh = {id(snap): snap for snap in chain.from_iterable(todo) if id(snap) not in seen}
        seen.update(fresh)
        todo = []
        kinds: set[type[Snapshot]] = set(map(type, fresh.values()))
        for kind in kinds:
            plan = kind._sqs_plan
            snaps = [snap for snap in fresh.values() if type(snap) is kind]
            found[plan] += snaps
            related = [list(_members(_read(plan, key, snaps)[0])) for key in plan.relations]
            todo += [ones for ones in related if not seen.issuperset(map(id, ones))]
    return found


def _members(column: list[Any]) -> Iterable[Any]:
    """Return the snapshots that a column of relationships holds."""
    kinds = set(map(type, column))
    if kinds <= {tuple, frozenset}:
        return chain.from_iterable(column)
    if FrozenDict in kinds:
        return chain.from_iterable([held.values() for held in column])
    return column if type(None) not in kinds else [one for one in column if one is not None]


def _read(plan: Plan, name: str, snaps: list[Any]) -> tuple[list[Any], list[bool] | None]:
    """Return the values of an attribute; and who holds it, when not all do."""
    try:
        return plan.read[name](snaps), None
    except NotLoadedError:
        get = plan.slots[name].__get__
    values: list[Any] = []
    holds: list[bool] = []
    for snap in snaps:
        try:
            values.append(get(snap))
            holds.append(True)
        except AttributeError:
            holds.append(False)
    return values, holds


def _split(plan: Plan, snaps: list[Any]) -> list[_Part]:
    """Split the snapshots of a class by what they hold."""
    columns: dict[str, list[Any]] = {}
    for name in plan.slots:
        values, holds = _read(plan, name, snaps)
        if holds is None:
            columns[name] = values
        elif any(holds):
            ones = [snap for snap, held in zip(snaps, holds, strict=True) if held]
            others = [snap for snap, held in zip(snaps, holds, strict=True) if not held]
            return _split(plan, ones) + _split(plan, others)
    return [_Part(plan, snaps, columns)]


def _number(parts: list[_Part]) -> dict[int, int]:
    members = chain.from_iterable(part.snaps for part in parts)
    return dict(zip(map(id, members), count()))


def _write_group(part: _Part, numbers: dict[int, int], form: str) -> _Group:
    written = {
        name: _write_related(column, numbers)
        if name in part.plan.relations
        else _write_values(part.plan, name, column)
        for name, column in part.columns.items()
    }
    return _Group(
        entity=part.plan.name,
        fingerprint=part.plan.fingerprint,
        count=len(part.snaps),
        names=list(written),
        kinds=[kind for kind, _ in written.values()],
        columns=[msgspec.Raw(_encoders[form].encode(values)) for _, values in written.values()],
    )


def _write_values(plan: Plan, name: str, column: list[Any]) -> tuple[str, list[Any]]:
    try:
        kind, values = _wire.write_column(column)
    except _wire.NoFormError as error:
        raise SnapshotEncodeError(
            attribute=f"{plan.owner(name)}.{name}", kind=error.kind.__qualname__
        ) from None
    if kind == _wire.ENUM:
        used = {type(value) for value in column if value is not None}
        if used != {_enum_class(plan.mapper, name)}:
            raise SnapshotEncodeError(
                attribute=f"{plan.owner(name)}.{name}", kind=used.pop().__qualname__
            )
    return kind, values


def _write_related(column: list[Any], numbers: dict[int, int]) -> tuple[str, Any]:
    kind = _MANY
    kinds = set(map(type, column))
    keys: list[Any] = []
    if FrozenDict in kinds:
        kind = _MAP
        keys = [_wire.write_tagged(key) for key in chain.from_iterable(column)]
    elif frozenset in kinds:
        kind = _SET
    elif tuple not in kinds:
        return _ONE, list(map(numbers.get, map(id, column)))
    members = list(map(numbers.__getitem__, map(id, _members(column))))
    return kind, _Collections(sizes=list(map(len, column)), members=members, keys=keys)


# --- reading -----------------------------------------------------------------


class _Reader:
    """One reading of untrusted data."""

    def __init__(self, plan: Plan, data: bytes, max_objects: int) -> None:
        self._plan = plan
        self._data = data
        self._max_objects = max_objects
        is_json = bytes(memoryview(data)[:1]) == b"["
        self._decode: Any = msgspec.json.decode if is_json else msgspec.msgpack.decode

    def refuse(self, problem: str) -> SnapshotDecodeError:
        return SnapshotDecodeError(entity=self._plan.entity.__name__, problem=problem)

    def read(self, *, many: bool) -> Any:
        document = self._decode(self._data, type=_Document)
        if document.version != _VERSION:
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

    def _plans(self, groups: list[_Group]) -> list[Plan]:
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

    def _columns(self, plan: Plan, group: _Group) -> _Columns:
        """Decode the columns of a group; each must have a value for each object."""
        columns: _Columns = {}
        for name, kind, raw in zip(group.names, group.kinds, group.columns, strict=True):
            values = self._decode(raw, type=_COLUMN.get(kind, list[Any]))
            size = len(values.sizes if isinstance(values, _Collections) else values)
            if size != group.count or name not in plan.slots:
                raise self.refuse("its columns do not fit")
            if name not in plan.relations:
                values = _wire.read_column(kind, values, _enum_class(plan.mapper, name))
            columns[name] = kind, values
        if not columns.keys() >= set(plan.key_names):
            raise self.refuse("a primary key is missing")
        return columns

    def _fill(
        self,
        plans: list[Plan],
        groups: list[_Group],
        columns: list[_Columns],
    ) -> list[Any]:
        """Make the snapshots: first what they hold themselves, so that sets find their keys."""
        shells = [plan.open_shells(group.count) for plan, group in zip(plans, groups, strict=True)]
        everything = list(chain.from_iterable(shells))
        for plan, snaps, held in zip(plans, shells, columns, strict=True):
            for name in held.keys() - plan.relations.keys():
                plan.store[name](snaps, held[name][1])
        for plan, snaps, held in zip(plans, shells, columns, strict=True):
            for name in held.keys() & plan.relations.keys():
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
        if (kind == _ONE) is bool(relation.uselist) or kind not in _COLUMN:
            raise self.refuse("a relationship does not fit")
        if kind == _ONE:
            if None not in column:
                self._check(column, everything, relation.mapper)
                return list(map(everything.__getitem__, column))
            self._check([n for n in column if n is not None], everything, relation.mapper)
            return [None if number is None else everything[number] for number in column]
        self._check(column.members, everything, relation.mapper)
        if min(column.sizes, default=0) < 0 or sum(column.sizes) != len(column.members):
            raise self.refuse("its collections do not fit")
        members = map(everything.__getitem__, column.members)
        if kind == _MAP:
            keyed = zip(map(_wire.read_tagged, column.keys), members, strict=True)
            return [FrozenDict(islice(keyed, size)) for size in column.sizes]
        collect = tuple if kind == _MANY else frozenset
        return [collect(islice(members, size)) for size in column.sizes]

    def _check(self, numbers: list[int], snaps: list[Any], mapper: Mapper[Any]) -> None:
        """Refuse numbers that lead nowhere, or to snapshots of another class."""
        plans = [plan_of(m.class_) for m in mapper.self_and_descendants]
        classes = {kind for plan in plans for kind in (plan.open_class, plan.snapshot_class)}
        if numbers and not 0 <= min(numbers) <= max(numbers) < len(snaps):
            raise self.refuse("a reference leads nowhere")
        if not classes.issuperset(map(type, map(snaps.__getitem__, numbers))):
            raise self.refuse("a reference leads to an object of another class")

    def _roots(self, document: _Document, snaps: list[Any], *, many: bool) -> Any:
        self._check(document.roots, snaps, self._plan.mapper)
        if document.many and not many:
            name = self._plan.entity.__name__
            raise self.refuse(f"it holds several, for loads(tuple[{name}, ...], data)")
        roots = tuple([snaps[number] for number in document.roots])
        if many:
            return roots
        (root,) = roots
        return root


def _enum_class(mapper: Mapper[Any], name: str) -> Any:
    """Return the Enum whose members a column holds, None for a column of something else."""
    kind = column_type(mapper.column_attrs[name])
    if isinstance(kind, Enum):
        return kind.enum_class
    try:
        return kind.python_type
    except NotImplementedError:
        return None
