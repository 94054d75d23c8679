"""The arguments of tasks: snapshots travel as data, what belongs to a session does not travel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect

from sqla_safe.errors import SnapshotSourceError, TaskArgumentError
from sqla_safe.ext._owned import first_owned
from sqla_safe.scopes._source import described
from sqla_safe.snapshots import dumps, is_snapshot, loads

if TYPE_CHECKING:
    from collections.abc import Iterable

_MARK = "sqla_safe.snapshot"
"""The key of a dictionary that stands for a snapshot."""
_CONTAINERS: tuple[type[Any], ...] = (list, tuple, set, frozenset)
_REPAIRS = {
    "a snapshot": "the snapshot itself, or to_dict(snapshot), not inside another object",
    "an entity": "await asnapshot(entity), or its id",
    "a session": "nothing: the task opens a scope of its own (scoped_services)",
    "a scope": "nothing: the task opens a scope of its own (scoped_services)",
}


class TaskCodec:
    """Turns the snapshots of some entities into plain data, and back."""

    def __init__(self, entities: Iterable[type[Any]], call: str) -> None:
        self._entities = {_name(_mapped(entity, call)): entity for entity in entities}

    def pack(self, value: Any, where: str) -> Any:
        """Return the value with plain data in place of snapshots.

        Raises:
            TaskArgumentError: it holds what belongs to a session, or a snapshot of another entity.
        """
        if is_snapshot(value):
            return self._pack_snapshot(value, where)
        if _is(value, Mapping):
            return {key: self.pack(part, f"{where}[{key!r}]") for key, part in value.items()}
        if _is(value, *_CONTAINERS):
            return _like(value, [self.pack(p, f"{where}[{n}]") for n, p in enumerate(value)])
        if (found := first_owned(value)) is not None:
            kind, what = found
            raise TaskArgumentError(where=where, kind=kind, what=what, instead=_REPAIRS[what])
        return value

    def _pack_snapshot(self, snap: Any, where: str) -> dict[str, str]:
        for name, entity in self._entities.items():
            if isinstance(snap, entity):
                return {_MARK: name, "data": dumps(snap, format="json").decode()}
        kind = _entity_name(snap)
        raise TaskArgumentError(
            where=where,
            kind=kind,
            what="a snapshot of an entity that is not known here",
            instead=f"name {kind} where the other entities of the queue are named",
        )

    def unpack(self, value: Any) -> Any:
        """Return the value with snapshots in place of their data.

        Raises:
            SnapshotSourceError: the data is of an entity that is not known here.
            SnapshotDecodeError: the data is damaged, or of another version of the mapping.
        """
        if _is(value, dict):
            if _MARK in value:
                return self._unpack_snapshot(value)
            return {key: self.unpack(part) for key, part in value.items()}
        if _is(value, *_CONTAINERS):
            return _like(value, [self.unpack(part) for part in value])
        return value

    def _unpack_snapshot(self, found: dict[Any, Any]) -> Any:
        entity = self._entities.get(found[_MARK])
        if entity is None:
            raise SnapshotSourceError(
                problem="the task was sent a snapshot of an entity that is not known here",
                instead="name the same entities on both sides of the queue",
            )
        return loads(entity, str(found.get("data", "")).encode())


def _mapped(entity: Any, call: str) -> type[Any]:
    if not isinstance(entity, type) or inspect(entity, raiseerr=False) is None:
        got = described(entity)
        raise SnapshotSourceError(
            problem=f"{call} takes mapped classes, not {got}",
            instead=call.replace("...", "User, Avatar"),
        )
    return entity


def _name(entity: type[Any]) -> str:
    return f"{entity.__module__}.{entity.__qualname__}"


def _entity_name(snap: Any) -> str:
    kinds: list[type[object]] = list(type(snap).__mro__)
    return next(kind.__name__ for kind in kinds[1:] if inspect(kind, raiseerr=False) is not None)


def _is(value: Any, *kinds: type[Any]) -> bool:
    """Ask without narrowing: of what is inside, a type checker can know nothing."""
    return isinstance(value, kinds)


def _like(container: Any, parts: list[Any]) -> Any:
    """Return the parts in a container of the same kind, named tuples and the like as tuples."""
    kind = next(kind for kind in _CONTAINERS if _is(container, kind))
    return kind(parts)
