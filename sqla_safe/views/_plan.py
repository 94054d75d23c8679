"""Plans: a view's class compiled against an entity, once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqla_safe.errors import ViewDefinitionError
from sqla_safe.views._hints import type_name
from sqla_safe.views._resolve import Resolver
from sqla_safe.views._resolver import Mode
from sqla_safe.views._selects import sorted_distinct
from sqla_safe.views._statements import (
    Way,
    clashes,
    confuses,
    level_statement,
    root_statement,
    selected_below,
)
from sqla_safe.views._unjoined import SUBQUERY, apart

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Select
    from sqlalchemy.engine import Dialect
    from sqlalchemy.orm import Mapper

    from sqla_safe.views._keys import Asking
    from sqla_safe.views._shapes import Level
    from sqla_safe.views._statements import Given
    from sqla_safe.views._unjoined import Apart


DIRECT = Way()


class Prepared:
    """A user's statement made ready for a plan: what is executed for the root and each level."""

    __slots__ = (
        "_below",
        "doubted",
        "execution_options",
        "given_mapper",
        "joins",
        "level",
        "mappers",
        "memos",
        "options",
        "root",
        "width",
    )

    def __init__(self, compiled: Compiled, given: Given) -> None:
        self.level = compiled.level
        self.mappers, self.joins = compiled.mappers, compiled.joins
        self.memos = compiled.memos
        self.root = root_statement(given, compiled.level)
        is_wider = bool(sorted_distinct(given.statement))
        self.width = len(compiled.level.columns) if is_wider else None
        self.doubted: Given | None = None
        """The statement, where it is for listeners to join what an Expr reads."""
        self.given_mapper = given.mapper
        self.options = given.options
        self.execution_options = given.execution_options
        self._below: dict[tuple[int, tuple[str, Way]], tuple[Select[Any], Asking]] = {}

    def rows(self, found: Sequence[Any]) -> Sequence[Any]:
        """Return the root's rows without what is there for their order only."""
        return found if self.width is None else [row[: self.width] for row in found]

    def below(
        self, level: Level, dialect: Dialect, way: Way = DIRECT
    ) -> tuple[Select[Any], Asking]:
        """Return the statement of a level below the root, and how it is told its keys."""
        known = dialect.name, way
        found = level.statements.get(known)
        if found is None:
            found = level.statements[known] = level_statement(level, dialect, way)
        if not self.options:
            return found
        key = id(level), known
        if key not in self._below:
            statement, asking = found
            self._below[key] = statement.options(*self.options), asking
        return self._below[key]


class Compiled:
    """The statements of a view in one mode."""

    def __init__(self, into: Any, mapper: Mapper[Any], mode: Mode) -> None:
        resolver = Resolver(mode)
        self.level = _resolved(resolver, into, mapper)
        self.joins = frozenset(
            [
                (level.mapper, joined.relation.mapper)
                for level in self.level.all()
                for joined in level.joins.values()
            ]
        )
        """Each class that is joined, with the one that is selected from."""
        mappers = [level.mapper for level in self.level.all()]
        self.mappers = frozenset([*mappers, *[joined for _, joined in self.joins]])
        self.memos = len(resolver.memos)
        _, *below = self.level.all()
        for level in below:
            for one in _apart(level):
                resolver.note(f"{one.where}: its Expr reads {one.table}; write {SUBQUERY}")
        if resolver.problems:
            raise ViewDefinitionError(
                view=type_name(into),
                entity=mapper.class_.__name__,
                problems=tuple(resolver.problems),
            )


def _resolved(resolver: Resolver, into: Any, mapper: Mapper[Any]) -> Level:
    try:
        return resolver.root(into, mapper)
    except RecursionError:
        problem = f"{type_name(into)} is deeper than Python can follow; lower a depth"
    raise ViewDefinitionError(
        view=type_name(into), entity=mapper.class_.__name__, problems=(problem,)
    )


def _apart(level: Level) -> Iterator[Apart]:
    """Give what no statement of the user's can join to a level below the root."""
    link = level.link
    if level.foreign and link is not None:
        yield from apart(level.foreign, selected_below(level, link), link.start(()))


class Plan:
    """A view of an entity."""

    def __init__(self, into: Any, mapper: Mapper[Any], *, validate: bool) -> None:
        self.into, self.mapper, self.validate = into, mapper, validate
        self._compiled: dict[Mode, Compiled] = {}
        self.shown: Any = None
        self.compiled(Mode(validate=validate))

    def compiled(self, mode: Mode) -> Compiled:
        """Return the statements in a mode."""
        if mode not in self._compiled:
            self._compiled[mode] = Compiled(self.into, self.mapper, mode)
        return self._compiled[mode]

    def prepared(self, given: Given, *, has_listeners: bool, is_apart: bool = False) -> Prepared:
        """Return what to execute for a user's statement."""
        may_alias = not (has_listeners or given.has_criteria)
        is_class = given.entity is given.mapper.class_
        mode = Mode(self.validate, may_alias, given.joins_root, is_class, is_apart)
        compiled = self.compiled(mode)
        # Criteria skip an alias, so what would need one is asked for in a statement of its own; and
        # so is what has a column of a name to sort by, which SQLAlchemy would take for that.
        is_clash = not may_alias and clashes(given, compiled.level)
        if given.joins_root and (is_clash or confuses(given, compiled.level)):
            compiled = self.compiled(replace(mode, joins_root=False))
        return Prepared(compiled, given)
