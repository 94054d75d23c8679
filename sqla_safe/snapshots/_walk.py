"""The walk over a graph of entities that fills their snapshots.

It goes level by level, and takes all entities of one class in a level together: a column of
values is read, checked and stored by loops that run in C. Nothing is read but ``__dict__``; no
getter of an entity is called, so nothing is loaded. What was wanted or expired and is not there is
noted, for `_load` to load it before the next walk.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import chain, compress, islice, repeat
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.orm.attributes import instance_dict, instance_state
from sqlalchemy.orm.collections import collection_adapter
from typing_extensions import TypeIs

from sqla_safe.errors import (
    DeletedEntityError,
    PendingEntityError,
    SnapshotLimitError,
    SnapshotSourceError,
)
from sqla_safe.snapshots._attributes import real_dict
from sqla_safe.snapshots._plan import Plan, Relation, plan_of
from sqla_safe.snapshots._values import PLAIN, FrozenDict, freeze, is_dict, is_plain, type_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import InstanceState, Mapper, Session

    from sqla_safe.snapshots._paths import Path

MAX_OBJECTS = 100_000
MAX_DEPTH = 100


ABSENT = object()
"""In place of a foreign key that is not loaded."""


class Limits(NamedTuple):
    """How far a walk may go before it raises."""

    objects: int = MAX_OBJECTS
    depth: int = MAX_DEPTH


def checked_limit(name: str, limit: object) -> int:
    """Return a limit that was given.

    Raises:
        SnapshotSourceError: it is no whole number from 0 on.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise SnapshotSourceError(
            problem=f"{name} is not a whole number from 0 on",
            instead=f"{name}=1_000_000 or another number; there is no way to go without a limit",
        )
    return limit


class Targets:
    """The targets of many-to-ones that were loaded by their keys, between two walks."""

    def __init__(self) -> None:
        self.asked: defaultdict[Path, set[Any]] = defaultdict(set)
        self.kept_alive: list[Any] = []


class _Late(NamedTuple):
    """A many-to-one whose target was not known when it was met."""

    relation: Relation
    entity: Any
    snap: Any
    key: Any
    path: Path | None


class Batch(NamedTuple):
    """Entities of one class, and the snapshots to fill from them."""

    plan: Plan
    entities: list[Any]
    snaps: list[Any]
    dicts: list[dict[str, Any]]
    states: list[InstanceState[Any]]


