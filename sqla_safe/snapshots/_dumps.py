"""`dumps`: snapshots as bytes."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from sqla_safe.errors import NotLoadedError, SnapshotEncodeError, SnapshotSourceError
from sqla_safe.snapshots import _wire
from sqla_safe.snapshots._base import Snapshot
from sqla_safe.snapshots._document import (
    MANY,
    MAP,
    ONE,
    SET,
    VERSION,
    Collections,
    Document,
    Group,
    enum_class,
)
from sqla_safe.snapshots._values import FrozenDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqla_safe.snapshots._plan import Plan

_encoders: dict[str, Any] = {
    "msgpack": msgspec.msgpack.Encoder(),
    "json": msgspec.json.Encoder(),
}


def dumps(snap: Any, /, *, format: Literal["msgpack", "json"] = "msgpack") -> bytes:  # noqa: A002
    """Return a snapshot, or a tuple of them, as bytes that hold data only.

    Args:
        snap: a snapshot, or an iterable of snapshots; what they share is written once.
        format: ``"msgpack"``, or ``"json"`` for stores that want text (UTF-8).

    Returns:
        Bytes for `loads`. They are not meant to be read by other programs: see `to_dict`.

    Raises:
        SnapshotSourceError: ``snap`` is no snapshot, or the format does not exist.
        SnapshotEncodeError: a column holds a value of a type that has no form in the data.

    Example:
        >>> data = dumps(snapshot(user, User.avatars))
        >>> loads(User, data).avatars[0].name
        'Mona'
    """
    if format not in _encoders:
        raise SnapshotSourceError(
            problem=f"there is no format {format!r}", instead='format="msgpack" or format="json"'
        )
    many = not isinstance(snap, Snapshot)
    roots = _snapshots_of(snap) if many else [snap]
    parts = [part for plan, members in _discover(roots).items() for part in _split(plan, members)]
    numbers = _number(parts)
    document = Document(
        version=VERSION,
        many=many,
        roots=[numbers[id(root)] for root in roots],
        groups=[_write_group(part, numbers, format) for part in parts],
    )
    encoded: bytes = _encoders[format].encode(document)
    return encoded


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
    todo: list[list[Any]] = [roots]
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


def _write_group(part: _Part, numbers: dict[int, int], form: str) -> Group:
    written = {
        name: _write_related(column, numbers)
        if name in part.plan.relations
        else _write_values(part.plan, name, column)
        for name, column in part.columns.items()
    }
    return Group(
        entity=part.plan.name,
        fingerprint=part.plan.fingerprint,
        count=len(part.snaps),
        names=list(written),
        kinds=[kind for kind, _ in written.values()],
        columns=[_encode(part.plan, name, values, form) for name, (_, values) in written.items()],
    )


def _encode(plan: Plan, name: str, values: Any, form: str) -> msgspec.Raw:
    try:
        return msgspec.Raw(_encoders[form].encode(values))
    except UnicodeEncodeError:
        kind = "str that is no Unicode text (a lone surrogate)"
        attribute = f"{plan.owner(name)}.{name}"
        raise SnapshotEncodeError(attribute=attribute, kind=kind) from None


def _write_values(plan: Plan, name: str, column: list[Any]) -> tuple[str, list[Any]]:
    attribute = f"{plan.owner(name)}.{name}"
    try:
        kind, values = _wire.write_column(column)
    except _wire.NoFormError as error:
        raise SnapshotEncodeError(attribute=attribute, kind=error.kind.__qualname__) from None
    except ValueError:  # more digits than Python turns into text
        raise SnapshotEncodeError(attribute=attribute, kind="number of that size") from None
    if kind in (_wire.ENUM, _wire.FLAG):
        used: set[type[Any]] = {type(value) for value in column if value is not None}
        if used != {enum_class(plan.mapper, name)}:
            raise SnapshotEncodeError(attribute=attribute, kind=used.pop().__qualname__)
    return kind, values


def _write_related(column: list[Any], numbers: dict[int, int]) -> tuple[str, Any]:
    kind = MANY
    kinds = set(map(type, column))
    keys: list[Any] = []
    if FrozenDict in kinds:
        kind = MAP
        keys = [_wire.write_tagged(key) for key in chain.from_iterable(column)]
    elif frozenset in kinds:
        kind = SET
    elif tuple not in kinds:
        return ONE, list(map(numbers.get, map(id, column)))
    members = list(map(numbers.__getitem__, map(id, _members(column))))
    return kind, Collections(sizes=list(map(len, column)), members=members, keys=keys)
