"""Collecting the statements of a view: their columns, their joins, and what is wrong."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ColumnElement
from sqlalchemy.orm import MANYTOONE, QueryableAttribute, RelationshipProperty
from sqlalchemy.sql import visitors
from sqlalchemy.sql.schema import Table

from sqla_safe import _mapping
from sqla_safe.views import _fits
from sqla_safe.views._hints import type_name
from sqla_safe.views._inherited import table_route, tables_below, where_from
from sqla_safe.views._links import is_joinable
from sqla_safe.views._shapes import Column, Constant, Joined, Level, Memo, Route
from sqla_safe.views._targets import Field, Target, UnreadableError, read_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Mapper

    from sqla_safe.views._shapes import Shape

MAX_JOINED = 40
"""Tables that are joined to one statement. MySQL and SQLite take about sixty, the user's own among
them, and Python takes fewer than a hundred blocks inside of each other."""


@dataclass(frozen=True)
class Mode:
    """How to-one relationships are read."""

    validate: bool = True
    may_alias: bool = True
    """Whether a class that is in the statement already may be joined under an alias."""
    joins_root: bool = True
    """Whether anything may be joined to the user's own statement."""
    is_class: bool = True
    """Whether that selects a class itself, and not an alias of it."""
    is_apart: bool = False
    """Whether its classes are in several databases, so that nothing can be joined."""


@dataclass(frozen=True)
class Trail:
    """Where in a view we are: in which statement, and how far from its entity."""

    level: Level
    route: Route = ()
    is_nullable: bool = False
    making: tuple[tuple[Any, Any], ...] = ()
    """The classes that we are inside of, with their mappers."""
    depths: tuple[tuple[str, int], ...] = ()
    """How many levels are left of each field that holds its own class."""
    base: Mapper[Any] | None = None
    """The class that is read here, where fields of a subclass are read with it."""

    def below(self, level: Level) -> Trail:
        """Return the same place in another statement."""
        return Trail(level, making=self.making, depths=self.depths)


@dataclass(frozen=True)
class Spot:
    """A field that is to be filled, and from what."""

    field: Field
    where: str
    """The field, as ``Class.field``."""
    mapper: Mapper[Any]
    trail: Trail
    depth: int | None = None
    path: str = ""
    """What leads there by way of other classes, as it is written."""
    is_element: bool = False
    """Whether it is one of the many that the field holds."""
    within: Level | None = None
    """Whose rows give these, in that case."""

    @property
    def name(self) -> str:
        """The field's name, to write it with another type."""
        return self.where.rsplit(".", maxsplit=1)[-1]

    @property
    def text(self) -> str:
        """The field's type."""
        return self.field.hint.text


NOTHING = Constant("none")
"""What stands where a problem was noted."""