class Walk:
    """One walk, from the roots to everything that is loaded."""

    def __init__(
        self, session: Session | None, paths: Sequence[Path], limits: Limits, targets: Targets
    ) -> None:
        self.session = session
        self.session_id = session.hash_key if session is not None else None
        self.paths = paths
        self.limits = limits
        self.targets = targets
        self.absent: defaultdict[Path, list[Any]] = defaultdict(list)
        self.absent_keys: defaultdict[Path, dict[Any, None]] = defaultdict(dict)
        self.expired: defaultdict[Mapper[Any], list[tuple[Any, str]]] = defaultdict(list)
        self.visited: set[Mapper[Any]] = set()
        self._memo: dict[int, Any] = {}
        self._index: defaultdict[type, dict[Any, Any]] = defaultdict(dict)
        self._queue: list[tuple[Plan, list[Any], list[Any]]] = []
        self._sets: list[tuple[Relation, Any, list[Any]]] = []
        self._late: list[_Late] = []
        self._opened: list[tuple[Plan, list[Any]]] = []
        self._kept_alive: list[list[Any]] = []

    def run(self, roots: list[Any]) -> list[Any]:
        """Return the snapshots of the roots, in their order."""
        snaps = self._snapshots(roots)
        depth = 0
        while self._queue:
            level, self._queue = self._queue, []
            if depth > self.limits.depth:
                raise SnapshotLimitError(limit="max_depth", value=self.limits.depth)
            for plan, entities, shells in level:
                self._fill(plan, entities, shells)
            depth += 1
        for late in self._late:
            self._resolve_late(late)
        for relation, snap, members in self._sets:
            relation.store([snap], [frozenset(members)])
        for plan, shells in self._opened:
            plan.close(shells)
        return snaps

    # --- from entities to shells ---------------------------------------------

    def _snapshots(self, entities: list[Any]) -> list[Any]:
        """Return the snapshot of each entity, and queue those that are met for the first time."""
        memo = self._memo
        ids = list(map(id, entities))
        unique = set(ids)
        kinds = set(map(type, entities))
        if len(kinds) == 1 and len(unique) == len(ids) and memo.keys().isdisjoint(unique):
            return self._meet(kinds.pop(), ids, entities)
        fresh = {key: one for key, one in zip(ids, entities, strict=True) if key not in memo}
        for kind in kinds:
            group = {key: one for key, one in fresh.items() if type(one) is kind}
            if group:
                self._meet(kind, list(group), list(group.values()))
        return [memo[key] for key in ids]

    def _meet(self, kind: type, ids: list[int], entities: list[Any]) -> list[Any]:
        """Make the shells for entities of one class."""
        plan = plan_of(kind)
        shells = plan.open_shells(len(entities))
        self._memo.update(zip(ids, shells, strict=True))
        if len(self._memo) > self.limits.objects:
            raise SnapshotLimitError(limit="max_objects", value=self.limits.objects)
        self._queue.append((plan, entities, shells))
        self._opened.append((plan, shells))
        self._kept_alive.append(entities)
        return shells

    # --- from shells to snapshots --------------------------------------------

    def _fill(self, plan: Plan, entities: list[Any], snaps: list[Any]) -> None:
        dicts = list(map(instance_dict, entities))
        states = list(map(instance_state, entities))
        batch = Batch(plan, entities, snaps, dicts, states)
        self.visited.add(plan.mapper)
        _check(batch)
        taken = len(dicts) + self._fill_columns(batch)
        self._remember(batch)
        for relation in plan.relations.values():
            taken += self._fill_relation(batch, relation)
        for key in plan.composites:
            taken += sum([key in held for held in dicts])
        if taken < sum(map(len, dicts)):
            _keep_declared(batch)

    def _fill_columns(self, batch: Batch) -> int:
        """Freeze the columns; return how many values there were."""
        plan = batch.plan
        try:
            plan.freeze_all(batch.snaps, batch.dicts, PLAIN, freeze)
        except Exception:  # noqa: BLE001  (something is missing or odd: look at each column)
            return sum([self._fill_column(batch, key) for key in plan.columns])
        return len(batch.snaps) * len(plan.columns)

    def _fill_column(self, batch: Batch, key: str) -> int:
        try:
            column = [held[key] for held in batch.dicts]
        except KeyError:
            return self._fill_partly(batch, key)
        batch.plan.store[key](batch.snaps, _frozen(batch.plan, key, column))
        return len(column)

    def _fill_partly(self, batch: Batch, key: str) -> int:
        """Some entities have not loaded this column; note those that should have."""
        snaps: list[Any] = []
        column: list[Any] = []
        unset = 0
        path = self._wanted(batch.plan, key)
        for entity, snap, held, state in zip(
            batch.entities, batch.snaps, batch.dicts, batch.states, strict=True
        ):
            if key in held:
                snaps.append(snap)
                column.append(held[key])
            elif _is_unset(batch.plan, state, key):
                snaps.append(snap)
                column.append(None)
                unset += 1
            elif path is not None:
                self.absent[path].append(entity)
            elif key in state.expired_attributes and key not in batch.plan.deferred:
                self.expired[batch.plan.mapper].append((entity, key))
        batch.plan.store[key](snaps, _frozen(batch.plan, key, column))
        return len(snaps) - unset

    def _wanted(self, plan: Plan, key: str) -> Path | None:
        for path in self.paths:
            if path.key == key and path.covers(plan.mapper):
                return path
        return None

    def _remember(self, batch: Batch) -> None:
        """Enter the keys, by which many-to-ones find the snapshots of their targets."""
        plan, dicts, snaps = batch.plan, batch.dicts, batch.snaps
        if not plan.is_target:
            return
        if {state.session_id for state in batch.states} != {self.session_id}:
            return
        if {state.identity_token for state in batch.states} != {None}:
            return  # the same key may stand for another row, in another shard
        try:
            columns = [[held[name] for held in dicts] for name in plan.key_names]
        except KeyError:
            return
        keys = columns[0] if len(columns) == 1 else zip(*columns, strict=True)
        self._index[plan.identity_class].update(zip(keys, snaps, strict=True))

    # --- relationships -------------------------------------------------------

    def _fill_relation(self, batch: Batch, relation: Relation) -> int:
        """Fill one relationship; return how many of the entities have it loaded."""
        key, snaps, dicts = relation.key, batch.snaps, batch.dicts
        loaded = [key in held for held in dicts]
        if False in loaded:
            self._resolve(batch, relation, [p for p, is_there in enumerate(loaded) if not is_there])
            snaps = list(compress(snaps, loaded))
            dicts = list(compress(dicts, loaded))
        if snaps:
            self._store_related(relation, snaps, [held[key] for held in dicts])
        return len(snaps)

    def _store_related(self, relation: Relation, snaps: list[Any], column: list[Any]) -> None:
        if not relation.uselist:
            self._store_scalars(relation, snaps, column)
        elif all(issubclass(kind, list) for kind in set(map(type, column))):
            self._store_lists(relation, snaps, column)
        else:
            for snap, collection in zip(snaps, column, strict=True):
                self._store_collection(relation, snap, collection)

    def _store_scalars(self, relation: Relation, snaps: list[Any], entities: list[Any]) -> None:
        if type(None) in set(map(type, entities)):
            pairs = list(zip(snaps, entities, strict=True))
            empty = [snap for snap, entity in pairs if entity is None]
            relation.store(empty, repeat(None, len(empty)))
            snaps = [snap for snap, entity in pairs if entity is not None]
            entities = [entity for _, entity in pairs if entity is not None]
        relation.store(snaps, self._snapshots(entities))

    def _store_lists(self, relation: Relation, snaps: list[Any], lists: list[list[Any]]) -> None:
        members = iter(self._snapshots(list(chain.from_iterable(lists))))
        relation.store(snaps, [tuple(islice(members, size)) for size in map(len, lists)])

    def _store_collection(self, relation: Relation, snap: Any, collection: Any) -> None:
        """Freeze one collection; a set only at the end, when its members have their keys."""
        frozen: Any
        if is_dict(collection):
            members = self._snapshots(list(collection.values()))
            frozen = FrozenDict(zip(map(freeze, collection), members, strict=True))
        else:
            members = self._snapshots(list(collection_adapter(collection)))
            if _is_set_like(collection):
                self._sets.append((relation, snap, members))
                return
            frozen = tuple(members)
        relation.store([snap], [frozen])

    def _resolve(self, batch: Batch, relation: Relation, here: list[int]) -> None:
        """Find what was not loaded by its key, or note it when it was wanted."""
        path = self._wanted(batch.plan, relation.key)
        if relation.foreign_key is not None:
            here = self._resolve_by_key(batch, relation, here, path)
        if here and path is not None:
            self.absent[path] += [batch.entities[place] for place in here]

    def _resolve_by_key(
        self, batch: Batch, relation: Relation, here: list[int], path: Path | None
    ) -> list[int]:
        """Find targets of many-to-ones in this walk; return the places without a key to ask for."""
        keys = _foreign_keys(batch, relation, here)
        assert relation.foreign_key is not None
        index = self._index[relation.target] if relation.foreign_key.is_key else {}
        found = list(map(index.get, keys))
        snaps = batch.snaps
        if len(here) < len(snaps):
            snaps = [snaps[place] for place in here]
        if type(None) not in set(map(type, found)):
            if relation.subclass is not None:
                found = list(map(relation.fitting, found))
            relation.store(snaps, found)
            return []
        keyless: list[int] = []
        for place, snap, key, target in zip(here, snaps, keys, found, strict=True):
            if target is not None or _is_null(key):
                relation.store([snap], [relation.fitting(target)])
                continue
            entity = self._in_identity_map(relation, key, batch.states[place])
            if entity is not None:
                relation.store([snap], self._fitting_snapshots(relation, entity))
            elif relation.foreign_key.is_key and not _is_partly_absent(key):
                self._late.append(_Late(relation, batch.entities[place], snap, key, path))
            else:
                keyless.append(place)
        return keyless

    def _fitting_snapshots(self, relation: Relation, entity: Any) -> list[Any]:
        return [None] if relation.fitting(entity) is None else self._snapshots([entity])

    def _resolve_late(self, late: _Late) -> None:
        """Find a target that this walk met later, or note its key when it was wanted."""
        target = self._index[late.relation.target].get(late.key)
        if target is not None:
            late.relation.store([late.snap], [late.relation.fitting(target)])
        elif late.path is not None and instance_state(late.entity).identity_token is not None:
            self.absent[late.path].append(late.entity)  # the key alone does not say which shard's
        elif late.path is not None and late.key not in self.targets.asked[late.path]:
            self.absent_keys[late.path][late.key] = None
        elif late.path is not None and _has_changed_key(late):
            late.relation.store([late.snap], [None])  # there is no such row
        elif late.path is not None:
            self.absent[late.path].append(late.entity)  # equal for the database only, or no row

    def _in_identity_map(self, relation: Relation, key: Any, state: InstanceState[Any]) -> Any:
        """Return an entity that the session knows by its key, unless it has expired."""
        assert relation.foreign_key is not None
        if self.session is None or not relation.foreign_key.is_key:
            return None
        if _is_partly_absent(key):
            return None
        ident = key if type_of(key) is tuple else (key,)
        known: Any = self.session.identity_map
        entity = known.get((relation.target, ident, state.identity_token))
        return None if entity is None or instance_state(entity).expired else entity


