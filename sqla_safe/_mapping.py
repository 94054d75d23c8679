"""Reading a mapper: what snapshots and views both want to know of a mapped class."""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import event
from sqlalchemy.inspection import inspect
from sqlalchemy.orm import MANYTOONE, Mapper
from sqlalchemy.orm.exc import UnmappedColumnError
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList, ColumnClause
from typing_extensions import TypeIs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import RelationshipProperty

_generation = itertools.count(1)
_current = [next(_generation)]


@event.listens_for(Mapper, "after_mapper_constructed")
def _count(_mapper: Mapper[Any], _entity: type) -> None:
    _current[0] = next(_generation)


def generation() -> int:
    """Return a number that grows whenever a class is mapped: what was read before may be old."""
    return _current[0]


BY_QUERY_ONLY = ("dynamic", "write_only")
"""Relationships that are never read, but queried: they have no collection to load."""


def mapper_or_none(entity: Any) -> Mapper[Any] | None:
    """Return the mapper of a class, None for a class that is not mapped and any other object."""
    inspected = inspect(entity, raiseerr=False)
    return inspected if is_mapper(inspected) else None


def is_mapper(value: Any) -> TypeIs[Mapper[Any]]:
    """Say whether a value is a mapper, so that type checkers take its class as Any."""
    return isinstance(value, Mapper)


def mapper_of(entity: type[Any]) -> Mapper[Any]:
    """Return the mapper of a mapped class."""
    mapper = mapper_or_none(entity)
    assert mapper is not None
    return mapper


def key_names(mapper: Mapper[Any]) -> tuple[str, ...]:
    """Return the names of the attributes that hold the primary key, in its order."""
    return tuple(attribute_of(mapper, column) or "" for column in mapper.primary_key)


def attribute_of(mapper: Mapper[Any], column: ColumnElement[Any]) -> str | None:
    """Return the name of the attribute that a column is mapped to, None for one that is not."""
    try:
        return mapper.get_property_by_column(column).key
    except UnmappedColumnError:
        return None


def identity_class(mapper: Mapper[Any]) -> type:
    """Return the class under which the identity map keeps entities of this mapper."""
    return mapper.identity_key_from_primary_key(tuple(mapper.primary_key))[0]


class ForeignKey(NamedTuple):
    """The attributes by which a many-to-one finds its target."""

    names: tuple[str, ...]
    is_key: bool
    """Whether they hold the target's primary key, in its order."""


def foreign_key(relation: RelationshipProperty[Any]) -> ForeignKey | None:
    """Return the foreign key of a many-to-one, None for one that joins on further conditions."""
    if not _is_plain_many_to_one(relation):
        return None
    target = relation.mapper
    pairs = relation.local_remote_pairs
    # By attribute, since the key of a joined subclass is a column of two tables.
    local = {
        attribute_of(target, remote): attribute_of(relation.parent, here) for here, remote in pairs
    }
    names = tuple([name for name in local.values() if name is not None])
    if len(names) < len(pairs):
        return None
    if local.keys() == set(key_names(target)) and not _has_several_keys(target):
        return ForeignKey(tuple([local[name] or "" for name in key_names(target)]), is_key=True)
    return ForeignKey(names, is_key=False)


def _has_several_keys(mapper: Mapper[Any]) -> bool:
    """Concrete tables number their rows each on its own."""
    return mapper.concrete or bool(
        mapper.with_polymorphic_mappers and mapper.polymorphic_on is None
    )


def _is_plain_many_to_one(relation: RelationshipProperty[Any]) -> bool:
    return (
        relation.direction is MANYTOONE
        and relation.secondary is None
        and not relation.uselist
        and relation.entity is relation.mapper
        and _is_plain_join(relation)
    )


def _is_plain_join(relation: RelationshipProperty[Any]) -> bool:
    """Say whether a join compares each foreign key column with its target, and nothing else."""
    terms: list[Any] = list(visitors.iterate(relation.primaryjoin))
    equations = sum(isinstance(term, BinaryExpression) for term in terms)
    return equations == len(relation.local_remote_pairs) and all(map(_is_plain_term, terms))


def _is_plain_term(term: Any) -> bool:
    if isinstance(term, BinaryExpression):
        return term.operator is operator.eq
    if isinstance(term, BooleanClauseList):
        return term.operator is operators.and_
    return isinstance(term, ColumnClause)


def is_target(mapper: Mapper[Any]) -> bool:
    """Say whether a many-to-one leads to this class or its family."""
    return any(
        relation.direction is MANYTOONE and relation.mapper.base_mapper is mapper.base_mapper
        for other in mapper.registry.mappers
        for relation in other.relationships
    )


def related_mappers(roots: Iterable[Mapper[Any]]) -> set[Mapper[Any]]:
    """Return every mapper that relationships can lead to, the roots and their families included."""
    found: set[Mapper[Any]] = set()
    todo = list(roots)
    while todo:
        for mapper in todo.pop().base_mapper.self_and_descendants:
            if mapper not in found:
                found.add(mapper)
                todo += [relation.mapper for relation in mapper.relationships]
    return found
