"""`replace`: a changed copy of a snapshot."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from sqla_safe.errors import SnapshotSourceError
from sqla_safe.snapshots._base import Snapshot
from sqla_safe.snapshots._composites import values_of
from sqla_safe.snapshots._plan import fill
from sqla_safe.snapshots._values import FrozenDict, freeze, is_dict, is_frozenset, is_set, is_tuple

if TYPE_CHECKING:
    from sqla_safe.snapshots._plan import Plan

T = TypeVar("T")


def replace(snap: T, /, **changes: Any) -> T:
    """Return a copy of a snapshot with some attributes changed; the snapshot stays as it is.

    Related snapshots are shared with the original, and go on pointing to it. `write_back` stores
    the difference. On Python 3.13 and newer ``copy.replace`` does the same.

    Args:
        snap: a snapshot.
        changes: new values by attribute: columns, composites, synonyms; a relationship takes
            snapshots.

    Returns:
        The changed copy.

    Raises:
        SnapshotSourceError: ``snap`` is no snapshot, or a change does not fit it.

    Example:
        >>> renamed = replace(user, name="Mona")
        >>> user.name, renamed.name
        ('Lisa', 'Mona')
    """
    if not isinstance(snap, Snapshot):
        raise SnapshotSourceError(
            problem=f"replace() was given an object of type {type(snap).__name__}",
            instead="replace(snapshot(entity), name=...); an entity is changed by assignment",
        )
    plan = type(snap)._sqs_plan
    state = plan.captured(snap)
    for name, value in changes.items():
        state |= _checked_change(plan, name, value)
    copy: T = plan.shell()
    fill(copy, state | plan.plain(snap))
    return copy


def _checked_change(plan: Plan, name: str, value: Any) -> dict[str, Any]:
    try:
        return _change(plan, name, value)
    except SnapshotSourceError:
        raise
    except Exception:  # noqa: BLE001  (what a value's own copying raises may show the value)
        raise SnapshotSourceError(
            problem=f"an object of type {type(value).__name__} is no {plan.entity.__name__}.{name}",
            instead="a value of the attribute's type, which can be frozen or copied",
        ) from None


def _change(plan: Plan, name: str, value: Any) -> dict[str, Any]:
    """Return what one change means for the attributes that are held."""
    mapper = plan.mapper
    if name in plan.relations:
        return {name: _related(plan, name, value)}
    if name in mapper.synonyms:
        return _change(plan, mapper.synonyms[name].name, value)
    if name in mapper.composites:
        keys = [attribute.key for attribute in mapper.composites[name].props]
        parts = (None,) * len(keys) if value is None else values_of(value)
        return {key: freeze(part) for key, part in zip(keys, parts, strict=True)}
    if name not in mapper.column_attrs:
        raise _unknown(plan, name)
    return {name: freeze(value)}


_LONGEST = 100
"""How much is said of a name that does not exist: it may be a stranger's."""


def _unknown(plan: Plan, name: str) -> SnapshotSourceError:
    entity, name = plan.entity.__name__, name[:_LONGEST]
    near = get_close_matches(name, plan.mapper.column_attrs.keys(), 1)
    return SnapshotSourceError(
        problem=f"{entity}.{name} is no attribute that is stored",
        instead=f"replace(snapshot, {near[0]}=...)" if near else f"a mapped column of {entity}",
    )


def _related(plan: Plan, name: str, value: Any) -> Any:
    """Freeze what a relationship shall hold, which must be snapshots."""
    relation = plan.relations[name]
    frozen: Any = value
    members: list[Any] = [value]
    if relation.uselist and is_dict(value):
        frozen, members = FrozenDict(value), list(value.values())
    elif relation.uselist and is_set(value):
        frozen, members = frozenset(value), list(value)
    elif relation.uselist:
        frozen = tuple(value)
        members = list(frozen)
    elif value is None:
        return None
    target = plan.mapper.relationships[name].mapper
    if not all(isinstance(one, Snapshot) and isinstance(one, target.class_) for one in members):
        raise SnapshotSourceError(
            problem=f"{plan.entity.__name__}.{name} was given something that is no snapshot of "
            f"{target.class_.__name__}",
            instead=f"replace(..., {name}=snapshot(...))",
        )
    return _fitting(getattr(plan.mapper.relationships[name], "collection_class", None), frozen)


def _fitting(collection: Any, frozen: Any) -> Any:
    """Make a tuple of a set and the reverse, as the relationship's own collections become."""
    kind: Any = list if collection is None else collection
    if is_frozenset(frozen) and isinstance(kind, type) and issubclass(kind, list):
        return tuple(frozen)
    if is_tuple(frozen) and isinstance(kind, type) and issubclass(kind, set):
        return frozenset(frozen)
    return frozen
