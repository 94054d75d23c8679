"""`to_dict`: a snapshot as plain dicts and lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqla_safe.errors import SnapshotLimitError, SnapshotSourceError
from sqla_safe.snapshots._base import Snapshot
from sqla_safe.snapshots._walk import MAX_OBJECTS

if TYPE_CHECKING:
    from sqla_safe.snapshots._plan import Plan


def to_dict(snap: Any, /, *, max_objects: int = MAX_OBJECTS) -> dict[str, Any]:
    """Return a snapshot as plain dicts, lists and values, for templates and serialisers.

    Held are the attributes that the snapshot holds, columns and relationships alike. A relationship
    that leads back to an object whose dict is still open (``avatar.user`` inside ``user.avatars``)
    becomes a dict of its primary key, so that the result is a tree. JSON values become dicts and
    lists of their own, which you may change; sets become lists.

    Args:
        snap: a snapshot.
        max_objects: how many dicts the tree may have; an object that is reached on two ways has
            two.

    Returns:
        A new dict.

    Raises:
        SnapshotSourceError: ``snap`` is no snapshot.
        SnapshotLimitError: the tree is larger than allowed, or too deep.

    Example:
        >>> to_dict(snapshot(avatar, Avatar.photos))
        {'id': 1, 'name': 'Mona', 'photos': [{'id': 1, 'url': 'https://example.org/1.jpg'}]}
    """
    if not isinstance(snap, Snapshot):
        raise SnapshotSourceError(
            problem=f"to_dict() was given an object of type {type(snap).__name__}",
            instead="to_dict(snapshot(entity, ...))",
        )
    return _Tree(max_objects).branch(snap)


class _Tree:
    """The dicts made so far, and the objects whose dicts are still open."""

    def __init__(self, max_objects: int) -> None:
        self._max_objects = max_objects
        self._made = 0
        self._open: set[int] = set()

    def branch(self, snap: Snapshot) -> dict[str, Any]:
        plan = type(snap)._sqs_plan
        if id(snap) in self._open:
            return dict(zip(plan.key_names, plan.key_of(snap), strict=True))
        self._made += 1
        if self._made > self._max_objects:
            raise SnapshotLimitError(limit="max_objects", value=self._max_objects)
        self._open.add(id(snap))
        held = plan.captured(snap)
        tree = {name: self._value(plan, name, held[name]) for name in held}
        self._open.remove(id(snap))
        return tree

    def _value(self, plan: Plan, name: str, value: Any) -> Any:
        if name not in plan.relations:
            return thaw(value)
        if isinstance(value, dict):
            return {key: self.branch(item) for key, item in value.items()}
        if isinstance(value, (tuple, frozenset)):
            return [self.branch(item) for item in value]
        return None if value is None else self.branch(value)


def thaw(value: Any) -> Any:
    """Return a plain value that may be changed; the opposite of `freeze`."""
    if isinstance(value, dict):
        return {key: thaw(item) for key, item in value.items()}
    if type(value) in (tuple, frozenset):
        return [thaw(item) for item in value]
    return value
