"""Fields: each is filled from an attribute, along a `Path`, or by an `Expr`."""

from __future__ import annotations

import difflib
import reprlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.ext.associationproxy import AssociationProxyExtensionType, AssociationProxyInstance
from sqlalchemy.ext.hybrid import HybridExtensionType
from sqlalchemy.orm import QueryableAttribute

from sqla_safe import _mapping
from sqla_safe.views import _fits
from sqla_safe.views._hints import type_name
from sqla_safe.views._markers import Expr, Path
from sqla_safe.views._nulls import keeps_null
from sqla_safe.views._relationships import Relating, held
from sqla_safe.views._resolver import (
    NOTHING,
    Spot,
    as_expression,
    can_be_none,
    name_of,
)
from sqla_safe.views._shapes import Composite, Guarded, Held, Missing, Value
from sqla_safe.views._unjoined import reads_more

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy.orm import Mapper, RelationshipProperty

    from sqla_safe.views._shapes import Shape


class Filling(Relating):
    """What fills a field."""

    def fill(self, spot: Spot) -> Shape:
        """Return what fills a field."""
        marks = [mark for mark in spot.field.hint.metadata if isinstance(mark, (Path, Expr))]
        if len(marks) > 1:
            return self.note(
                f"{spot.where} has {len(marks)} of Path and Expr: one field has one source"
            )
        if marks and isinstance(marks[0], Expr):
            return self._expression(spot, marks[0])
        if marks and isinstance(marks[0], Path):
            return self._path(replace(spot, depth=marks[0].depth), marks[0])
        return self.attribute(spot, spot.field.name)

    def _expression(self, spot: Spot, mark: Expr) -> Shape:
        entity = spot.mapper.class_
        try:
            sample = as_expression(mark.build(entity))
        except Exception as error:  # noqa: BLE001  (the user's own function)
            kind, name = type(error).__name__, name_of(spot.mapper)
            return self.note(f"{spot.where}: its Expr raised {kind} when given {name}: {error}")
        if sample is None:
            return self.note(
                f"{spot.where}: its Expr returned no SQL expression; return one, such as "
                f"func.lower({name_of(spot.mapper)}.name)"
            )
        self.fit(spot, "its Expr gives", sample, nullable=False)
        value = self._computed(spot, f"(expr) {spot.where}", mark.build, sample)
        level = spot.trail.level
        level.computed[spot.where] = value.column
        if reads_more(spot.mapper, sample):
            level.foreign[spot.where] = value.column
        return value

    def _computed(self, spot: Spot, name: str, build: Any, sample: Any) -> Value:
        def expression(entity: Any) -> Any:
            return as_expression(build(entity))

        return Value(self.add(spot.trail, name, expression, sample))

    # --- paths ---------------------------------------------------------------

    def _path(self, spot: Spot, mark: Path) -> Shape:
        if not mark.attributes:
            name = name_of(spot.mapper)
            return self.note(f"{spot.where}: Path() names no attribute; write Path({name}.…)")
        *steps, last = [one for given in mark.attributes for one in _unfolded(given)]
        path = f"Path({', '.join(map(_path_name, mark.attributes))})"
        return self._walk(replace(spot, path=path), steps, last)

    def _walk(self, spot: Spot, steps: Sequence[Any], last: Any) -> Shape:
        if not steps:
            return self._end_of_path(spot, last)
        first, *rest = steps
        relation = self._step(spot, first)
        if relation is None:
            return NOTHING
        if relation.uselist:
            return self.elements(spot, relation, lambda there: self._walk(there, rest, last))
        return self._beyond(spot, relation, lambda there: self._walk(there, rest, last))

    def _step(self, spot: Spot, step: Any) -> RelationshipProperty[Any] | None:
        key = _key_on(step, spot.mapper)
        relation = None if key is None else spot.mapper.relationships.get(key)
        if relation is None:
            if isinstance(step, str) and step in spot.mapper.relationships:
                name = f"{name_of(spot.mapper)}.{step}"
                self.note(f"{spot.where}: {step!r} is a text; write Path({name}, ...)")
                return None
            self.note(
                f"{spot.where}: {_path_name(step)} is no relationship of {name_of(spot.mapper)}; "
                "a Path goes from each class to the next"
            )
        return relation

    def _beyond(
        self, spot: Spot, relation: RelationshipProperty[Any], go_on: Callable[[Spot], Shape]
    ) -> Shape:
        """Go on from what a to-one leads to: joined, or in a statement of its own."""
        mapper = relation.mapper
        if self.may_join(relation, spot.trail):
            there = replace(spot, mapper=mapper, trail=self.join(relation, spot.trail))
            return self._guarded(go_on(there), there)
        level = self.child(relation, "one", spot)
        is_nullable = spot.trail.is_nullable or can_be_none(relation)
        trail = replace(spot.trail.below(level), is_nullable=is_nullable)
        level.shape = go_on(replace(spot, mapper=mapper, trail=trail))
        absent = _absent(level.shape)
        missing = _missing(spot) if absent == "none" else None
        return replace(held(level, spot, relation, missing), absent=absent)

    def _guarded(self, shape: Shape, there: Spot) -> Shape:
        """Only the key tells an absent row from one whose column makes something of NULL."""
        if not isinstance(shape, (Value, Composite)):
            return shape
        missing = _missing(there)
        columns = there.trail.level.columns
        if all(keeps_null(columns[place].sample) for place in shape.columns):
            return shape if missing is None else Guarded(shape.columns[0], shape, missing)
        key, *_ = _mapping.key_names(there.mapper)
        return Guarded(self.column(there.trail, there.mapper, key), shape, missing)

    def _end_of_path(self, spot: Spot, last: Any) -> Shape:
        key = self._key(spot, last, spot.mapper)
        if key is None:
            return NOTHING
        return self.attribute(spot, key)

    def _key(self, spot: Spot, attribute: Any, mapper: Mapper[Any]) -> str | None:
        key = _key_on(attribute, mapper)
        if key is None:
            name = _path_name(attribute)
            self.note(f"{spot.where}: {name} is no attribute of {name_of(mapper)}")
        return key

    # --- attributes ----------------------------------------------------------

    def attribute(self, spot: Spot, key: str) -> Shape:
        """Return what fills a field from whatever the mapped class calls by this name."""
        mapper = spot.mapper
        while key in mapper.synonyms:
            key = mapper.synonyms[key].name
        if key in mapper.relationships:
            return self.relationship(spot, mapper.relationships[key])
        if key in mapper.composites:
            return self._composite(spot, key)
        if key in mapper.column_attrs:
            return self._plain(spot, key)
        return self._extension(spot, key, mapper.all_orm_descriptors.get(key))

    def _extension(self, spot: Spot, key: str, found: Any) -> Shape:
        kind = getattr(found, "extension_type", None)
        if kind is AssociationProxyExtensionType.ASSOCIATION_PROXY:
            return self._proxy(spot, key, found)
        if kind is HybridExtensionType.HYBRID_PROPERTY:
            return self._hybrid(spot, key)
        return self.note(_unknown(spot, key))

    def _plain(self, spot: Spot, key: str) -> Shape:
        mapper = spot.mapper
        nullable = spot.trail.is_nullable or _fits.is_nullable(mapper, key)
        sample = getattr(mapper.class_, key)
        self.fit(spot, f"{name_of(mapper, key)} holds", sample, nullable=nullable)
        return Value(self.column(spot.trail, mapper, key))

    def _hybrid(self, spot: Spot, key: str) -> Shape:
        try:
            sample = as_expression(getattr(spot.mapper.class_, key))
        except Exception:  # noqa: BLE001  (the user's own function)
            sample = None
        name = name_of(spot.mapper, key)
        if sample is None:
            return self.note(
                f"{spot.where}: the hybrid {name} gives no SQL on the class; add an expression "
                f"to it with @{key}.inplace.expression"
            )
        self.fit(spot, f"{name} holds", sample, nullable=spot.trail.is_nullable)

        def build(entity: Any) -> Any:
            return getattr(entity, key)

        return self._computed(spot, key, build, sample)

    def _composite(self, spot: Spot, key: str) -> Shape:
        mapper, composite = spot.mapper, spot.mapper.composites[key]
        build: Any = composite.composite_class
        is_none: Any = getattr(composite, "return_none_on", None)  # SQLAlchemy 2.1
        problem = _fits.class_problem(
            spot.field,
            spot.where,
            f"{name_of(mapper, key)} holds",
            build,
            nullable=spot.trail.is_nullable or callable(is_none),
            is_element=spot.is_element,
        )
        if problem is not None:
            return self.note(problem)
        names = [_mapping.key_names(mapper)[0], *[one.key for one in composite.props]]

        def made(identity: Any, *values: Any) -> Any:
            absent = identity is None or (callable(is_none) and is_none(*values))
            return None if absent else build(*values)

        return Composite(made, [self.column(spot.trail, mapper, name) for name in names])

    def _proxy(self, spot: Spot, key: str, proxy: Any) -> Shape:
        relation = spot.mapper.relationships.get(proxy.target_collection)
        if relation is None:
            return self.note(_unknown(spot, key))
        spot = spot if spot.path else replace(spot, path=name_of(spot.mapper, key))

        def value(there: Spot) -> Shape:
            return self.attribute(there, proxy.value_attr)

        if relation.uselist:
            return self.elements(spot, relation, value)
        return self._beyond(spot, relation, value)


