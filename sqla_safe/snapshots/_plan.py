"""What is known of a mapped class: its attributes, its key, and the classes made for it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING, Any

from sqla_safe import _mapping
from sqla_safe.errors import SnapshotSourceError
from sqla_safe.snapshots._attributes import real_dict
from sqla_safe.snapshots._classes import declared_fields, make_classes, name_slots
from sqla_safe.snapshots._fingerprint import enum_class, fingerprint
from sqla_safe.snapshots._generated import make_accessors
from sqla_safe.snapshots._values import type_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Mapper, RelationshipProperty

    from sqla_safe._mapping import ForeignKey
    from sqla_safe.snapshots._base import Snapshot

Put = Callable[[Any, Any], None]
Store = Callable[[list[Any], Iterable[Any]], None]

_HAS_SPARE_DICT = sys.version_info < (3, 13)
"""Before 3.13 a change of class makes the instance's `__dict__`, unless it was deleted before."""

_lock = threading.RLock()
_ATTRIBUTE = "_sqla_safe_plan"


@dataclass(frozen=True, slots=True)
class Relation:
    """A relationship, as the walk needs it."""

    key: str
    store: Store
    uselist: bool
    target: type
    foreign_key: ForeignKey | None
    subclass: type | None
    """The class that targets must be of, where the key alone may lead to a relative."""

    def fitting(self, target: Any) -> Any:
        """Return a target, or None in place of one that the relationship does not lead to."""
        return target if self.subclass is None or isinstance(target, self.subclass) else None


class Plan:
    """What is known of one mapped class."""

    def __init__(self, mapper: Mapper[Any]) -> None:
        self.entity: type[Any] = mapper.class_
        self.mapper = mapper
        self._attributes = mapper.attrs
        self._generation = _mapping.generation()
        self.key_names = _mapping.key_names(mapper)
        self.identity_class = _mapping.identity_class(mapper)
        self.mapped = frozenset(mapper.attrs.keys())
        self.sensitive = frozenset(filter(self._is_sensitive, mapper.column_attrs.keys()))
        self.only_by_query: Mapping[str, str] = {
            key: str(relation.lazy)
            for key, relation in mapper.relationships.items()
            if relation.lazy in _mapping.BY_QUERY_ONLY
        }
        slot_names = name_slots(mapper)
        self.open_class, self.snapshot_class = make_classes(self, slot_names)
        self.slots = {key: vars(self.open_class)[slot] for key, slot in slot_names.items()}
        self.columns = tuple(map(str, mapper.column_attrs.keys()))
        self.read, self.store, self._store_all, self.freeze_all = make_accessors(
            self.entity, slot_names, self.columns
        )
        self.put: dict[str, Put] = {key: slot.__set__ for key, slot in self.slots.items()}
        self.deferred = frozenset(k for k, one in mapper.column_attrs.items() if one.deferred)
        self.relations = {
            key: self._relation(relation)
            for key, relation in mapper.relationships.items()
            if key not in self.only_by_query
        }
        self.is_target = _mapping.is_target(mapper)
        self.composites = tuple(mapper.composites.keys())
        self.declared = declared_fields(self.entity) - self.mapped
        self._enums: dict[str, type[Any]] = {}
        self.values = self.declared | set(self.columns)

    def is_current(self) -> bool:
        """Say whether the class is mapped as it was, and no other class has been mapped since."""
        return (
            self._generation == _mapping.generation()
            and self.mapper.attrs is self._attributes
            and vars(self.entity).get("__mapper__", self.mapper) is self.mapper
        )

    def _relation(self, relation: RelationshipProperty[Any]) -> Relation:
        return Relation(
            key=relation.key,
            store=self.store[relation.key],
            uselist=bool(relation.uselist),
            target=_mapping.identity_class(relation.mapper),
            foreign_key=_mapping.foreign_key(relation),
            subclass=relation.mapper.class_ if relation.mapper.inherits is not None else None,
        )

    def _is_sensitive(self, key: str) -> bool:
        columns = self.mapper.column_attrs[key].columns
        return any(getattr(column, "info", {}).get("sensitive") for column in columns)

    @property
    def name(self) -> str:
        """The name of the class in what `dumps` writes."""
        return class_name(self.entity)

    @cached_property
    def fingerprint(self) -> str:
        """What tells this mapping from an older one."""
        return fingerprint(self.mapper, self.declared)

    @cached_property
    def reachable(self) -> dict[str, type[Any]]:
        """The classes that relationships lead to, by name."""
        entities = [mapper.class_ for mapper in _mapping.related_mappers([self.mapper])]
        return {class_name(entity): entity for entity in entities}

    def enum_class(self, name: str) -> type[Any]:
        """Return the Enum whose members an attribute holds; any other class when it holds none."""
        if name not in self._enums:
            self._enums[name] = enum_class(self.mapper.column_attrs.get(name))
        return self._enums[name]

    def owner(self, name: str) -> str:
        """Return the name of the class that the attribute is mapped on."""
        attribute = self.mapper.attrs.get(name)
        entity = self.entity if attribute is None else attribute.parent.class_
        return entity.__name__

    def key_of(self, snap: Any) -> tuple[Any, ...]:
        """Return the primary key that a snapshot holds."""
        return tuple([self.slots[name].__get__(snap) for name in self.key_names])

    def captured(self, snap: Any) -> dict[str, Any]:
        """Return the attributes that a snapshot holds, as it holds them."""
        held: dict[str, Any] = {}
        for name, slot in self.slots.items():
            try:
                held[name] = slot.__get__(snap)
            except AttributeError:
                continue
        return held

    def plain(self, snap: Snapshot) -> dict[str, Any]:
        """Return the plain fields, declared but not mapped, that a snapshot holds."""
        held = real_dict(snap)
        return {name: held[name] for name in self.declared & held.keys()}

    def reduce(self, snap: Any) -> tuple[Any, ...]:
        """Return what `pickle` needs; the key comes first, since sets hash while they load."""
        state = self.captured(snap) | self.plain(snap)
        key = tuple([state.pop(name) for name in self.key_names])
        return revive, (self.entity, key), state, None, None, fill

    def shell(self) -> Any:
        """Return a snapshot that holds nothing yet; ``put`` fills it."""
        return object.__new__(self.snapshot_class)

    def store_columns(self, shells: list[Any], columns: Mapping[str, list[Any]]) -> None:
        """Fill open shells with columns of values, at once if they are all columns of the class."""
        if columns.keys() >= set(self.columns):
            self._store_all(shells, *[columns[name] for name in self.columns])
            return
        for name in columns.keys() & set(self.columns):
            self.store[name](shells, columns[name])

    def open_shells(self, size: int) -> list[Any]:
        """Return snapshots that ``store`` fills quickly, and that `close` makes immutable."""
        shells = list(map(object.__new__, repeat(self.open_class, size)))
        if _HAS_SPARE_DICT:
            for shell in shells:
                del shell.__dict__
        return shells

    def close(self, shells: list[Any]) -> None:
        """Turn open shells into the snapshots that users see."""
        frozen = self.snapshot_class
        for shell in shells:
            shell.__class__ = frozen