def _has_changed_key(late: _Late) -> bool:
    """Say whether the foreign key is another one than the row's."""
    assert late.relation.foreign_key is not None
    changed = instance_state(late.entity).committed_state
    return any(name in changed for name in late.relation.foreign_key.names)


def _foreign_keys(batch: Batch, relation: Relation, here: list[int]) -> list[Any]:
    """Return the keys of a many-to-one's targets; a part that is not loaded is `ABSENT`."""
    dicts = batch.dicts
    if len(here) < len(dicts):
        dicts = [dicts[place] for place in here]
    assert relation.foreign_key is not None
    columns = [_column(dicts, name) for name in relation.foreign_key.names]
    for name, column in zip(relation.foreign_key.names, columns, strict=True):
        for number in [number for number, value in enumerate(column) if value is ABSENT]:
            if _is_unset(batch.plan, batch.states[here[number]], name):
                column[number] = None
    return columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))


def _column(dicts: list[dict[str, Any]], name: str) -> list[Any]:
    try:
        return [held[name] for held in dicts]
    except KeyError:
        return [held.get(name, ABSENT) for held in dicts]


def _frozen(plan: Plan, key: str, column: list[Any]) -> list[Any]:
    if PLAIN.issuperset(map(type, column)):
        return column
    try:
        return [freeze(value) for value in column]
    except Exception:  # noqa: BLE001  (what a value's own copying raises may show the value)
        raise SnapshotSourceError(
            problem="no snapshot can be made: "
            f"a value of {plan.owner(key)}.{key} cannot be frozen or copied",
            instead="store immutable values, or values that copy.deepcopy can copy",
        ) from None


