"""Which class of a union is for which subclass of an entity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from sqla_safe import _mapping
from sqla_safe.views._markers import Expr, Path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Mapper

    from sqla_safe.views._targets import Field, Target

Assigned = list[tuple["Target", tuple["Mapper[Any]", list[Any]]]]


def assign(targets: Sequence[Target], base: Mapper[Any]) -> tuple[Assigned, list[str]]:
    """Give each class the mapper it is for and the discriminator's values, and say what is wrong.

    A class says it with a field for the discriminator typed as a ``Literal``, with the tag of a
    tagged ``msgspec.Struct``, or by its fields: it is for the topmost class that has them all.
    """
    problems: list[str] = []
    mappers: dict[Mapper[Any], Target] = {}
    assigned: Assigned = []
    identities = {mapper: identity for identity, mapper in base.polymorphic_map.items()}
    family = [mapper for mapper in base.self_and_descendants if mapper in identities]
    said = {target: _said(target, base) for target in targets}
    for target in targets:
        named = said[target]
        if named is not None:
            unknown = [value for value in named if value not in base.polymorphic_map]
            if unknown:
                problems.append(f"{target.name} is for {unknown[0]!r}, which no class has")
            continue
        mapper = _topmost(target, base)
        if mapper is None:
            problems.append(
                f"{target.name} has fields that no single class below {base.class_.__name__} has"
            )
        elif mapper in mappers:
            problems.append(
                f"{target.name} and {mappers[mapper].name} could both be for "
                f"{mapper.class_.__name__}; {_repair(base)}"
            )
        else:
            mappers[mapper] = target
    for target in targets:
        named = said[target]
        if named is not None:
            own = [base.polymorphic_map[value] for value in named if value in base.polymorphic_map]
            values = list(named)
        else:
            own = [mapper for mapper, one in mappers.items() if one is target]
            taken = {value for values in said.values() if values for value in values}
            values = [
                identities[mapper]
                for mapper in family
                if identities[mapper] not in taken and _nearest(mapper, mappers) is target
            ]
        if own:
            assigned.append((target, (_common(own), values)))
    return assigned, problems


def _said(target: Target, base: Mapper[Any]) -> tuple[Any, ...] | None:
    """Return the discriminator's values that a class names itself."""
    on = _on(base)
    for field in target.fields:
        if on is not None and source_of(field) == on:
            member = field.hint.members[0] if len(field.hint.members) == 1 else None
            if get_origin(member) is Literal:
                return get_args(member)
    return None if target.tag is None else (target.tag,)


def _on(base: Mapper[Any]) -> str | None:
    on: Any = base.polymorphic_on
    name = None if on is None else _mapping.attribute_of(base, on)
    return name if name is not None and hasattr(base.class_, name) else None


def _repair(base: Mapper[Any]) -> str:
    on = _on(base)
    return "let their fields differ" if on is None else f"give each a field {on}: Literal[...]"


def source_of(field: Field) -> str | None:
    """Return the name of the attribute that a field starts from, None for an `Expr`."""
    for mark in field.hint.metadata:
        if isinstance(mark, Path) and mark.attributes:
            return str(mark.attributes[0].key)
        if isinstance(mark, Expr):
            return None
    return field.name


def _topmost(target: Target, base: Mapper[Any]) -> Mapper[Any] | None:
    wanted = {name for name in map(source_of, target.fields) if name is not None}
    fitting = [
        mapper
        for mapper in base.self_and_descendants
        if wanted <= set(map(str, mapper.all_orm_descriptors.keys()))
    ]
    tops = [one for one in fitting if one.inherits is None or one.inherits not in fitting]
    return tops[0] if len(tops) == 1 else None


def _nearest(mapper: Mapper[Any], mappers: dict[Mapper[Any], Target]) -> Target | None:
    """The class for a mapper is that of its nearest ancestor."""
    for one in mapper.iterate_to_root():
        if one in mappers:
            return mappers[one]
    return None


def _common(mappers: list[Mapper[Any]]) -> Mapper[Any]:
    ancestors = mappers[0].iterate_to_root()
    return next(one for one in ancestors if all(mapper.isa(one) for mapper in mappers))
