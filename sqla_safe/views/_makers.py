"""The code for the rows of a level: it makes objects, and reads the keys of what is below."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ref

from sqla_safe.views._codegen import builder, converters
from sqla_safe.views._dialects import kept_on

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Dialect

    from sqla_safe.views._shapes import Level


class Maker(NamedTuple):
    """What is done with the rows of a level."""

    build: Callable[..., Any]
    keys: tuple[Callable[[Sequence[Any]], list[Any]], ...]
    """For each level below, what returns the keys that the rows have for it, each once."""


def for_raw(level: Level, dialect: Dialect, description: Sequence[Any]) -> Maker:
    """Return the code for rows as a dialect's driver gives them."""
    latest: Any = level.latest
    if latest is not None and latest[0]() is dialect:
        found: Maker = latest[1]
        return found
    kept = kept_on(dialect)
    made: Maker | None = kept.get(level)
    if made is None:
        made = kept[level] = _maker(level, converters(level, dialect, description))
    level.latest = ref(dialect), made
    return made


def for_cooked(level: Level) -> Maker:
    """Return the code for rows whose values SQLAlchemy has converted already."""
    cooked: Maker | None = level.cooked
    if cooked is None:
        cooked = level.cooked = _maker(level, None)
    return cooked


def _maker(level: Level, converts: Sequence[Any] | None) -> Maker:
    keys = [_reader(child, converts) for child in level.children]
    return Maker(builder(level, converts), tuple(keys))


def _reader(level: Level, converts: Sequence[Any] | None) -> Callable[..., list[Any]]:
    """Return what reads the keys for a level from the rows of its parents."""
    functions = [_function(converts, column) for column in level.parent_columns]
    if level.only_for is None and functions == [None]:
        return partial(_plain_keys, level.parent_columns[0])
    columns = list(zip(level.parent_columns, functions, strict=True))
    if level.only_for is None:
        return partial(_keys, columns)
    place, kinds = level.only_for
    return partial(_keys_of_some, place, _function(converts, place), kinds, columns)


def _plain_keys(column: int, rows: Sequence[Any]) -> list[Any]:
    keys = {row[column] for row in rows}
    keys.discard(None)
    return list(keys)


def _keys(columns: list[tuple[int, Any]], rows: Sequence[Any]) -> list[Any]:
    parts = [_part(rows, column, convert) for column, convert in columns]
    if len(parts) == 1:
        return [key for key in set(parts[0]) if key is not None]
    return [key for key in set(zip(*parts, strict=True)) if None not in key]


def _keys_of_some(
    place: int, convert: Any, kinds: Any, columns: list[tuple[int, Any]], rows: Sequence[Any]
) -> list[Any]:
    found = zip(rows, _part(rows, place, convert), strict=True)
    return _keys(columns, [row for row, kind in found if kind in kinds])


def _part(rows: Sequence[Any], column: int, convert: Any) -> list[Any]:
    if convert is None:
        return [row[column] for row in rows]
    return [convert(row[column]) for row in rows]


def _function(converts: Sequence[Any] | None, column: int) -> Any:
    convert = None if converts is None else converts[column]
    return getattr(convert, "__getitem__", convert)