def _is_partly_absent(key: Any) -> bool:
    return key is ABSENT or (type_of(key) is tuple and ABSENT in key)


def _is_null(key: Any) -> bool:
    """SQLAlchemy asks for no row when a part of the foreign key is NULL."""
    return key is None or (type(key) is tuple and None in key and ABSENT not in key)


def _is_set_like(collection: Any) -> bool:
    return isinstance(collection, set) or (
        hasattr(collection, "add") and not hasattr(collection, "append")
    )


def _is_unset(plan: Plan, state: InstanceState[Any], key: str) -> bool:
    """Say whether a column was left out of the INSERT: the entity reads None, and loads nothing."""
    return not (key in state.expired_attributes or key in plan.deferred or key in state.callables)


def _check(batch: Batch) -> None:
    states = batch.states
    if None in [state.key for state in states]:
        raise PendingEntityError(entity=batch.plan.entity.__name__)
    if True in [state.was_deleted for state in states]:
        raise DeletedEntityError(entity=batch.plan.entity.__name__, what="has been deleted")


def _keep_declared(batch: Batch) -> None:
    """Keep plain attributes that the class declares but does not map, such as dataclass fields."""
    names = batch.plan.declared
    for held, snap in zip(batch.dicts, batch.snaps, strict=True):
        extra = {name: freeze(held[name]) for name in names & held.keys() if _is_simple(held[name])}
        real_dict(snap).update(extra)


def _is_simple(value: Any) -> bool:
    if is_plain(value):
        return True
    if is_dict(value):
        return all(map(_is_simple, value.values()))
    return _is_container(value) and all(map(_is_simple, value))


def _is_container(value: Any) -> TypeIs[list[Any] | tuple[Any, ...] | set[Any] | frozenset[Any]]:
    return isinstance(value, (list, tuple, set, frozenset))
