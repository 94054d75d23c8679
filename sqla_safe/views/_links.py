"""How the rows of a relationship are found from those of its parents."""

from __future__ import annotations

from numbers import Number
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from sqlalchemy import Enum, Integer, Select, String, TypeDecorator, select
from sqlalchemy.orm import MANYTOONE, aliased
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.elements import BinaryExpression, BooleanClauseList
from sqlalchemy.sql.schema import Column, Index, Table, UniqueConstraint

from sqla_safe import _mapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Mapper, RelationshipProperty


class Link(NamedTuple):
    """The parents' attributes that are the key, the expressions they are compared with, and how."""

    mapper: Mapper[Any]
    entity: Any
    """What is selected from."""
    names: tuple[str, ...]
    """Attributes of the parents."""
    keys: tuple[Any, ...]
    """Expressions of the children's statement."""
    conditions: tuple[Any, ...] = ()
    secondary: Any = None
    secondary_on: Any = None
    parent: Any = None
    through: Any = None
    """An attribute of an alias of the parent, where the children can be found by a join only."""
    order_by: tuple[Any, ...] = ()
    is_shared: bool = False
    """Whether a child can have several parents."""
    repeats: bool = False
    """Whether a parent can have a child several times over, as the entity would not."""
    loose: Link | None = None
    """The same by a join, for texts that a collation finds equal and Python does not."""

    def start(self, columns: Sequence[Any]) -> Select[Any]:
        """Return the SELECT of the children, without the condition on the keys."""
        statement: Any = select(*columns, *self.keys)
        if self.parent is not None:
            statement = statement.select_from(self.parent).join(self.through)
        else:
            statement = statement.select_from(self.entity)
        if self.secondary is not None:
            statement = statement.join(self.secondary, self.secondary_on)
        return cast("Select[Any]", statement.where(*self.conditions))


def is_joinable(relation: RelationshipProperty[Any]) -> bool:
    """Say whether a to-one can be joined without ever making two rows of one."""
    if relation.uselist or relation.secondary is not None:
        return False
    if relation.direction is MANYTOONE:
        return relation.entity is relation.mapper and not relation.order_by
    remote = {pair[1] for pair in relation.local_remote_pairs}
    return _is_unique(remote) and relation.entity is relation.mapper


def _is_unique(columns: set[Any]) -> bool:
    table: Any = next(iter(columns)).table
    if not isinstance(table, Table):
        return False
    keys = [set(table.primary_key.columns)]
    keys += [set(one.columns) for one in table.constraints if isinstance(one, UniqueConstraint)]
    keys += [set(one.columns) for one in table.indexes if one.unique and not _is_partial(one)]
    return any(key and key <= columns for key in keys)


def _is_partial(index: Index) -> bool:
    """Say whether an index is of some rows only, as on PostgreSQL with a condition."""
    options = index.dialect_kwargs
    return any(options[name] is not None for name in options if name.endswith("_where"))


def key_link(mapper: Mapper[Any]) -> Link:
    """Return the link of a row with the same row, read as another class."""
    names = _mapping.key_names(mapper)
    entity = mapper.class_
    return Link(mapper, entity, names, tuple([getattr(entity, name) for name in names]))


def read_link(relation: RelationshipProperty[Any]) -> Link:
    """Return how the rows of a relationship are found."""
    order_by = tuple(relation.order_by or ())
    link = _direct(relation) or _joined(relation, _mapping.key_names(relation.parent))
    loose = _joined(relation, link.names) if _may_be_loose(relation, link) else None
    loose = loose and loose._replace(order_by=order_by)
    return link._replace(order_by=order_by, repeats=_repeats(relation), loose=loose)


def _may_be_loose(relation: RelationshipProperty[Any], link: Link) -> bool:
    """Say whether keys are texts as they come, and one parent has each: others would be mixed."""
    kinds = [key.type for key in link.keys]
    is_plain = all(isinstance(kind, (Integer, String)) and not _is_enum(kind) for kind in kinds)
    is_text = any(isinstance(kind, String) for kind in kinds)
    is_own = set(_mapping.key_names(relation.parent)) <= set(link.names)
    return link.parent is None and is_plain and is_text and is_own


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, Enum)


def _repeats(relation: RelationshipProperty[Any]) -> bool:
    """Only a secondary table can have two rows for the same two, where it has no key of both."""
    secondary: Any = relation.secondary
    if secondary is None:
        return False
    columns = {there for _, there in relation.local_remote_pairs if there.table is secondary}
    return not columns or not _is_unique(columns)


