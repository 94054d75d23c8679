"""What is known of a mapped class: its attributes, its key, and the frozen class made for it."""

from __future__ import annotations

import threading
from abc import ABCMeta
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from keyword import iskeyword
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from sqlalchemy import inspect
from sqlalchemy.ext.associationproxy import AssociationProxy
from sqlalchemy.orm import CompositeProperty, Mapper

from sqla_safe import _mapping
from sqla_safe.errors import SnapshotSourceError
from sqla_safe.snapshots._base import Snapshot
from sqla_safe.snapshots._composites import composite_property
from sqla_safe.snapshots._fingerprint import fingerprint
from sqla_safe.snapshots._proxies import proxy_property
from sqla_safe.snapshots._readers import make_readers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import RelationshipProperty

Put = Callable[[Any, Any], None]
Get = Callable[[Any], Any]

_lock = threading.RLock()
_ATTRIBUTE = "_sqla_safe_plan"


@dataclass(frozen=True, slots=True)
class Relation:
    """A relationship, as the walk needs it."""

    key: str
    put: Put
    uselist: bool
    target: type
    foreign_key: tuple[str, ...] | None


class Plan:
    """What is known of one mapped class."""

    def __init__(self, mapper: Mapper[Any]) -> None:
        self.entity: type[Any] = mapper.class_
        self.mapper = mapper
        self.key_names = _mapping.key_names(mapper)
        self.identity_class = _mapping.identity_class(mapper)
        self.mapped = frozenset(mapper.attrs.keys())
        self.sensitive = frozenset(filter(self._is_sensitive, mapper.column_attrs.keys()))
        self.only_by_query: Mapping[str, str] = {
            key: str(relation.lazy)
            for key, relation in mapper.relationships.items()
            if relation.lazy in _mapping.BY_QUERY_ONLY
        }
        slot_names = _slot_names(mapper)
        self.snapshot_class = _frozen_class(self, slot_names)
        self.slots = {key: vars(self.snapshot_class)[slot] for key, slot in slot_names.items()}
        self.read = make_readers(self.entity, slot_names)
        self.put: dict[str, Put] = {key: slot.__set__ for key, slot in self.slots.items()}
        self.columns = tuple((key, self.put[key]) for key, _ in mapper.column_attrs.items())
        self.relations = {
            key: self._relation(relation)
            for key, relation in mapper.relationships.items()
            if key not in self.only_by_query
        }
        self.is_target = _mapping.is_target(mapper)
        self.composites = tuple(mapper.composites.keys())
        self.declared = _declared(self.entity) - self.mapped

    def _relation(self, relation: RelationshipProperty[Any]) -> Relation:
        return Relation(
            key=relation.key,
            put=self.put[relation.key],
            uselist=bool(relation.uselist),
            target=_mapping.identity_class(relation.mapper),
            foreign_key=_mapping.foreign_key_names(relation),
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
        return fingerprint(self.mapper)

    @cached_property
    def reachable(self) -> dict[str, type[Any]]:
        """The classes that relationships lead to, by name."""
        entities = [mapper.class_ for mapper in _mapping.related_mappers([self.mapper])]
        return {class_name(entity): entity for entity in entities}

    def owner(self, name: str) -> str:
        """Return the name of the class that the attribute is mapped on."""
        return self.mapper.attrs[name].parent.class_.__name__

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

    def reduce(self, snap: Any) -> tuple[Any, ...]:
        """Return what `pickle` needs; the key comes first, since sets hash while they load."""
        state = self.captured(snap)
        key = tuple([state.pop(name) for name in self.key_names])
        return revive, (self.entity, key), state, None, None, fill

    def shell(self) -> Any:
        """Return a snapshot that holds nothing yet."""
        return object.__new__(self.snapshot_class)


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
    put = type(snap)._sqs_plan.put
    for name, value in state.items():
        put[name](snap, value)


def plan_of(entity: type) -> Plan:
    """Return the plan of a mapped class, made when it is first asked for."""
    plan: Plan | None = entity.__dict__.get(_ATTRIBUTE)
    return _make_plan(entity) if plan is None else plan


def _make_plan(entity: type) -> Plan:
    with _lock:
        plan: Plan | None = entity.__dict__.get(_ATTRIBUTE)
        if plan is None:
            plan = Plan(_mapper_of(entity))
            type.__setattr__(entity, _ATTRIBUTE, plan)
        return plan


def _mapper_of(entity: type) -> Mapper[Any]:
    mapper: Any = inspect(entity, raiseerr=False)
    if not isinstance(mapper, Mapper):
        raise SnapshotSourceError(
            problem=f"{entity.__name__} is not a mapped class",
            instead="snapshot(entity, ...) with a mapped instance, or an iterable of them",
        )
    mapper.registry.configure(cascade=True)
    return mapper


def _frozen_class(plan: Plan, slots: Mapping[str, str]) -> type[Any]:
    """Make the frozen class.

    It is made past the metaclass of the user's base: that one would map it, or build a pydantic
    model of it.
    """
    entity = plan.entity
    meta: Any = type(entity)
    make = ABCMeta.__new__ if issubclass(meta, ABCMeta) else type.__new__
    frozen: type[Any] = make(
        meta,
        f"{entity.__name__}Snapshot",
        (Snapshot, entity),
        {
            "__module__": entity.__module__,
            "__qualname__": f"{entity.__qualname__}Snapshot",
            "__doc__": f"A frozen {entity.__name__}.",
            "__slots__": tuple(slots.values()),
            "__abstract__": True,
            "_sqs_plan": plan,
            **_computed(plan.mapper),
        },
    )
    for name, slot in slots.items():
        if slot != name:
            type.__setattr__(frozen, name, vars(frozen)[slot])
    return frozen


def _slot_names(mapper: Mapper[Any]) -> dict[str, str]:
    """Slots want identifiers, and mangle names with two underscores; attributes are freer."""
    names = (*mapper.column_attrs.keys(), *mapper.relationships.keys())
    return {
        name: f"_sqs_slot_{number}" if name.startswith("__") or not _is_name(name) else name
        for number, name in enumerate(names)
    }


def _is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text)


def _declared(entity: type) -> frozenset[str]:
    """Return the fields of a dataclass or attrs class."""
    names = [field.name for field in fields(entity)] if is_dataclass(entity) else []
    return frozenset([*names, *[field.name for field in getattr(entity, "__attrs_attrs__", ())]])


def _computed(mapper: Mapper[Any]) -> dict[str, property]:
    """Return the attributes that are made from captured ones when they are read."""
    computed = {key: property(attrgetter(synonym.name)) for key, synonym in mapper.synonyms.items()}
    for key, composite in mapper.composites.items():
        assert isinstance(composite, CompositeProperty)
        computed[key] = composite_property(composite)
    for key, descriptor in mapper.all_orm_descriptors.items():
        if isinstance(descriptor, AssociationProxy):
            computed[key] = proxy_property(descriptor)
    return computed