def class_name(entity: type) -> str:
    """Return the full name of a class."""
    return f"{entity.__module__}.{entity.__qualname__}"


def revive(entity: type, key: tuple[Any, ...]) -> Any:
    """Return the shell of a snapshot of an entity class, with its key; for `pickle`."""
    plan = plan_of(entity)
    snap = plan.shell()
    fill(snap, dict(zip(plan.key_names, key, strict=True)))
    return snap


def fill(snap: Any, state: dict[str, Any]) -> None:
    """Give a shell what it holds; for `pickle`."""
    kind: type[Snapshot] = type_of(snap)
    put = kind._sqs_plan.put
    for name, value in state.items():
        if name in put:
            put[name](snap, value)
        else:
            real_dict(snap)[name] = value


def plan_of(entity: type) -> Plan:
    """Return the plan of a mapped class, made when it is first asked for."""
    plan: Plan | None = entity.__dict__.get(_ATTRIBUTE)
    return plan if plan is not None and plan.is_current() else _make_plan(entity)


def _make_plan(entity: type) -> Plan:
    with _lock:
        plan: Plan | None = entity.__dict__.get(_ATTRIBUTE)
        if plan is None or not plan.is_current():
            plan = Plan(_mapper_of(entity))
            type.__setattr__(entity, _ATTRIBUTE, plan)
        return plan


def _mapper_of(entity: type) -> Mapper[Any]:
    mapper = _mapping.mapper_or_none(entity)
    if mapper is None:
        raise SnapshotSourceError(
            problem=f"{entity.__name__} is not a mapped class",
            instead="a class of your models, such as a subclass of your DeclarativeBase",
        )
    mapper.registry.configure(cascade=True)
    return mapper