def _direct(relation: RelationshipProperty[Any]) -> Link | None:
    """The children know their parent's key, or their line in the secondary table does."""
    if relation.entity is not relation.mapper:
        return None
    secondary: Any = relation.secondary
    near = secondary if secondary is not None else relation.mapper
    pairs = _pairs(relation, near)
    if pairs is None or not all(_are_alike(here.type, there.type) for here, there in pairs):
        return None
    names = [_mapping.attribute_of(relation.parent, here) for here, _ in pairs]
    rest = _rest(relation, pairs)
    if rest is None or None in names:
        return None
    mapper, entity = relation.mapper, relation.mapper.class_
    keys = [there for _, there in pairs]
    if secondary is None:
        found = [_mapping.attribute_of(mapper, there) for there in keys]
        if None in found:
            return None
        keys = [getattr(entity, name) for name in found if name is not None]
    return Link(
        mapper,
        entity,
        tuple([name for name in names if name is not None]),
        tuple(keys),
        conditions=tuple(rest),
        secondary=secondary,
        secondary_on=relation.secondaryjoin,
        is_shared=secondary is not None,
    )


def _pairs(relation: RelationshipProperty[Any], near: Any) -> list[tuple[Any, Any]] | None:
    """The equations between a parent's columns and those of the children or secondary table."""
    remote = set(_tables(near))
    found = [(here, there) for here, there in relation.local_remote_pairs if there.table in remote]
    if relation.secondary is not None:
        local = set(relation.local_columns)
        found = [(here, there) for here, there in found if here in local]
        first = {column for column in visitors.iterate(relation.primaryjoin) if _is_column(column)}
        found = [(here, there) for here, there in found if here in first and there in first]
    return found or None


def _are_alike(here: Any, there: Any) -> bool:
    """Say whether Python finds values equal that the database does."""
    if _is_decorator(here) or _is_decorator(there):
        return type(here) is type(there)
    kinds = {_python_type(here), _python_type(there)}
    return len(kinds) == 1 or None in kinds or all(issubclass(one, Number) for one in kinds)


def _is_decorator(kind: Any) -> bool:
    return isinstance(kind, TypeDecorator)


def _python_type(kind: Any) -> Any:
    """Return the class of a column's values, None where its type does not say."""
    try:
        found = kind.python_type
    except NotImplementedError:  # SQLAlchemy 2.0
        return None
    return None if found is object else found


def _rest(relation: RelationshipProperty[Any], pairs: list[tuple[Any, Any]]) -> list[Any] | None:
    """The conditions of a join beside its equations, None when they need the parent's row."""
    rest: list[Any] = []
    equations = 0
    for term in _terms(relation.primaryjoin):
        if _is_equation(term, pairs):
            equations += 1
        else:
            rest.append(term)
    if equations != len(pairs):
        return None
    parents = set(_tables(relation.parent))
    used = {table for term in rest for table in _tables(term)}
    return rest if used.isdisjoint(parents) else None


def _is_column(term: Any) -> bool:
    return isinstance(term, Column)


def _terms(clause: Any) -> list[Any]:
    if isinstance(clause, BooleanClauseList) and clause.operator is operators.and_:
        return [term for part in clause.clauses for term in _terms(part)]
    return [clause]


def _is_equation(term: Any, pairs: list[tuple[Any, Any]]) -> bool:
    if not isinstance(term, BinaryExpression) or term.operator is not operators.eq:
        return False
    sides = {hash(term.left), hash(term.right)}
    return any({hash(here), hash(there)} == sides for here, there in pairs)


def _tables(selectable: Any) -> list[Any]:
    if _mapping.is_mapper(selectable):
        return list(selectable.tables)
    found: list[Any] = list(visitors.iterate(selectable))
    return [_table(one) for one in found if isinstance(one, (Table, Column))]


def _table(term: Any) -> Any:
    return term if _is_table(term) else term.table


def _is_table(term: Any) -> bool:
    return isinstance(term, Table)


def _joined(relation: RelationshipProperty[Any], names: tuple[str, ...]) -> Link:
    """Anything else: SQLAlchemy knows how to join from the parent."""
    parent = aliased(relation.parent.class_)
    return Link(
        relation.mapper,
        relation.entity.entity,
        names,
        tuple([getattr(parent, name) for name in names]),
        parent=parent,
        through=getattr(parent, relation.key),
        is_shared=True,
    )