@dataclass
class Collecting(ABC):
    """Collects the statements, and the problems."""

    mode: Mode
    problems: list[str] = field(default_factory=list[str])
    memos: dict[Any, Memo] = field(default_factory=dict[Any, Memo])
    targets: dict[Any, Target | None] = field(default_factory=dict["Any", "Target | None"])
    levels: int = 0

    @abstractmethod
    def element(
        self,
        members: Sequence[Any],
        mapper: Mapper[Any],
        trail: Trail,
        where: str,
        *,
        repeats: bool,
        absence: str = "never",
    ) -> Shape:
        """Return what is made of a row: one class, or several to choose from."""

    @abstractmethod
    def attribute(self, spot: Spot, key: str) -> Shape:
        """Return what fills a field from an attribute of the entity."""

    def note(self, problem: str) -> Constant:
        """Note a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)
        return NOTHING

    def level(self, mapper: Mapper[Any], link: Any, title: str, kind: str = "root") -> Level:
        """Return a new statement."""
        self.levels += 1
        return Level(mapper, link, title=title, kind=kind)

    def target(self, cls: Any) -> Target | None:
        """Return a view's class as it was read, None where that went wrong."""
        if cls not in self.targets:
            self.targets[cls] = self._read(cls)
        return self.targets[cls]

    def _read(self, cls: Any) -> Target | None:
        try:
            return read_target(cls, validate=self.mode.validate)
        except UnreadableError as error:
            self.note(f"{type_name(cls)} cannot be read: {error}")
            return None

    def memo(self, cls: Any, mapper: Mapper[Any], trail: Trail, *, repeats: bool) -> Memo:
        """Return where the objects of a class are kept while a result is made."""
        memo = self.memos.setdefault((cls, mapper, trail.depths), Memo(len(self.memos)))
        memo.uses += 1
        memo.repeats |= repeats
        memo.statements.add(id(trail.level))
        return memo

    # --- columns -------------------------------------------------------------

    def column(self, trail: Trail, mapper: Mapper[Any], name: str) -> int:
        """Return the place of an attribute's column."""
        if trail.base is not None and mapper is not trail.base:
            return self._inherited(trail, trail.base, mapper, name)

        def build(entity: Any) -> Any:
            return getattr(entity, name)

        return self.add(trail, name, build, build(mapper.class_))

    def _inherited(self, trail: Trail, base: Mapper[Any], own: Mapper[Any], name: str) -> int:
        owner, build, sample = where_from(base, own, name)
        if owner is not None:
            trail = self.with_tables(trail, base, owner)
        elif isinstance(sample, QueryableAttribute):
            name = sample.key
        return self.add(trail, name, build, sample)

    def with_tables(self, trail: Trail, base: Mapper[Any], own: Mapper[Any]) -> Trail:
        """Join the tables that a subclass has below a base, and return the trail of the last."""
        route = trail.route
        for mapper in tables_below(base, own):
            route = table_route(trail.route, mapper)
            trail.level.inherited.setdefault(route, (mapper, base))
        return replace(trail, route=route)

    def add(self, trail: Trail, name: str, build: Any, sample: Any) -> int:
        """Return the place of an expression's column."""
        level = trail.level
        place = level.indexes.get((trail.route, name))
        if place is None:
            place = level.indexes[trail.route, name] = len(level.columns)
            level.columns.append(Column(trail.route, build, sample))
        return place

    def fit(self, spot: Spot, what: str, sample: Any, *, nullable: bool) -> None:
        """Make sure that a field can hold what an expression gives."""
        problem = _fits.problem_of(
            spot.field, spot.where, what, sample, nullable=nullable, is_element=spot.is_element
        )
        if problem is not None:
            self.note(problem)

    # --- joins ---------------------------------------------------------------

    def may_join(self, relation: RelationshipProperty[Any], trail: Trail) -> bool:
        """Say whether a to-one can come with the statement that it starts from."""
        level = trail.level
        if (*trail.route, relation.key) in level.joins:
            return True
        if self.mode.is_apart or _is_full(level) or not is_joinable(relation):
            return False
        if level.link is None and not self.mode.joins_root:
            return False
        return self.mode.may_alias or not _clashes(level, relation)

    def join(self, relation: RelationshipProperty[Any], trail: Trail) -> Trail:
        """Join a to-one, and return the trail of its entity."""
        route = (*trail.route, relation.key)
        if route not in trail.level.joins:
            is_aliased = _clashes(trail.level, relation)
            trail.level.joins[route] = Joined(relation, is_aliased)
        is_nullable = trail.is_nullable or can_be_none(relation)
        return replace(trail, route=route, is_nullable=is_nullable)


def _is_full(level: Level) -> bool:
    """Say whether a statement joins as many tables as it should."""
    return sum(len(one.relation.mapper.tables) for one in level.joins.values()) >= MAX_JOINED


def _clashes(level: Level, relation: RelationshipProperty[Any]) -> bool:
    """Say whether a table would be in the statement twice."""
    here: set[Any] = set(level.mapper.tables)
    if level.link is not None and level.link.secondary is not None:
        here |= tables_in(level.link.secondary)
    for joined in level.joins.values():
        here |= set(joined.relation.mapper.tables)
    for column in level.columns:
        here |= tables_in(column.sample)
    return not here.isdisjoint(relation.mapper.tables)


def tables_in(clause: Any) -> set[Any]:
    """Return the tables that a statement or expression names anywhere."""
    if hasattr(clause, "__clause_element__"):
        clause = clause.__clause_element__()
    found: set[Any] = set()
    for one in visitors.iterate(clause):
        found |= {table for table in (one, getattr(one, "table", None)) if _is_table(table)}
    return found


def _is_table(value: Any) -> bool:
    return isinstance(value, Table)


def as_expression(value: Any) -> Any:
    """Return the SQL expression that something stands for, None for anything else."""
    if isinstance(getattr(value, "property", None), RelationshipProperty):
        return None
    if _is_sql(value):
        return value
    if hasattr(value, "__clause_element__"):
        value = value.__clause_element__()
    if hasattr(value, "scalar_subquery"):
        value = value.scalar_subquery()
    return value if _is_sql(value) else None


def _is_sql(value: Any) -> bool:
    if isinstance(value, QueryableAttribute):  # a hybrid wraps whatever it returns
        return isinstance(cast("Any", value).__clause_element__(), ColumnElement)
    return isinstance(value, ColumnElement)


def can_be_none(relation: RelationshipProperty[Any]) -> bool:
    """Only a many-to-one whose foreign key cannot be NULL always has its row."""
    if relation.direction is not MANYTOONE or relation.secondary is not None:
        return True
    return any(getattr(column, "nullable", True) for column in relation.local_columns)


def name_of(mapper: Mapper[Any], key: str | None = None) -> str:
    """Return the name of an entity, or of one of its attributes."""
    name: str = mapper.class_.__name__
    return name if key is None else f"{name}.{key}"


def key_names(trail: Trail, mapper: Mapper[Any], collecting: Collecting) -> list[int]:
    """Return the places of an entity's primary key."""
    return [collecting.column(trail, mapper, name) for name in _mapping.key_names(mapper)]