def _absent(shape: Shape) -> str:
    """Return what a way to a field gives that leads nowhere: to a collection, an empty one."""
    if not isinstance(shape, Held):
        return "none"
    return shape.absent if shape.kind == "one" else shape.kind


def _missing(spot: Spot) -> Missing | None:
    """Return what is said where a way to a field leads nowhere; None where the field takes None."""
    if _fits.takes_none(spot.field):
        return None
    text = spot.field.hint.text
    holds, instead = "is", f"{spot.name}: {text} | None"
    if spot.is_element:
        holds, instead = "holds", f"{text} | None in the type of {spot.name}"
    lost = f"{holds} {text}, but {spot.path} led to no row that this session can see"
    return Missing(spot.where, lost, instead)


def _key_on(attribute: Any, mapper: Mapper[Any]) -> str | None:
    """Return the name of an attribute, None where it belongs to another class."""
    parent = getattr(attribute, "parent", None)
    parent = getattr(parent, "mapper", parent)
    key = getattr(attribute, "key", None)
    if isinstance(key, str) and _mapping.is_mapper(parent):
        return key if mapper.isa(parent) else None
    name = getattr(attribute, "__name__", None)
    return name if isinstance(name, str) and name in mapper.all_orm_descriptors else None


def _unfolded(attribute: Any) -> Iterator[Any]:
    """Give the two attributes that an association proxy goes by; any other one as it is."""
    if not _is_proxy(attribute):
        yield attribute
        return
    yield getattr(attribute.owning_class, attribute.target_collection)
    name = attribute.value_attr
    yield from _unfolded(getattr(attribute.target_class, name, name))


