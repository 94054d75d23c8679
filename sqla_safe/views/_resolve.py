"""From a view's class and an entity to the statements that fill it; every problem is noted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement
from sqlalchemy.ext.associationproxy import AssociationProxy, AssociationProxyExtensionType
from sqlalchemy.ext.hybrid import HybridExtensionType
from sqlalchemy.inspection import inspect
from sqlalchemy.orm import MANYTOONE, QueryableAttribute
from sqlalchemy.sql import visitors
from sqlalchemy.sql.schema import Table

from sqla_safe import _mapping
from sqla_safe.views import _fits
from sqla_safe.views._choices import assign
from sqla_safe.views._collections import collection_problem, key_attribute
from sqla_safe.views._hints import collection_of, type_name
from sqla_safe.views._links import is_joinable, key_link, read_link
from sqla_safe.views._markers import Expr, Path
from sqla_safe.views._shapes import (
    Choice,
    Column,
    Composite,
    Constant,
    Held,
    Joined,
    Level,
    Made,
    Memo,
    Route,
    Value,
)
from sqla_safe.views._targets import (
    Field,
    Target,
    UnreadableError,
    is_target,
    origin_of,
    read_target,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Mapper, RelationshipProperty

    from sqla_safe.views._shapes import Shape

MAX_LEVELS = 200
"""Statements that one view may take: what holds itself several times over grows fast."""


@dataclass(frozen=True)
class Mode:
    """How to-one relationships are read."""

    validate: bool = True
    may_alias: bool = True
    """Whether a class that is in the statement already may be joined under an alias."""
    joins_root: bool = True
    """Whether anything may be joined to the user's own statement."""


@dataclass(frozen=True)
class Trail:
    """Where in a view we are."""

    level: Level
    route: Route = ()
    is_nullable: bool = False
    making: tuple[tuple[Any, Any], ...] = ()
    depths: tuple[tuple[str, int], ...] = ()

    def depth(self, key: str, default: int) -> int:
        """How many levels are left of a view that holds itself."""
        return dict(self.depths).get(key, default)


