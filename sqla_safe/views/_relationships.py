"""Fields that hold what a relationship leads to: one object, or a collection of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqla_safe import _mapping
from sqla_safe.views._collections import collection_problem, key_attribute
from sqla_safe.views._hints import collection_of, read_hint, type_name
from sqla_safe.views._links import read_link
from sqla_safe.views._resolver import (
    NOTHING,
    Collecting,
    Spot,
    Trail,
    can_be_none,
    key_names,
    name_of,
)
from sqla_safe.views._shapes import Constant, Held, Missing
from sqla_safe.views._targets import Field, is_target, origin_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.orm import RelationshipProperty

    from sqla_safe.views._shapes import Level, Shape

MAX_LEVELS = 200
"""Statements that one view may take: what holds itself several times over grows fast."""


class Relating(Collecting):
    """What fills a field from a relationship."""

    def relationship(self, spot: Spot, relation: RelationshipProperty[Any]) -> Shape:
        """Return what fills a field from a relationship."""
        if relation.lazy in _mapping.BY_QUERY_ONLY:
            return self.note(
                f"{spot.where}: {_name(relation)} is a {relation.lazy} relationship, which is "
                "queried and never loaded; fetch its rows with a statement of their own"
            )
        if not relation.uselist:
            return self._one(spot, relation)
        if spot.within is not None:
            return self._objects(spot, relation)
        return self._many(spot, relation)

    # --- collections ---------------------------------------------------------

    def _many(self, spot: Spot, relation: RelationshipProperty[Any]) -> Shape:
        kind, element = self._collection(spot, relation)
        members = read_hint(element).members
        if kind is None or not self._are_targets(spot, members, relation):
            return NOTHING
        inner = self._deeper(spot, members, relation)
        if inner is None:
            return Constant("none" if spot.field.hint.is_optional else kind)
        level = self.child(relation, kind, spot)
        assert level.link is not None
        trail = inner.below(level)
        level.shape = self.element(
            members, relation.mapper, trail, spot.where, repeats=level.link.is_shared
        )
        if kind == "dict":
            self._key_by(level, relation, spot.where, trail)
        if kind in {"set", "frozenset"}:
            self._require_hashable(spot.where, level.shape)
        return held(level, spot, relation)

    def elements(
        self, spot: Spot, relation: RelationshipProperty[Any], go_on: Callable[[Spot], Shape]
    ) -> Shape:
        """Return a collection of what is found from each related row."""
        if spot.within is not None:
            return self._further(spot, spot.within, relation, go_on)
        kind, element = self._collection(spot, relation)
        if kind is None:
            return NOTHING
        if kind == "dict":
            return self.note(f"{spot.where} is {spot.text}, but a dict has no single values")
        level = self.child(relation, kind, spot)
        inner = Field(spot.field.name, read_hint(element), spot.field.converts, spot.field.coerces)
        there = replace(spot, field=inner, mapper=relation.mapper, trail=spot.trail.below(level))
        level.shape = go_on(replace(there, is_element=True, within=level))
        return held(level, spot, relation)

    def _further(
        self,
        spot: Spot,
        within: Level,
        relation: RelationshipProperty[Any],
        go_on: Callable[[Spot], Shape],
    ) -> Shape:
        """The elements of a collection's collections all go into the first one."""
        kind, name = within.kind, _name(relation)
        problem = collection_problem(relation, kind)
        if problem is not None:
            way = "is a dict: a Path goes through lists and sets only"
            wrong = way if problem.startswith("is a dict") else problem
            return self.note(f"{spot.where} is a {kind}, but {name} {wrong}")
        level = self.child(relation, kind, spot)
        within.is_flat = True
        trail = spot.trail.below(level)
        level.shape = go_on(replace(spot, mapper=relation.mapper, trail=trail, within=level))
        return held(level, spot, relation)

    def _objects(self, spot: Spot, relation: RelationshipProperty[Any]) -> Shape:
        """Return the objects of a further collection."""
        assert spot.within is not None
        members, kind = spot.field.hint.members, spot.within.kind
        if not self._are_targets(spot, members, relation):
            return NOTHING
        inner = self._deeper(spot, members, relation)
        if inner is None:
            spot.within.is_flat = True
            return Constant(kind)
        return self.elements(
            replace(spot, trail=inner), relation, lambda there: self._object(there, members)
        )

    def _object(self, spot: Spot, members: Sequence[Any]) -> Shape:
        level = spot.trail.level
        is_shared = level.link is not None and level.link.is_shared
        shape = self.element(members, spot.mapper, spot.trail, spot.where, repeats=is_shared)
        if level.kind in {"set", "frozenset"}:
            self._require_hashable(spot.where, shape)
        return shape

    def _collection(
        self, spot: Spot, relation: RelationshipProperty[Any]
    ) -> tuple[str | None, Any]:
        """Return what a collection is built as and what is in it."""
        found = [collection_of(member) for member in spot.field.hint.members]
        if len(found) != 1 or found[0] is None:
            self.note(
                f"{spot.where} is {spot.text}, but {_name(relation)} is a collection: write "
                f"{spot.name}: tuple[{_element_text(spot, relation)}, ...]"
            )
            return None, None
        kind, _, element = found[0]
        problem = collection_problem(relation, kind)
        if problem is not None:
            self.note(f"{spot.where} is {spot.text}, but {_name(relation)} {problem}")
            return None, None
        return kind, element

    def _key_by(
        self, level: Level, relation: RelationshipProperty[Any], where: str, trail: Trail
    ) -> None:
        key = key_attribute(relation)
        if key is None or key not in relation.mapper.column_attrs:
            self.note(
                f"{where}: how {_name(relation)} finds its keys cannot be read; map it with "
                "attribute_keyed_dict(...)"
            )
        else:
            level.key_by = self.column(trail, relation.mapper, key)

    def _require_hashable(self, where: str, shape: Any) -> None:
        target = getattr(shape, "target", None)
        if target is not None and getattr(origin_of(target.cls), "__hash__", None) is None:
            self.note(
                f"{where}: a set needs elements that can be hashed, and {target.name} cannot; "
                "make it frozen=True, or ask for a tuple"
            )

    # --- to-one --------------------------------------------------------------

    def _one(self, spot: Spot, relation: RelationshipProperty[Any]) -> Shape:
        members, hint = spot.field.hint.members, spot.field.hint
        if any(collection_of(member) for member in members):
            return self.note(
                f"{spot.where} is {hint.text}, but {_name(relation)} leads to one "
                f"{name_of(relation.mapper)}, not to a collection: name one class"
            )
        if not self._are_targets(spot, members, relation):
            return NOTHING
        if can_be_none(relation) and not hint.is_optional:
            self.note(
                f"{spot.where} is {hint.text}, but {_name(relation)} can be None: write "
                f"{spot.name}: {hint.text} | None"
            )
        inner = self._deeper(spot, members, relation)
        if inner is None:
            return self._end(spot)
        return self._related(replace(spot, trail=inner), members, relation)

    def _end(self, spot: Spot) -> Shape:
        if spot.depth is not None and not spot.field.hint.is_optional:
            self.note(f"{spot.where}: at the end of its depth it is None; write {spot.text} | None")
        return NOTHING

    def _related(
        self, spot: Spot, members: Sequence[Any], relation: RelationshipProperty[Any]
    ) -> Shape:
        absence = "none" if spot.field.hint.is_optional else "error"
        mapper, where = relation.mapper, spot.where
        if self.may_join(relation, spot.trail):
            joined = self.join(relation, spot.trail)
            return self.element(members, mapper, joined, where, repeats=True, absence=absence)
        level = self.child(relation, "one", spot)
        level.shape = self.element(members, mapper, spot.trail.below(level), where, repeats=True)
        return held(level, spot, relation, Missing(where) if absence == "error" else None)

    # --- both ----------------------------------------------------------------

    def _are_targets(
        self, spot: Spot, members: Sequence[Any], relation: RelationshipProperty[Any]
    ) -> bool:
        wrong = [member for member in members if not is_target(member)]
        if members and not wrong:
            return True
        found = ", ".join(type_name(member) for member in wrong) or "None"
        self.note(
            f"{spot.where} holds {found}, but {_name(relation)} leads to "
            f"{name_of(relation.mapper)}: write a dataclass (or msgspec.Struct, attrs class, "
            "NamedTuple, TypedDict, pydantic model) with the fields that you want of it"
        )
        return False

    def _deeper(
        self, spot: Spot, members: Sequence[Any], relation: RelationshipProperty[Any]
    ) -> Trail | None:
        """Return the trail of a relationship's rows, None where a stated depth ends."""
        if self.levels > MAX_LEVELS:
            self.note(
                f"{spot.where}: the view takes more than {MAX_LEVELS} statements; lower a depth"
            )
            return None
        if spot.depth is not None:
            return self._counted(spot, spot.depth)
        for member in members:
            if any(cls is origin_of(member) for cls, _ in spot.trail.making):
                self.note(
                    f"{spot.where} leads back to {type_name(member)}, which it is a part of: a "
                    "view cannot hold itself. Leave it out, use a smaller class there, or state "
                    f"a depth: Annotated[..., Path({_name(relation)}, depth=1)]"
                )
                return None
        return spot.trail

    def _counted(self, spot: Spot, depth: int) -> Trail | None:
        if depth < 0 or depth > MAX_LEVELS:
            self.note(f"{spot.where}: depth={depth}, but it is a number from 0 to {MAX_LEVELS}")
            return None
        depths = dict(spot.trail.depths)
        left = depths.get(spot.where, depth)
        if left == 0:
            return None
        depths[spot.where] = left - 1
        return replace(spot.trail, making=(), depths=tuple(depths.items()))

    def child(self, relation: RelationshipProperty[Any], kind: str, spot: Spot) -> Level:
        """Return a new statement for the rows of a relationship."""
        link = read_link(relation)
        level = self.level(relation.mapper, link, spot.where, kind)
        level.parent_columns = [
            self.column(spot.trail, relation.parent, name) for name in link.names
        ]
        spot.trail.level.children.append(level)
        if link.repeats:
            level.identity = key_names(spot.trail.below(level), relation.mapper, self)
        return level


def held(
    level: Level,
    spot: Spot,
    relation: RelationshipProperty[Any],
    missing: Missing | None = None,
) -> Held:
    """Return what a field takes from a relationship's statement."""
    assert level.link is not None
    is_own = set(level.link.names) == set(_mapping.key_names(relation.parent))
    place = spot.trail.level.children.index(level)
    return Held(place, level.parent_columns, level.kind, is_own, missing)


def _name(relation: RelationshipProperty[Any]) -> str:
    return name_of(relation.parent, relation.key)


def _element_text(spot: Spot, relation: RelationshipProperty[Any]) -> str:
    known = [type_name(member) for member in spot.field.hint.members if is_target(member)]
    return known[0] if known else f"{name_of(relation.mapper)}Card"
