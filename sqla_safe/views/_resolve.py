"""From a view's class and an entity to the statements that fill it; every problem is noted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy.sql import visitors
from sqlalchemy.sql.schema import Column

from sqla_safe import _mapping
from sqla_safe.views._choices import assign
from sqla_safe.views._fields import Filling
from sqla_safe.views._hints import read_hint, type_name
from sqla_safe.views._inherited import in_selectable, is_with_base, tables_below
from sqla_safe.views._links import key_link
from sqla_safe.views._markers import Expr
from sqla_safe.views._resolver import NOTHING, Spot, Trail, key_names, name_of
from sqla_safe.views._shapes import Choice, Held, Made
from sqla_safe.views._targets import origin_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Mapper

    from sqla_safe.views._shapes import Level, Shape
    from sqla_safe.views._targets import Target


class Resolver(Filling):
    """Resolves a view, from its root."""

    def root(self, into: Any, mapper: Mapper[Any]) -> Level:
        """Return the statement of the root, and all below it."""
        level = self.level(mapper, None, type_name(into))
        members = read_hint(into).members
        level.shape = self.element(members, mapper, Trail(level), type_name(into), repeats=True)
        return level

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
        """Return what is made of a row: one class, or several to choose from by discriminator."""
        if len(members) > 1:
            return self._choice(members, mapper, trail, where, absence)
        target = self.target(members[0])
        if target is None:
            return NOTHING
        return self._made(target, mapper, trail, where, repeats=repeats, absence=absence)

    def _made(
        self,
        target: Target,
        mapper: Mapper[Any],
        trail: Trail,
        where: str,
        *,
        repeats: bool,
        absence: str = "never",
    ) -> Made:
        key = key_names(trail, mapper, self)
        is_concrete = _is_concrete(mapper)
        if is_concrete and self._is_class(trail):
            key.append(self._discriminator(trail, mapper))
        making = (*trail.making, (origin_of(target.cls), mapper))
        # Where the whole object becomes None, its fields need not.
        inner = replace(trail, is_nullable=trail.is_nullable and absence == "never", making=making)
        fields = {
            one.name: self.fill(Spot(one, f"{target.name}.{one.name}", mapper, inner))
            for one in target.fields
        }
        memo = self.memo(target.cls, mapper, trail, repeats=repeats)
        is_apart = is_concrete and not self._is_class(trail)
        kept = None if is_apart or _differs_by_row(target, trail) else memo
        return Made(target, where, key, fields, kept, absence)

    def _is_class(self, trail: Trail) -> bool:
        """Say whether a row is one of a class itself, and not of an alias."""
        level = trail.level
        if level.link is None:
            return self.mode.is_class and not trail.route
        return level.link.entity is level.mapper.class_ and not trail.route

    def _choice(
        self, members: Sequence[Any], mapper: Mapper[Any], trail: Trail, where: str, absence: str
    ) -> Shape:
        targets = [target for target in map(self.target, members) if target is not None]
        if len(targets) < len(members):
            return NOTHING
        if mapper.polymorphic_on is None:
            names = " | ".join(target.name for target in targets)
            return self.note(
                f"{where} is {names}, but {name_of(mapper)} has no subclasses to choose by: name "
                "one class"
            )
        assigned, problems = assign(targets, mapper)
        for problem in problems:
            self.note(f"{where}: {problem}")
        columns, column = key_names(trail, mapper, self), self._discriminator(trail, mapper)
        branches: dict[Any, Held | Made] = {}
        for target, (own, identities) in assigned:
            wanted = column, frozenset(identities)
            if self._may_read_with(trail) and is_with_base(target, own, mapper):
                made = self._with_base(own, target, replace(trail, base=mapper), where, wanted)
                branches |= dict.fromkeys(identities, made)
                continue
            level = self._branch(own, target, trail, where)
            level.parent_columns, level.only_for = columns, wanted
            place = trail.level.children.index(level)
            held = Held(place, columns, "one", is_own=False)
            branches |= dict.fromkeys(identities, held)
        return Choice(column, branches, where, columns[0] if absence != "never" else None, absence)

    def _may_read_with(self, trail: Trail) -> bool:
        """Criteria of a subclass hold only where it is selected itself."""
        level, mode = trail.level, self.mode
        if level.link is None:
            return mode.may_alias and mode.joins_root and mode.is_class
        return mode.may_alias and level.link.entity is level.mapper.class_

    def _with_base(
        self,
        own: Mapper[Any],
        target: Target,
        trail: Trail,
        where: str,
        wanted: tuple[int, frozenset[Any]],
    ) -> Made:
        """The rows of a subclass are read with those of its base."""
        assert trail.base is not None
        level, start = trail.level, len(trail.level.children)
        here = replace(trail, is_nullable=False)
        made = self._made(target, own, here, where, repeats=True)
        tables = tables_below(trail.base, own)
        if tables:
            there = self.with_tables(here, trail.base, own)
            made.key = [self._key_of(there, key) for key in tables[-1].local_table.primary_key]
            made.absence = "none"
        for child in level.children[start:]:
            child.only_for = wanted
        return made

    def _key_of(self, trail: Trail, column: Any) -> int:
        def build(entity: Any) -> Any:
            return in_selectable(entity, column)

        return self.add(trail, f"({column.key})", build, column)

    def _branch(self, mapper: Mapper[Any], target: Target, trail: Trail, where: str) -> Level:
        """The rows of a subclass are read as that class, with its criteria."""
        level = self.level(mapper, key_link(mapper), target.name, "one")
        trail.level.children.append(level)
        level.shape = self._made(target, mapper, trail.below(level), where, repeats=True)
        return level

    def _discriminator(self, trail: Trail, mapper: Mapper[Any]) -> int:
        on: Any = mapper.polymorphic_on
        name = _mapping.attribute_of(mapper, on)
        if name is not None and hasattr(mapper.class_, name):
            return self.column(trail, mapper, name)

        def build(entity: Any) -> Any:
            return _on_entity(on, mapper, entity)

        return self.add(trail, "(discriminator)", build, on)


def _is_concrete(mapper: Mapper[Any]) -> bool:
    """Say whether a class is read with others whose tables number their rows each on its own."""
    family = [one for one in mapper.self_and_descendants if one is not mapper]
    return mapper.polymorphic_on is not None and any(one.concrete for one in family)


def _on_entity(expression: Any, mapper: Mapper[Any], entity: Any) -> Any:
    """Return an expression of a class's columns as one of its alias's."""
    if entity is mapper.class_:
        return expression

    def replaced(column: Any, **_: Any) -> Any:
        name = _mapping.attribute_of(mapper, column) if _is_column(column) else None
        return None if name is None else getattr(entity, name)

    options: dict[str, Any] = {}
    traverse: Any = visitors.replacement_traverse
    return traverse(expression, options, replaced)


def _is_column(term: Any) -> bool:
    return isinstance(term, Column)


def _differs_by_row(target: Target, trail: Trail) -> bool:
    """The user's own joins can give one entity several rows, and an Expr another value in each."""
    is_root = trail.level.link is None and not trail.route
    marks = [mark for field in target.fields for mark in field.hint.metadata]
    return is_root and any(isinstance(mark, Expr) for mark in marks)