@dataclass
class Resolver:
    """Collects the statements, and the problems."""

    mode: Mode
    problems: list[str] = field(default_factory=list)
    memos: dict[Any, Memo] = field(default_factory=dict)
    targets: dict[Any, Target | None] = field(default_factory=dict)
    levels: int = 0

    def root(self, into: Any, mapper: Mapper[Any]) -> Level:
        """Return the statement of the root, and all below it."""
        level = self._level(mapper, None, type_name(into))
        members = _members(into)
        trail = Trail(level)
        level.shape = self._element(members, mapper, trail, type_name(into), repeats=True)
        return level

    def note(self, problem: str) -> None:
        """Note a problem, once."""
        if problem not in self.problems:
            self.problems.append(problem)

    def _level(self, mapper: Mapper[Any], link: Any, title: str) -> Level:
        self.levels += 1
        return Level(mapper, link, title=title)

    # --- classes -------------------------------------------------------------

    def _target(self, cls: Any) -> Target | None:
        if cls not in self.targets:
            try:
                self.targets[cls] = read_target(cls, validate=self.mode.validate)
            except UnreadableError as error:
                self.targets[cls] = None
                self.note(f"{type_name(cls)} cannot be read: {error}")
        return self.targets[cls]

    def _element(
        self,
        members: Sequence[Any],
        mapper: Mapper[Any],
        trail: Trail,
        where: str,
        *,
        repeats: bool,
        absence: str = "never",
    ) -> Shape:
        """One class, or several to choose from by discriminator."""
        if len(members) > 1:
            return self._choice(members, mapper, trail, where, absence)
        [cls] = members
        return self._made(cls, mapper, trail, where, repeats=repeats, absence=absence)

    def _made(
        self,
        cls: Any,
        mapper: Mapper[Any],
        trail: Trail,
        where: str,
        *,
        repeats: bool,
        absence: str = "never",
    ) -> Shape:
        target = self._target(cls)
        if target is None:
            return Constant("none")
        key = [self._column(trail, mapper, name) for name in _mapping.key_names(mapper)]
        inner = Trail(
            trail.level,
            trail.route,
            trail.is_nullable and absence == "never",
            (*trail.making, (origin_of(cls), mapper)),
            trail.depths,
        )
        fields = {one.name: self._field(target, one, mapper, inner) for one in target.fields}
        memo: Memo | None = self._memo(cls, mapper, trail, repeats=repeats)
        if _differs_by_row(target, trail):
            memo = None
        return Made(target, where, key, fields, memo, absence)

    def _memo(self, cls: Any, mapper: Mapper[Any], trail: Trail, *, repeats: bool) -> Memo:
        memo = self.memos.setdefault((cls, mapper, trail.depths), Memo(len(self.memos)))
        memo.uses += 1
        memo.repeats |= repeats
        return memo

    def _choice(
        self, members: Sequence[Any], mapper: Mapper[Any], trail: Trail, where: str, absence: str
    ) -> Shape:
        targets = [self._target(cls) for cls in members]
        found = [target for target in targets if target is not None]
        if len(found) < len(targets):
            return Constant("none")
        if mapper.polymorphic_on is None:
            names = " | ".join(target.name for target in found)
            self.note(
                f"{where} is {names}, but {_name(mapper)} has no subclasses to choose by: name one "
                "class"
            )
            return Constant("none")
        assigned, problems = assign(found, mapper)
        for problem in problems:
            self.note(f"{where}: {problem}")
        keys = _mapping.key_names(mapper)
        columns = [self._column(trail, mapper, name) for name in keys]
        column = self._discriminator(trail, mapper)
        branches: dict[Any, Held] = {}
        for target, (own, identities) in assigned:
            place = len(trail.level.children)
            child = self._level(own, key_link(own), target.name)
            child.kind, child.parent_columns = "one", columns
            child.only_for = (column, frozenset(identities))
            trail.level.children.append(child)
            inner = Trail(child, making=trail.making, depths=trail.depths)
            child.shape = self._made(target.cls, own, inner, where, repeats=True)
            held = Held(place, columns, "one", is_own=False, absence="none", where=where)
            branches |= dict.fromkeys(identities, held)
        key = columns[0] if absence != "never" else None
        return Choice(column, branches, where, key, absence)

    def _discriminator(self, trail: Trail, mapper: Mapper[Any]) -> int:
        on: Any = mapper.polymorphic_on
        name = _mapping.attribute_of(mapper, on)
        if name is not None:
            return self._column(trail, mapper, name)
        return self._add(trail, "(discriminator)", lambda _entity: on, on)

    # --- fields --------------------------------------------------------------

    def _field(self, target: Target, one: Field, mapper: Mapper[Any], trail: Trail) -> Shape:
        where = f"{target.name}.{one.name}"
        markers = [mark for mark in one.hint.metadata if isinstance(mark, (Path, Expr))]
        if len(markers) > 1:
            self.note(f"{where} has {len(markers)} of Path and Expr: one field has one source")
        if markers and isinstance(markers[0], Expr):
            return self._expression(one, where, markers[0], mapper, trail)
        if markers and isinstance(markers[0], Path):
            return self._path(target, one, where, markers[0], mapper, trail)
        return self._attribute(one, where, mapper, one.name, trail, None)

    def _expression(
        self, one: Field, where: str, marker: Expr, mapper: Mapper[Any], trail: Trail
    ) -> Shape:
        build = marker.build
        try:
            sample = _as_expression(build(mapper.class_))
        except Exception as error:  # noqa: BLE001  (the user's own function)
            self.note(f"{where}: its Expr raised {type(error).__name__} when given {_name(mapper)}")
            return Constant("none")
        if sample is None:
            self.note(
                f"{where}: its Expr returned no SQL expression; return one, such as "
                f"func.lower({_name(mapper)}.name)"
            )
            return Constant("none")
        self._fit(one, where, f"its Expr gives", sample, nullable=False)
        column = self._add(
            trail, f"(expr) {where}", lambda entity: _as_expression(build(entity)), sample
        )
        return Value(column)

    def _path(
        self,
        target: Target,
        one: Field,
        where: str,
        marker: Path,
        mapper: Mapper[Any],
        trail: Trail,
    ) -> Shape:
        if not marker.attributes:
            self.note(f"{where}: Path() names no attribute; write Path({_name(mapper)}.…)")
            return Constant("none")
        *steps, last = marker.attributes
        for step in steps:
            key = self._step(where, step, mapper)
            if key is None:
                return Constant("none")
            relation = mapper.relationships[key]
            if relation.uselist:
                return self._through(one, where, steps, last, relation, trail)
            if not self._may_join(relation, trail):
                self.note(
                    f"{where}: Path goes through {_name(mapper)}.{key}, which cannot be joined here; "
                    "make it a field with a class of its own"
                )
                return Constant("none")
            trail = self._join(relation, trail)
            mapper = relation.mapper
        key = _key_on(last, mapper)
        if key is None:
            self.note(f"{where}: {_path_name(last)} is no attribute of {_name(mapper)}")
            return Constant("none")
        return self._attribute(one, where, mapper, key, trail, marker.depth)

    def _step(self, where: str, step: Any, mapper: Mapper[Any]) -> str | None:
        key = _key_on(step, mapper)
        if key is None or key not in mapper.relationships:
            self.note(
                f"{where}: {_path_name(step)} is no relationship of {_name(mapper)}; a Path goes from "
                "each class to the next"
            )
            return None
        return key

    def _through(
        self,
        one: Field,
        where: str,
        steps: list[Any],
        last: Any,
        relation: RelationshipProperty[Any],
        trail: Trail,
    ) -> Shape:
        """A collection of single values: what the last attribute is of each related row."""
        if steps[-1].key != relation.key:
            self.note(
                f"{where}: {_name(relation.parent)}.{relation.key} is a collection, and can only be "
                "the last but one in a Path"
            )
            return Constant("none")
        key = _key_on(last, relation.mapper)
        if key is None:
            self.note(f"{where}: {_path_name(last)} is no attribute of {_name(relation.mapper)}")
            return Constant("none")
        return self._scalars(one, where, relation, key, trail)

    def _attribute(
        self,
        one: Field,
        where: str,
        mapper: Mapper[Any],
        key: str,
        trail: Trail,
        depth: int | None,
    ) -> Shape:
        """Whatever the mapped class calls by this name."""
        key = _real_name(mapper, key)
        if key in mapper.relationships:
            return self._relationship(one, where, mapper.relationships[key], trail, depth)
        if key in mapper.composites:
            return self._composite(one, where, mapper, key, trail)
        if key in mapper.column_attrs:
            return self._plain(one, where, mapper, key, trail)
        found = mapper.all_orm_descriptors.get(key)
        if found is None:
            self.note(_unknown(where, mapper, key))
            return Constant("none")
        kind = found.extension_type
        if kind is AssociationProxyExtensionType.ASSOCIATION_PROXY:
            return self._proxy(one, where, mapper, key, found, trail)
        if kind in (HybridExtensionType.HYBRID_PROPERTY, HybridExtensionType.HYBRID_METHOD):
            return self._hybrid(one, where, mapper, key, trail)
        self.note(_unknown(where, mapper, key))
        return Constant("none")

    def _plain(self, one: Field, where: str, mapper: Mapper[Any], key: str, trail: Trail) -> Shape:
        sample = getattr(mapper.class_, key)
        nullable = trail.is_nullable or _fits.is_nullable(mapper, key)
        self._fit(one, where, f"{_name(mapper)}.{key} holds", sample, nullable=nullable)
        return Value(self._column(trail, mapper, key))

    def _hybrid(self, one: Field, where: str, mapper: Mapper[Any], key: str, trail: Trail) -> Shape:
        try:
            sample = _as_expression(getattr(mapper.class_, key))
        except Exception:  # noqa: BLE001  (the user's own function)
            sample = None
        if sample is None:
            self.note(
                f"{where}: the hybrid {_name(mapper)}.{key} gives no SQL on the class; add an "
                f"expression to it with @{key}.inplace.expression"
            )
            return Constant("none")
        nullable = trail.is_nullable
        self._fit(one, where, f"{_name(mapper)}.{key} holds", sample, nullable=nullable)
        column = self._add(trail, key, lambda entity: _as_expression(getattr(entity, key)), sample)
        return Value(column)

    def _composite(
        self, one: Field, where: str, mapper: Mapper[Any], key: str, trail: Trail
    ) -> Shape:
        composite = mapper.composites[key]
        names = [attribute.key for attribute in composite.props]
        is_none: Any = getattr(composite, "return_none_on", None)  # SQLAlchemy 2.1
        nullable = trail.is_nullable or callable(is_none)
        build: Any = composite.composite_class
        self._fit_class(one, where, f"{_name(mapper)}.{key} holds", build, nullable=nullable)
        columns = [self._column(trail, mapper, name) for name in names]

        key_column = self._column(trail, mapper, _mapping.key_names(mapper)[0])

        def made(key: Any, *values: Any) -> Any:
            if key is None or (callable(is_none) and is_none(*values)):
                return None
            return build(*values)

        return Composite(made, [key_column, *columns])

    def _proxy(
        self, one: Field, where: str, mapper: Mapper[Any], key: str, proxy: Any, trail: Trail
    ) -> Shape:
        assert isinstance(proxy, AssociationProxy)
        relation = mapper.relationships.get(proxy.target_collection)
        if relation is None:
            self.note(_unknown(where, mapper, key))
            return Constant("none")
        if relation.uselist:
            return self._scalars(one, where, relation, proxy.value_attr, trail)
        if not self._may_join(relation, trail):
            self.note(
                f"{where}: {_name(mapper)}.{key} goes through {relation.key}, which cannot be joined "
                "here; make it a field with a class of its own"
            )
            return Constant("none")
        inner = self._join(relation, trail)
        return self._attribute(one, where, relation.mapper, proxy.value_attr, inner, None)

    # --- relationships -------------------------------------------------------

    def _relationship(
        self,
        one: Field,
        where: str,
        relation: RelationshipProperty[Any],
        trail: Trail,
        depth: int | None,
    ) -> Shape:
        name = f"{_name(relation.parent)}.{relation.key}"
        if relation.lazy in _mapping.BY_QUERY_ONLY:
            self.note(
                f"{where}: {name} is a {relation.lazy} relationship, which is queried and never "
                "loaded; fetch its rows with a statement of their own"
            )
            return Constant("none")
        if relation.uselist:
            return self._many(one, where, relation, name, trail, depth)
        return self._one(one, where, relation, name, trail, depth)

    def _many(
        self,
        one: Field,
        where: str,
        relation: RelationshipProperty[Any],
        name: str,
        trail: Trail,
        depth: int | None,
    ) -> Shape:
        found = [collection_of(member) for member in one.hint.members]
        if len(found) != 1 or found[0] is None:
            self.note(
                f"{where} is {one.hint.text}, but {name} is a collection: write "
                f"{where.split('.')[-1]}: tuple[{_element_text(one, relation)}, ...]"
            )
            return Constant("none")
        kind, key_type, element = found[0]
        problem = collection_problem(relation, kind)
        if problem is not None:
            self.note(f"{where} is {one.hint.text}, but {name} {problem}")
            return Constant("none")
        members = _members(element)
        if not self._are_targets(where, members, name, relation):
            return Constant("none")
        inner = self._deeper(where, members, relation, trail, depth)
        if inner is None:
            return Constant("none" if one.hint.is_optional else kind)
        level = self._child(relation, kind, trail, where)
        child = Trail(level, making=inner.making, depths=inner.depths)
        link = level.link
        assert link is not None
        level.shape = self._element(members, relation.mapper, child, where, repeats=link.is_shared)
        if kind == "dict":
            self._key_by(level, relation, where, child)
        if kind in ("set", "frozenset"):
            self._require_hashable(where, level.shape)
        return self._held(level, kind, where, "never", relation, trail)

    def _key_by(
        self, level: Level, relation: RelationshipProperty[Any], where: str, trail: Trail
    ) -> None:
        key = key_attribute(relation)
        if key is None or key not in relation.mapper.column_attrs:
            self.note(
                f"{where}: how {_name(relation.parent)}.{relation.key} finds its keys cannot be read; "
                "map it with attribute_keyed_dict(...), or ask for a tuple"
            )
            return
        level.key_by = self._column(trail, relation.mapper, key)

    def _require_hashable(self, where: str, shape: Any) -> None:
        target = getattr(shape, "target", None)
        if target is not None and getattr(origin_of(target.cls), "__hash__", None) is None:
            self.note(
                f"{where}: a set needs elements that can be hashed, and {target.name} cannot; make it "
                "frozen=True, or ask for a tuple"
            )

    def _scalars(
        self,
        one: Field,
        where: str,
        relation: RelationshipProperty[Any],
        key: str,
        trail: Trail,
    ) -> Shape:
        found = [collection_of(member) for member in one.hint.members]
        name = f"{_name(relation.parent)}.{relation.key}"
        if len(found) != 1 or found[0] is None or found[0][0] == "dict":
            self.note(
                f"{where} is {one.hint.text}, but {name} is a collection: write a tuple[…, ...]"
            )
            return Constant("none")
        kind, _, element = found[0]
        problem = collection_problem(relation, kind)
        if problem is not None:
            self.note(f"{where} is {one.hint.text}, but {name} {problem}")
            return Constant("none")
        level = self._child(relation, kind, trail, where)
        from sqla_safe.views._hints import read_hint

        inner = Field(one.name, read_hint(element), one.converts, one.coerces)
        level.shape = self._attribute(inner, where, relation.mapper, key, Trail(level), None)
        return self._held(level, kind, where, "never", relation, trail)

    def _one(
        self,
        one: Field,
        where: str,
        relation: RelationshipProperty[Any],
        name: str,
        trail: Trail,
        depth: int | None,
    ) -> Shape:
        members = one.hint.members
        if any(collection_of(member) for member in members):
            self.note(
                f"{where} is {one.hint.text}, but {name} leads to one {_name(relation.mapper)}, not to "
                "a collection: name one class"
            )
            return Constant("none")
        if not self._are_targets(where, members, name, relation):
            return Constant("none")
        if _can_be_none(relation) and not one.hint.is_optional:
            self.note(
                f"{where} is {one.hint.text}, but {name} can be None: write "
                f"{where.split('.')[-1]}: {one.hint.text} | None"
            )
        inner = self._deeper(where, members, relation, trail, depth)
        if inner is None:
            if not one.hint.is_optional:
                self.note(
                    f"{where}: at the end of its depth it is None; write {one.hint.text} | None"
                )
            return Constant("none")
        absence = "none" if one.hint.is_optional else "error"
        if self._may_join(relation, trail):
            joined = self._join(relation, inner)
            return self._element(
                members, relation.mapper, joined, where, repeats=True, absence=absence
            )
        level = self._child(relation, "one", trail, where)
        child = Trail(level, making=inner.making, depths=inner.depths)
        level.shape = self._element(members, relation.mapper, child, where, repeats=True)
        return self._held(level, "one", where, absence, relation, trail)

    def _are_targets(
        self, where: str, members: Sequence[Any], name: str, relation: RelationshipProperty[Any]
    ) -> bool:
        wrong = [member for member in members if not is_target(member)]
        if not members or wrong:
            found = ", ".join(type_name(member) for member in wrong) or "None"
            self.note(
                f"{where} holds {found}, but {name} leads to {_name(relation.mapper)}: write a "
                "dataclass (or msgspec.Struct, attrs class, NamedTuple, TypedDict, pydantic model) "
                "with the fields that you want of it"
            )
            return False
        return True

    def _deeper(
        self,
        where: str,
        members: Sequence[Any],
        relation: RelationshipProperty[Any],
        trail: Trail,
        depth: int | None,
    ) -> Trail | None:
        """Return the trail of a relationship's rows, None where a stated depth ends."""
        if self.levels > MAX_LEVELS:
            self.note(f"{where}: the view takes more than {MAX_LEVELS} statements; lower a depth")
            return None
        if depth is not None:
            if depth < 0 or depth > MAX_LEVELS:
                self.note(f"{where}: depth={depth}, but it is a number from 0 to {MAX_LEVELS}")
                return None
            left = trail.depth(where, depth)
            if left == 0:
                return None
            depths = {**dict(trail.depths), where: left - 1}
            return Trail(trail.level, trail.route, trail.is_nullable, (), tuple(depths.items()))
        for member in members:
            if any(cls is origin_of(member) for cls, _ in trail.making):
                self.note(
                    f"{where} leads back to {type_name(member)}, which it is a part of: a view cannot "
                    f"hold itself. Leave it out, use a smaller class there, or state a depth: "
                    f"Annotated[..., Path({_name(relation.parent)}.{relation.key}, depth=1)]"
                )
                return None
        return trail

    def _child(
        self, relation: RelationshipProperty[Any], kind: str, trail: Trail, where: str
    ) -> Level:
        link = read_link(relation)
        level = self._level(relation.mapper, link, where)
        level.kind = kind
        level.parent_columns = [self._column(trail, relation.parent, name) for name in link.names]
        trail.level.children.append(level)
        return level

    def _held(
        self,
        level: Level,
        kind: str,
        where: str,
        absence: str,
        relation: RelationshipProperty[Any],
        trail: Trail,
    ) -> Held:
        assert level.link is not None
        is_own = set(level.link.names) == set(_mapping.key_names(relation.parent))
        place = next(i for i, one in enumerate(trail.level.children) if one is level)
        return Held(place, level.parent_columns, kind, is_own, absence, where)

    # --- joins and columns ---------------------------------------------------

    def _may_join(self, relation: RelationshipProperty[Any], trail: Trail) -> bool:
        level = trail.level
        if (*trail.route, relation.key) in level.joins:
            return True
        if not is_joinable(relation):
            return False
        if level.link is None and not self.mode.joins_root:
            return False
        return self.mode.may_alias or not self._clashes(level, relation)

    def _clashes(self, level: Level, relation: RelationshipProperty[Any]) -> bool:
        """Say whether a table would be in the statement twice."""
        there = set(relation.mapper.tables)
        here: set[Any] = set(level.mapper.tables)
        link = level.link
        if link is not None and link.secondary is not None:
            here |= {one for one in visitors.iterate(link.secondary) if isinstance(one, Table)}
        for joined in level.joins.values():
            here |= set(joined.relation.mapper.tables)
        for column in level.columns:
            if not isinstance(column.sample, QueryableAttribute) or column.sample.key is None:
                here |= tables_in(column.sample)
        return not there.isdisjoint(here)

    def _join(self, relation: RelationshipProperty[Any], trail: Trail) -> Trail:
        route = (*trail.route, relation.key)
        if route not in trail.level.joins:
            is_aliased = self._clashes(trail.level, relation)
            trail.level.joins[route] = Joined(relation, is_aliased)
        return Trail(
            trail.level,
            route,
            trail.is_nullable or _can_be_none(relation),
            trail.making,
            trail.depths,
        )

    def _column(self, trail: Trail, mapper: Mapper[Any], name: str) -> int:
        return self._add(
            trail, name, lambda entity: getattr(entity, name), getattr(mapper.class_, name)
        )

    def _add(self, trail: Trail, name: str, build: Any, sample: Any) -> int:
        level = trail.level
        place = level.indexes.get((trail.route, name))
        if place is None:
            place = level.indexes[trail.route, name] = len(level.columns)
            level.columns.append(Column(trail.route, build, sample))
        return place

    # --- types ---------------------------------------------------------------

    def _fit(self, one: Field, where: str, what: str, sample: Any, *, nullable: bool) -> None:
        problem = _fits.problem_of(one, where, what, sample, nullable=nullable)
        if problem is not None:
            self.note(problem)

    def _fit_class(self, one: Field, where: str, what: str, kind: Any, *, nullable: bool) -> None:
        problem = _fits.class_problem(one, where, what, kind, nullable=nullable)
        if problem is not None:
            self.note(problem)


