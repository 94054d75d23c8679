"""`to_dict`: a snapshot as plain dicts and lists."""

from __future__ import annotations

from typing import Any

from sqla_safe.errors import SnapshotLimitError, SnapshotSourceError
from sqla_safe.snapshots._base import Snapshot
from sqla_safe.snapshots._values import is_dict, is_frozen_collection
from sqla_safe.snapshots._walk import MAX_OBJECTS, checked_limit


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
        SnapshotSourceError: ``snap`` is no snapshot, or ``max_objects`` no whole number.
        SnapshotLimitError: the tree is larger than allowed.

    Example:
        >>> to_dict(snapshot(avatar, Avatar.photos))
        {'id': 1, 'name': 'Mona', 'photos': [{'id': 1, 'url': 'https://example.org/1.jpg'}]}
    """
    if not isinstance(snap, Snapshot):
        raise _no_snapshot(snap)
    found: list[Any] = [None]
    _Tree(checked_limit("max_objects", max_objects)).grow(snap, found, 0)
    tree: dict[str, Any] = found[0]
    return tree


def _no_snapshot(given: object) -> SnapshotSourceError:
    kind = type(given)
    instead = "to_dict(snapshot(entity, ...))"
    if issubclass(kind, (list, tuple, set, frozenset)):
        instead = "[to_dict(snapshot) for snapshot in snapshots]"
    return SnapshotSourceError(
        problem=f"to_dict() was given an object of type {kind.__name__}", instead=instead
    )


class _Tree:
    """The dicts made so far, and the objects whose dicts are still open."""

    def __init__(self, max_objects: int) -> None:
        self._max_objects = max_objects
        self._made = 0
        self._open: set[int] = set()
        self._todo: list[tuple[Snapshot, Any, Any] | int] = []

    def grow(self, root: Snapshot, place: Any, key: Any) -> None:
        """Put the dict of a snapshot into its place, with those below it; without recursion."""
        self._todo.append((root, place, key))
        while self._todo:
            job = self._todo.pop()
            if isinstance(job, int):
                self._open.remove(job)
            else:
                self._branch(*job)

    def _branch(self, snap: Snapshot, place: Any, key: Any) -> None:
        plan = type(snap)._sqs_plan
        if id(snap) in self._open:
            place[key] = dict(zip(plan.key_names, plan.key_of(snap), strict=True))
            return
        self._made += 1
        if self._made > self._max_objects:
            raise SnapshotLimitError(limit="max_objects", value=self._max_objects)
        self._open.add(id(snap))
        self._todo.append(id(snap))  # closed when everything below it has grown
        tree = place[key] = plan.captured(snap)
        for name, value in tree.items():
            if name in plan.relations:
                self._related(tree, name, value)
            else:
                tree[name] = thaw(value)

    def _related(self, tree: dict[str, Any], name: str, related: Any) -> None:
        """Leave places for related objects, and note to fill them."""
        if related is None:
            return
        if is_dict(related):
            place: Any = dict.fromkeys(related)
            members = [(snap, place, key) for key, snap in related.items()]
        elif is_frozen_collection(related):
            place = [None] * len(related)
            members = [(snap, place, number) for number, snap in enumerate(related)]
        else:
            self._todo.append((related, tree, name))
            return
        tree[name] = place
        self._todo += reversed(members)


def thaw(value: Any) -> Any:
    """Return a plain value that may be changed; the opposite of `freeze`."""
    if is_dict(value):
        return {key: thaw(item) for key, item in value.items()}
    if type(value) in (tuple, frozenset):
        return [thaw(item) for item in value]
    return value