def _is_proxy(value: Any) -> bool:
    return isinstance(value, AssociationProxyInstance)


def _proxy_name(proxy: Any) -> str:
    """Return the name that a class has for an association proxy."""
    mapper = _mapping.mapper_of(proxy.owning_class)
    named = [key for key, found in mapper.all_orm_descriptors.items() if found is proxy.parent]
    return name_of(mapper, *named)


def _is_attribute(value: Any) -> bool:
    return isinstance(value, QueryableAttribute)


def _path_name(attribute: Any) -> str:
    if _is_attribute(attribute):
        return str(attribute)
    if _is_proxy(attribute):
        return _proxy_name(attribute)
    return reprlib.repr(attribute) if isinstance(attribute, str) else type_name(type(attribute))


def _unknown(spot: Spot, key: str) -> str:
    mapper = spot.mapper
    near = difflib.get_close_matches(key, map(str, mapper.all_orm_descriptors.keys()), n=1)
    hint = f"did you mean {near[0]}? Otherwise " if near else ""
    is_plain = key in dir(mapper.class_)
    what = "is no mapped attribute, and SQL cannot compute it" if is_plain else "does not exist"
    return (
        f"{spot.where}: {name_of(mapper, key)} {what}; {hint}name the attribute with "
        f"Annotated[..., Path({name_of(mapper)}.…)], or compute it with Expr(...)"
    )