def _differs_by_row(target: Target, trail: Trail) -> bool:
    """The user's own joins can give one entity several rows, and an Expr another value in each."""
    is_root = trail.level.link is None and not trail.route
    marks = [mark for field in target.fields for mark in field.hint.metadata]
    return is_root and any(isinstance(mark, Expr) for mark in marks)


def _members(annotation: Any) -> tuple[Any, ...]:
    from sqla_safe.views._hints import read_hint

    return read_hint(annotation).members


def _as_expression(value: Any) -> Any:
    """Return the SQL expression that something stands for, None for anything else."""
    if hasattr(value, "__clause_element__"):
        value = value if isinstance(value, QueryableAttribute) else value.__clause_element__()
    if hasattr(value, "scalar_subquery") and not isinstance(value, ColumnElement):
        value = value.scalar_subquery()
    is_sql = isinstance(value, (ColumnElement, QueryableAttribute))
    return value if is_sql else None


def tables_in(clause: Any) -> set[Any]:
    """Return the tables that a statement or expression names anywhere."""
    if hasattr(clause, "__clause_element__"):
        clause = clause.__clause_element__()
    found: set[Any] = set()
    for one in visitors.iterate(clause):
        if isinstance(one, Table):
            found.add(one)
        elif isinstance(getattr(one, "table", None), Table):
            found.add(one.table)
    return found


