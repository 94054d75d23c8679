"""The two classes made for each mapped class: the frozen one, and the one it is filled in."""

from __future__ import annotations

from abc import ABCMeta
from dataclasses import fields, is_dataclass
from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import CompositeProperty

from sqla_safe.snapshots._attributes import Attributes
from sqla_safe.snapshots._base import Snapshot, refuse_change
from sqla_safe.snapshots._composites import composite_property
from sqla_safe.snapshots._proxies import is_proxy, proxy_property

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Mapper

    from sqla_safe.snapshots._plan import Plan


def make_classes(plan: Plan, slots: Mapping[str, str]) -> tuple[type[Any], type[Any]]:
    """Make the open class, which has the slots, and the frozen one below it.

    A snapshot is filled while it is open, by plain assignments, and then changes its class: that
    is twice as fast as going past a `__setattr__` that refuses, and makes cycles possible.
    """
    entity = plan.entity
    opened = _make_class(
        entity,
        (Snapshot, entity),
        {
            "__slots__": tuple(slots.values()),
            "__setattr__": object.__setattr__,
            "__delattr__": object.__delattr__,
            "_sqs_plan": plan,
            **_computed(plan.mapper),
            **_pydantic(entity),
        },
    )
    for name, slot in slots.items():
        if slot != name:
            type.__setattr__(opened, name, vars(opened)[slot])
    frozen = {
        "__slots__": (),
        "__setattr__": refuse_change,
        "__delattr__": refuse_change,
        "__dict__": property(Attributes),
    }
    return opened, _make_class(entity, (opened,), frozen)


def _pydantic(entity: type[Any]) -> dict[str, Any]:
    """What pydantic's serialisers ask an instance of a model for, SQLModel's among them."""
    if not hasattr(entity, "__pydantic_fields_set__"):
        return {}
    return {
        "__pydantic_fields_set__": property(_fields_set),
        "__pydantic_extra__": None,
        "__pydantic_private__": None,
    }


def _fields_set(snap: Any) -> set[str]:
    held: dict[str, Any] = snap.__dict__
    return set(held)


def _make_class(entity: type, bases: tuple[type, ...], names: dict[str, Any]) -> type[Any]:
    """Make a class past the metaclass of the user's base.

    That one would map the class, or make a pydantic model of it.
    """
    meta: Any = type(entity)
    make = ABCMeta.__new__ if issubclass(meta, ABCMeta) else type.__new__
    made: type[Any] = make(
        meta,
        f"{entity.__name__}Snapshot",
        bases,
        {
            "__module__": entity.__module__,
            "__qualname__": f"{entity.__qualname__}Snapshot",
            "__doc__": f"A frozen {entity.__name__}.",
            "__abstract__": True,
            **names,
        },
    )
    return made


def name_slots(mapper: Mapper[Any]) -> dict[str, str]:
    """Slots want identifiers, and mangle names with two underscores; attributes are freer."""
    # as plain text: those of a reflected column are a class of SQLAlchemy's
    names = map(str, (*mapper.column_attrs.keys(), *mapper.relationships.keys()))
    return {
        name: f"_sqs_slot_{number}" if name.startswith("__") or not _is_name(name) else name
        for number, name in enumerate(names)
    }


def _is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text)


def declared_fields(entity: type) -> frozenset[str]:
    """Return the fields of a dataclass or attrs class."""
    names = [field.name for field in getattr(entity, "__attrs_attrs__", ())]
    if is_dataclass(entity):
        names += [field.name for field in fields(entity)]
    return frozenset(names)


def _computed(mapper: Mapper[Any]) -> dict[str, property]:
    """Return the attributes that are made from captured ones when they are read."""
    computed: dict[str, property] = {}
    for key, composite in mapper.composites.items():
        assert isinstance(composite, CompositeProperty)
        computed[key] = composite_property(composite)
    for key, descriptor in mapper.all_orm_descriptors.items():
        if is_proxy(descriptor):
            computed[key] = proxy_property(descriptor)
    return computed
