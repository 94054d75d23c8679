"""Paths: the attributes and loader options that say what a snapshot must hold."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy.orm import InstrumentedAttribute, Mapper, QueryableAttribute
from sqlalchemy.orm.interfaces import LoaderOption

from sqla_safe import _mapping
from sqla_safe.errors import SnapshotPathError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Path(NamedTuple):
    """A mapped attribute that every entity of its class must have loaded."""

    mapper: Mapper[Any]
    key: str

    @property
    def target(self) -> Mapper[Any] | None:
        """The mapper that a relationship leads to, None for a column."""
        relation = self.mapper.relationships.get(self.key)
        return relation.mapper if relation is not None else None

    @property
    def attribute(self) -> Any:
        """The attribute of the class, for loader options."""
        return getattr(self.mapper.class_, self.key)

    def covers(self, mapper: Mapper[Any]) -> bool:
        """Say whether entities of a mapper have this attribute."""
        return mapper.isa(self.mapper)

    def __str__(self) -> str:
        return f"{self.mapper.class_.__name__}.{self.key}"


def read_paths(given: Sequence[Any]) -> tuple[list[Path], list[LoaderOption]]:
    """Sort what the user gave into paths and loader options.

    Raises:
        SnapshotPathError: for everything else, with the line to write.
    """
    paths: dict[Path, None] = {}
    options: list[LoaderOption] = []
    for one in given:
        if isinstance(one, LoaderOption):
            options.append(one)
        else:
            paths.update(dict.fromkeys(_read(one)))
    return list(paths), options


def _read(given: Any) -> Iterable[Path]:
    mapper: Any = given.parent if isinstance(given, QueryableAttribute) else None
    if not isinstance(given, QueryableAttribute) or not _mapping.is_mapper(mapper):
        raise _not_a_path(given)
    key = given.key
    if key not in mapper.attrs:
        name = f"{mapper.class_.__name__}.{key}"
        raise SnapshotPathError(
            problem=f"{name} is no path: it is computed from other attributes",
            instead=f"the columns and relationships that {name} reads",
        )
    if not isinstance(given, InstrumentedAttribute) and key in mapper.relationships:
        raise SnapshotPathError(
            problem=f"{mapper.class_.__name__}.{key} is narrowed by of_type() or and_()",
            instead="the same in a loader option, selectinload(...) around it",
        )
    return _expand(mapper, key)


def _expand(mapper: Mapper[Any], key: str) -> list[Path]:
    """A synonym stands for what it names, a composite for its columns."""
    if key in mapper.synonyms:
        return _expand(mapper, mapper.synonyms[key].name)
    if key in mapper.composites:
        return [Path(mapper, attribute.key) for attribute in mapper.composites[key].props]
    relation = mapper.relationships.get(key)
    if relation is not None and relation.lazy in _mapping.BY_QUERY_ONLY:
        name = f"{mapper.class_.__name__}.{key}"
        raise SnapshotPathError(
            problem=f"{name} is a {relation.lazy} relationship, which is queried and never loaded",
            instead=f"session.scalars(entity.{key}.select().limit(...)), and a snapshot of those",
        )
    return [Path(mapper, key)]


def _not_a_path(given: Any) -> SnapshotPathError:
    if isinstance(given, str):
        instead = "the attribute itself, such as User.avatars; Avatar.photos for the next level"
    elif isinstance(given, type) and _mapping.mapper_or_none(given) is not None:
        instead = f"the relationship that leads to it, such as Owner.{given.__name__.lower()}s"
    else:
        instead = "a mapped attribute, such as User.avatars, or a loader option"
    return SnapshotPathError(problem=f"{_name(given)} is not a path", instead=instead)


def _name(given: Any) -> str:
    if isinstance(given, str):
        return reprlib.repr(given)  # it may be a stranger's, and very long
    if isinstance(given, type):
        return repr(given)
    return f"an object of type {type(given).__name__}"


def require_reachable(unmet: Iterable[Path], roots: Iterable[Mapper[Any]]) -> None:
    """Refuse paths of classes that no relationship leads to from the roots.

    Raises:
        SnapshotPathError: for the first of them.
    """
    start = list(roots)
    reachable = _mapping.related_mappers(start)
    for path in unmet:
        if path.mapper not in reachable:
            names = ", ".join(sorted({mapper.class_.__name__ for mapper in start}))
            raise SnapshotPathError(
                problem=f"{path} belongs to a class that cannot be reached from {names}",
                instead="paths of the entity itself and of what its relationships lead to",
            )