def _can_be_none(relation: RelationshipProperty[Any]) -> bool:
    """Only a many-to-one whose foreign key cannot be NULL always has its row."""
    if relation.direction is not MANYTOONE or relation.secondary is not None:
        return True
    return any(column.nullable for column in relation.local_columns)


def _real_name(mapper: Mapper[Any], key: str) -> str:
    while key in mapper.synonyms:
        key = mapper.synonyms[key].name
    return key


def _key_on(attribute: Any, mapper: Mapper[Any]) -> str | None:
    """Return the name of an attribute, None where it belongs to another class."""
    if isinstance(attribute, AssociationProxy):
        return None
    parent = getattr(attribute, "parent", None)
    parent = getattr(parent, "mapper", parent)
    key = getattr(attribute, "key", None)
    if isinstance(key, str) and _mapping.is_mapper(parent):
        return key if mapper.isa(parent) else None
    name = getattr(attribute, "__name__", None)
    return name if isinstance(name, str) and name in mapper.all_orm_descriptors else None


def _path_name(attribute: Any) -> str:
    if isinstance(attribute, QueryableAttribute):
        return str(attribute)
    return repr(attribute) if isinstance(attribute, str) else type(attribute).__name__


def _name(mapper: Mapper[Any]) -> str:
    return mapper.class_.__name__


def _element_text(one: Field, relation: RelationshipProperty[Any]) -> str:
    known = [type_name(member) for member in one.hint.members if is_target(member)]
    return known[0] if known else f"{_name(relation.mapper)}Card"


def _unknown(where: str, mapper: Mapper[Any], key: str) -> str:
    import difflib

    known = [str(name) for name in mapper.all_orm_descriptors.keys()]
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    plain = key in dir(mapper.class_)
    what = "is no mapped attribute, and SQL cannot compute it" if plain else "does not exist"
    return (
        f"{where}: {_name(mapper)}.{key} {what}; {hint}Name the attribute with "
        f"Annotated[..., Path({_name(mapper)}.…)], or compute it with Expr(...)"
    )
